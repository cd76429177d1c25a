//! The file in which a launch on a phone says everything: the worker's events, samples of the sensors, the end.
//!
//! Contract: one JSON object a line, in the order in which things happened; the end is the last line. The host may read it
//! while it grows, and again from any line on.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context, Result};
use ditbench_record::Telemetry;
use serde::{Deserialize, Serialize};

use crate::interrupt;
use crate::process::Exit;
use ditbench_protocol::Event;

/// A line of the journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// The worker said something.
    Event {
        /// Seconds after the launch began, by the phone's clock.
        at_s: f64,
        /// What.
        event: Event,
    },
    /// Sensors, while the worker was at work.
    Sample(Telemetry),
    /// The launch is over.
    Exit(Box<Exit>),
}

/// The journal's name in a launch's folder.
pub(super) const JOURNAL: &str = "journal.jsonl";
/// Kept so that a full disk leaves room for the end.
const RESERVE: &str = "reserve";
const RESERVE_BYTES: usize = 256 << 10;

/// A journal being written.
pub(super) struct Journal {
    inner: Mutex<Inner>,
    reserve: std::path::PathBuf,
}

struct Inner {
    file: File,
    broken: Option<String>,
}

impl Journal {
    /// A new one.
    pub(super) fn create(folder: &Path) -> Result<Self> {
        let path = folder.join(JOURNAL);
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let reserve = folder.join(RESERVE);
        std::fs::write(&reserve, vec![0u8; RESERVE_BYTES])
            .with_context(|| format!("cannot write {}", reserve.display()))?;
        Ok(Self { inner: Mutex::new(Inner { file, broken: None }), reserve })
    }

    /// Adds a line. One that cannot be written ends the launch: what it would go on to say would be lost as well.
    pub(super) fn add(&self, line: &Line) {
        let mut inner = self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if inner.broken.is_none()
            && let Err(error) = write(&mut inner.file, line)
        {
            inner.broken = Some(error.to_string());
            interrupt::request();
        }
    }

    /// Why it is not whole, if it is not.
    pub(super) fn broken(&self) -> Option<String> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner).broken.clone()
    }

    /// The last line, for which room was kept.
    pub(super) fn end(self, exit: Exit) -> Result<()> {
        let _ = std::fs::remove_file(&self.reserve);
        let inner = self.inner.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut file = inner.file;
        if inner.broken.is_some() {
            // The line that failed may be there in part.
            file.write_all(b"\n")?;
        }
        write(&mut file, &Line::Exit(Box::new(exit)))?;
        file.sync_all().context("writing the end of the journal")
    }
}

fn write(file: &mut File, line: &Line) -> Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    Ok(file.write_all(&text)?)
}
