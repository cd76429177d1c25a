//! Which of a phone's cores a cell runs on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Cores as people name them: `big`, `mid+big`, `all`, `4-7`, `0xf0`. Which CPUs that is only the phone tells.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClusterChoice(String);

impl FromStr for ClusterChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let known = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if text.split('+').all(|part| known(part.trim())) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "\"{text}\" does not name any cores: use little, mid, big or all, several as in mid+big, a list as in 4-7, \
             or a mask as in 0xf0"
        ))
    }
}

impl fmt::Display for ClusterChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<ClusterChoice> for String {
    fn from(choice: ClusterChoice) -> Self {
        choice.0
    }
}

impl TryFrom<String> for ClusterChoice {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl ClusterChoice {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The CPUs of a cell that is pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// As they were asked for.
    pub cluster: ClusterChoice,
    /// What the machine says that this is.
    pub cpus: Vec<u32>,
}

/// A choice that is no CPUs of a machine, in words.
pub type CpusOf<'a> = dyn Fn(&ClusterChoice) -> Result<Vec<u32>, String> + 'a;

/// The machine that a plan is multiplied out for.
pub struct Cores<'a> {
    /// Threads of a cell that is not pinned, where the plan does not say.
    pub count: usize,
    /// The CPUs that a choice means.
    pub cpus_of: &'a CpusOf<'a>,
}

/// What a machine without clusters says.
pub fn no_clusters(_: &ClusterChoice) -> Result<Vec<u32>, String> {
    Err("--cluster is for phones: name one with --on adb:SERIAL".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_named_in_several_ways() {
        for text in ["big", "mid+big", "all", "4-7", "0xf0", "0+2+5", "mid1"] {
            assert_eq!(text.parse::<ClusterChoice>().unwrap().to_string(), text);
        }
        for bad in ["", "+", "big+", "big mid", "4;7"] {
            assert!(bad.parse::<ClusterChoice>().unwrap_err().contains("mid+big"), "{bad}");
        }
    }
}
