//! `ditbench inspect`: what a model costs, counted from its graphs, beside our formula and what the paper prints; what the files
//! of a user's own model say.

use std::collections::BTreeMap;

use anyhow::Result;
use ditbench_graph::cost::{self, Cost};
use ditbench_graph::weights::scheme::bits_of;
use ditbench_graph::weights::{Net, Scheme};
use ditbench_graph::{Graph, WeightRole, WeightSpec};
use ditbench_workloads::{Choice, Pipeline, Role, workload};

use super::Common;
use super::workload::WorkloadArgs;
use crate::plan::parse_scheme;
use crate::text::{bytes, count, seconds, show, table};

/// Arguments of `ditbench inspect`.
#[derive(Debug, clap::Args)]
pub struct InspectArgs {
    #[command(flatten)]
    workload: WorkloadArgs,
    /// Also print one row per node of the denoiser
    #[arg(long)]
    nodes: bool,
    /// Instead of counting: which operations this device does not take, and why
    #[arg(long = "for", value_name = "DEVICE", conflicts_with = "nodes")]
    device: Option<String>,
    /// With --for: precision of the weights
    #[arg(long, default_value = "f32", value_parser = parse_scheme, requires = "device")]
    precision: Scheme,
}

impl InspectArgs {
    /// Whether a backend is made ready, and may be fetched.
    pub fn prepares(&self) -> bool {
        self.device.is_some()
    }
}

/// Prints the counts.
///
/// # Errors
/// A workload that cannot be built.
pub fn inspect(args: &InspectArgs, common: &Common) -> Result<()> {
    let pipeline = workload::build(&args.workload.choice()?)?;
    if let Some(device) = &args.device {
        return super::inspect_for::inspect(&pipeline, device, args.precision, common);
    }
    let workload = &pipeline.choice;
    if pipeline.files_precision().is_some() {
        super::inspect_own::inspect(&pipeline);
        return Ok(());
    }
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
    paper(&pipeline);
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
        // One kind of block, each with its own modulation: DiT's.
        () if stage == "blocks" && name.contains(".modulation.") => "modulation",
        () if stage == "blocks" && name.contains(".attn.") => "self-attention",
        () if stage == "blocks" && name.contains(".ffn.") => "FFN",
        // A U-Net's, on the way down and up and in the middle.
        () if name.contains(".res") && matches!(stage, "down" | "middle" | "up") => "residual blocks",
        () if name.contains("halve") || name.contains("double") => "between levels",
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
    // Each once: several nets may read one file, or one net a part of it.
    let held = Net::graphs(pipeline).into_iter().flat_map(|graph| &graph.weights);
    let held: BTreeMap<&str, &WeightSpec> = held.map(|weight| (weight.name.as_str(), weight)).collect();
    let rows = Scheme::ALL.iter().map(|&scheme| {
        let total: f64 = held.values().map(|w| bits_of(scheme, w) * w.len() as f64 / 8.0).sum();
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

/// The denoiser's counts: what the paper prints, what our formula gives, what the graph has; and the paper's times.
fn paper(pipeline: &Pipeline) {
    let Choice { workload, model, .. } = &pipeline.choice;
    let Some(paper) = workload::named(workload).and_then(|workload| workload.paper(model)) else {
        show(&format!("\n{model} is ours: the paper has no figures for it.\n"));
        return;
    };
    show(&format!("\nThe denoiser of {}, {}.", paper.source, paper.of));
    if paper.formula.is_some() {
        show(
            " The paper prints parameters to one digit and no operations; our formula was worked out by hand from its text, \
             apart from the graph:\n",
        );
    } else {
        show("\n");
    }
    let row = |what: &str, printed: Option<String>, to: Option<u64>, ours: u64| {
        let difference = to.map(|to| format!("{:+.2} %", 100.0 * (ours as f64 / to as f64 - 1.0)));
        let formula = paper.formula.and(to).map(|to| count(to as f64));
        let printed = printed.unwrap_or_else(|| "not printed".to_owned());
        let cells = [Some(what.to_owned()), Some(printed), formula, Some(count(ours as f64)), difference];
        cells
            .into_iter()
            .enumerate()
            .filter(|(at, _)| *at != 2 || paper.formula.is_some())
            .map(|(_, cell)| cell.unwrap_or_default())
            .collect()
    };
    let number = |given: Option<u64>| given.map(|given| count(given as f64));
    let printed = paper.printed.map(str::to_owned).or_else(|| number(paper.parameters));
    let (to_parameters, to_macs) = match paper.formula {
        Some(formula) => (Some(formula.parameters), Some(formula.macs)),
        None => (paper.parameters, paper.macs),
    };
    let rows = vec![
        row("parameters", printed, to_parameters, paper.ours.parameters),
        row("MACs a step", number(paper.macs), to_macs, paper.ours.macs),
    ];
    match paper.formula {
        Some(_) => show(&table(&["", "printed in the paper", "our formula", "our graph", "graph to formula"], rows)),
        None => show(&table(&["", "printed in the paper", "our graph", "graph to paper"], rows)),
    }
    for row in ditbench_reports::published::snapgenpp().iter().filter(|row| row.model == *model) {
        let step = seconds(row.step_s);
        show(&format!("{}: {step} a step on an {} with {}.\n", row.source, row.hardware, row.runtime()));
    }
    for time in &paper.times {
        let runtime =
            time.runtime.map_or("; its runtime is not published".to_owned(), |runtime| format!(" with {runtime}"));
        let step = seconds(time.seconds);
        let decoder =
            time.decoder_s.map(|decoder| format!(", {} for the decoder", seconds(decoder))).unwrap_or_default();
        let image = time.image.map(|(steps, image)| format!(", {} for {steps} steps and it", seconds(image)));
        let image = image.unwrap_or_default();
        show(&format!("{}: {step} a step{decoder}{image} on {}{runtime}.\n", paper.source, time.hardware));
    }
    let denoisers = pipeline.stages.iter().filter(|stage| stage.role == Role::Denoiser);
    let of: Vec<(&str, &Graph)> = denoisers.filter_map(|stage| Some((stage.id.as_str(), stage.graph()?))).collect();
    let says = |(id, graph): &(&str, &Graph)| {
        let of = if of.len() > 1 { format!(" of {id}") } else { String::new() };
        format!("{} MACs a step{of}", count(cost::total(graph).macs as f64))
    };
    show(&format!("This image: {}.\n", of.iter().map(says).collect::<Vec<_>>().join(", ")));
}
