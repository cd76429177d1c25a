//! What was counted: by the processor's own counters in each launch, or once in a simulator.
//!
//! Contract: a launch's number is the median over its timed images. A counter that is not there is absent with the reason that it gave.

use super::taken::Figure;
use crate::record::{Cell, Counted, Counter, Launch, Reading, Role, counts};
use crate::stats::median;

/// Of a record that was made before there were counters.
const NOT_READ: &str = "the processor's counters were not read";

/// The median of a counter over a launch's timed images.
pub(super) fn of_images(launch: &Launch, counter: Counter) -> Reading<f64> {
    let Some(counters) = &launch.counters else { return Reading::absent(NOT_READ) };
    let Some(event) = counters.events.get(&counter) else { return Reading::absent(NOT_READ) };
    event.and_then(|_| {
        let counts = launch.timed().into_iter().filter_map(|image| image.counts.get(&counter));
        let counts: Vec<f64> = counts.map(|count| count.count).collect();
        Reading::or_absent(
            median(&counts),
            "there are no timed images, or the counter counted less than a quarter of the time",
        )
    })
}

/// Instructions of a role's stages, each pass by itself.
fn passes(cell: &Cell, launch: &Launch, role: Role) -> Reading<Vec<f64>> {
    let Some(counters) = &launch.counters else { return Reading::absent(NOT_READ) };
    counters.stages.and_then(|stages| some(counts::by_role(stages, &cell.stages, role), role))
}

fn some(passes: Vec<f64>, role: Role) -> Reading<Vec<f64>> {
    Reading::or_absent((!passes.is_empty()).then_some(passes), format!("this model has no {}", role.name()))
}

/// Instructions of an image in all stages of a role.
pub(super) fn in_stages(cell: &Cell, launch: &Launch, role: Role) -> Reading<f64> {
    passes(cell, launch, role).map(|passes| passes.iter().sum())
}

/// Instructions of a pass of a role's stages: the median of them.
pub(super) fn of_a_pass(cell: &Cell, launch: &Launch, role: Role) -> Reading<f64> {
    passes(cell, launch, role).and_then(|passes| Reading::or_absent(median(passes), "no pass was counted"))
}

/// Instructions of the counted image in all stages of a role.
pub(super) fn counted_in_stages(cell: &Cell, counted: &Counted, role: Role) -> Reading<Figure> {
    some(counts::by_role(&counted.stages, &cell.stages, role), role).map(|passes| passes.iter().sum::<f64>().into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::metric::Metric;
    use crate::record::{CellStage, Count, Counters, Sample, StageCounts, Status};

    fn stage(id: &str, role: Role) -> CellStage {
        CellStage { id: id.into(), role, passes: 2 }
    }

    /// A launch of a first image and three timed ones.
    fn launch(events: Reading<String>) -> Launch {
        let counts = |count| BTreeMap::from([(Counter::Instructions, Count { count, counted: 1.0 })]);
        let samples = [900.0, 120.0, 100.0, 110.0].into_iter().zip(0..);
        let stages = [("text_encoder", vec![7.0]), ("denoiser", vec![40.0, 20.0, 30.0])];
        let stages = stages.map(|(stage, instructions)| StageCounts { stage: stage.into(), instructions }).to_vec();
        Launch {
            status: Status::Ok,
            samples: samples.map(|(n, image)| Sample { image, counts: counts(n), ..Sample::default() }).collect(),
            counters: Some(Counters {
                events: BTreeMap::from([(Counter::Instructions, events)]),
                stages: Reading::Ok(stages),
            }),
            ..Launch::default()
        }
    }

    #[test]
    fn a_launch_has_the_median_of_its_timed_images_and_of_its_passes() {
        let launch = launch(Reading::Ok("user space".into()));
        let cell = Cell {
            stages: vec![stage("text_encoder", Role::Encoder), stage("denoiser", Role::Denoiser)],
            launches: vec![launch.clone()],
            ..Cell::default()
        };
        let run = crate::sample::run();
        let of = |name: &str| crate::metric::of_launch(Metric::named(name).unwrap(), &run, &cell, &launch);
        assert_eq!((of("image_instructions"), of("denoiser_pass_instructions")), (Some(110.0), Some(30.0)));
        assert_eq!((of("text_encoder_instructions"), of("decoder_instructions")), (Some(7.0), None));
        let why = crate::metric::of(Metric::named("decoder_instructions").unwrap(), &Default::default(), &cell);
        assert_eq!(why.why(), Some("this model has no decoder"));
    }

    #[test]
    fn what_does_not_count_is_absent_with_its_reason_and_an_old_record_says_nothing() {
        let why = |launch: &Launch, counter| of_images(launch, counter).why().unwrap().to_owned();
        let denied = launch(Reading::denied("perf_event_paranoid"));
        assert_eq!(why(&denied, Counter::Instructions), "perf_event_paranoid");
        assert_eq!(why(&denied, Counter::Cycles), NOT_READ);
        assert_eq!(why(&Launch::default(), Counter::Instructions), NOT_READ);
        let mut idle = launch(Reading::Ok("user space".into()));
        idle.samples.iter_mut().for_each(|image| image.counts.clear());
        assert!(why(&idle, Counter::Instructions).contains("less than a quarter"));
    }

    #[test]
    fn what_was_counted_once_is_summed_over_its_passes() {
        let stages = vec![StageCounts { stage: "denoiser".into(), instructions: vec![40.0, 20.0] }];
        let counted = Counted { instructions: 70, stages, ..Counted::default() };
        let stages = vec![stage("denoiser", Role::Denoiser)];
        let cell = |counted| Cell { counted, stages: stages.clone(), ..Cell::default() };
        let of = |name: &str, cell: &Cell| crate::metric::of_cell(Metric::named(name).unwrap(), cell);
        let there = cell(Some(Reading::Ok(counted)));
        assert_eq!(of("counted_instructions", &there), Some(70.0));
        assert_eq!(of("counted_denoiser_instructions", &there), Some(60.0));
        assert_eq!(of("counted_decoder_instructions", &there), None);
        for none in [None, Some(Reading::absent("no valgrind"))] {
            assert_eq!(of("counted_instructions", &cell(none)), None);
        }
    }
}
