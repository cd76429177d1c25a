//! `ditbench export`: ONNX files and external weights that other tools open.

use std::path::PathBuf;

use anyhow::{Context, Result};
use ditbench_graph::onnx;
use ditbench_graph::weights::{Scheme, Weights};
use ditbench_workloads::workload;

use super::Common;
use super::workload::WorkloadArgs;
use crate::plan::parse_scheme;
use crate::run::{Progress, WeightsChoice, unread};
use crate::text::{bytes, show, table};
use ditbench_worker::registry::Operators;

/// Arguments of `ditbench export`.
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    #[command(flatten)]
    workload: WorkloadArgs,
    /// Precision of the weights: f32, f16, q4, q8, mixed, palette4. Weights that no ONNX operator can hold are written as f32 with
    /// the precision's values, and reported
    #[arg(long, default_value = "f32", value_parser = parse_scheme)]
    precision: Scheme,
    /// Seed of random weights
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Weights: a safetensors file, or `random` [default: the checkpoint built into ditbench, else random from the seed]
    #[arg(long, value_name = "FILE|random")]
    weights: Option<WeightsChoice>,
    /// Write only standard ONNX operators wherever they exist (4-bit weights still need MatMulNBits)
    #[arg(long)]
    standard: bool,
    /// Folder to write to; each component gets a folder in it
    dir: PathBuf,
}

/// Writes text encoder, denoiser and decoder.
///
/// # Errors
/// A workload that cannot be built, weights that do not fit, a folder that cannot be written.
pub fn export(args: &ExportArgs, common: &Common) -> Result<()> {
    let pipeline = workload::build(&args.workload.choice()?)?;
    if pipeline.files_precision().is_some() {
        anyhow::bail!("{} is ONNX already: `ditbench export` writes ditbench's own models", pipeline.name);
    }
    let cache = crate::paths::cache(common.cache.as_ref())?;
    let progress = Progress::new(1);
    let prepared = crate::run::prepare_weights(
        &pipeline,
        &args.weights.clone().unwrap_or_default(),
        args.seed,
        args.precision,
        &cache,
        &progress,
    )?;
    progress.finish();
    let weights = Weights::open(&prepared.path)?;
    let dialect = if args.standard { onnx::Dialect::standard() } else { Operators::OnnxRuntime.dialect() };
    let (mut rows, mut notes) = (Vec::new(), Vec::new());
    let (mut unpacked, mut eight_bits) = (0, false);
    for graph in pipeline.graphs() {
        let dir = args.dir.join(&graph.name);
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let exported = onnx::write(graph, &weights, &dialect, &dir)?;
        rows.push(vec![exported.model.display().to_string(), exported.nodes.to_string(), bytes(exported.bytes)]);
        unpacked += exported.unpacked.len();
        eight_bits |= exported.has_eight_bits;
    }
    if unpacked > 0 {
        let weights: usize = pipeline.graphs().iter().map(|graph| graph.weights.len()).sum();
        let standard = if args.standard { " standard" } else { "" };
        notes.push(format!(
            "{unpacked} of {weights} weights are 32-bit floats in the files, with the values of {}: no{standard} ONNX \
             operator can hold them as they are.",
            args.precision.name()
        ));
    }
    if eight_bits {
        notes.push(format!(
            "ONNX Runtime {} or newer runs these files: MatMulNBits takes 8-bit weights. For an older one, add --standard.",
            onnx::EIGHT_BITS_SINCE
        ));
    }
    if let Some(what) = unread(&prepared.unread) {
        notes.push(format!("Not used by the model: {what}."));
    }
    show(&table(&["file", "nodes", "bytes with weights"], rows));
    if !notes.is_empty() {
        show(&format!("\n{}\n", notes.join("\n")));
    }
    Ok(())
}
