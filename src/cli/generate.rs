//! `ditbench generate`: one image from a prompt.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ditbench_backend_api::MemoryMode;
use ditbench_graph::weights::Scheme;
use ditbench_workloads::image::image_format;

use super::Common;
use super::workload::WorkloadArgs;
use crate::plan::{BackendChoice, Cell, Company, Threads, parse_memory, parse_scheme};
use crate::run::{self, Progress, WeightsChoice, one_image};
use crate::text;
use ditbench_protocol::Event;
use ditbench_worker::registry;

/// Arguments of `ditbench generate`.
#[derive(Debug, clap::Args)]
pub struct GenerateArgs {
    /// What to draw
    prompt: String,
    /// Where to write the image: a .png, or a .jpg, which loses a little
    #[arg(short, long, default_value = "image.png", value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    workload: WorkloadArgs,
    /// Backend: candle, tract, ort, reference, or an engine of engines.toml; append a way of running after a colon, as in candle:stock
    #[arg(long, default_value = registry::USUAL[0])]
    backend: BackendChoice,
    /// Device, as `ditbench devices` names it
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Precision of the weights: f32, f16, q4, q8, mixed, palette4
    #[arg(long, default_value = "f32", value_parser = parse_scheme)]
    precision: Scheme,
    /// Threads [default: one per core]
    #[arg(long)]
    threads: Option<Threads>,
    /// Trade-off: fast (more memory, more speed) or small (less memory, less speed)
    #[arg(long, default_value = "fast", value_parser = parse_memory)]
    memory: MemoryMode,
    /// Seed of the noise and of random weights
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Weights: a safetensors file, or `random` [default: the checkpoint built into ditbench, else random from the seed]
    #[arg(long, value_name = "FILE|random")]
    weights: Option<WeightsChoice>,
}

/// Makes the image in a worker process, as `run` does, and says how long each part took.
///
/// # Errors
/// What the cell cannot do, in the backend's words; a file that cannot be written.
pub fn generate(args: &GenerateArgs, common: &Common) -> Result<()> {
    let cell = Cell {
        choice: args.workload.choice()?,
        backend: args.backend.clone(),
        device: args.device.clone(),
        scheme: args.precision,
        threads: args.threads.unwrap_or_else(|| Threads::nearest(ditbench_worker::probe::machine::cores())),
        memory: args.memory,
        pinned: None,
        company: Company::fixed(0),
        group: 0,
        is_yardstick: false,
    };
    let output = std::path::absolute(&args.output).context("cannot resolve the output's path")?;
    crate::paths::must_be_text(&output, "choose another file with -o FILE")?;
    let folder = output.parent().filter(|folder| folder.is_dir());
    if folder.is_none() {
        bail!("{}: the folder does not exist; make it first, or choose another with -o FILE", args.output.display());
    }
    if let Err(why) = image_format(&output) {
        bail!("{}: {why}", args.output.display());
    }
    let weights = args.weights.clone().unwrap_or_default();
    let pipeline = ditbench_workloads::workload::build(&cell.choice)?;
    if ditbench_workloads::own::is_single(&cell.choice) {
        bail!("{} is a single graph, which makes no picture: time it with `ditbench run`", cell.choice.model);
    }
    let progress = Progress::new(1);
    let request =
        one_image::Request { cell, prompt: &args.prompt, seed: args.seed, weights: &weights, output: &output };
    let started = Instant::now();
    let result =
        run::one_image::make(&request, common, &progress, Instant::now() + Duration::from_secs(3600), |event| {
            if let Event::Image { stages, total_s, .. } = event {
                let each = stages.iter().map(|stage| {
                    let times: Vec<String> = stage.seconds.iter().map(|&s| text::seconds(s)).collect();
                    format!("{} {}", stage.stage.replace('_', " "), times.join(" + "))
                });
                let each = each.collect::<Vec<_>>().join(", ");
                progress.line(&format!("{each}: {} in all", text::seconds(*total_s)));
            }
        });
    progress.finish();
    result?;
    let took = text::seconds(started.elapsed().as_secs_f64());
    text::show(&format!("{} ({took} with loading)\n", args.output.display()));
    if !weights.is_trained(&pipeline) {
        text::show(
            "Note: these weights are random, so the picture is noise; the time is that of a trained model. Give trained ones with --weights FILE.\n",
        );
    }
    Ok(())
}
