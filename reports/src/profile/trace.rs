//! A profile as a trace file that the Perfetto UI and `chrome://tracing` open.
//!
//! Format: the Trace Event Format's JSON object form: complete events (`"ph": "X"`) with times in microseconds, and
//! metadata events that name the process and its rows
//! (<https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>).

use std::io::{self, Write};

use serde_json::{Value, json};

use super::{Pass, block};

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
        // A profiler's own clock may run past the pass as we timed it by a rounding: the outer slice holds all.
        let last = pass.nodes.iter().map(|node| node.start_s + node.seconds).fold(0.0, f64::max);
        let length = pass.total_s.max(last);
        events.push(slice(&name, "stage", from, length, json!({})));
        for (block, start, seconds) in blocks(pass) {
            events.push(slice(block, "block", from + start, seconds, json!({})));
        }
        for node in &pass.nodes {
            let arguments = json!({"op": node.op, "device": node.device, "flops": node.flops, "bytes": node.bytes});
            let name = node.name.as_deref().unwrap_or(&node.op);
            events.push(slice(name, &node.op, from + node.start_s, node.seconds, arguments));
        }
        from += length;
    }
    serde_json::to_writer(&mut *out, &json!({"displayTimeUnit": "ms", "traceEvents": events}))?;
    out.write_all(b"\n")
}

/// Runs of neighbouring nodes of one block: name, start, length.
fn blocks(pass: &Pass) -> Vec<(&str, f64, f64)> {
    let mut blocks: Vec<(&str, f64, f64)> = Vec::new();
    for node in &pass.nodes {
        // What the runtime put in between belongs to the block around it.
        let Some(name) = node.name.as_deref().map(block) else { continue };
        let end = node.start_s + node.seconds;
        match blocks.last_mut() {
            Some((last, start, length)) if *last == name => *length = (end - *start).max(*length),
            _ => blocks.push((name, node.start_s, node.seconds)),
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
    use super::super::Node;
    use super::*;

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
