//! One cell in one process: compile, time images until there are enough, say what happened, a JSON line each.
//!
//! Contract: standard output carries events and nothing else; the last line is `finished` or `failed`. Memory is read
//! between images, never inside a timed stage.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use ditbench_backend_api::{Backend, BackendError, CompileOptions, Profile, Session};
use ditbench_graph::weights::Weights;
use ditbench_graph::{Graph, Tensor};
use ditbench_workloads::models::Model;
use ditbench_workloads::pipeline::{self, Inputs, Stage, StageRunner, Trace};

use crate::measure;
use crate::measure::pin;
use crate::probe::memory;
use ditbench_protocol::{Component, Event, LaunchSpec, Series};

/// Reads the spec, runs, exits with 0 if all went well.
pub fn main() -> ExitCode {
    // A panic is a bug: its message goes to the log in one line, and the parent makes a row of it.
    std::panic::set_hook(Box::new(|info| eprintln!("{info}")));
    let spec: LaunchSpec = match serde_json::from_reader(std::io::stdin().lock()) {
        Ok(spec) => spec,
        Err(error) => {
            eprintln!(
                "error: `ditbench worker` is started by `ditbench run` and takes its orders as JSON on standard input: {error}"
            );
            return ExitCode::from(2);
        }
    };
    match launch(&spec) {
        Ok(()) => {
            say(&Event::Finished);
            ExitCode::SUCCESS
        }
        Err(error) => {
            let backend = error.chain().find_map(|cause| cause.downcast_ref::<BackendError>());
            let unsupported =
                matches!(backend, Some(BackendError::Unsupported { .. } | BackendError::Unavailable { .. }));
            say(&Event::Failed { unsupported, why: crate::causes(&error) });
            ExitCode::from(1)
        }
    }
}

/// One line on standard output. If the parent is gone there is nobody to tell.
fn say(event: &Event) {
    let mut out = std::io::stdout().lock();
    if serde_json::to_writer(&mut out, event).is_ok() {
        let _ = out.write_all(b"\n").and_then(|()| out.flush());
    }
}

fn launch(spec: &LaunchSpec) -> Result<()> {
    let backend = crate::registry::backend(&spec.backend).map_err(anyhow::Error::msg)?;
    // Before any thread is started: they inherit it.
    let pinned = spec.cpus.as_deref().map_or(Ok(()), pin::to);
    say(&Event::Started { pid: std::process::id(), version: backend.version(), cpus_allowed: pin::allowed() });
    pinned.map_err(anyhow::Error::msg)?;
    say(&Event::Memory(memory::mark("started")));
    let model = Model::build(&spec.config)?;
    let inputs = load_inputs(&spec.inputs)?;
    let weights = Weights::open(&spec.weights)?;
    let mut sessions = Sessions::compile(backend.as_ref(), &model, &weights, spec)?;
    drop(weights);
    say(&Event::Memory(memory::mark("compiled")));
    if let Some(series) = &spec.series {
        return make_series(spec, series, &mut sessions);
    }
    let samples = time_images(spec, &inputs, &mut sessions)?;
    say(&Event::Memory(memory::mark(if samples > 1 { "steady" } else { "ended" })));
    for (component, session) in sessions.each() {
        say(&Event::Ran { component, placement: session.placement(), memory: session.memory() });
    }
    if spec.profile {
        profile(&inputs, &mut sessions, &spec.config)?;
    }
    Ok(())
}

fn load_inputs(path: &Path) -> Result<Inputs> {
    Inputs::load(path).with_context(|| format!("reading {}", path.display()))
}

/// Makes one image of each prompt of a series. Nothing is timed.
fn make_series(spec: &LaunchSpec, series: &Series, sessions: &mut Sessions) -> Result<()> {
    let mut latents = Vec::with_capacity(series.pictures.len());
    for (index, picture) in series.pictures.iter().enumerate() {
        let trace = pipeline::generate(&spec.config, &load_inputs(&picture.inputs)?, sessions)?;
        check_finite(&trace).with_context(|| format!("image {index} of the series"))?;
        trace
            .save_image(&spec.config, &picture.image)
            .with_context(|| format!("writing {}", picture.image.display()))?;
        latents.push(trace.latents.into_iter().next_back().unwrap_or_default());
        say(&Event::Made { index });
    }
    pipeline::save_latents(&series.latents, &latents)
        .with_context(|| format!("writing {}", series.latents.display()))?;
    for (component, session) in sessions.each() {
        say(&Event::Ran { component, placement: session.placement(), memory: session.memory() });
    }
    Ok(())
}

/// In a picture, what is not a number is black and what is infinite is white: such a result would pass for an image.
fn check_finite(trace: &Trace) -> Result<()> {
    let broken = |values: &[f32]| values.iter().any(|value| !value.is_finite());
    let place = match trace.latents.iter().position(|latent| broken(latent)) {
        Some(step) => format!("the latent after step {}", step + 1),
        None if broken(&trace.image) => "the decoder's output".to_owned(),
        None => return Ok(()),
    };
    bail!(
        "{place} has values that are not finite: the backend's result is unusable. Numbers may have grown beyond what the precision holds (16-bit floats end at 65504), or a kernel is wrong: try another --precision or --backend"
    )
}

/// Times images until the rule says stop. The first is saved where that is asked for.
fn time_images(spec: &LaunchSpec, inputs: &Inputs, sessions: &mut Sessions) -> Result<usize> {
    let started = Instant::now();
    let mut totals: Vec<f64> = Vec::new();
    let mut first_image: Option<Vec<f32>> = None;
    loop {
        let trace = pipeline::generate(&spec.config, inputs, sessions)?;
        // After the clock has stopped, before the image counts as one.
        check_finite(&trace).with_context(|| format!("image {} of the launch", totals.len()))?;
        let same_bytes = match &first_image {
            None => true,
            Some(first) => first.iter().map(|v| v.to_bits()).eq(trace.image.iter().map(|v| v.to_bits())),
        };
        say(&Event::Image {
            index: totals.len(),
            text_encoder_s: trace.times.text_encoder.as_secs_f64(),
            steps_s: trace.times.steps.iter().map(std::time::Duration::as_secs_f64).collect(),
            decoder_s: trace.times.decoder.as_secs_f64(),
            total_s: trace.times.total.as_secs_f64(),
            same_bytes,
        });
        totals.push(trace.times.total.as_secs_f64());
        if first_image.is_none() {
            say(&Event::Memory(memory::mark("first_image")));
            if let Some(outputs) = &spec.outputs {
                trace
                    .save_image(&spec.config, &outputs.image)
                    .with_context(|| format!("writing {}", outputs.image.display()))?;
                trace
                    .save_latents(&outputs.latents)
                    .with_context(|| format!("writing {}", outputs.latents.display()))?;
                say(&Event::Saved { image_sha256: trace.image_sha256() });
            }
            first_image = Some(trace.image);
        }
        let enough = totals.len() >= spec.stop.images
            || started.elapsed().as_secs_f64() >= spec.stop.seconds
            || tight(&totals, spec.stop.relative_half_width);
        if enough {
            return Ok(totals.len());
        }
    }
}

/// Whether the median of the images after the first is known to within the share asked for.
fn tight(totals: &[f64], relative_half_width: f64) -> bool {
    // Ten beyond the first: enough for the steady-state rule to have something to look at.
    totals.len() > 10 && measure::precision::relative_half_width(&totals[1..]) <= relative_half_width
}

/// Passes of one stage under the profiler: each node's time is their median.
const PROFILED: usize = 3;

/// One more image under the runtime's profiler: every stage, every step.
fn profile(inputs: &Inputs, sessions: &mut Sessions, config: &ditbench_workloads::models::ModelConfig) -> Result<()> {
    let mut recorder = InputsOfEachPass { sessions, seen: Vec::new() };
    pipeline::generate(config, inputs, &mut recorder)?;
    let seen = recorder.seen;
    let passes_per_step = if inputs.guidance.is_some() { 2 } else { 1 };
    let mut denoised = 0;
    for (stage, tensors) in seen {
        let step = (stage == Stage::Denoiser).then_some(denoised / passes_per_step);
        denoised += u32::from(stage == Stage::Denoiser);
        let session = sessions.of(stage);
        let passes = (0..PROFILED).map(|_| session.profile(&tensors)).collect::<Result<Vec<_>, _>>()?;
        say(&Event::Profiled { component: component(stage), step, profile: typical(passes) });
    }
    Ok(())
}

/// The pass in the middle by its whole time, with each node's median time where all passes ran the same nodes.
fn typical(mut passes: Vec<Profile>) -> Profile {
    passes.sort_by(|a, b| a.total_s.total_cmp(&b.total_s));
    let mut middle = passes[passes.len() / 2].clone();
    if passes.iter().all(|pass| pass.nodes.len() == middle.nodes.len()) {
        for (index, node) in middle.nodes.iter_mut().enumerate() {
            let mut times: Vec<f64> = passes.iter().map(|pass| pass.nodes[index].duration_s).collect();
            times.sort_by(f64::total_cmp);
            node.duration_s = times[times.len() / 2];
        }
    }
    middle
}

/// The three sessions of a pipeline.
pub struct Sessions {
    text_encoder: Box<dyn Session>,
    denoiser: Box<dyn Session>,
    decoder: Box<dyn Session>,
}

impl Sessions {
    /// Compiles all three and says how long each took.
    fn compile(backend: &dyn Backend, model: &Model, weights: &Weights, spec: &LaunchSpec) -> Result<Self> {
        let options = CompileOptions {
            device: spec.device.clone(),
            threads: spec.threads,
            variant: spec.variant.clone(),
            memory: spec.memory,
            cache: spec.cache.clone(),
        };
        let make = |component: Component, graph: &Graph| -> Result<Box<dyn Session>> {
            let session = backend.compile(graph, weights, &options)?;
            say(&Event::Compiled { component, report: session.compile_report(), numerics: session.numerics() });
            Ok(session)
        };
        Ok(Self {
            text_encoder: make(Component::TextEncoder, &model.text_encoder)?,
            denoiser: make(Component::Denoiser, &model.denoiser)?,
            decoder: make(Component::Decoder, &model.decoder)?,
        })
    }

    fn of(&mut self, stage: Stage) -> &mut dyn Session {
        match stage {
            Stage::TextEncoder => self.text_encoder.as_mut(),
            Stage::Denoiser => self.denoiser.as_mut(),
            Stage::Decoder => self.decoder.as_mut(),
        }
    }

    fn each(&self) -> [(Component, &dyn Session); 3] {
        [
            (Component::TextEncoder, self.text_encoder.as_ref()),
            (Component::Denoiser, self.denoiser.as_ref()),
            (Component::Decoder, self.decoder.as_ref()),
        ]
    }
}

impl StageRunner for Sessions {
    type Error = BackendError;

    fn run(&mut self, stage: Stage, inputs: &[Tensor]) -> Result<Vec<Tensor>, BackendError> {
        self.of(stage).run(inputs)
    }
}

fn component(stage: Stage) -> Component {
    match stage {
        Stage::TextEncoder => Component::TextEncoder,
        Stage::Denoiser => Component::Denoiser,
        Stage::Decoder => Component::Decoder,
    }
}

/// Remembers what each pass was fed, for the profiled ones.
struct InputsOfEachPass<'a> {
    sessions: &'a mut Sessions,
    seen: Vec<(Stage, Vec<Tensor>)>,
}

impl StageRunner for InputsOfEachPass<'_> {
    type Error = BackendError;

    fn run(&mut self, stage: Stage, inputs: &[Tensor]) -> Result<Vec<Tensor>, BackendError> {
        self.seen.push((stage, inputs.to_vec()));
        self.sessions.run(stage, inputs)
    }
}

#[cfg(test)]
mod tests {
    use ditbench_workloads::pipeline::Times;

    use super::*;

    #[test]
    fn what_is_not_finite_is_told_with_the_place_where_it_began() {
        let check = |latents: [f32; 2], image: f32| {
            let latents = latents.map(|value| vec![1.0, value]).to_vec();
            check_finite(&Trace { latents, image: vec![0.5, image], times: Times::default() })
                .map_err(|error| error.to_string())
        };
        assert_eq!(check([1.0, -2.0], 0.5), Ok(()));
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(check([1.0, bad], bad).unwrap_err().contains("latent after step 2 has values that are not finite"));
            assert!(check([bad, bad], bad).unwrap_err().contains("after step 1"));
            // Some decoders hold their output between bounds, so a broken latent need not show in the image.
            assert!(check([bad, bad], 0.5).is_err());
            let error = check([1.0, 1.0], bad).unwrap_err();
            assert!(error.contains("decoder") && error.contains("--precision") && !error.contains('\n'), "{error}");
        }
    }
}
