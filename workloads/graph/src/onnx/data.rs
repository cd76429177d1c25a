//! The file of weights beside the graph: tensors one after the other, each at a multiple of 4 KiB.
//!
//! Contract: bytes go straight to disk, never more than one tensor is in memory, and there is no limit on the size. The
//! alignment lets runtimes map tensors in place.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Offsets are multiples of this: the page size of most machines, and what ONNX's specification recommends.
pub(super) const ALIGNMENT: u64 = 4096;

/// Appends tensors to a file.
pub(super) struct DataFile {
    file: BufWriter<File>,
    position: u64,
}

impl DataFile {
    pub(super) fn create(path: &Path) -> std::io::Result<Self> {
        Ok(Self { file: BufWriter::with_capacity(1 << 20, File::create(path)?), position: 0 })
    }

    /// Pads to the next boundary and gives the offset at which a tensor may begin.
    pub(super) fn begin(&mut self) -> std::io::Result<u64> {
        let offset = self.position.next_multiple_of(ALIGNMENT);
        self.file.write_all(&vec![0; (offset - self.position) as usize])?;
        self.position = offset;
        Ok(offset)
    }

    /// Appends bytes of the tensor begun.
    pub(super) fn push(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.file.write_all(bytes)?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Appends floats of the tensor begun.
    pub(super) fn push_f32(&mut self, values: &[f32]) -> std::io::Result<()> {
        for values in values.chunks(1 << 14) {
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            self.push(&bytes)?;
        }
        Ok(())
    }

    /// The same as 16-bit floats.
    pub(super) fn push_f16(&mut self, values: &[f32]) -> std::io::Result<()> {
        for values in values.chunks(1 << 14) {
            let bytes: Vec<u8> = values.iter().flat_map(|v| to_f16(*v).to_le_bytes()).collect();
            self.push(&bytes)?;
        }
        Ok(())
    }

    /// Number of bytes so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Waits until everything is on the disk: the file is about to get the name under which it is taken for whole.
    pub(super) fn finish(mut self) -> std::io::Result<u64> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        Ok(self.position)
    }
}

/// The nearest 16-bit float; what is beyond the largest is that.
pub(super) fn to_f16(value: f32) -> half::f16 {
    half::f16::from_f32(value.clamp(-half::f16::MAX.to_f32(), half::f16::MAX.to_f32()))
}
