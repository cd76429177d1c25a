//! A fixed piece of work, timed before and after each launch: if it takes longer afterwards, the machine slowed down on
//! its own (heat, other load), and times between the two are not to be trusted.

use std::hint::black_box;
use std::time::Instant;

/// Rounds of the loop: some 10 ms on a core of 2024.
const ROUNDS: u64 = 4_000_000;

/// Seconds of the fixed work on one core: the fastest of three, so that one interruption does not look like heat.
pub fn run() -> f64 {
    (0..3).map(|_| once()).fold(f64::INFINITY, f64::min)
}

fn once() -> f64 {
    let start = Instant::now();
    // A chain of dependent integer operations (splitmix64's): its time is the core's clock and nothing else.
    let mut state = black_box(1u64);
    for _ in 0..ROUNDS {
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9).wrapping_add(0x9e37_79b9_7f4a_7c15);
    }
    black_box(state);
    start.elapsed().as_secs_f64()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_work_takes_time() {
        assert!(super::run() > 0.0);
    }
}
