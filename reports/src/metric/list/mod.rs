//! Every number, a row each. What adds a number adds a row here, the function that takes it, a line in the glossary and a test.

mod counts;
mod memory;
mod nearness;
mod others;
mod pictures;
mod rates;
mod times;

use super::definition::{Definition, Detail, Enforce, Followed, Judged};

/// Followed since the first version of the store that this program can read.
const fn always(id: &'static str, detail: Detail) -> Followed {
    Followed::As { id, since: 2, detail }
}

const fn not_followed(why: &'static str) -> Followed {
    Followed::Not { why }
}

const fn by(enforce: Enforce, max_change: f64, floor: f64, reason: &'static str) -> Judged {
    Judged::By { enforce, max_change, floor, reason }
}

const fn not_judged(why: &'static str) -> Judged {
    Judged::Not { why }
}

const PARTS: [&[Definition]; 7] = [
    times::TIMES,
    memory::MEMORY,
    rates::RATES,
    counts::COUNTS,
    nearness::NEARNESS,
    pictures::PICTURES,
    others::OTHERS,
];

const COUNT: usize = {
    let (mut count, mut part) = (0, 0);
    while part < PARTS.len() {
        count += PARTS[part].len();
        part += 1;
    }
    count
};

/// The parts, one after another.
const JOINED: [Definition; COUNT] = {
    let mut all = [PARTS[0][0]; COUNT];
    let (mut at, mut part) = (0, 0);
    while part < PARTS.len() {
        let mut row = 0;
        while row < PARTS[part].len() {
            all[at] = PARTS[part][row];
            (at, row) = (at + 1, row + 1);
        }
        part += 1;
    }
    all
};

/// Every number, in the order in which tables and verdicts show them.
pub const ALL: &[Definition] = &JOINED;
