//! The one place through which text leaves the program for people, and for programs that read it.
//!
//! Contract: nothing in a text can speak to a terminal ([`inert`]): records, plans, stores and phones are not ours. A reader
//! that went away (`ditbench … | head`) ends the words and nothing else: results and exit code stay. Any other failure of
//! standard output (a full disk) is remembered, and [`exit`] makes it exit code 2. No write panics. Whatever has to last is
//! on disk before it is said here.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

use ditbench_record::inert;

/// The first failure of standard output that was not its reader's leaving.
static FAILED: OnceLock<String> = OnceLock::new();

/// Puts words on standard output, as they are but for what is not inert.
pub fn show(text: &str) {
    write(&inert(text));
}

/// Puts on standard output what another program is to read: byte for byte, unless a terminal reads it.
pub fn data(text: &str) {
    if io::stdout().is_terminal() { show(text) } else { write(text) }
}

/// Says a line on standard error. Where that cannot be written there is nobody left to tell.
pub fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{}", inert(line));
}

/// The exit code with which a command ends: its own, or 2 where standard output did not take what it was given.
pub fn exit(code: ExitCode) -> ExitCode {
    let Some(why) = FAILED.get() else { return code };
    tell(&format!(
        "error: standard output cannot be written: {why}. The files that the command writes are complete; free some \
         space, or send the output elsewhere"
    ));
    ExitCode::from(2)
}

/// Written at once: what waits in a buffer until the end fails where nobody looks any more.
fn write(text: &str) {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Err(error) => {
            let _ = FAILED.set(error.to_string());
        }
    }
}
