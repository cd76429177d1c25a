//! `ditbench inspect`: what a model costs, counted from its graphs, beside our formula and what the paper prints.

use std::collections::BTreeMap;

use anyhow::Result;
use ditbench_graph::cost::{self, Cost};
use ditbench_graph::weights::Scheme;
use ditbench_graph::weights::scheme::bits_of;
use ditbench_graph::{Graph, WeightRole};
use ditbench_workloads::snapgenpp::{ImageSize, Model, TextSource, Variant};
use ditbench_workloads::{Pipeline, Role, workload};

use super::workload::WorkloadArgs;
use crate::text::{bytes, count, seconds, show, table};

/// Arguments of `ditbench inspect`.
#[derive(Debug, clap::Args)]
pub struct InspectArgs {
    #[command(flatten)]
    workload: WorkloadArgs,
    /// Also print one row per node of the denoiser
    #[arg(long)]
    nodes: bool,
}

/// Prints the counts.
///
/// # Errors
/// A workload that cannot be built.
pub fn inspect(args: &InspectArgs) -> Result<()> {
    let pipeline = workload::build(&args.workload.choice()?)?;
    let workload = &pipeline.choice;
    show(&format!("{workload}: counted from the graph; one multiply-accumulate (MAC) is two FLOPs.\n\n"));
    components(&pipeline);
    for stage in pipeline.stages.iter().filter(|stage| stage.role == Role::Denoiser) {
        let (id, Some(graph)) = (&stage.id, stage.graph()) else { continue };
        show(&format!("\n{id}, one pass, by part:\n"));
        by_key(graph, |name, _| part(name).to_owned());
        show(&format!("\n{id}, one pass, by operation:\n"));
        by_key(graph, |_, kind| kind.to_owned());
    }
    weights(&pipeline);
    if let Ok(variant) = workload.model.parse() {
        paper(variant, &pipeline);
    }
    for stage in pipeline.stages.iter().filter(|stage| args.nodes && stage.role == Role::Denoiser) {
        let (id, Some(graph)) = (&stage.id, stage.graph()) else { continue };
        show(&format!("\n{id}, node by node:\n"));
        by_key(graph, |name, kind| format!("{name} ({kind})"));
    }
    Ok(())
}

fn components(pipeline: &Pipeline) {
    let rows = pipeline.graphs().into_iter().map(|graph| {
        let total = cost::total(graph);
        vec![
            graph.name.clone(),
            count(graph.parameters() as f64),
            count(total.macs as f64),
            count(total.flops as f64),
            bytes(total.activation_bytes),
            bytes(cost::peak_activation_bytes(graph)),
            graph.nodes.len().to_string(),
        ]
    });
    let header =
        ["component", "parameters", "MACs", "FLOPs", "activations moved (f32)", "peak activations (f32)", "nodes"];
    show(&table(&header, rows));
}

fn by_key(graph: &Graph, key: impl Fn(&str, &str) -> String) {
    let costs: BTreeMap<String, Cost> = cost::by(graph, |node| key(&node.name, node.op.kind()));
    let total = cost::total(graph).flops.max(1) as f64;
    let mut costs: Vec<(String, Cost)> = costs.into_iter().collect();
    costs.sort_by_key(|(_, cost)| std::cmp::Reverse(cost.flops));
    let rows = costs.into_iter().map(|(name, cost)| {
        let share = format!("{:.1} %", 100.0 * cost.flops as f64 / total);
        vec![name, count(cost.macs as f64), share, count(cost.weight_elements as f64), bytes(cost.activation_bytes)]
    });
    show(&table(&["", "MACs", "share of FLOPs", "parameters", "activations moved (f32)"], rows));
}

/// The part of the denoiser that a node belongs to: stage and role.
fn part(name: &str) -> &'static str {
    let stage = name.split('.').next().unwrap_or_default();
    let outer = matches!(stage, "down" | "up" | "single");
    match () {
        () if name.contains(".assa.global.") => "ASSA global branch",
        () if name.contains(".assa.local.") => "ASSA local branch",
        () if name.contains(".assa.gate.") => "ASSA gate",
        () if name.contains(".cross.") => "cross-attention",
        () if name.contains(".ffn.") && outer => "FFN, outer stages",
        () if name.contains(".ffn.") => "FFN, Middle",
        () if name.contains(".attn.") && outer => "self-attention, outer stages",
        () if name.contains(".attn.") => "self-attention, Middle",
        () if name.contains(".skip") => "long skips",
        () if matches!(stage, "merge" | "split") => "merge and split",
        () => "patch, time, text, final, modulation",
    }
}

fn weights(pipeline: &Pipeline) {
    show("\nWeights of all components on disk, by precision:\n");
    let rows = Scheme::ALL.iter().map(|&scheme| {
        let total: f64 = pipeline
            .graphs()
            .into_iter()
            .flat_map(|graph| &graph.weights)
            .map(|w| bits_of(scheme, w) * w.len() as f64 / 8.0)
            .sum();
        // Which weights get 8 bits is measured for each checkpoint; the budget of bits is the same for all.
        let most = if scheme == Scheme::Mixed { "at most " } else { "" };
        vec![scheme.name().to_owned(), format!("{most}{}", bytes(total as u64))]
    });
    show(&table(&["precision", "bytes"], rows));
    let denoisers = pipeline.stages.iter().filter(|stage| stage.role == Role::Denoiser);
    let all: Vec<_> = denoisers.filter_map(|stage| stage.graph()).flat_map(|graph| &graph.weights).collect();
    let bulk: usize = all.iter().filter(|w| w.role == WeightRole::Linear).map(|w| w.len()).sum();
    show(&format!(
        "{:.1} % of the denoiser's parameters are in the layers that the low precisions quantize.\n",
        100.0 * bulk as f64 / all.iter().map(|w| w.len()).sum::<usize>().max(1) as f64
    ));
}

/// The denoiser's counts: what the paper prints, what our formula gives, what the graph has; and the paper's time.
fn paper(variant: Variant, pipeline: &Pipeline) {
    let Some(((parameters, macs), published)) = variant.formula().zip(variant.published_parameters()) else {
        show("\nnano is ours: the paper has no figures for it.\n");
        return;
    };
    let mut config = variant.config(ImageSize { height: 1024, width: 1024 });
    config.denoiser.text.gemma = Some(TextSource { tokens: 256, width: 2560 });
    show(
        "\nThe denoiser of SnapGen++ (arXiv 2601.08303), at 1024×1024 with 333 text tokens. The paper prints parameters to one digit and no \
         operations; our formula was worked out by hand from its text, apart from the graph:\n",
    );
    let Ok(ours) = Model::build(&config) else { return };
    let counted = cost::by(&ours.denoiser, |node| node.name.starts_with("time.") || node.name.starts_with("text_in."));
    let row = |what: &str, published: &str, formula: f64, graph: f64| {
        let difference = format!("{:+.2} %", 100.0 * (graph / formula - 1.0));
        vec![what.to_owned(), published.to_owned(), count(formula), count(graph), difference]
    };
    let rows = vec![
        row("parameters", published, parameters as f64, ours.denoiser.parameters() as f64),
        row("MACs a step", "not printed", macs as f64, counted.get(&false).map_or(0.0, |cost| cost.macs as f64)),
    ];
    show(&table(&["", "printed in the paper", "our formula", "our graph", "graph to formula"], rows));
    for row in ditbench_reports::table::published().iter().filter(|row| row.model == variant.name()) {
        let step = seconds(row.step_s);
        show(&format!("{}: {step} a step on an {} with {}.\n", row.source, row.hardware, row.runtime));
    }
    let macs = pipeline.graph_of(Role::Denoiser).map_or(0, |graph| cost::total(graph).macs);
    show(&format!("This image: {} MACs a step.\n", count(macs as f64)));
}
