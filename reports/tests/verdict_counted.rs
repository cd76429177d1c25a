//! Counted instructions in a verdict: one per cent is found, time is the judge where it is sure, and what was not counted is not ok.

use std::collections::BTreeMap;

use ditbench_record::{Count, Counted, Counter, Counters, FunctionCount, Reading, Run, StageCounts};
use ditbench_reports::verdict::faces::{self, markdown::Room};
use ditbench_reports::verdict::{Basis, Design, Gate, Metric, Options, Outcome, Side, Verdict, compare};

#[path = "common/launches.rs"]
mod launches;
use launches::{factors, one_cell};

/// An image of a thousand million instructions, `by` times as many in the denoiser.
fn counted(by: f64) -> Counted {
    let denoiser = 8e8 * by;
    let function = |name: &str, stage: &str, instructions: f64| FunctionCount {
        stage: stage.into(),
        function: name.into(),
        op: Some("Linear".into()),
        instructions: instructions as u64,
    };
    Counted {
        by: "callgrind of valgrind-3.19.0".into(),
        runtime: vec!["candle 0.11.1".into()],
        kernels: Some("ditbench kernels, avx2+fma".into()),
        instructions: (2e8 + denoiser) as u64,
        stages: vec![
            StageCounts { stage: "text_encoder".into(), instructions: vec![1e8] },
            StageCounts { stage: "denoiser".into(), instructions: vec![denoiser / 2.0; 2] },
            StageCounts { stage: "decoder".into(), instructions: vec![1e8] },
        ],
        functions: vec![
            function("ditbench_kernels::linear::run", "denoiser", denoiser),
            function("ditbench_kernels::linear::run", "decoder", 1e8),
        ],
        ..Counted::default()
    }
}

/// A run of one cell with these launches and this count.
fn side(id: &str, factors: &[f64], counted: Option<Reading<Counted>>) -> Run {
    let mut run = one_cell(id, factors);
    run.cells[0].counted = counted;
    run
}

fn judge(base: &Run, head: &Run) -> Verdict {
    judge_by("", base, head)
}

/// By a gate that is otherwise.
fn judge_by(gate: &str, base: &Run, head: &Run) -> Verdict {
    let options = Options { design: Design::Paired, gate: Gate::parse(gate).unwrap(), ..Options::default() };
    compare(&Side::of_runs("main", [base]), &Side::of_runs("head", [head]), &options).unwrap()
}

/// Both sides counted and not timed, head with so many times the instructions of the denoiser.
fn only_counted(by: f64) -> Verdict {
    let of = |id: &str, by| side(id, &[], Some(Reading::Ok(counted(by))));
    judge(&of("a", 1.0), &of("b", by))
}

#[test]
fn one_per_cent_is_found_every_time_and_a_thousandth_is_none() {
    for (by, outcome, code) in [(1.0, Outcome::Ok, 0), (1.00125, Outcome::Ok, 0), (1.0125, Outcome::Regressed, 1)] {
        let verdict = only_counted(by);
        assert_eq!((verdict.outcome, verdict.exit_code()), (outcome, code), "{by}");
        let one = verdict.cells[0].metric(Metric::COUNTED).unwrap();
        assert_eq!((one.basis, one.base_samples, one.q), (Basis::Counted, 1, None));
        assert!((one.change.unwrap() - 0.8 * (by - 1.0)).abs() < 1e-9, "{:?}", one.change);
        // Nothing was timed, and no time is missed.
        assert!(verdict.cells[0].metric(Metric::FIRST_IMAGE).is_none());
    }
    assert!(only_counted(0.9).cells[0].metric(Metric::COUNTED).unwrap().improved);
}

#[test]
fn every_face_says_counted_where_it_moved_and_what_it_cannot_see() {
    let verdict = only_counted(1.0125);
    let text = faces::text::of_verdict(&verdict, false);
    let whole = [
        text.clone(),
        faces::markdown::of_verdict(&verdict, Room::Comment, ""),
        faces::html::of_verdict(&verdict),
        faces::junit::of_verdict(&verdict).unwrap(),
        faces::json(&verdict),
    ];
    for face in &whole {
        assert!(face.contains("counted"), "{face}");
    }
    for face in &whole[..3] {
        // Markdown escapes underscores.
        let face = face.replace('\\', "");
        for words in ["avx2+fma", "does not see", "denoiser: ditbench_kernels::linear::run (Linear)"] {
            assert!(face.contains(words), "{words} is not in\n{face}");
        }
    }
    assert!(text.contains("+1.0 %") && text.contains("judged by their value") && !text.contains("decoder: "), "{text}");
    let annotations = faces::github::annotations(&verdict);
    assert!(annotations.starts_with("::error title=regressed") && annotations.contains("counted instructions"));
    assert!(whole[3].contains("testcase name=\"counted_instructions\"") && whole[3].contains("type=\"regressed\""));
    // A verdict without counts says nothing of them.
    let timed = judge(&side("a", &factors(10, 0.001, 1), None), &side("b", &factors(10, 0.001, 2), None));
    assert!(!faces::text::of_verdict(&timed, true).contains("ounted"));
}

#[test]
fn time_is_the_judge_where_it_is_sure() {
    let quiet = |seed, by: f64| factors(10, 0.0005, seed).iter().map(|factor| factor * by).collect::<Vec<_>>();
    let with = |id: &str, times: &[f64], by| side(id, times, Some(Reading::Ok(counted(by))));
    // More instructions, and no more time: whoever waits does not wait longer.
    let verdict = judge(&with("a", &quiet(1, 1.0), 1.0), &with("b", &quiet(2, 1.0), 1.05));
    let (time, count) =
        (verdict.cells[0].metric(Metric::IMAGE).unwrap(), verdict.cells[0].metric(Metric::COUNTED).unwrap());
    assert_eq!((verdict.outcome, time.outcome, count.outcome), (Outcome::Ok, Outcome::Ok, Outcome::Regressed));
    assert!(!count.fails() && count.why.contains("the time is decided"), "{}", count.why);
    // As many, and more time: a cache that is missed has no instructions.
    let verdict = judge(&with("a", &quiet(1, 1.0), 1.0), &with("b", &quiet(2, 1.1), 1.0));
    assert_eq!(verdict.outcome, Outcome::Regressed);
}

#[test]
fn where_time_is_not_sure_the_counts_decide() {
    // A shared machine: 10 % from launch to launch.
    let noisy = |seed| factors(10, 0.1, seed);
    let undecided = judge(&side("a", &noisy(1), None), &side("b", &noisy(2), None));
    assert_eq!(undecided.exit_code(), 3, "without counts it cannot be told");
    for (by, code) in [(1.0, 0), (1.0125, 1)] {
        let with = |id: &str, seed, by| side(id, &noisy(seed), Some(Reading::Ok(counted(by))));
        let verdict = judge(&with("a", 1, 1.0), &with("b", 2, by));
        let time = verdict.cells[0].metric(Metric::IMAGE).unwrap();
        assert_eq!((verdict.exit_code(), time.outcome), (code, Outcome::Inconclusive), "{by}");
        assert!(time.why.contains("the counted instructions decide"), "{}", time.why);
        assert!(faces::text::of_verdict(&verdict, false).contains("steady image"), "it is still shown");
    }
}

#[test]
fn what_was_not_counted_is_inconclusive_with_the_reason() {
    let none = || Some(Reading::absent("the worker failed: no such file"));
    for (base, head) in
        [(none(), none()), (none(), Some(Reading::Ok(counted(1.0)))), (Some(Reading::Ok(counted(1.0))), none())]
    {
        let verdict = judge(&side("a", &[], base), &side("b", &[], head));
        assert_eq!(verdict.exit_code(), 3);
        assert!(
            verdict.cells[0].notes.iter().any(|note| note.contains("no such file")),
            "{:?}",
            verdict.cells[0].notes
        );
        let missing = verdict.cells[0].metric(Metric::COUNTED).unwrap();
        assert_eq!((missing.outcome, missing.base, missing.head), (Outcome::Inconclusive, None, None));
    }
    // Counts of other kernels, or by another simulator, are counts of something else.
    let (mut scalar, mut newer) = (counted(1.0), counted(1.0));
    scalar.kernels = Some("ditbench kernels, scalar".into());
    newer.by = "callgrind of valgrind-3.24.0".into();
    for (other, words) in [(scalar, "scalar"), (newer, "3.24.0")] {
        let of = |id: &str, counted| side(id, &[], Some(Reading::Ok(counted)));
        let verdict = judge(&of("a", counted(1.0)), &of("b", other));
        assert_eq!(verdict.exit_code(), 3);
        assert!(verdict.cells[0].notes.iter().any(|note| note.contains(words)), "{:?}", verdict.cells[0].notes);
        assert!(verdict.cells[0].metric(Metric::COUNTED).unwrap().why.contains("no counts that can be compared"));
    }
}

/// Whatever a gate says of time, what was to be counted and was not is not well.
#[test]
fn what_was_not_counted_does_not_pass_because_time_is_not_judged() {
    let untimed = "[metrics.image_s]\nenforce = \"show\"";
    let absent = |id: &str, times: &[f64]| side(id, times, Some(Reading::absent("no valgrind")));
    assert_eq!(judge_by(untimed, &absent("a", &[]), &absent("b", &[])).exit_code(), 3);
    // Where the time is sure, it decides.
    let quiet = |seed| factors(10, 0.0005, seed);
    let verdict = judge(&absent("a", &quiet(1)), &absent("b", &quiet(2)));
    assert_eq!(verdict.exit_code(), 0);
    assert!(verdict.cells[0].metric(Metric::COUNTED).unwrap().why.contains("the time is decided"));
    // A count that nobody judges is no judge: then the time is missing.
    let uncounted = "[metrics.counted_instructions]\nenforce = \"show\"";
    let of = |id: &str| side(id, &[], Some(Reading::Ok(counted(1.0))));
    assert_eq!(judge_by(uncounted, &of("a"), &of("b")).exit_code(), 3);
}

#[test]
fn a_time_that_nobody_judges_does_not_silence_the_counts() {
    let quiet = |seed| factors(10, 0.0005, seed);
    let with = |id: &str, seed, by| side(id, &quiet(seed), Some(Reading::Ok(counted(by))));
    let untimed = "[metrics.image_s]\nenforce = \"show\"";
    let verdict = judge_by(untimed, &with("a", 1, 1.0), &with("b", 2, 1.05));
    assert_eq!(verdict.exit_code(), 1);
    assert!(verdict.cells[0].metric(Metric::COUNTED).unwrap().fails());
}

/// Another version, or the same library in another folder, is what is compared.
#[test]
fn builds_of_other_versions_are_compared_by_their_counts() {
    let of = |id: &str, runtime: &str, by| {
        let counted = Counted { runtime: vec![runtime.into()], ..counted(by) };
        side(id, &[], Some(Reading::Ok(counted)))
    };
    for (by, code) in [(1.0, 0), (1.0125, 1)] {
        assert_eq!(judge(&of("a", "candle 0.11.1", 1.0), &of("b", "candle 0.12.0", by)).exit_code(), code);
    }
    // An older program does not say which kernels they are of.
    let older = side("a", &[], Some(Reading::Ok(Counted { kernels: None, ..counted(1.0) })));
    assert_eq!(judge(&older, &of("b", "candle 0.11.1", 1.0)).exit_code(), 0);
}

#[test]
fn of_several_records_the_last_that_was_counted_is_compared() {
    let of = |id: &str, counted| side(id, &[], counted);
    let (first, last) = (of("a", Some(Reading::Ok(counted(2.0)))), of("b", Some(Reading::Ok(counted(1.0)))));
    let head = of("c", Some(Reading::Ok(counted(1.0))));
    let judge = |base: &[&Run]| {
        let base = Side::of_runs("main", base.iter().copied());
        compare(&base, &Side::of_runs("head", [&head]), &Options::default()).unwrap()
    };
    let verdict = judge(&[&first, &last, &of("d", None)]);
    let one = verdict.cells[0].metric(Metric::COUNTED).unwrap();
    assert_eq!((one.change, one.base_samples), (Some(0.0), 1));
    // That one of them was counted earlier says nothing of the last.
    assert_eq!(judge(&[&first, &of("d", Some(Reading::absent("no valgrind")))]).exit_code(), 3);
}

#[test]
fn random_addresses_are_told() {
    let mut other = counted(1.0);
    other.at_random_addresses = true;
    let verdict = judge(&side("a", &[], Some(Reading::Ok(counted(1.0)))), &side("b", &[], Some(Reading::Ok(other))));
    assert_eq!(verdict.exit_code(), 0);
    assert!(
        verdict.cells[0].notes.iter().any(|note| note.contains("random addresses")),
        "{:?}",
        verdict.cells[0].notes
    );
}

/// A run whose launches have the processor's own counter, `by` times as many instructions.
fn with_counter(id: &str, times: &[f64], by: f64, seed: u64) -> Run {
    let mut run = one_cell(id, times);
    for (launch, factor) in run.cells[0].launches.iter_mut().zip(factors(times.len(), 0.0002, seed)) {
        launch.counters = Some(Counters {
            events: BTreeMap::from([(Counter::Instructions, Reading::Ok("user space".into()))]),
            ..Counters::default()
        });
        for sample in &mut launch.samples {
            sample.counts = BTreeMap::from([(Counter::Instructions, Count { count: 1e9 * by * factor, counted: 1.0 })]);
        }
    }
    run
}

#[test]
fn the_processors_own_counter_raises_an_alarm_only_where_time_is_not_sure() {
    let judged = |noise, by| {
        let times = |seed| factors(12, noise, seed);
        judge(&with_counter("a", &times(1), 1.0, 3), &with_counter("b", &times(2), by, 4))
    };
    let outcome = |verdict: &Verdict| {
        let one = verdict.cells[0].metric(Metric::INSTRUCTIONS).unwrap();
        (verdict.outcome, one.outcome, one.basis)
    };
    assert_eq!(outcome(&judged(0.1, 1.03)), (Outcome::Regressed, Outcome::Regressed, Basis::Launches));
    assert_eq!(outcome(&judged(0.0005, 1.03)), (Outcome::Ok, Outcome::Regressed, Basis::Launches));
    // They can vary with how threads wait, so they do not settle what time leaves open.
    assert_eq!(outcome(&judged(0.1, 1.0)), (Outcome::Inconclusive, Outcome::Ok, Basis::Launches));
}
