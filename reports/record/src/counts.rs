//! What was counted rather than timed: by the processor's own counters around each image, or once, instruction by instruction, in
//! callgrind.
//!
//! Contract: the two are never mixed: what counts, and on which kernels, is not the same. A counter that is not there is absent with its
//! reason, and never 0.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CellStage, Reading, Role};

/// What a processor counts. Of user space, by all threads of the process that computes and of what it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counter {
    /// Instructions retired.
    Instructions,
    /// Cycles of the cores, at whatever clock.
    Cycles,
    /// Branches that were predicted wrongly.
    BranchMisses,
    /// Loads that missed the last-level cache.
    LlcMisses,
}

impl Counter {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Instructions, Self::Cycles, Self::BranchMisses, Self::LlcMisses];

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Instructions => "instructions",
            Self::Cycles => "cycles",
            Self::BranchMisses => "branch misses",
            Self::LlcMisses => "last-level-cache misses",
        }
    }
}

/// A count of one image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Count {
    /// How many; scaled up where the counter did not count all the time.
    pub count: f64,
    /// The share of the time that it counted, above 0 to 1: below 1 the processor has fewer counters than were wanted of it, and they took
    /// turns.
    #[serde(default = "whole", skip_serializing_if = "is_whole")]
    pub counted: f64,
}

fn whole() -> f64 {
    1.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's way of asking")]
fn is_whole(share: &f64) -> bool {
    *share >= 1.0
}

/// The counters of a launch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counters {
    /// What each counts; or why it does not count here.
    #[serde(default)]
    pub events: BTreeMap<Counter, Reading<String>>,
    /// Instructions by stage of one more image, which is not timed because reading counters between stages takes time: in a cell's first
    /// launch.
    #[serde(default)]
    pub stages: Reading<Vec<StageCounts>>,
}

/// Instructions of a stage for one image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageCounts {
    /// Its id.
    pub stage: String,
    /// One entry for each pass.
    pub instructions: Vec<f64>,
}

/// Instructions of one steady image on one thread, counted one by one in a simulator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counted {
    /// By what: `callgrind of valgrind-3.19.0`.
    pub by: String,
    /// Versions of the backend, and what else it said of itself there.
    #[serde(default)]
    pub runtime: Vec<String>,
    /// The instruction set of its kernels there, where it knows: the simulator's processor is another than the machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernels: Option<String>,
    /// Whether the system refused to switch off the randomness of addresses: then two counts of one program differ by more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_random_addresses: bool,
    /// Of the whole image.
    pub instructions: u64,
    /// Of each stage, in the order in which they first ran.
    #[serde(default)]
    pub stages: Vec<StageCounts>,
    /// Of the functions that have most, by stage: most first.
    #[serde(default)]
    pub functions: Vec<FunctionCount>,
}

impl Counted {
    /// By what, and of which kernels where that is known: counts that differ in this are counts of something else.
    pub fn of_what(&self) -> String {
        match &self.kernels {
            Some(kernels) => format!("{} ({kernels})", self.by),
            None => self.by.clone(),
        }
    }
}

/// Instructions of a function itself, without those that it calls.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FunctionCount {
    /// The stage's id; empty: outside all stages.
    #[serde(default)]
    pub stage: String,
    /// The function as the program's symbols name it.
    pub function: String,
    /// The graph's kind of operation that it computes, as in profiles; `None` where its name does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op: Option<String>,
    /// How many.
    pub instructions: u64,
}

/// Instructions of everything that these stages have of a role, pass by pass.
pub fn by_role(counts: &[StageCounts], stages: &[CellStage], role: Role) -> Vec<f64> {
    let of_role = stages.iter().filter(|stage| stage.role == role);
    let of_stage = |stage: &CellStage| counts.iter().find(|counts| counts.stage == stage.id);
    of_role.filter_map(of_stage).flat_map(|counts| &counts.instructions).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_count_is_written_without_its_share_and_read_so() {
        let write = |counted| serde_json::to_string(&Count { count: 5.0, counted }).unwrap();
        assert_eq!((write(1.0).as_str(), write(0.5).as_str()), (r#"{"count":5.0}"#, r#"{"count":5.0,"counted":0.5}"#));
        assert_eq!(serde_json::from_str::<Count>(r#"{"count":5.0}"#).unwrap().counted, 1.0);
        let events = BTreeMap::from([(Counter::LlcMisses, 1)]);
        assert_eq!(serde_json::to_string(&events).unwrap(), r#"{"llc_misses":1}"#);
    }
}
