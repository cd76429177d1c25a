//! ONNX Runtime's profile of one pass, read back under the graph's names.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use ditbench_backend_api::{NodeTime, Placement, PlacementEntry, Profile};
use ditbench_graph::Graph;
use ditbench_graph::Op;
use ort::session::RunOptions;
use serde::Deserialize;

use crate::device::{CPU, CPU_PROVIDER};
use crate::words::one_line;

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

/// Reads a profile. The pair is the device asked for and its provider; `scope` leads from the runtime's nodes, by name and
/// operator, to the graph's.
///
/// # Errors
/// Words of what is not as expected.
pub(crate) fn parse(
    json: &[u8],
    (device, provider): (&str, &str),
    scope: impl Fn(&str, &str) -> Option<String>,
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
        let op = event.text("op_name").unwrap_or("unknown");
        NodeTime {
            scope: scope(name, op),
            op: op.to_owned(),
            device: if by == provider { device.to_owned() } else { short(by) },
            start_s: (event.ts - begin) * 1e-6,
            duration_s: event.dur * 1e-6,
        }
    });
    Ok(Profile { nodes: nodes.collect(), total_s })
}

/// A provider's name as a device's.
pub(crate) fn short(provider: &str) -> String {
    if provider == CPU_PROVIDER { CPU.to_owned() } else { provider.to_owned() }
}

/// Runs a pass under the profiler and gives what it wrote, and the seconds of the pass.
///
/// # Errors
/// The pass's own; what stands in the way of a profile, in words, as `unread` has them.
pub(crate) fn pass<E>(
    unread: impl Fn(String) -> E,
    pass: impl FnOnce(&RunOptions) -> Result<(), E>,
) -> Result<(Vec<u8>, f64), E> {
    let folder = tempfile::tempdir().map_err(|error| unread(format!("no folder for its file: {error}")))?;
    let mut options = RunOptions::new().map_err(|error| unread(one_line(&error.to_string())))?;
    let enabled = options.enable_profiling(folder.path().join("profile"));
    enabled.map_err(|error| unread(one_line(&error.to_string())))?;
    let start = Instant::now();
    pass(&options)?;
    let total_s = start.elapsed().as_secs_f64();
    let mut files = std::fs::read_dir(folder.path()).map_err(|error| unread(error.to_string()))?;
    let file = files.next().and_then(Result::ok).ok_or_else(|| unread("it left no file".to_owned()))?;
    let json = std::fs::read(file.path()).map_err(|error| unread(error.to_string()))?;
    Ok((json, total_s))
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

/// Leads from the names of ONNX Runtime's nodes to those of the graph's.
pub(crate) struct Names<'a> {
    graph: &'a Graph,
    /// Index of the node that carries a name, or that makes the output of that name.
    nodes: HashMap<&'a str, usize>,
    /// Index of the node that makes a value.
    producers: Vec<Option<usize>>,
}

impl<'a> Names<'a> {
    /// For a graph whose outputs are called `outputs` in the file.
    pub(crate) fn new(graph: &'a Graph, outputs: &'a [String]) -> Self {
        let mut producers = vec![None; graph.values.len()];
        for (index, node) in graph.nodes.iter().enumerate() {
            producers[node.output.0] = Some(index);
        }
        let made = graph.outputs.iter().zip(outputs);
        let outputs = made.filter_map(|(port, name)| Some((name.as_str(), producers[port.value.0]?)));
        let mut nodes: HashMap<&str, usize> = outputs.collect();
        nodes.extend(graph.nodes.iter().enumerate().map(|(index, node)| (node.name.as_str(), index)));
        Self { graph, nodes, producers }
    }

    /// The graph's node behind a node of ONNX Runtime's. The writer appends `/…` to names; ONNX Runtime appends words
    /// when it joins or adds nodes, or names a node after its output (`:0`), so the longest known beginning counts. A
    /// convolution that has taken in the activation after it is called after that; its own name is what is wanted.
    pub(crate) fn scope(&self, name: &str, op: &str) -> Option<&'a str> {
        let name = name.split(['/', ':']).next().unwrap_or(name);
        let mut end = name.len();
        let found = loop {
            if let Some(&found) = self.nodes.get(&name[..end]) {
                break found;
            }
            end = name[..end].rfind(['.', '_', '#', '-', ' '])?;
        };
        let node = if op.ends_with("Conv") { self.convolution(found).unwrap_or(found) } else { found };
        Some(self.graph.nodes[node].name.as_str())
    }

    /// The convolution whose result reaches a node through its first inputs.
    fn convolution(&self, from: usize) -> Option<usize> {
        let mut index = from;
        // Activation and addition: no more is taken in.
        for _ in 0..3 {
            let node = &self.graph.nodes[index];
            if matches!(node.op, Op::Conv2d { .. }) {
                return Some(index);
            }
            index = node.inputs.iter().find_map(|input| self.producers[input.0])?;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use ditbench_graph::{Activation, DType, GraphBuilder, Init, WeightRole};

    use super::*;

    /// A linear; a convolution, an activation and another convolution.
    fn graph() -> Graph {
        let mut b = GraphBuilder::new("test");
        let x = b.input("x", &[1, 2], DType::F32);
        let weight = b.weight("a.weight", &[2, 2], Init::Zeros, WeightRole::Linear);
        let y = b.node("a.linear", Op::Linear { weight, bias: None }, &[x]);
        b.output("y", y);
        let x = b.input("picture", &[1, 1, 4, 4], DType::F32);
        let weight = b.weight("conv.weight", &[1, 1, 1, 1], Init::Zeros, WeightRole::Conv);
        let conv = Op::Conv2d { weight, bias: None, stride: 1, padding: 0, groups: 1 };
        let y = b.node("conv", conv.clone(), &[x]);
        let y = b.node("relu", Op::Activation(Activation::Relu), &[y]);
        let y = b.node("last", conv, &[y]);
        b.output("image", y);
        b.finish().unwrap()
    }

    #[test]
    fn kernels_are_read_and_others_passed_over() {
        let json = br#"[
            {"cat":"Session","name":"model_run","ts":1,"dur":90,"args":{}},
            {"cat":"Node","name":"relu/product_kernel_time","ts":30,"dur":20,"args":{"op_name":"MatMul","provider":"CPUExecutionProvider"}},
            {"cat":"Node","name":"a.linear_kernel_time","ts":10,"dur":5,"args":{"op_name":"Add","provider":"WebGpuExecutionProvider"}},
            {"cat":"Node","name":"a_fence_before","ts":9,"dur":1,"args":{"op_name":"Add"}}
        ]"#;
        let graph = graph();
        let names = Names::new(&graph, &[]);
        let scope = |name: &str, op: &str| names.scope(name, op).map(str::to_owned);
        let profile = parse(json, ("webgpu", "WebGpuExecutionProvider"), scope, 0.1).unwrap();
        let scopes: Vec<_> = profile.nodes.iter().map(|node| node.scope.as_deref()).collect();
        assert_eq!(scopes, [Some("a.linear"), Some("relu")]);
        assert!((profile.nodes[1].start_s - 20e-6).abs() < 1e-12);
        let placement = placement("webgpu", &profile);
        assert_eq!(placement.share_on_asked(), Some(0.5));
        assert_eq!(placement.entries[0].device, "cpu");
        assert!((placement.entries[0].time_share.unwrap() - 0.8).abs() < 1e-9);
        assert!(parse(b"[]", ("cpu", CPU_PROVIDER), scope, 0.1).is_err());
        assert!(parse(b"[{", ("cpu", CPU_PROVIDER), scope, 0.1).is_err());
    }

    #[test]
    fn names_of_the_runtime_lead_back_to_the_graph() {
        let graph = graph();
        let outputs = ["y".to_owned(), "image".to_owned()];
        let names = Names::new(&graph, &outputs);
        assert_eq!(names.scope("a.linear/product/MatMulAddFusion", "Gemm"), Some("a.linear"));
        assert_eq!(names.scope("a.linear_token_3", "Gemm"), Some("a.linear"));
        // The convolution has taken in the activation, and is called after its output.
        assert_eq!(names.scope("relu:0_nchwc", "Conv"), Some("conv"));
        assert_eq!(names.scope("image_nchwc", "Conv"), Some("last"));
        assert_eq!(names.scope("ReorderInput_token_660", "ReorderInput"), None);
    }
}
