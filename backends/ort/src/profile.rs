//! ONNX Runtime's profile of one pass, read back under the graph's names.

use std::collections::{BTreeMap, HashSet};

use ditbench_backend_api::{NodeTime, Placement, PlacementEntry, Profile};
use serde::Deserialize;

use crate::device::{CPU, CPU_PROVIDER};

/// An event of the profile: what is used of it.
#[derive(Debug, Deserialize)]
struct Event {
    #[serde(default)]
    cat: String,
    #[serde(default)]
    name: String,
    /// Microseconds.
    #[serde(default)]
    ts: f64,
    /// Microseconds.
    #[serde(default)]
    dur: f64,
    #[serde(default)]
    args: BTreeMap<String, serde_json::Value>,
}

impl Event {
    fn text(&self, key: &str) -> Option<&str> {
        self.args.get(key).and_then(serde_json::Value::as_str)
    }
}

/// The suffix of the events that time a node's kernel.
const KERNEL: &str = "_kernel_time";

/// Reads a profile. `asked` is the device asked for and its provider; `names` are the graph's nodes.
///
/// # Errors
/// Words of what is not as expected.
pub(crate) fn parse(
    json: &[u8],
    (device, provider): (&str, &str),
    names: &HashSet<&str>,
    total_s: f64,
) -> Result<Profile, String> {
    let events: Vec<Event> = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let mut kernels: Vec<&Event> =
        events.iter().filter(|event| event.cat == "Node" && event.name.ends_with(KERNEL)).collect();
    if kernels.is_empty() {
        return Err("it names no node".to_owned());
    }
    kernels.sort_by(|a, b| a.ts.total_cmp(&b.ts));
    let begin = kernels.first().map_or(0.0, |event| event.ts);
    let nodes = kernels.into_iter().map(|event| {
        let name = event.name.strip_suffix(KERNEL).unwrap_or(&event.name);
        let by = event.text("provider").unwrap_or("unknown provider");
        NodeTime {
            scope: scope(name, |name| names.contains(name)),
            op: event.text("op_name").unwrap_or("unknown").to_owned(),
            device: if by == provider { device.to_owned() } else { short(by) },
            start_s: (event.ts - begin) * 1e-6,
            duration_s: event.dur * 1e-6,
        }
    });
    Ok(Profile { nodes: nodes.collect(), total_s })
}

/// A provider's name as a device's.
fn short(provider: &str) -> String {
    if provider == CPU_PROVIDER { CPU.to_owned() } else { provider.to_owned() }
}

/// Counts a profile's nodes by device.
pub(crate) fn placement(asked: &str, profile: &Profile) -> Placement {
    let total: f64 = profile.nodes.iter().map(|node| node.duration_s).sum();
    let mut devices: BTreeMap<&str, (usize, f64)> = BTreeMap::new();
    for node in &profile.nodes {
        let (count, seconds) = devices.entry(&node.device).or_default();
        *count += 1;
        *seconds += node.duration_s;
    }
    let entries = devices.into_iter().map(|(device, (nodes, seconds))| PlacementEntry {
        device: device.to_owned(),
        nodes,
        time_share: (total > 0.0).then(|| seconds / total),
    });
    let source = "measured by ONNX Runtime's profiler, node by node".to_owned();
    Placement { asked: asked.to_owned(), entries: entries.collect(), source }
}

/// The graph's node that a node of ONNX Runtime's comes from. The writer appends `/…` to names; ONNX Runtime appends
/// words of its own when it joins or adds nodes, or puts them before, so the longest known beginning counts.
fn scope(name: &str, known: impl Fn(&str) -> bool) -> Option<String> {
    let name = name.split('/').next().unwrap_or(name);
    let mut end = name.len();
    loop {
        let candidate = &name[..end];
        if known(candidate) {
            return Some(candidate.to_owned());
        }
        end = candidate.rfind(['.', '_', '#', '-', ' '])?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_read_and_others_passed_over() {
        let json = br#"[
            {"cat":"Session","name":"model_run","ts":1,"dur":90,"args":{}},
            {"cat":"Node","name":"b/product_kernel_time","ts":30,"dur":20,"args":{"op_name":"MatMul","provider":"CPUExecutionProvider"}},
            {"cat":"Node","name":"a_kernel_time","ts":10,"dur":5,"args":{"op_name":"Add","provider":"WebGpuExecutionProvider"}},
            {"cat":"Node","name":"a_fence_before","ts":9,"dur":1,"args":{"op_name":"Add"}}
        ]"#;
        let names = HashSet::from(["a", "b"]);
        let profile = parse(json, ("webgpu", "WebGpuExecutionProvider"), &names, 0.1).unwrap();
        let scopes: Vec<_> = profile.nodes.iter().map(|node| node.scope.as_deref()).collect();
        assert_eq!(scopes, [Some("a"), Some("b")]);
        assert!((profile.nodes[1].start_s - 20e-6).abs() < 1e-12);
        let placement = placement("webgpu", &profile);
        assert_eq!(placement.share_on_asked(), Some(0.5));
        assert_eq!(placement.entries[0].device, "cpu");
        assert!((placement.entries[0].time_share.unwrap() - 0.8).abs() < 1e-9);
        assert!(parse(b"[]", ("cpu", CPU_PROVIDER), &names, 0.1).is_err());
        assert!(parse(b"[{", ("cpu", CPU_PROVIDER), &names, 0.1).is_err());
    }

    #[test]
    fn names_of_the_runtime_lead_back_to_the_graph() {
        let known = |name: &str| ["down.0.attn.q", "down.0.attn.q_norm"].contains(&name);
        assert_eq!(scope("down.0.attn.q/product/MatMulAddFusion", known), Some("down.0.attn.q".to_owned()));
        assert_eq!(scope("down.0.attn.q_nchwc", known), Some("down.0.attn.q".to_owned()));
        assert_eq!(scope("down.0.attn.q_norm", known), Some("down.0.attn.q_norm".to_owned()));
        assert_eq!(scope("ReorderInput", known), None);
    }
}
