//! A profile as a trace file that the Perfetto UI and `chrome://tracing` open.
//!
//! Format: the Trace Event Format's JSON object form: complete events (`"ph": "X"`) with times in microseconds, and
//! metadata events that name the process and its rows
//! (<https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>).

use std::io::{self, Write};

use serde_json::{Value, json};

use super::{Node, Pass, block};

/// Writes the passes one after another, as stage → block → node; nodes of one pass are where the runtime had them.
///
/// # Errors
/// Whatever `out` fails with.
pub fn write_trace(title: &str, passes: &[Pass], out: &mut dyn Write) -> io::Result<()> {
    let mut events = vec![metadata("process_name", title), metadata("thread_name", "stage, block, node")];
    let mut from = 0.0;
    for pass in passes {
        let name = match pass.step {
            Some(step) => format!("{} step {}", pass.stage.replace('_', " "), step + 1),
            None => pass.stage.replace('_', " "),
        };
        let nodes = in_a_row(pass);
        // A profiler's own clock may run past the pass as we timed it by a rounding: the outer slice holds all.
        let last = nodes.last().map_or(0.0, |(start, node)| start + node.seconds);
        let length = pass.total_s.max(last);
        events.push(slice(&name, "stage", from, length, json!({})));
        for (block, start, seconds) in blocks(&nodes) {
            events.push(slice(block, "block", from + start, seconds, json!({})));
        }
        for (start, node) in nodes {
            let arguments = json!({"op": node.op, "device": node.device, "flops": node.flops, "bytes": node.bytes});
            let name = node.name.as_deref().unwrap_or(&node.op);
            events.push(slice(name, &node.op, from + start, node.seconds, arguments));
        }
        from += length;
    }
    serde_json::to_writer(&mut *out, &json!({"displayTimeUnit": "ms", "traceEvents": events}))?;
    out.write_all(b"\n")
}

/// The nodes by their starts, in seconds after that of the pass, none before the end of the one before it.
///
/// The runtimes execute one node after another. ONNX Runtime's profile is in the order of the ends and in whole microseconds,
/// so that some seem to overlap by a few; Perfetto drops a slice that is neither in another nor beside it.
fn in_a_row(pass: &Pass) -> Vec<(f64, &Node)> {
    let mut nodes: Vec<(f64, &Node)> = pass.nodes.iter().map(|node| (node.start_s, node)).collect();
    nodes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut end = f64::NEG_INFINITY;
    for (start, node) in &mut nodes {
        *start = start.max(end);
        end = *start + node.seconds;
    }
    nodes
}

/// Runs of neighbouring nodes of one block: name, start, length.
fn blocks<'a>(nodes: &[(f64, &'a Node)]) -> Vec<(&'a str, f64, f64)> {
    let mut blocks: Vec<(&str, f64, f64)> = Vec::new();
    for (from, node) in nodes {
        // What the runtime put in between belongs to the block around it.
        let Some(name) = node.name.as_deref().map(block) else { continue };
        match blocks.last_mut() {
            Some((last, start, length)) if *last == name => *length = from + node.seconds - *start,
            _ => blocks.push((name, *from, node.seconds)),
        }
    }
    blocks
}

fn slice(name: &str, category: &str, start_s: f64, seconds: f64, arguments: Value) -> Value {
    json!({"name": name, "cat": category, "ph": "X", "ts": start_s * 1e6, "dur": seconds * 1e6, "pid": 1, "tid": 1, "args": arguments})
}

fn metadata(kind: &str, name: &str) -> Value {
    json!({"name": kind, "ph": "M", "pid": 1, "tid": 1, "args": {"name": name}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_that_a_coarse_clock_lets_overlap_are_put_in_a_row() {
        let node = |name: &str, start_s, seconds| Node { name: Some(name.into()), start_s, seconds, ..Node::default() };
        let pass = Pass {
            nodes: vec![node("b.0.x", 0.5, 0.2), node("a.0.x", 0.0, 0.3), node("a.0.y", 0.25, 0.25)],
            ..Pass::default()
        };
        let nodes = in_a_row(&pass);
        let found: Vec<(f64, f64)> = nodes.iter().map(|(start, node)| (*start, node.seconds)).collect();
        assert_eq!(found, [(0.0, 0.3), (0.3, 0.25), (0.55, 0.2)], "starts move, lengths stay");
        assert_eq!(blocks(&nodes), [("a.0", 0.0, 0.55), ("b.0", 0.55, 0.2)]);
    }

    #[test]
    fn slices_nest_and_passes_follow_one_another() {
        let node = |name: &str, start_s, seconds| Node {
            name: Some(name.into()),
            op: "Linear".into(),
            start_s,
            seconds,
            ..Node::default()
        };
        let pass = |step| Pass {
            stage: "denoiser".into(),
            step: Some(step),
            total_s: 1.0,
            nodes: vec![node("up.0.q", 0.0, 0.25), node("up.0.k", 0.25, 0.25), node("up.1.q", 0.5, 0.25)],
        };
        let mut bytes = Vec::new();
        write_trace("candle", &[pass(0), pass(1)], &mut bytes).unwrap();
        let trace: Value = serde_json::from_slice(&bytes).unwrap();
        let of = |category: &str| -> Vec<(String, f64, f64)> {
            let events = trace["traceEvents"].as_array().unwrap().iter();
            events
                .filter(|event| event["cat"] == category)
                .map(|event| {
                    let number = |key: &str| event[key].as_f64().unwrap();
                    (event["name"].as_str().unwrap().to_owned(), number("ts"), number("dur"))
                })
                .collect()
        };
        assert_eq!(of("stage")[1], ("denoiser step 2".to_owned(), 1e6, 1e6));
        assert_eq!(of("block")[0], ("up.0".to_owned(), 0.0, 0.5e6));
        assert_eq!(of("block").len(), 4);
        assert_eq!(of("Linear").len(), 6);
        for (name, start, length) in of("Linear") {
            let around = of("block").into_iter().any(|(_, from, long)| from <= start && start + length <= from + long);
            assert!(around, "{name} lies in no block");
        }
    }
}
