//! Company: threads that are kept busy with a fixed piece of work, while a worker is measured beside them.
//!
//! Contract: a process of its own (`ditbench company THREADS`), so that neither its memory nor its processor time is the
//! worker's. It says `ready` when every thread is at work, works until its standard input ends, and then says how much it did:
//! whoever started it cannot leave it behind. The work is the same on every machine and changes with no version:
//! docs/METHODOLOGY.md says what it is, and what it is not.

use std::hint::black_box;
use std::io::Read;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Instant;

use crate::{measure, output};

/// The subcommand of the program that is the process.
pub const COMMAND: &str = "company";
/// Said when every thread is at work.
pub const READY: &str = "ready";
/// Said at the end, with the pieces of work and the seconds that they took: `done 1234 2.5`.
pub const DONE: &str = "done";
/// Said, with the reason, where it cannot begin.
pub const FAILED: &str = "failed";

/// Words of 8 bytes that each thread has for itself: 4 MiB, more than the caches of most cores.
const WORDS: usize = (4 << 20) / 8;

/// One piece of work: once over the thread's memory, every word read, changed and written, with a chain of whole-number and a
/// chain of floating-point arithmetic on the way. A millisecond or two on a core of 2024.
fn piece(memory: &mut [u64], state: &mut u64, sum: &mut f64) {
    for word in memory {
        // splitmix64's step.
        *state = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9).wrapping_add(0x9e37_79b9_7f4a_7c15);
        *word ^= *state;
        // Stays between -1 and 1.
        *sum = 0.5 * *sum + 0.5 * ((*word >> 11) as f64 / (1u64 << 53) as f64 - 0.5);
    }
}

/// What its words ask for: how many threads, and on which CPUs.
fn asked(words: &[String]) -> Option<(usize, Vec<u32>)> {
    let (threads, cpus) = match words {
        [threads] => (threads, Vec::new()),
        [threads, on, cpus] if on == "on" => (threads, ditbench_record::cpus::parse(cpus)?),
        _ => return None,
    };
    Some((threads.parse().ok().filter(|threads| *threads > 0)?, cpus))
}

/// Keeps threads busy until standard input ends.
pub fn main(words: &[String]) -> ExitCode {
    let Some((threads, cpus)) = asked(words) else {
        output::tell(&format!(
            "error: `{COMMAND} {}`: started by `run --company`, as {COMMAND} 2 on 4-7",
            words.join(" ")
        ));
        return ExitCode::from(2);
    };
    match work(threads, &cpus) {
        Ok((pieces, seconds)) => {
            output::data(&format!("{DONE} {pieces} {seconds}\n"));
            output::exit(ExitCode::SUCCESS)
        }
        Err(why) => {
            output::data(&format!("{FAILED} {}\n", ditbench_record::one_line(&why)));
            ExitCode::from(2)
        }
    }
}

/// Pieces of work until standard input ends, and the seconds that they took.
fn work(threads: usize, cpus: &[u32]) -> Result<(u64, f64), String> {
    if !cpus.is_empty() {
        measure::pin::to(cpus)?;
    }
    let enough = Arc::new(AtomicBool::new(false));
    let at_work = Arc::new(Barrier::new(threads + 1));
    let start = |seed: usize| {
        let (enough, at_work) = (Arc::clone(&enough), Arc::clone(&at_work));
        let busy = move || {
            let (mut memory, mut state, mut sum) = (vec![1u64; WORDS], seed as u64, 0.0);
            // Its memory is there before it counts.
            piece(&mut memory, &mut state, &mut sum);
            at_work.wait();
            let mut pieces = 0u64;
            while !enough.load(Ordering::Relaxed) {
                piece(black_box(&mut memory), &mut state, &mut sum);
                pieces += 1;
            }
            black_box(sum);
            pieces
        };
        std::thread::Builder::new().spawn(busy).map_err(|error| format!("cannot start {threads} threads: {error}"))
    };
    // Those that wait for one that does not come end with the process.
    let started = (0..threads).map(start).collect::<Result<Vec<_>, String>>()?;
    at_work.wait();
    let begun = Instant::now();
    output::data(&format!("{READY}\n"));
    // Whatever is said is not for us; the end is.
    let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
    enough.store(true, Ordering::Relaxed);
    let mut pieces = 0;
    for thread in started {
        pieces += thread.join().map_err(|_| "a thread of it failed".to_owned())?;
    }
    Ok((pieces, begun.elapsed().as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_words_are_understood_whole_or_not_at_all() {
        let asked = |line: &str| asked(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(asked("2"), Some((2, vec![])));
        assert_eq!(asked("1 on 4-5"), Some((1, vec![4, 5])));
        for line in ["", "0", "-1", "1 on", "1 at 2", "1 on x", "2 3"] {
            assert_eq!(asked(line), None, "{line}");
        }
    }

    /// A change of the work would make all that was measured in company another scenario: it takes another name, then.
    #[test]
    fn the_work_is_what_it_always_was() {
        let (mut memory, mut state, mut sum) = (vec![1u64; 4], 7, 0.0);
        piece(&mut memory, &mut state, &mut sum);
        piece(&mut memory, &mut state, &mut sum);
        // Computed apart, in Python.
        assert_eq!(memory, [0x7300d6d1bf232a3e, 0x19032ffa65a29062, 0x3f0207c15aca0d4b, 0x4c52ac4cb228e93c]);
        assert_eq!((state, sum), (0x86b8f10d9852f90f, -0.19837684616414233));
        assert_eq!(WORDS * 8, 4 * 1024 * 1024);
    }
}
