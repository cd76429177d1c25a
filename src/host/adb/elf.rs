//! What a program or library is made for, by its own first bytes.

use std::path::Path;

/// What an ELF file is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// 64-bit ARM.
    Aarch64,
    /// 32-bit ARM.
    Arm,
    /// 64-bit x86.
    X86_64,
    /// 32-bit x86.
    X86,
    /// Something else, by its number.
    Other(u16),
}

impl Machine {
    /// What a phone's `ro.product.cpu.abi` runs.
    pub fn of_abi(abi: &str) -> Option<Self> {
        match abi {
            "arm64-v8a" => Some(Self::Aarch64),
            "armeabi-v7a" | "armeabi" => Some(Self::Arm),
            "x86_64" => Some(Self::X86_64),
            "x86" => Some(Self::X86),
            _ => None,
        }
    }

    /// The architecture's name in target triples.
    pub fn name(self) -> String {
        match self {
            Self::Aarch64 => "aarch64".to_owned(),
            Self::Arm => "armv7".to_owned(),
            Self::X86_64 => "x86_64".to_owned(),
            Self::X86 => "i686".to_owned(),
            Self::Other(number) => format!("ELF machine {number}"),
        }
    }
}

/// Reads what a file is made for; `None` if it is no ELF file.
pub fn machine_of(path: &Path) -> std::io::Result<Option<Machine>> {
    use std::io::Read;
    let mut head = [0u8; 20];
    let mut file = std::fs::File::open(path)?;
    match file.read_exact(&mut head) {
        Ok(()) => Ok(machine(&head)),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// The same, from the first bytes of a file.
pub(super) fn machine(head: &[u8; 20]) -> Option<Machine> {
    if head[..4] != *b"\x7fELF" {
        return None;
    }
    let number = u16::from_le_bytes([head[18], head[19]]);
    Some(match number {
        183 => Machine::Aarch64,
        40 => Machine::Arm,
        62 => Machine::X86_64,
        3 => Machine::X86,
        other => Machine::Other(other),
    })
}
