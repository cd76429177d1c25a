//! A worker's profiled passes, joined with what the graph knows of each node: for the record, and as a trace on disk.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufWriter, Write};

use anyhow::{Context, Result};
use ditbench_backend_api::{NodeTime, Profile};
use ditbench_graph::Graph;
use ditbench_graph::cost::node_cost;
use ditbench_graph::weights::Scheme;
use ditbench_graph::weights::scheme::bits_of;
use ditbench_record::store::RunStore;
use ditbench_record::{Cell as Row, Reading};
use ditbench_reports::profile::{Node, Pass, rows, write_trace};

use super::resolve::Resolved;

/// Puts the profile into the row and its trace into the run's directory.
///
/// # Errors
/// The trace cannot be written.
pub fn keep(
    row: &mut Row,
    cell: &Resolved,
    profiled: &[(String, Option<u32>, Profile)],
    store: &RunStore,
) -> Result<()> {
    let passes = passes(cell, profiled);
    row.profile = if passes.is_empty() {
        Reading::absent("the worker ended before it had profiled a pass")
    } else {
        Reading::Ok(rows(&passes))
    };
    if passes.is_empty() {
        return Ok(());
    }
    let name = format!("traces/{}.json", row.key.id());
    let path = store.dir().join(&name);
    let written = std::fs::create_dir_all(store.dir().join("traces")).and_then(|()| {
        let mut out = BufWriter::new(File::create(&path)?);
        write_trace(&cell.cell.key(), &passes, &mut out)?;
        out.flush()
    });
    written.with_context(|| format!("cannot write the trace {}", path.display()))?;
    row.trace = Some(name);
    Ok(())
}

fn passes(cell: &Resolved, profiled: &[(String, Option<u32>, Profile)]) -> Vec<Pass> {
    let graphs = cell.pipeline.stages.iter().filter_map(|stage| Some((stage.id.as_str(), stage.graph()?)));
    let known: HashMap<&str, HashMap<&str, Known>> =
        graphs.map(|(stage, graph)| (stage, known(graph, cell.cell.scheme))).collect();
    profiled
        .iter()
        .map(|(stage, step, profile)| Pass {
            stage: stage.clone(),
            step: *step,
            total_s: profile.total_s,
            nodes: known.get(stage.as_str()).map_or_else(|| of_file(profile), |known| nodes(profile, known)),
        })
        .collect()
}

/// Of a user's own file nothing is known but the place of each node in the model, and what the runtime says.
fn of_file(profile: &Profile) -> Vec<Node> {
    let node = |node: &NodeTime| Node {
        name: node.scope.clone(),
        op: node.op.clone(),
        device: node.device.clone(),
        start_s: node.start_s,
        seconds: node.duration_s,
        flops: None,
        bytes: None,
    };
    profile.nodes.iter().map(node).collect()
}

/// A runtime may run a node of ours as several of its own (an attention as products and a softmax): the first of them
/// carries the FLOPs and bytes of the whole node, so that sums are right.
fn nodes(profile: &Profile, known: &HashMap<&str, Known>) -> Vec<Node> {
    let mut counted = HashSet::new();
    let node = |node: &NodeTime| {
        let found = node.scope.as_deref().and_then(|name| known.get_key_value(name));
        let first = found.filter(|(name, _)| counted.insert(**name)).map(|(_, known)| known);
        Node {
            name: found.map(|(name, _)| (*name).to_owned()),
            op: found.map_or_else(|| node.op.clone(), |(_, known)| known.op.to_owned()),
            device: node.device.clone(),
            start_s: node.start_s,
            seconds: node.duration_s,
            flops: first.map(|known| known.flops),
            bytes: first.map(|known| known.bytes),
        }
    };
    profile.nodes.iter().map(node).collect()
}

/// What the graph knows of a node.
struct Known {
    op: &'static str,
    flops: u64,
    bytes: u64,
}

/// By node name; weights count as the scheme stores them (those of `mixed` on average).
fn known(graph: &Graph, scheme: Scheme) -> HashMap<&str, Known> {
    let each = graph.nodes.iter().map(|node| {
        let cost = node_cost(graph, node);
        let weights: f64 = node
            .op
            .weights()
            .into_iter()
            .map(|id| bits_of(scheme, graph.weight(id)) * graph.weight(id).len() as f64 / 8.0)
            .sum();
        let known = Known { op: node.op.kind(), flops: cost.flops, bytes: cost.activation_bytes + weights as u64 };
        (node.name.as_str(), known)
    });
    each.collect()
}
