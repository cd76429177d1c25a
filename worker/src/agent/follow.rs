//! Handing a launch's journal to the host while it grows.
//!
//! Contract: lines of the journal as they are, from the byte that the host names; between them a sign of life every
//! second, by which the host tells a quiet launch from a broken connection. Ends after the journal's last line, or says
//! that the launch is gone.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::journal::JOURNAL;
use super::supervise;

/// A sign of life.
pub const BEAT: &str = "~beat";
/// The launch ended without saying how.
pub const GONE: &str = "~gone";

/// Five looks a second at a file's end: some tens of microseconds each.
const LOOK: Duration = Duration::from_millis(200);
const BEAT_EVERY: Duration = Duration::from_secs(1);

pub(super) fn follow(folder: &Path, from: u64) -> Result<()> {
    let path = folder.join(JOURNAL);
    let begun = Instant::now();
    let mut file = loop {
        match File::open(&path) {
            Ok(file) => break file,
            // The launch may be so young that it has not yet opened its journal.
            Err(_) if begun.elapsed() < Duration::from_secs(3) || supervise::pid(folder).is_some() => {
                std::thread::sleep(LOOK);
            }
            Err(_) => {
                crate::output::data(&format!("{GONE}\n"));
                return Ok(());
            }
        }
    };
    file.seek(SeekFrom::Start(from)).with_context(|| format!("reading {}", path.display()))?;
    let mut out = std::io::stdout().lock();
    let mut held: Vec<u8> = Vec::new();
    let mut beat = Instant::now();
    loop {
        // Asked before the file is read: what a launch wrote before it ended is then surely there.
        let alive = supervise::pid(folder).is_some();
        let mut new = Vec::new();
        file.read_to_end(&mut new)?;
        held.extend_from_slice(&new);
        let whole = held.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        if whole > 0 {
            out.write_all(&held[..whole])?;
            out.flush()?;
            let ended = held[..whole].split(|&byte| byte == b'\n').any(|line| line.starts_with(b"{\"exit\":"));
            held.drain(..whole);
            if ended {
                return Ok(());
            }
        }
        if !alive && new.is_empty() {
            writeln!(out, "{GONE}")?;
            return Ok(());
        }
        if beat.elapsed() >= BEAT_EVERY {
            beat = Instant::now();
            // A host that is gone breaks the pipe, which ends us.
            writeln!(out, "{BEAT}")?;
            out.flush()?;
        }
        std::thread::sleep(LOOK);
    }
}
