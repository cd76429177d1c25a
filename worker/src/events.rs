//! Where a worker's events go: to a descriptor of their own, so that a library that prints can neither spoil nor swallow one.
//!
//! Contract: [`open`] comes first. The parent names the descriptor; where nobody does, a person has started us, and events go
//! to standard output. Whatever else is printed goes to standard error, which is the log.

use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, OnceLock, PoisonError};

use ditbench_protocol::{EVENTS_FD, Event};

static EVENTS: OnceLock<Mutex<File>> = OnceLock::new();

/// Opens the way of events, before any other thread runs.
///
/// # Errors
/// The descriptor that was named is not open.
pub fn open() -> std::io::Result<()> {
    let channel = match ditbench_pipe::take(EVENTS_FD)? {
        Some(channel) => {
            ditbench_pipe::print_to_standard_error()?;
            // Whom we start has no business with it.
            // SAFETY: no other thread runs yet.
            unsafe { std::env::remove_var(EVENTS_FD) };
            channel
        }
        None => ditbench_pipe::take_standard_output()?,
    };
    // Opened once: a second time finds the first one's place taken.
    let _ = EVENTS.set(Mutex::new(channel));
    Ok(())
}

/// Says one event, on a line of its own. If the parent is gone there is nobody to tell.
pub fn say(event: &Event) {
    let Some(channel) = EVENTS.get() else { return };
    if let Ok(mut line) = serde_json::to_vec(event) {
        line.push(b'\n');
        // In one piece: an event is there whole or not at all.
        let _ = channel.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line);
    }
}
