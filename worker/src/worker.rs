//! One cell in one process: compile, time images until there are enough, say what happened, a JSON line each.
//!
//! Contract: events go their own way ([`crate::events`]); the last one is `finished` or `failed`. Memory is read between
//! images, never inside a timed stage, and is that of the process that computes.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ditbench_backend_api::{Backend, BackendError, MemoryReport, Profile, Session};
use ditbench_graph::Tensor;
use ditbench_graph::weights::Weights;
use ditbench_workloads::{Inputs, Pipeline, Role, RunError, Source, Stage, StageRunner, Trace, trace, workload};

use crate::events::{self, say};
use crate::measure;
use crate::measure::counters::Counters;
use crate::measure::pin;
use crate::measure::valgrind::Marks;
use crate::probe::memory;
use ditbench_protocol::{Counting, Event, LaunchSpec, Series, VERSION, read_order};
use ditbench_record::{Counter, Reading, StageSeconds};

/// Reads the spec, runs, exits with 0 if all went well.
pub fn main() -> ExitCode {
    // A panic is a bug: its message goes to the log in one line, and the parent makes a row of it.
    std::panic::set_hook(Box::new(|info| crate::output::tell(&info.to_string())));
    let spec = match order() {
        Ok(spec) => spec,
        Err(why) => {
            crate::output::tell(&format!("error: {why}"));
            say(&Event::Failed { unsupported: false, why });
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

/// The order on standard input, with its environment in place.
fn order() -> Result<LaunchSpec, String> {
    events::open().map_err(|error| error.to_string())?;
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|error| format!("reading the order: {error}"))?;
    let spec = read_order(&text).map_err(|error| error.to_string())?;
    for (key, value) in &spec.environment {
        // SAFETY: no other thread runs yet.
        unsafe { std::env::set_var(key, value) };
    }
    Ok(spec)
}

fn launch(spec: &LaunchSpec) -> Result<()> {
    // Before any thread is started: what a thread does counts for the one that started it.
    let mut counters = match spec.counters {
        Counting::Off => Counters::none("the processor's counters were switched off (`--telemetry off`)"),
        Counting::Images | Counting::Stages => Counters::open(),
    };
    let backend = crate::registry::of(spec).map_err(anyhow::Error::msg)?;
    // Before any thread is started: they inherit it.
    let pinned = spec.cpus.as_deref().map_or(Ok(()), pin::to);
    let (version, cpus_allowed) = (backend.version(), pin::allowed());
    let pid = backend.process().unwrap_or_else(std::process::id);
    say(&Event::Started { protocol: VERSION, pid, version, cpus_allowed, counters: counters.events() });
    pinned.map_err(anyhow::Error::msg)?;
    say(&Event::Memory(memory::mark(backend.process(), "started")));
    let pipeline = workload::build(&spec.choice)?;
    let inputs = load_inputs(&spec.inputs)?;
    // A user's own files have theirs.
    let weights =
        if pipeline.graphs().is_empty() { Weights::new(BTreeMap::new()) } else { Weights::open(&spec.weights)? };
    let mut sessions = Sessions::compile(backend.as_ref(), &pipeline, &weights, spec)?;
    drop(weights);
    say(&Event::Memory(memory::mark(sessions.process, "compiled")));
    if let Some(series) = &spec.series {
        return make_series(&pipeline, series, &mut sessions);
    }
    let totals = time_images(spec, &pipeline, &inputs, &mut sessions, &mut counters)?;
    say(&Event::Memory(memory::mark(sessions.process, if totals.len() > 1 { "steady" } else { "ended" })));
    // By the runtime's own account, before what follows takes memory of its own.
    let memory = sessions.memory();
    sessions.counting = match why_no_stages(spec.counters, &counters, &totals, sessions.marks) {
        Some(why) => Reading::absent(why),
        None => count_stages(counters, &pipeline, &inputs, &mut sessions)?,
    };
    sessions.tell(memory);
    if spec.profile {
        profile(&pipeline, &inputs, &mut sessions)?;
    }
    if spec.placement {
        sessions.tell_placement();
    }
    Ok(())
}

fn load_inputs(path: &Path) -> Result<Inputs> {
    Inputs::load(path).with_context(|| format!("reading {}", path.display()))
}

/// Makes one image of each prompt of a series. Nothing is timed.
fn make_series(pipeline: &Pipeline, series: &Series, sessions: &mut Sessions) -> Result<()> {
    let mut latents = Vec::with_capacity(series.pictures.len());
    for (index, picture) in series.pictures.iter().enumerate() {
        let trace = image(pipeline, &load_inputs(&picture.inputs)?, sessions)?;
        check_finite(&trace).with_context(|| format!("image {index} of the series"))?;
        if !trace.save_image(&picture.image).with_context(|| format!("writing {}", picture.image.display()))? {
            bail!("image {index} of the series is not a picture");
        }
        latents.push(trace.latents.into_iter().next_back().unwrap_or_default());
        say(&Event::Made { index });
    }
    trace::save_latents(&series.latents, &latents).with_context(|| format!("writing {}", series.latents.display()))?;
    sessions.tell(sessions.memory());
    sessions.tell_placement();
    Ok(())
}

/// In a picture, what is not a number is black and what is infinite is white: such a result would pass for an image.
fn check_finite(trace: &Trace) -> Result<()> {
    let broken = |values: &[f32]| values.iter().any(|value| !value.is_finite());
    let place = match trace.latents.iter().position(|latent| broken(latent)) {
        Some(step) => format!("the latent after step {}", step + 1),
        None if broken(&trace.image) => "the last stage's output".to_owned(),
        None => return Ok(()),
    };
    bail!(
        "{place} has values that are not finite: the backend's result is unusable. Numbers may have grown beyond what the precision holds (16-bit floats end at 65504), or a kernel is wrong: try another --precision or --backend"
    )
}

/// Times images until the rule says stop, and gives their seconds. The first is saved where that is asked for. Under callgrind the
/// second counts: the first one that may be steady.
fn time_images(
    spec: &LaunchSpec,
    pipeline: &Pipeline,
    inputs: &Inputs,
    sessions: &mut Sessions,
    counters: &mut Counters,
) -> Result<Vec<f64>> {
    let started = Instant::now();
    let mut totals: Vec<f64> = Vec::new();
    let mut first_image: Option<Vec<f32>> = None;
    loop {
        let second = totals.len() == 1;
        if second {
            sessions.marks.begin();
        }
        let before = counters.read();
        let trace = image(pipeline, inputs, sessions)?;
        let counts = counters.read().since(&before);
        if second {
            sessions.marks.end();
        }
        // After the clock has stopped, before the image counts as one.
        check_finite(&trace).with_context(|| format!("image {} of the launch", totals.len()))?;
        let same_bytes = match &first_image {
            None => true,
            Some(first) => first.iter().map(|v| v.to_bits()).eq(trace.image.iter().map(|v| v.to_bits())),
        };
        say(&Event::Image {
            index: totals.len(),
            stages: trace.times.stages.iter().map(seconds).collect(),
            total_s: trace.times.total.as_secs_f64(),
            same_bytes,
            counts,
        });
        totals.push(trace.times.total.as_secs_f64());
        if first_image.is_none() {
            say(&Event::Memory(memory::mark(sessions.process, "first_image")));
            if let Some(outputs) = &spec.outputs {
                trace.save_image(&outputs.image).with_context(|| format!("writing {}", outputs.image.display()))?;
                trace
                    .save_latents(&outputs.latents)
                    .with_context(|| format!("writing {}", outputs.latents.display()))?;
                say(&Event::Saved { image_sha256: trace.image_sha256() });
            }
            first_image = Some(trace.image);
        }
        let is_over = started.elapsed().as_secs_f64() >= spec.stop.seconds;
        let enough = totals.len() >= spec.stop.images
            || (is_over && totals.len() >= spec.stop.least)
            || tight(&totals, spec.stop.relative_half_width);
        if enough {
            return Ok(totals);
        }
    }
}

/// Whether the median of the images after the first is known to within the share asked for.
fn tight(totals: &[f64], relative_half_width: f64) -> bool {
    // Ten beyond the first: enough for the steady-state rule to have something to look at.
    totals.len() > 10 && measure::precision::relative_half_width(&totals[1..]) <= relative_half_width
}

/// Seconds of an image beyond which no other is made only to count its stages.
const LONG_S: f64 = 5.0;

/// Why the instructions of the stages are not counted; `None` if they are.
fn why_no_stages(asked: Counting, counters: &Counters, totals: &[f64], marks: Marks) -> Option<String> {
    if let Some(why) = counters.why_no_instructions() {
        return Some(why.to_owned());
    }
    if asked != Counting::Stages {
        return Some("stages are counted in a cell's first launch, and not in brief runs".to_owned());
    }
    if marks.runs_in_valgrind() {
        return Some("under valgrind the processor's counters count valgrind".to_owned());
    }
    let is_long = totals.last().is_none_or(|seconds| *seconds > LONG_S);
    is_long.then(|| {
        format!("stages are counted in one more image, which is not made where an image takes more than {LONG_S} s")
    })
}

/// One more image, in which instructions are counted stage by stage: reading counters in a timed one would take time from it.
fn count_stages(
    counters: Counters,
    pipeline: &Pipeline,
    inputs: &Inputs,
    sessions: &mut Sessions,
) -> Result<Reading<BTreeMap<String, Vec<f64>>>> {
    let mut counted = CountsOfEachPass { sessions, counters, counts: BTreeMap::new(), missed: false };
    image(pipeline, inputs, &mut counted)?;
    Ok(Reading::or_absent(
        (!counted.missed).then_some(counted.counts),
        "the processor's counters took turns, and that of instructions had too few",
    ))
}

/// Passes of one stage under the profiler: each node's time is their median.
const PROFILED: usize = 3;

/// One more image under the runtime's profiler: every stage, every step.
fn profile(pipeline: &Pipeline, inputs: &Inputs, sessions: &mut Sessions) -> Result<()> {
    let mut recorder = InputsOfEachPass { sessions, seen: Vec::new() };
    image(pipeline, inputs, &mut recorder)?;
    let seen = recorder.seen;
    // Of each denoiser: a cascade has several, each with its own steps.
    let mut denoised: BTreeMap<String, usize> = BTreeMap::new();
    for (stage, tensors) in seen {
        let ready = sessions.of(&stage).map_err(anyhow::Error::from_boxed)?;
        let step = (ready.role == Role::Denoiser).then(|| {
            let passes = denoised.entry(stage.clone()).or_insert(0);
            *passes += 1;
            u32::try_from((*passes - 1) / pipeline.passes_per_step(&stage)).unwrap_or(u32::MAX)
        });
        let passes = (0..PROFILED).map(|_| ready.session.profile(&tensors)).collect::<Result<Vec<_>, _>>()?;
        say(&Event::Profiled { stage, step, profile: typical(passes) });
    }
    Ok(())
}

fn seconds(stage: &ditbench_workloads::StageTimes) -> StageSeconds {
    let seconds = stage.times.iter().map(Duration::as_secs_f64).collect();
    StageSeconds { stage: stage.stage.clone(), seconds }
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

/// A stage ready to run.
struct Ready {
    id: String,
    role: Role,
    session: Box<dyn Session>,
}

/// The sessions of a pipeline.
pub struct Sessions {
    /// In the order of the stages.
    ready: Vec<Ready>,
    /// The process that computes, where it is not this one.
    process: Option<u32>,
    /// How long the last pass took, where the session's own clock counts.
    took: Option<Duration>,
    /// For callgrind.
    marks: Marks,
    /// Instructions of each pass, by stage; why they were not counted.
    counting: Reading<BTreeMap<String, Vec<f64>>>,
}

impl Sessions {
    /// Compiles every stage and says how long each took.
    fn compile(backend: &dyn Backend, pipeline: &Pipeline, weights: &Weights, spec: &LaunchSpec) -> Result<Self> {
        let options = spec.compile_options();
        let make = |stage: &Stage| -> Result<Ready> {
            let session = match &stage.source {
                Source::Graph(graph) => backend.compile(graph, weights, &options)?,
                Source::Onnx(file) => {
                    backend.compile_onnx(&crate::own::prepare(&stage.id, file, &options.cache)?, &options)?
                }
            };
            say(&Event::Compiled {
                stage: stage.id.clone(),
                report: session.compile_report(),
                numerics: session.numerics(),
            });
            Ok(Ready { id: stage.id.clone(), role: stage.role, session })
        };
        let ready = pipeline.stages.iter().map(make).collect::<Result<_>>()?;
        Ok(Self { ready, process: backend.process(), took: None, marks: Marks::find(), counting: Reading::default() })
    }

    fn of(&mut self, stage: &str) -> Result<&mut Ready, RunError> {
        let found = self.ready.iter_mut().find(|ready| ready.id == stage);
        found.ok_or_else(|| format!("the pipeline asked for a stage \"{stage}\" that it does not have").into())
    }

    /// What the runtime says of each stage's memory now.
    fn memory(&self) -> Vec<MemoryReport> {
        self.ready.iter().map(|ready| ready.session.memory()).collect()
    }

    /// Tells what it said, and the instructions of each stage.
    fn tell(&self, memory: Vec<MemoryReport>) {
        for (Ready { id, .. }, memory) in self.ready.iter().zip(memory) {
            let instructions = self.counting.map(|counts| counts.get(id).cloned().unwrap_or_default());
            say(&Event::Ran { stage: id.clone(), memory, instructions });
        }
    }

    /// Finds out where nodes run, which may take a pass of its own.
    fn tell_placement(&mut self) {
        for Ready { id, session, .. } in &mut self.ready {
            say(&Event::Placed { stage: id.clone(), placement: session.placement() });
        }
    }
}

impl StageRunner for Sessions {
    type Error = RunError;

    fn run(&mut self, stage: &str, inputs: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
        let marks = self.marks;
        let session = &mut self.of(stage)?.session;
        marks.stage_begins();
        let outputs = session.run(inputs);
        marks.stage_ended(stage);
        let took = session.took();
        self.took = took;
        Ok(outputs?)
    }

    fn took(&self) -> Option<Duration> {
        self.took
    }
}

/// Remembers what each pass was fed, for the profiled ones.
struct InputsOfEachPass<'a> {
    sessions: &'a mut Sessions,
    seen: Vec<(String, Vec<Tensor>)>,
}

impl StageRunner for InputsOfEachPass<'_> {
    type Error = RunError;

    fn run(&mut self, stage: &str, inputs: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
        self.seen.push((stage.to_owned(), inputs.to_vec()));
        self.sessions.run(stage, inputs)
    }
}

/// Counts the instructions of each pass.
struct CountsOfEachPass<'a> {
    sessions: &'a mut Sessions,
    counters: Counters,
    counts: BTreeMap<String, Vec<f64>>,
    /// Whether a pass had no count.
    missed: bool,
}

impl StageRunner for CountsOfEachPass<'_> {
    type Error = RunError;

    fn run(&mut self, stage: &str, inputs: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
        let before = self.counters.read();
        let outputs = self.sessions.run(stage, inputs)?;
        match self.counters.read().since(&before).get(&Counter::Instructions) {
            Some(count) => self.counts.entry(stage.to_owned()).or_default().push(count.count),
            None => self.missed = true,
        }
        Ok(outputs)
    }
}

/// Makes one image on these sessions.
fn image(pipeline: &Pipeline, inputs: &Inputs, runner: &mut dyn StageRunner<Error = RunError>) -> Result<Trace> {
    pipeline.drive.image(inputs, runner).map_err(anyhow::Error::from_boxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_that_are_not_counted_have_their_own_reason() {
        let marks = Marks::find();
        let why = |asked, counters: &Counters, totals: &[f64]| why_no_stages(asked, counters, totals, marks);
        let off = Counters::none("switched off");
        assert_eq!(why(Counting::Stages, &off, &[0.1]).as_deref(), Some("switched off"));
        let open = Counters::open();
        if open.why_no_instructions().is_none() {
            assert!(why(Counting::Images, &open, &[0.1]).unwrap().contains("first launch"));
            assert!(why(Counting::Stages, &open, &[0.1, 6.0]).unwrap().contains("more than 5 s"));
            assert_eq!(why(Counting::Stages, &open, &[6.0, 0.1]), None);
        }
    }

    #[test]
    fn what_is_not_finite_is_told_with_the_place_where_it_began() {
        let check = |latents: [f32; 2], image: f32| {
            let latents = latents.map(|value| vec![1.0, value]).to_vec();
            check_finite(&Trace { latents, image: vec![0.5, image], ..Trace::default() })
                .map_err(|error| error.to_string())
        };
        assert_eq!(check([1.0, -2.0], 0.5), Ok(()));
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(check([1.0, bad], bad).unwrap_err().contains("latent after step 2 has values that are not finite"));
            assert!(check([bad, bad], bad).unwrap_err().contains("after step 1"));
            // Some decoders hold their output between bounds, so a broken latent need not show in the image.
            assert!(check([bad, bad], 0.5).is_err());
            let error = check([1.0, 1.0], bad).unwrap_err();
            assert!(error.contains("last stage") && error.contains("--precision") && !error.contains('\n'), "{error}");
        }
    }
}
