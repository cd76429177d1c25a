//! Android's fixed-performance mode around a launch: clocks that change less (which does not prevent overheating).
//!
//! Contract: switched off on every way out, also when the cable is out: the guard lives in the process that looks after
//! the worker. If that is killed, a note in our folder tells the next host to switch it off.

use std::path::{Path, PathBuf};

use crate::probe::phone::sources;

/// The note's name in our folder on the phone.
pub const RESTORE: &str = "restore-fixed-performance";

/// Switches the mode off again when it goes out of scope.
#[derive(Debug)]
pub(super) struct FixedPerformance {
    note: PathBuf,
}

impl FixedPerformance {
    /// Switches it on.
    ///
    /// # Errors
    /// The phone does not know it (before Android 11), or does not allow it.
    pub(super) fn on(folder: &Path) -> Result<Self, String> {
        let note = folder.join(RESTORE);
        std::fs::write(&note, b"").map_err(|error| format!("{}: {error}", note.display()))?;
        let said = set(true);
        let guard = Self { note };
        // The command is silent when it works.
        if said.trim().is_empty() {
            Ok(guard)
        } else {
            let note = guard.note.clone();
            drop(guard);
            // It was never on.
            let _ = std::fs::remove_file(note);
            Err(format!("fixed-performance mode was refused: {}", said.trim()))
        }
    }
}

impl Drop for FixedPerformance {
    fn drop(&mut self) {
        // Else the note stays, for the next host to try again.
        if set(false).trim().is_empty() {
            let _ = std::fs::remove_file(&self.note);
        }
    }
}

fn set(on: bool) -> String {
    sources::command("cmd", &["power", "set-fixed-performance-mode-enabled", if on { "true" } else { "false" }])
}
