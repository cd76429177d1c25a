//! Ctrl-C and termination: remembered, and asked for between steps, so that what was measured is kept.

use std::sync::atomic::{AtomicBool, Ordering};

static REQUESTED: AtomicBool = AtomicBool::new(false);

extern "C" fn remember(signal: libc::c_int) {
    if REQUESTED.swap(true, Ordering::SeqCst) {
        // A second time: the user means it. The default action ends the process.
        // SAFETY: signal and raise are async-signal-safe.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
    }
}

/// From now on the first Ctrl-C or SIGTERM is remembered; the second one kills.
pub fn listen() {
    let handler = remember as extern "C" fn(libc::c_int) as libc::sighandler_t;
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the handler only touches an atomic and calls async-signal-safe functions.
        unsafe { libc::signal(signal, handler) };
    }
}

/// Whether the user has asked to stop.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}

/// As if the user had asked: for what makes going on pointless.
pub fn request() {
    REQUESTED.store(true, Ordering::SeqCst);
}
