//! The fixed list of prompts that pictures are judged on.

use serde::{Deserialize, Serialize};

const NANO: &str = include_str!("../../assets/nano.prompts.json");

/// Prompts of a model's data, and others that are not in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompts {
    /// Names of data pictures: what came out can be held against the picture.
    pub names: Vec<String>,
    /// Compositions that no data picture shows: to be looked at.
    pub compositions: Vec<String>,
}

/// Nano's list: 200 names, 50 compositions.
///
/// # Errors
/// The carried list cannot be read: a mistake of ours.
pub fn nano() -> Result<Prompts, serde_json::Error> {
    serde_json::from_str(NANO)
}

/// SHA-256 of nano's list as it is carried, in hex.
pub fn nano_sha256() -> String {
    ditbench_graph::hash::sha256(NANO.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn the_list_has_two_hundred_names_and_fifty_compositions_all_different() {
        let prompts = super::nano().unwrap();
        assert_eq!((prompts.names.len(), prompts.compositions.len()), (200, 50));
        let all: HashSet<&String> = prompts.names.iter().chain(&prompts.compositions).collect();
        assert_eq!(all.len(), 250);
    }
}
