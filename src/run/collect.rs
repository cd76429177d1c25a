//! A worker's events, put together to a launch of the record.

use std::collections::BTreeMap;

use ditbench_backend_api::{CompileReport, MemoryReport, Numerics, Placement, Profile, VersionReport};
use ditbench_record::{
    CellStage, Counter, Counters, Launch, MemoryMark, PlacementShare, Reading, Role, Sample, StageCompile, StageCounts,
    StagePlacement, Status,
};
use ditbench_reports::stats::steady;

use ditbench_protocol::Event;
use ditbench_worker::process::Cause;

/// Everything that one worker said.
#[derive(Debug, Default)]
pub struct Collected {
    /// Its process id.
    pub pid: Option<u32>,
    /// When it last said something, in seconds after the launch began.
    pub at_s: f64,
    /// CPUs that the kernel let it use.
    pub cpus_allowed: Option<String>,
    /// The backend's versions.
    pub version: Option<VersionReport>,
    /// How each component was made.
    pub compile: Vec<(String, CompileReport)>,
    /// The precision of each component, in the same order.
    pub numerics: Vec<(String, Numerics)>,
    /// Images in order.
    pub samples: Vec<Sample>,
    /// Whether each image had the bytes of the first.
    pub same_bytes: Vec<bool>,
    /// Memory at moments.
    pub memory: Vec<MemoryMark>,
    /// Where nodes ran.
    pub placement: Vec<(String, Placement)>,
    /// What the runtime says of its memory.
    pub runtime_memory: Vec<MemoryReport>,
    /// Passes under the profiler.
    pub profiled: Vec<(String, Option<u32>, Profile)>,
    /// What the processor's counters count.
    pub counters: BTreeMap<Counter, Reading<String>>,
    /// Instructions by stage.
    pub instructions: Vec<(String, Reading<Vec<f64>>)>,
    /// SHA-256 of the image's raw output, once it is on disk.
    pub image_sha256: Option<String>,
}

impl Collected {
    /// Takes in one event, and when it happened, in seconds after the launch began.
    pub fn take(&mut self, at_s: f64, event: Event) {
        self.at_s = at_s;
        match event {
            Event::Started { pid, version, cpus_allowed, counters, .. } => {
                self.counters = counters;
                self.cpus_allowed = cpus_allowed;
                self.pid = Some(pid);
                self.version = Some(version);
            }
            Event::Memory(mark) => self.memory.push(mark),
            Event::Compiled { stage, report, numerics } => {
                self.compile.push((stage.clone(), report));
                self.numerics.push((stage, numerics));
            }
            Event::Image { index, stages, total_s, same_bytes, counts } => {
                let mut sample = Sample {
                    image: u32::try_from(index).unwrap_or(u32::MAX),
                    total_s,
                    stages,
                    harness_s: 0.0,
                    ended_s: Some(at_s),
                    removed: None,
                    counts,
                };
                sample.harness_s = total_s - sample.in_stages_s();
                self.samples.push(sample);
                self.same_bytes.push(same_bytes);
            }
            Event::Saved { image_sha256 } => self.image_sha256 = Some(image_sha256),
            Event::Ran { stage, memory, instructions } => {
                self.runtime_memory.push(memory);
                self.instructions.push((stage, instructions));
            }
            Event::Placed { stage, placement } => self.placement.push((stage, placement)),
            Event::Profiled { stage, step, profile } => self.profiled.push((stage, step, profile)),
            Event::Made { .. } | Event::Finished | Event::Failed { .. } => {}
        }
    }

    /// The first denoiser's precision: the one that decides how near to the reference results must be. Without a denoiser, the
    /// first stage's.
    pub fn numerics(&self, stages: &[CellStage]) -> Option<Numerics> {
        let decides = stages.iter().find(|stage| stage.role == Role::Denoiser).or(stages.first())?;
        self.numerics.iter().find(|(stage, _)| *stage == decides.id).map(|(_, numerics)| *numerics)
    }

    /// The record's form of it.
    pub fn launch(&self, index: u32, order: u32, started: String, cause: &Cause, max_rss: Option<u64>) -> Launch {
        let (status, reason) = status(cause);
        Launch {
            index,
            order,
            pid: self.pid,
            started,
            status,
            reason,
            compile: self.compile.iter().map(|(stage, report)| stage_compile(stage, report)).collect(),
            samples: self.samples.clone(),
            same_bytes: (self.same_bytes.len() > 1).then(|| self.same_bytes.iter().all(|same| *same)),
            steady: steady::of(&self.samples.iter().map(|sample| sample.total_s).collect::<Vec<f64>>()),
            memory: self.memory.clone(),
            max_rss_bytes: max_rss.filter(|_| !self.went_on()),
            counters: self.counters(),
            ..Launch::default()
        }
    }

    /// `None` of a worker that knows nothing of counters, or died before it told.
    fn counters(&self) -> Option<Counters> {
        let stages = self.instructions.iter().map(|(stage, instructions)| match instructions {
            Reading::Ok(instructions) => Ok(StageCounts { stage: stage.clone(), instructions: instructions.clone() }),
            Reading::Denied { why } => Err(Reading::denied(why)),
            Reading::Absent { why } => Err(Reading::absent(why)),
        });
        let stages: Result<Vec<StageCounts>, Reading<Vec<StageCounts>>> = stages.collect();
        let stages = match stages {
            Ok(stages) if stages.is_empty() => Reading::absent("the worker ended before it told"),
            Ok(stages) => Reading::Ok(stages),
            Err(why) => why,
        };
        (!self.counters.is_empty()).then(|| Counters { events: self.counters.clone(), stages })
    }

    /// Whether it did more after its images, which the kernel's last word on its memory has in it too: then the high-water mark
    /// that was read before that says how much the images took, where the kernel keeps one.
    fn went_on(&self) -> bool {
        let marked = self.memory.iter().any(|mark| mark.high_water.is_some());
        let counted = self.instructions.iter().any(|(_, instructions)| instructions.value().is_some());
        marked && (counted || !self.placement.is_empty() || !self.profiled.is_empty())
    }

    /// The record's form of where nodes ran.
    pub fn stage_placement(&self) -> Vec<StagePlacement> {
        let share = |placement: &Placement| {
            let entries = placement.entries.iter();
            entries
                .map(|e| PlacementShare { device: e.device.clone(), nodes: e.nodes as u64, time_share: e.time_share })
                .collect()
        };
        let stages = self.placement.iter();
        stages
            .map(|(stage, placement)| StagePlacement {
                stage: stage.clone(),
                asked: placement.asked.clone(),
                entries: share(placement),
                source: placement.source.clone(),
            })
            .collect()
    }
}

fn stage_compile(stage: &str, report: &CompileReport) -> StageCompile {
    StageCompile {
        stage: stage.to_owned(),
        export_s: report.export_s,
        export_cached: report.export_cached,
        load_s: report.load_s,
        weight_file_bytes: report.weight_file_bytes,
        weight_resident_bytes: report.weight_resident_bytes,
    }
}

/// A cause as the record says it.
pub fn status(cause: &Cause) -> (Status, Option<String>) {
    match cause {
        Cause::Finished => (Status::Ok, None),
        Cause::Failed { unsupported: true, why } => (Status::Unsupported, Some(why.clone())),
        Cause::Failed { unsupported: false, why } => (Status::Error, Some(why.clone())),
        Cause::OutOfMemory(why) => (Status::Oom, Some(why.clone())),
        Cause::TimedOut(after) => {
            let why = format!(
                "the worker was still running after {}; raise the limit with --timeout",
                crate::text::seconds(after.as_secs_f64())
            );
            (Status::Timeout, Some(why))
        }
        Cause::Lost(why) => (
            Status::Interrupted,
            Some(format!("{why}. The launch may still be running there; collect it with `ditbench run --resume RUN`")),
        ),
        Cause::Interrupted => (
            Status::Interrupted,
            Some("the run was interrupted; continue it with `ditbench run --resume RUN`".to_owned()),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_worker_does_after_its_images_is_not_their_memory() {
        let mark = |high_water| MemoryMark { name: "steady".to_owned(), high_water, ..MemoryMark::default() };
        let most = |events: Vec<Event>| {
            let mut collected = Collected::default();
            events.into_iter().for_each(|event| collected.take(0.0, event));
            collected.launch(0, 0, String::new(), &Cause::Finished, Some(900)).max_rss_bytes
        };
        let placed = || Event::Placed { stage: "denoiser".to_owned(), placement: Placement::default() };
        assert_eq!(most(vec![Event::Memory(mark(Some(500)))]), Some(900));
        assert_eq!(most(vec![Event::Memory(mark(Some(500))), placed()]), None);
        let ran =
            |instructions| Event::Ran { stage: "denoiser".to_owned(), memory: MemoryReport::default(), instructions };
        assert_eq!(most(vec![Event::Memory(mark(Some(500))), ran(Reading::Ok(vec![7.0]))]), None);
        assert_eq!(most(vec![Event::Memory(mark(Some(500))), ran(Reading::absent("not counted"))]), Some(900));
        assert_eq!(most(vec![Event::Memory(mark(None)), placed()]), Some(900), "the only word that there is");
    }
}
