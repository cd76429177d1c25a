//! A part of a plan, for one of several machines.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::bounds::Part;

/// Part `index` (from 1) of `of`: every `of`-th cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields")]
pub struct Shard {
    index: Part,
    of: Part,
}

/// As a record holds it, not looked at yet.
#[derive(Deserialize)]
struct Fields {
    index: Part,
    of: Part,
}

impl TryFrom<Fields> for Shard {
    type Error = String;

    fn try_from(Fields { index, of }: Fields) -> Result<Self, String> {
        if index <= of { Ok(Self { index, of }) } else { Err(format!("there is no part {index} of {of}")) }
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("\"{text}\" is not a part of a plan: {why}use 2/5 for the second of five");
        let (index, of) = text.split_once('/').ok_or_else(|| wrong(""))?;
        let part = |text: &str| text.parse().map_err(|error| wrong(&format!("{error}; ")));
        Self::try_from(Fields { index: part(index)?, of: part(of)? }).map_err(|why| wrong(&format!("{why}; ")))
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
        cells.into_iter().skip(self.index.get() - 1).step_by(self.of.get()).collect()
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
        for bad in ["", "1", "0/3", "4/3", "a/b", "-1/2", "1/0", "1/10001"] {
            assert!(bad.parse::<Shard>().unwrap_err().contains("2/5"), "{bad}");
        }
        // A record is not believed either.
        for bad in [r#"{"index": 1, "of": 0}"#, r#"{"index": 0, "of": 0}"#, r#"{"index": 3, "of": 2}"#] {
            assert!(serde_json::from_str::<Shard>(bad).is_err(), "{bad}");
        }
        let shard: Shard = "2/3".parse().unwrap();
        assert_eq!(serde_json::from_str::<Shard>(&serde_json::to_string(&shard).unwrap()).unwrap(), shard);
    }
}
