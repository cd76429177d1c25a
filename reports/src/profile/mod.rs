//! Where the time of an image goes: passes of nodes, their sums by block and operation, a trace for Perfetto, and what
//! changed between two profiles.
//!
//! Contract: every backend's nodes carry the graph's own names, so that two backends, or one before and after a change,
//! can be held side by side. What a runtime added itself has no such name and is shown under its own.

mod diff;
mod trace;

pub use diff::{Change, Side, diff};
pub use trace::write_trace;

use crate::record::ProfileRow;

/// One forward pass of one stage, under the runtime's profiler.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pass {
    /// `text_encoder`, `denoiser`, `decoder`.
    pub stage: String,
    /// The denoiser's step, from 0; with guidance a step has two passes.
    pub step: Option<u32>,
    /// Seconds of the whole pass.
    pub total_s: f64,
    /// Nodes in the order in which they started.
    pub nodes: Vec<Node>,
}

/// One node of a pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// The graph's name of the node, such as `up.3.assa.local.attend`; `None` for what the runtime added.
    pub name: Option<String>,
    /// The graph's kind of operation where it has a name, else the runtime's.
    pub op: String,
    /// Device or execution provider.
    pub device: String,
    /// Seconds after the start of the pass.
    pub start_s: f64,
    /// Seconds that it took.
    pub seconds: f64,
    /// Floating-point operations, by the graph's definitions.
    pub flops: Option<u64>,
    /// Bytes of activations read and written in f32, and of weights as stored.
    pub bytes: Option<u64>,
}

/// The block that a node belongs to: `up.3` of `up.3.attn.q`, `patch` of `patch.linear`.
pub fn block(name: &str) -> &str {
    let mut ends = name.match_indices('.').map(|(at, _)| at).chain([name.len()]);
    let first = ends.next().unwrap_or(name.len());
    let Some(second) = ends.next() else { return &name[..first] };
    let numbered = name[first + 1..second].chars().all(|c| c.is_ascii_digit());
    &name[..if numbered { second } else { first }]
}

/// Sums over the nodes of each block by kind of operation; the mean over the passes of a stage.
pub fn rows(passes: &[Pass]) -> Vec<ProfileRow> {
    let mut rows: Vec<ProfileRow> = Vec::new();
    for pass in passes {
        let share = 1.0 / passes.iter().filter(|other| other.stage == pass.stage).count() as f64;
        let first =
            passes.iter().find(|other| other.stage == pass.stage).is_some_and(|first| std::ptr::eq(first, pass));
        for node in &pass.nodes {
            let scope = node.name.as_deref().map(block);
            let same =
                |row: &&mut ProfileRow| row.stage == pass.stage && row.scope.as_deref() == scope && row.op == node.op;
            let index = rows.iter_mut().position(|row| same(&row)).unwrap_or_else(|| {
                rows.push(ProfileRow {
                    stage: pass.stage.clone(),
                    scope: scope.map(str::to_owned),
                    op: node.op.clone(),
                    ..ProfileRow::default()
                });
                rows.len() - 1
            });
            let row = &mut rows[index];
            row.seconds += share * node.seconds;
            if first {
                // Counts are those of one pass: all passes of a stage run the same graph.
                row.nodes += 1;
                row.flops = sum(row.flops, node.flops);
                row.bytes = sum(row.bytes, node.bytes);
            }
        }
    }
    rows
}

fn sum(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (None, b) => b,
        (a, None) => a,
        (Some(a), Some(b)) => Some(a + b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: Option<&str>, op: &str, seconds: f64) -> Node {
        Node { name: name.map(str::to_owned), op: op.into(), seconds, flops: Some(10), ..Node::default() }
    }

    #[test]
    fn blocks_are_the_numbered_scopes() {
        for (name, wanted) in
            [("up.3.assa.local", "up.3"), ("patch.linear", "patch"), ("final", "final"), ("conv_in.3x3", "conv_in")]
        {
            assert_eq!(block(name), wanted);
        }
    }

    #[test]
    fn rows_are_means_over_the_passes_of_a_stage_and_counts_of_one() {
        let pass = |seconds| Pass {
            stage: "denoiser".into(),
            nodes: vec![
                node(Some("up.0.q"), "Linear", seconds),
                node(Some("up.0.k"), "Linear", 1.0),
                node(None, "Cast", 0.5),
            ],
            ..Pass::default()
        };
        let rows = rows(&[pass(1.0), pass(3.0)]);
        assert_eq!(rows.len(), 2);
        assert_eq!(
            (rows[0].scope.as_deref(), rows[0].seconds, rows[0].nodes, rows[0].flops),
            (Some("up.0"), 3.0, 2, Some(20))
        );
        assert_eq!((rows[1].scope.as_deref(), rows[1].op.as_str(), rows[1].seconds), (None, "Cast", 0.5));
    }
}
