//! The suite can fail: backends that are wrong in the ways in which backends go wrong are caught in every case that
//! the fault changes, and the node at fault is named.

mod faulty;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use ditbench_backend_api::Numerics;
use ditbench_conformance::{Outcome, Suite, Verdict, cases};
use ditbench_graph::weights::Scheme;
use ditbench_graph::{Activation, AttentionPattern, Node, Op, Port};
use ditbench_reference::Step;
use faulty::{Faulty, attend};

fn run(backend: &Faulty) -> Vec<Outcome> {
    let cache = tempfile::tempdir().unwrap();
    Suite::new(cache.path()).schemes(&[Scheme::F32]).run(backend)
}

/// Runs the suite on the faulty backend: what fails must be every case that the fault changes and no other, and each
/// failure must name a node of one of these kinds.
fn caught_everywhere(kinds: &[&str], at_least: usize, fault: impl Fn(&mut Step<'_>) + Send + Sync + 'static) {
    let backend = Faulty::new(fault);
    let outcomes = run(&backend);
    let touched: BTreeSet<String> = backend.touched.lock().unwrap().iter().cloned().collect();
    let graphs: BTreeMap<String, String> = cases().into_iter().map(|case| (case.name, case.graph.name)).collect();
    let mut caught = 0;
    for outcome in outcomes.iter().filter(|outcome| !outcome.case.starts_with("contract.")) {
        match &outcome.verdict {
            Verdict::Failed { why } => {
                caught += 1;
                assert!(kinds.iter().any(|kind| why.contains(&format!("({kind})"))), "{}: {why}", outcome.case);
            }
            _ => assert!(!touched.contains(&graphs[&outcome.case]), "{} was not caught", outcome.case),
        }
    }
    assert!(caught >= at_least, "only {caught} cases were caught");
}

fn attention(step: &Step<'_>) -> Option<(AttentionPattern, f32)> {
    match step.node.op {
        Op::Attention { pattern, scale } => Some((pattern, scale)),
        _ => None,
    }
}

fn right_head(head: usize, heads: usize, kv_heads: usize) -> usize {
    head / (heads / kv_heads)
}

#[test]
fn two_heads_exchanged() {
    caught_everywhere(&["Attention"], 40, |step| {
        if attention(step).is_some() && step.output.shape[2] > 1 {
            let width = step.output.shape[3];
            for heads in step.output.data.chunks_exact_mut(step.output.shape[2] * width) {
                let (first, second) = heads.split_at_mut(width);
                first.swap_with_slice(&mut second[..width]);
            }
        }
    });
}

#[test]
fn key_heads_taken_in_turn_instead_of_in_groups() {
    caught_everywhere(&["Attention"], 15, |step| {
        let Some((pattern, scale)) = attention(step) else { return };
        let [heads, kv_heads] = [step.output.shape[2], step.inputs[1].shape[2]];
        if kv_heads > 1 && kv_heads < heads {
            *step.output = attend(step, scale, |h, _, k| h % k, |q, t, n| pattern.keys_of(q, t, n).collect());
        }
    });
}

#[test]
fn key_head_off_by_one() {
    caught_everywhere(&["Attention"], 20, |step| {
        let Some((pattern, scale)) = attention(step) else { return };
        if step.inputs[1].shape[2] > 1 {
            let next = |h, heads, k| (right_head(h, heads, k) + 1) % k;
            *step.output = attend(step, scale, next, |q, t, n| pattern.keys_of(q, t, n).collect());
        }
    });
}

#[test]
fn ends_of_local_attention_wrap_around() {
    caught_everywhere(&["Attention"], 15, |step| {
        let Some((AttentionPattern::Blockwise { blocks, radius }, scale)) = attention(step) else { return };
        if radius > 0 && 2 * radius + 1 < blocks {
            *step.output = attend(step, scale, right_head, |query, tokens, _| {
                let size = tokens / blocks;
                let first = (query / size + blocks - radius) * size;
                (first..first + (2 * radius + 1) * size).map(|key| key % tokens).collect()
            });
        }
    });
}

#[test]
fn ends_of_local_attention_see_as_many_keys_as_the_middle() {
    caught_everywhere(&["Attention"], 15, |step| {
        let Some((AttentionPattern::Blockwise { blocks, radius }, scale)) = attention(step) else { return };
        if radius > 0 && 2 * radius + 1 < blocks {
            *step.output = attend(step, scale, right_head, |query, tokens, _| {
                let size = tokens / blocks;
                let first = (query / size).saturating_sub(radius).min(blocks - 2 * radius - 1);
                (first * size..(first + 2 * radius + 1) * size).collect()
            });
        }
    });
}

#[test]
fn causal_attention_sees_one_key_too_many() {
    caught_everywhere(&["Attention"], 5, |step| {
        let Some((AttentionPattern::Causal, scale)) = attention(step) else { return };
        if step.output.shape[1] > 1 {
            *step.output = attend(step, scale, right_head, |query, tokens, _| (0..(query + 2).min(tokens)).collect());
        }
    });
}

#[test]
fn last_column_of_an_odd_linear_left_out() {
    caught_everywhere(&["Linear"], 3, |step| {
        let Op::Linear { .. } = step.node.op else { return };
        let n = step.output.shape[step.output.shape.len() - 1];
        if n % 2 == 1 {
            step.output.data.chunks_exact_mut(n).for_each(|row| row[n - 1] = 0.0);
        }
    });
}

#[test]
fn last_row_of_many_left_out() {
    caught_everywhere(&["Linear"], 1, |step| {
        let Op::Linear { .. } = step.node.op else { return };
        let n = step.output.shape[step.output.shape.len() - 1];
        let rows = step.output.data.len() / n;
        if rows > 64 && rows % 4 != 0 {
            step.output.data[(rows - 1) * n..].fill(0.0);
        }
    });
}

#[test]
fn tanh_for_erf() {
    caught_everywhere(&["Gelu"], 4, |step| {
        if step.node.op == Op::Activation(Activation::GeluErf) {
            for (y, x) in step.output.data.iter_mut().zip(&step.inputs[0].data) {
                *y = 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh());
            }
        }
    });
}

#[test]
fn rotation_the_other_way() {
    caught_everywhere(&["Rope"], 20, |step| {
        let Op::Rope { .. } = step.node.op else { return };
        let width = step.output.shape[3];
        let heads = step.output.data.chunks_exact_mut(width).zip(step.inputs[0].data.chunks_exact(width));
        for (y, x) in heads {
            for i in 0..width / 2 {
                let (a, b) = (x[i], x[i + width / 2]);
                let norm = a * a + b * b;
                // y = x·e^{iφ} gives cos φ and sin φ; then x·e^{−iφ}.
                let (c, s) = ((y[i] * a + y[i + width / 2] * b) / norm, (y[i + width / 2] * a - y[i] * b) / norm);
                (y[i], y[i + width / 2]) = (a * c + b * s, b * c - a * s);
            }
        }
        // Undo rounding where nothing turned, so that such a case counts as untouched.
        for (y, x) in step.output.data.iter_mut().zip(&step.inputs[0].data) {
            if (*y - x).abs() < 1e-12 {
                *y = *x;
            }
        }
    });
}

#[test]
fn variance_divided_by_one_less() {
    caught_everywhere(&["LayerNorm"], 20, |step| {
        let Op::LayerNorm { weight: None, .. } = step.node.op else { return };
        let width = step.output.shape[step.output.shape.len() - 1] as f64;
        step.output.data.iter_mut().for_each(|y| *y *= ((width - 1.0) / width).sqrt());
    });
}

#[test]
fn scale_without_its_one() {
    caught_everywhere(&["Modulate"], 10, |step| {
        if step.node.op == Op::Modulate {
            step.output.data.iter_mut().zip(&step.inputs[0].data).for_each(|(y, x)| *y -= x);
        }
    });
}

#[test]
fn lerp_the_other_way() {
    caught_everywhere(&["Lerp"], 10, |step| {
        if step.node.op == Op::Lerp {
            let (a, b) = (&step.inputs[0].data, &step.inputs[1].data);
            step.output.data.iter_mut().zip(a).zip(b).for_each(|((y, a), b)| *y = a + b - *y);
        }
    });
}

#[test]
fn not_a_number_in_one_place() {
    caught_everywhere(&["Relu"], 3, |step| {
        if step.node.op == Op::Activation(Activation::Relu) {
            step.output.data[0] = f64::NAN;
        }
    });
}

#[test]
fn results_that_drift() {
    let runs = AtomicUsize::new(0);
    let backend = Faulty::new(move |step| {
        if let Op::Linear { .. } = step.node.op {
            step.output.data[0] *= 1.0 + 2e-7 * runs.fetch_add(1, Ordering::Relaxed) as f64;
        }
    });
    let outcomes = run(&backend);
    let plain = outcomes.iter().find(|outcome| outcome.case == "linear.plain").unwrap();
    let Verdict::Failed { why } = &plain.verdict else { panic!("not caught") };
    assert_eq!(why, "the same inputs gave other bytes when run again");
}

/// tract 0.23.9's fault: joined heads folded into the product, which reorders K of the activation but not of the
/// weight. It vanishes where the values between are outputs, as they are when all are looked at.
#[test]
fn a_wrong_fusion_is_named_though_it_hides_when_looked_at() {
    let backend = Faulty::with_graph(Numerics::F32, |step, graph, _| {
        let Op::Linear { .. } = step.node.op else { return };
        let joined = step.node.inputs[0];
        let joins = |node: &Node| node.output == joined && node.name.ends_with("join_heads");
        let before = |node: &Node| graph.nodes.iter().any(|join| joins(join) && join.inputs[0] == node.output);
        let seen =
            |port: &Port| port.value == joined || graph.nodes.iter().any(|n| before(n) && n.output == port.value);
        if graph.nodes.iter().any(joins) && !graph.outputs.iter().any(seen) && step.output.shape[0] > 1 {
            step.output.data.reverse();
        }
    });
    let outcomes = run(&backend);
    let why = |name: &str| match &outcomes.iter().find(|outcome| outcome.case == name).unwrap().verdict {
        Verdict::Failed { why } => why.clone(),
        other => panic!("{name}: {other:?}"),
    };
    let local = why("linear.after_local_attention.batch_2");
    assert!(local.contains("first diverging node: out (Linear)"), "{local}");
    assert!(local.ends_with("only when fused with what is before it"), "{local}");
    let block = why("component.block.assa.batch_2");
    assert!(block.contains("first diverging node: down.0.attn.out (Linear)"), "{block}");
    assert!(outcomes.iter().find(|o| o.case == "linear.after_local_attention.batch_1").unwrap().is_ok());
}

#[test]
fn a_backend_that_panics_costs_one_case() {
    let outcomes = run(&Faulty::new(|step| assert!(!matches!(step.node.op, Op::Upsample2x), "no upsampling")));
    let failed: Vec<&Outcome> = outcomes.iter().filter(|o| !o.is_ok() && !o.case.starts_with("contract.")).collect();
    let names: Vec<&str> = failed.iter().map(|outcome| outcome.case.as_str()).collect();
    let with_upsampling = [
        "upsample.odd",
        "upsample.twice_then_conv",
        "component.decoder",
        "edgedit.decoder",
        "snapgen.double",
        "snapgen.denoiser",
        "snapgen.decoder",
        "elasticdit.decoder",
        "cascaded.double.convolution",
        "cascaded.denoiser.first",
        "cascaded.double.residual",
        "cascaded.denoiser.second",
    ];
    assert_eq!(names, with_upsampling);
    assert_eq!(failed[0].verdict, Verdict::Failed { why: "panicked: no upsampling".to_owned() });
}

#[test]
fn a_backend_that_ignores_its_options_is_caught() {
    let outcomes = run(&Faulty::new(|_| {}));
    let failed: Vec<&str> = outcomes.iter().filter(|o| !o.is_ok()).map(|o| o.case.as_str()).collect();
    assert_eq!(failed, ["contract.unknown_variant", "contract.unknown_device"]);
}
