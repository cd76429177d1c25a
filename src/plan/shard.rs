//! A part of a plan, for one of several machines.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Part `index` (from 1) of `of`: every `of`-th cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    index: usize,
    of: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is no part of a plan: write 2/5 for the second of five");
        let (index, of) = text.split_once('/').ok_or_else(wrong)?;
        match (index.trim().parse(), of.trim().parse()) {
            (Ok(index), Ok(of)) if index >= 1 && index <= of => Ok(Self { index, of }),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl Shard {
    /// Its cells: dealt out one by one, so that neighbours in the plan, which take about as long, go to different machines.
    pub fn take<T>(self, cells: Vec<T>) -> Vec<T> {
        cells.into_iter().skip(self.index - 1).step_by(self.of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_together_are_the_plan() {
        let cells: Vec<u32> = (0..11).collect();
        let mut all: Vec<u32> =
            (1..=3).flat_map(|index| format!("{index}/3").parse::<Shard>().unwrap().take(cells.clone())).collect();
        all.sort_unstable();
        assert_eq!(all, cells);
    }

    #[test]
    fn mistakes_are_named() {
        for bad in ["", "1", "0/3", "4/3", "a/b", "-1/2", "1/0"] {
            assert!(bad.parse::<Shard>().unwrap_err().contains("2/5"), "{bad}");
        }
    }
}
