//! The rules of the verdict, each with a planted fault that must be seen and its absence that must not.

use ditbench_record::{Cell, PlacementShare, Reading, Run, Status};
use ditbench_reports::verdict::{
    Apart, Basis, CellState, CompareError, Design, Difference, Fault, Gate, Magnitude, Metric, Options, Outcome, Side,
    ThresholdFrom, Verdict, aa, compare, faces, noise,
};

#[path = "common/launches.rs"]
mod launches;
use launches::{cell, factors, key, one_cell, run};

fn judge(base: &Run, head: &Run) -> Verdict {
    judge_with(base, head, &Options::default())
}

fn judge_with(base: &Run, head: &Run, options: &Options) -> Verdict {
    compare(&Side::of_runs("base", [base]), &Side::of_runs("head", [head]), options).unwrap()
}

fn scaled(factors: &[f64], by: f64) -> Vec<f64> {
    factors.iter().map(|factor| factor * by).collect()
}

fn id() -> String {
    key("ort", "f32").id()
}

fn number(name: &str) -> Metric {
    Metric::named(name).unwrap()
}

fn outcome(verdict: &Verdict, metric: Metric) -> Outcome {
    verdict.cells[0].metric(metric).unwrap_or_else(|| panic!("{metric}")).outcome
}

#[test]
fn equal_builds_are_ok_and_a_slower_one_is_not() {
    let base = one_cell("a", &factors(12, 0.01, 1));
    let same = judge(&base, &one_cell("b", &factors(12, 0.01, 2)));
    assert_eq!((same.outcome, same.exit_code()), (Outcome::Ok, 0));
    let image = same.cells[0].metric(Metric::IMAGE).unwrap();
    assert!(image.detectable.unwrap() > 0.02 && image.enough == Some(12) && !image.improved);

    let slower = judge(&base, &one_cell("b", &scaled(&factors(12, 0.01, 2), 1.10)));
    assert_eq!((slower.outcome, slower.exit_code()), (Outcome::Regressed, 1));
    let image = slower.cells[0].metric(Metric::IMAGE).unwrap();
    assert!((image.change.unwrap() - 0.10).abs() < 0.015, "{image:?}");
    assert!(image.low.unwrap() > 0.02 && image.high.unwrap() < 0.13 && image.q.unwrap() <= 0.02);
    assert_eq!((image.cliffs_delta, image.magnitude, image.basis), (Some(1.0), Magnitude::Medium, Basis::Launches));
    assert_eq!(outcome(&slower, Metric::DENOISER_STEP.step(1)), Outcome::Regressed);
    assert_eq!(outcome(&slower, number("peak_rss_bytes")), Outcome::Ok);

    let faster = judge(&base, &one_cell("b", &scaled(&factors(12, 0.01, 2), 0.9)));
    assert_eq!(faster.outcome, Outcome::Ok);
    assert!(faster.cells[0].metric(Metric::IMAGE).unwrap().improved && faster.improvements().count() > 3);
}

#[test]
fn what_cannot_be_told_is_inconclusive_and_says_what_it_takes() {
    let noisy = |seed, by| one_cell("x", &scaled(&factors(8, 0.08, seed), by));
    let verdict = judge(&noisy(1, 1.0), &noisy(2, 1.03));
    assert_eq!((verdict.outcome, verdict.exit_code()), (Outcome::Inconclusive, 3));
    let image = verdict.cells[0].metric(Metric::IMAGE).unwrap();
    assert!(image.detectable.unwrap() > 0.1 && image.enough.is_none_or(|enough| enough > 8), "{image:?}");
    // Too few launches: no interval, and how many there must be. Twelve tests: one change must be heard among them.
    let few = judge(&one_cell("a", &[1.0, 1.01, 1.02]), &one_cell("b", &[2.0, 2.01, 2.02]));
    let image = few.cells[0].metric(Metric::IMAGE).unwrap();
    assert_eq!(few.outcome, Outcome::Inconclusive);
    assert!(image.why.contains("which needs 5") && image.enough >= Some(5) && image.low.is_none(), "{}", image.why);
    // A stage that is only an alarm leaves nothing undecided.
    assert_eq!(few.undecided().filter(|(_, metric)| metric.metric == Metric::DECODER).count(), 0);
}

#[test]
fn a_fall_back_fails_whatever_the_speed() {
    let base = one_cell("a", &factors(8, 0.01, 1));
    let mut head = one_cell("b", &scaled(&factors(8, 0.01, 2), 0.5));
    head.cells[0].placement[0].entries[0].nodes = 97;
    head.cells[0].placement[0].entries.push(PlacementShare { device: "other".into(), nodes: 3, time_share: None });
    let verdict = judge(&base, &head);
    assert_eq!(verdict.exit_code(), 1);
    let (_, finding) = verdict.findings().next().unwrap();
    assert_eq!(finding.fault, Fault::FallBack);
    assert!(finding.says.contains("97.0") && finding.says.contains("3 on other"), "{}", finding.says);
    // Allowed by the gate, it is still a drop from base.
    let gate = Gate::parse("[placement]\nmin_share = 0.9").unwrap();
    let verdict = judge_with(&base, &head, &Options { gate, ..Options::default() });
    assert_eq!((verdict.findings().count(), outcome(&verdict, Metric::PLACEMENT)), (0, Outcome::Regressed));
    // Not known is said, not assumed.
    let mut unknown = one_cell("b", &factors(8, 0.01, 2));
    unknown.cells[0].placement.clear();
    assert!(judge(&base, &unknown).cells[0].unchecked.iter().any(|note| note.contains("would go unnoticed")));
}

#[test]
fn a_wrong_latent_fails_whatever_the_speed() {
    let base = one_cell("a", &factors(8, 0.01, 1));
    let with_latent = |relative_l2| {
        let mut head = one_cell("b", &scaled(&factors(8, 0.01, 2), 0.5));
        let Reading::Ok(quality) = &mut head.cells[0].quality else { panic!() };
        quality.latents[1].relative_l2 = relative_l2;
        head
    };
    for wrong in [0.3, f64::NAN, f64::INFINITY] {
        let verdict = judge(&base, &with_latent(wrong));
        assert_eq!(verdict.exit_code(), 1, "{wrong}");
        assert_eq!(verdict.findings().next().unwrap().1.fault, Fault::Latent);
    }
    // Within the tolerance, but a quarter and more worse than base.
    let worse = judge(&base, &with_latent(5e-5));
    assert_eq!((worse.findings().count(), outcome(&worse, Metric::LATENT)), (0, Outcome::Regressed));
    // The order of sums: below the floor.
    assert_eq!(judge(&base, &with_latent(9e-7)).outcome, Outcome::Ok);
}

#[test]
fn results_are_held_against_bases_where_both_are_at_hand() {
    let (base, head) = (one_cell("a", &factors(8, 0.01, 1)), one_cell("b", &factors(8, 0.01, 2)));
    let with =
        |apart: Apart| judge_with(&base, &head, &Options { apart: [(id(), apart)].into(), ..Options::default() });
    let by = |last: f64, image: f64| Apart::By { latents: vec![1e-7, last], image: Some(image) };
    assert_eq!(with(by(9e-5, 0.009)).outcome, Outcome::Ok);
    for (apart, fault, words) in [
        (by(2e-4, 0.0), Fault::Latent, "first exceeded after step 2"),
        (by(f64::NAN, 0.0), Fault::Latent, "differs from base's"),
        (by(1e-6, 0.02), Fault::Image, "look at the decoder"),
        (Apart::Unusable("NaN".into()), Fault::Latent, "unusable: NaN"),
    ] {
        let verdict = with(apart);
        let (_, finding) = verdict.findings().next().unwrap();
        assert_eq!((verdict.exit_code(), finding.fault), (1, fault));
        assert!(finding.says.contains(words), "{}", finding.says);
    }
    // With the bits of both the same, what few bits are allowed against the reference is too much.
    let few = |id: &str| run(id, vec![cell(key("ort", "q4"), &factors(8, 0.01, 1))]);
    let apart = [(key("ort", "q4").id(), by(0.1, 0.0))].into();
    assert_eq!(judge_with(&few("a"), &few("b"), &Options { apart, ..Options::default() }).exit_code(), 1);
    // Held against nothing at all: said.
    let mut alone = head.clone();
    alone.cells[0].quality = Reading::absent("this is the reference");
    let notes = &judge(&base, &alone).cells[0].unchecked;
    assert!(
        notes.iter().any(|note| note.contains("nothing to be compared with") && note.contains("the reference")),
        "{notes:?}"
    );
}

#[test]
fn another_machines_noise_is_not_used() {
    let (a, b) = (one_cell("a", &factors(12, 0.05, 1)), one_cell("b", &factors(12, 0.05, 2)));
    let (noise, _) = aa::of_aa(&[&a], &[&b], &Options { design: Design::Paired, ..Options::default() }, 50, 1).unwrap();
    let foreign = |run: &Run| {
        let mut run = run.clone();
        run.machine.cpu_model = Reading::Ok("another".into());
        run
    };
    let options = Options { noise: Some(noise), ..Options::default() };
    let own = judge_with(&a, &b, &options);
    assert!(own.method.noise_from.is_some() && own.cautions.is_empty());
    let other = judge_with(&foreign(&a), &foreign(&b), &options);
    assert_eq!(other.method.noise_from, None);
    assert!(other.cautions[0].contains("another machine"), "{:?}", other.cautions);
    assert!(other.cells[0].metrics.iter().all(|metric| metric.threshold == metric.gate_threshold));
}

/// One shift of a launch moves every number of it: dealt together, they alarm together.
#[test]
fn the_false_alarms_of_all_numbers_are_those_of_comparisons() {
    let (a, b) = (one_cell("a", &factors(12, 0.05, 1)), one_cell("b", &factors(12, 0.05, 2)));
    for design in [Design::Paired, Design::Independent] {
        let loose = Gate::parse("level = 0.4\n[metrics.image_s]\nmax_change = 0.0\nfloor = 0.0\nreason = \"to alarm\"")
            .unwrap();
        let (noise, _) =
            aa::of_aa(&[&a], &[&b], &Options { design, gate: loose, ..Options::default() }, 400, 1).unwrap();
        let image = noise.series.iter().find(|series| series.metric == Metric::IMAGE).unwrap();
        // Flags either way, alarms for the worse only; q is about p, because all times are one.
        assert!((0.3..0.5).contains(&image.false_positives), "{design:?}: {image:?}");
        assert!((0.1..0.3).contains(&noise.false_alarms), "{design:?}: {}", noise.false_alarms);
    }
}

#[test]
fn a_worse_image_and_grown_memory_fail() {
    let base = one_cell("a", &factors(8, 0.01, 1));
    let mut blurred = one_cell("b", &factors(8, 0.01, 2));
    let Reading::Ok(quality) = &mut blurred.cells[0].quality else { panic!() };
    let Reading::Ok(image) = &mut quality.image else { panic!() };
    image.psnr_db = Some(45.0);
    let verdict = judge(&base, &blurred);
    let psnr = verdict.cells[0].metric(Metric::PSNR).unwrap();
    // Above 60 dB counts as 60.
    assert_eq!((psnr.outcome, psnr.change, psnr.base), (Outcome::Regressed, Some(-15.0), Some(60.0)));

    let mut grown = one_cell("b", &factors(8, 0.01, 2));
    for launch in &mut grown.cells[0].launches {
        launch.max_rss_bytes = launch.max_rss_bytes.map(|bytes| bytes + (80 << 20));
    }
    let verdict = judge(&base, &grown);
    assert_eq!((verdict.exit_code(), outcome(&verdict, number("peak_rss_bytes"))), (1, Outcome::Regressed));
    let mut pass = one_cell("b", &factors(8, 0.01, 2));
    let Reading::Ok(memory) = &mut pass.cells[0].memory_pass else { panic!() };
    memory.marks[0].high_water = Some(1100 << 20);
    assert_eq!(outcome(&judge(&base, &pass), number("memory_pass_bytes")), Outcome::Regressed);
    // A change below the floor of 8 MiB passes.
    let Reading::Ok(memory) = &mut pass.cells[0].memory_pass else { panic!() };
    memory.marks[0].high_water = Some(1017 << 20);
    assert_eq!(judge(&base, &pass).outcome, Outcome::Ok);
}

#[test]
fn cells_that_are_gone_failed_new_or_mended() {
    let good = |backend: &str, seed| cell(key(backend, "f32"), &factors(8, 0.01, seed));
    let failed = |backend: &str| {
        let mut cell = good(backend, 9);
        (cell.status, cell.reason) = (Status::Oom, Some("killed at 14 GiB".into()));
        cell.launches.clear();
        cell
    };
    let base = run("a", vec![good("ort", 1), good("candle", 2), failed("tract"), failed("reference"), good("gone", 3)]);
    let head = run("b", vec![good("ort", 4), failed("candle"), good("tract", 5), failed("reference"), good("new", 6)]);
    let verdict = judge(&base, &head);
    let of = |backend: &str| verdict.cell(&key(backend, "f32").id()).unwrap();
    assert_eq!(verdict.exit_code(), 1);
    assert_eq!((of("ort").state, of("ort").outcome), (CellState::Compared, Some(Outcome::Ok)));
    assert_eq!((of("candle").state, of("candle").findings[0].fault), (CellState::Broken, Fault::Failed));
    assert!(of("candle").findings[0].says.contains("oom, killed at 14 GiB"));
    assert_eq!((of("gone").state, of("gone").findings[0].fault), (CellState::Broken, Fault::Missing));
    assert_eq!((of("tract").state, of("tract").outcome), (CellState::Fixed, None));
    assert_eq!((of("new").state, of("new").outcome), (CellState::New, None));
    assert_eq!((of("reference").state, of("reference").outcome), (CellState::FailedOnBoth, None));
}

/// What a budget has no room for is no fault of the build, and not well either.
#[test]
fn a_cell_that_a_run_did_not_come_to_is_neither_broken_nor_mended() {
    let good = |backend: &str, seed| cell(key(backend, "f32"), &factors(8, 0.01, seed));
    let left_out = |backend: &str| Cell::failed(key(backend, "f32"), Status::Interrupted, "no room in 5m");
    let base = run("a", vec![good("ort", 1), good("candle", 2), left_out("tract"), left_out("reference")]);
    let head = run("b", vec![good("ort", 3), left_out("candle"), good("tract", 4), left_out("reference")]);
    let verdict = judge(&base, &head);
    assert_eq!(verdict.exit_code(), 3);
    assert!(faces::headline(&verdict).contains("2 cells not measured on one side"), "{}", faces::headline(&verdict));
    for (backend, side) in [("candle", "head"), ("tract", "base")] {
        let cell = verdict.cell(&key(backend, "f32").id()).unwrap();
        assert_eq!(
            (cell.state, cell.outcome, cell.findings.len()),
            (CellState::LeftOut, Some(Outcome::Inconclusive), 0)
        );
        let says = format!("not measured in {side}: no room in 5m");
        assert!(cell.unchecked.iter().any(|said| said.contains(&says)), "{:?}", cell.unchecked);
    }
    assert!(verdict.cautions.iter().any(|said| said.contains("on either side") && said.contains("reference")));
    // A launch that was stopped in its midst did begin, and the other record has it.
    let mut again = run("c", vec![good("candle", 5)]);
    let one = run("a", vec![good("candle", 2)]);
    let both = Side::of_runs("head", [&head, &again]);
    let two = compare(&Side::of_runs("base", [&one]), &both, &Options::default()).unwrap();
    assert_eq!(two.cell(&key("candle", "f32").id()).unwrap().state, CellState::Compared);
    // What a run was stopped in has fewer launches, and what it was stopped before has none: neither is the build's fault.
    again.cells[0].status = Status::Interrupted;
    assert_eq!(judge(&one, &again).cells[0].state, CellState::Compared);
    let failed = run("d", vec![Cell::failed(key("candle", "f32"), Status::Oom, "killed")]);
    let both = Side::of_runs("head", [&again, &failed]);
    let two = compare(&Side::of_runs("base", [&one]), &both, &Options::default()).unwrap();
    assert!(two.cells[0].findings[0].says.contains("killed"), "{:?}", two.cells[0].findings);
    for launch in &mut again.cells[0].launches {
        launch.status = Status::Interrupted;
    }
    assert_eq!(judge(&one, &again).cells[0].state, CellState::LeftOut);
    again.cells.clear();
    assert_eq!(judge(&one, &again).cells[0].state, CellState::Broken, "a run that ended without it");
    again.run.finished = None;
    let stopped = judge(&one, &again);
    assert_eq!((stopped.cells[0].state, stopped.exit_code()), (CellState::LeftOut, 3));
}

#[test]
fn what_cannot_be_compared_is_refused_unless_it_is_allowed_by_name() {
    let base = one_cell("a", &factors(8, 0.01, 1));
    let check = |change: &dyn Fn(&mut Run), kind: Difference, words: &str| {
        let mut head = one_cell("b", &factors(8, 0.01, 2));
        change(&mut head);
        let sides = (Side::of_runs("base", [&base]), Side::of_runs("head", [&head]));
        let error = compare(&sides.0, &sides.1, &Options::default()).unwrap_err();
        let says = error.to_string();
        assert!(
            matches!(error, CompareError::Differ { .. }) && says.contains(words) && says.contains(kind.name()),
            "{says}"
        );
        let allowed = Options { allow: [kind].into(), ..Options::default() };
        let verdict = compare(&sides.0, &sides.1, &allowed).unwrap();
        assert!(verdict.allowed.iter().any(|says| says.contains(words)), "{:?}", verdict.allowed);
    };
    check(&|run| run.machine.cpu_model = Reading::Ok("another".into()), Difference::Machine, "another");
    check(&|run| run.schema_version = 3, Difference::Schema, "schema version");
    check(&|run| run.run.prompt = "a pear".into(), Difference::Workload, "a pear");
    check(&|run| run.run.build.profile = "debug".into(), Difference::Build, "debug");
    // A hash that one side did not record is not held against it; two that differ are.
    let hashed = |hash: &str| {
        let mut run = one_cell("c", &factors(8, 0.01, 3));
        run.cells[0].weights = Some(ditbench_record::WeightsUse { sha256: hash.into(), ..Default::default() });
        run
    };
    assert_eq!(judge(&base, &hashed("abc")).allowed.len(), 0);
    let sides = [hashed("abc"), hashed("abd")];
    let error = compare(&Side::of_runs("a", [&sides[0]]), &Side::of_runs("b", [&sides[1]]), &Options::default());
    assert!(error.unwrap_err().to_string().contains("weights of nano 64×64 in f32: abc in c, abd in c"));
    // Empty, nothing in common, a cell twice.
    let says = |base: &Run, head: &Run| {
        compare(&Side::of_runs("a", [base]), &Side::of_runs("b", [head]), &Options::default()).unwrap_err().to_string()
    };
    let other = run("o", vec![cell(key("tract", "f32"), &factors(8, 0.01, 1))]);
    assert!(says(&base, &other).contains("no cell in common"));
    let mut twice = base.clone();
    twice.cells.push(base.cells[0].clone());
    assert!(says(&base, &twice).contains("two cells"));
    let empty = compare(&Side::default(), &Side::of_runs("b", [&base]), &Options::default()).unwrap_err();
    assert_eq!(empty, CompareError::Empty { side: "base" });
}

#[test]
fn a_machine_that_changed_proves_nothing() {
    let base = one_cell("a", &factors(12, 0.01, 1));
    let mut head = one_cell("b", &scaled(&factors(12, 0.01, 2), 1.10));
    for launch in &mut head.cells[0].launches {
        launch.calibration.before_s = Reading::Ok(0.22);
        launch.calibration.after_s = Reading::Ok(0.221);
    }
    let verdict = judge(&base, &head);
    assert_eq!(verdict.exit_code(), 3);
    let image = verdict.cells[0].metric(Metric::IMAGE).unwrap();
    assert!(image.why.contains("machine itself was 10 % slower"), "{}", image.why);
    // What is far more than the machine can explain stands.
    head.cells[0]
        .launches
        .iter_mut()
        .for_each(|launch| launch.samples.iter_mut().for_each(|image| image.total_s *= 1.5));
    assert_eq!(outcome(&judge(&base, &head), Metric::IMAGE), Outcome::Regressed);
    head.cells[0]
        .launches
        .iter_mut()
        .for_each(|launch| launch.samples.iter_mut().for_each(|image| image.total_s /= 1.5));
    // The other way round: a head that seems as fast on a faster machine is not known to be ok; memory is not affected.
    let back = judge(&head, &base);
    assert_eq!(
        (outcome(&back, Metric::IMAGE), outcome(&back, number("peak_rss_bytes"))),
        (Outcome::Inconclusive, Outcome::Ok)
    );
}

#[test]
fn a_drift_from_launch_to_launch_proves_nothing() {
    let drifting = |from: f64, to: f64, seed| {
        let noise = factors(12, 0.003, seed);
        let at = |i: usize| from + (to - from) * i as f64 / 11.0;
        one_cell("x", &noise.iter().enumerate().map(|(i, noise)| noise * at(i)).collect::<Vec<_>>())
    };
    let (early, late) = (drifting(1.0, 1.06, 1), drifting(1.06, 1.12, 2));
    let verdict = judge(&early, &late);
    let image = verdict.cells[0].metric(Metric::IMAGE).unwrap();
    assert_eq!((verdict.exit_code(), image.outcome), (3, Outcome::Inconclusive));
    assert!(image.why.contains("% longer: the machine drifted"), "{}", image.why);
    // A build that is half as fast on the same machine is slower all the same.
    let slower = drifting(1.06 * 2.0, 1.12 * 2.0, 3);
    assert_eq!(outcome(&judge(&early, &slower), Metric::IMAGE), Outcome::Regressed);
    // Head measured first, on a machine that then slowed down: what seems to be well is not known to be.
    let mut base = drifting(1.06, 1.12, 4);
    base.run.created = "2026-11-24T20:00:00Z".into();
    assert_eq!(outcome(&judge(&base, &drifting(1.0, 1.06, 5)), Metric::IMAGE), Outcome::Inconclusive);
}

#[test]
fn a_base_that_failed_now_and_then_is_compared_by_the_launches_that_did_not() {
    let mut base = one_cell("a", &factors(12, 0.01, 1));
    base.cells[0].launches[5].status = Status::Error;
    (base.cells[0].status, base.cells[0].reason) = (Status::Error, Some("it was killed".into()));
    let verdict = judge(&base, &one_cell("b", &scaled(&factors(12, 0.01, 2), 1.2)));
    assert_eq!((verdict.cells[0].state, verdict.outcome), (CellState::Compared, Outcome::Regressed));
    assert!(verdict.cells[0].notes[0].contains("some launches of base failed"), "{:?}", verdict.cells[0].notes);
}

#[test]
fn a_record_that_did_not_come_to_its_end_is_said() {
    let base = one_cell("a", &factors(8, 0.01, 1));
    let mut head = one_cell("b", &factors(8, 0.01, 2));
    assert!(judge(&base, &head).cautions.is_empty());
    head.run.finished = None;
    let cautions = judge(&base, &head).cautions;
    assert!(cautions[0].contains("head's run b is incomplete"), "{cautions:?}");
}

#[test]
fn pairs_take_out_what_both_have_in_common() {
    // Launches drift by a factor of 2 over the sequence; each pair drifts together.
    let drift: Vec<f64> = (0..14).map(|i| 1.0 + f64::from(i) / 13.0).collect();
    let noise = [factors(14, 0.003, 1), factors(14, 0.003, 2)];
    let with = |noise: &[f64], by: f64| drift.iter().zip(noise).map(|(d, n)| d * n * by).collect::<Vec<_>>();
    let base = one_cell("a", &with(&noise[0], 1.0));
    let head = one_cell("b", &with(&noise[1], 1.05));
    let paired = Options { design: Design::Paired, ..Options::default() };
    assert_eq!(outcome(&judge_with(&base, &head, &paired), Metric::IMAGE), Outcome::Regressed);
    assert_eq!(outcome(&judge(&base, &head), Metric::IMAGE), Outcome::Inconclusive);
    // A launch whose partner failed is left out, and said.
    let mut short = head.clone();
    short.cells[0].launches[3].status = Status::Error;
    let verdict = judge_with(&base, &short, &paired);
    assert_eq!(verdict.cells[0].metric(Metric::IMAGE).unwrap().head_samples, 13);
    assert!(verdict.cells[0].notes.iter().any(|note| note.starts_with("1 launches have no counterpart")));
}

#[test]
fn several_records_add_their_launches() {
    let base = [one_cell("a1", &factors(4, 0.01, 1)), one_cell("a2", &factors(4, 0.01, 2))];
    let head = [one_cell("b1", &scaled(&factors(4, 0.01, 3), 1.1)), one_cell("b2", &scaled(&factors(4, 0.01, 4), 1.1))];
    let verdict = compare(&Side::of_runs("a", &base), &Side::of_runs("b", &head), &Options::default()).unwrap();
    let image = verdict.cells[0].metric(Metric::IMAGE).unwrap();
    assert_eq!((image.base_samples, image.head_samples, image.outcome), (8, 8, Outcome::Regressed));
}

#[test]
fn the_first_image_is_judged_where_there_is_no_other() {
    let only_first = |by: f64, seed| {
        let mut run = one_cell("x", &scaled(&factors(8, 0.01, seed), by));
        run.cells[0].launches.iter_mut().for_each(|launch| launch.samples.truncate(1));
        run
    };
    let verdict = judge(&only_first(1.0, 1), &only_first(1.3, 2));
    assert!(verdict.cells[0].metric(Metric::IMAGE).is_none());
    assert_eq!((verdict.exit_code(), outcome(&verdict, Metric::FIRST_IMAGE)), (1, Outcome::Regressed));
    // No launch at all is not well.
    let none = judge(&one_cell("a", &[]), &one_cell("b", &[]));
    assert_eq!((none.exit_code(), outcome(&none, Metric::FIRST_IMAGE)), (3, Outcome::Inconclusive));
    let few = |seed| {
        let mut run = only_first(1.0, seed);
        run.cells[0].launches.truncate(2);
        run
    };
    assert_eq!(judge(&few(1), &few(2)).exit_code(), 3);
}

#[test]
fn noise_of_the_machine_raises_thresholds() {
    let (a, b) = (one_cell("a", &factors(12, 0.05, 1)), one_cell("b", &factors(12, 0.05, 2)));
    let (noise, verdict) =
        aa::of_aa(&[&a], &[&b], &Options { design: Design::Independent, ..Options::default() }, 100, 1).unwrap();
    assert_ne!(verdict.outcome, Outcome::Regressed);
    let series = noise.series.iter().find(|series| series.metric == Metric::IMAGE).unwrap();
    // The shift of 12 against 12 launches at 5 % has a standard error of 2.1 %, and its size a p90 of 1.645 of that.
    assert!((0.02..0.05).contains(&series.p90) && series.launches == 12, "{series:?}");
    assert!(noise.series.iter().all(|series| series.false_positives <= 0.05) && noise.false_alarms <= 0.05);
    assert_eq!(noise::Noise::parse(&noise.to_json()).unwrap(), noise);
    assert!(noise::Noise::parse("{}").unwrap_err().to_string().contains("ditbench aa"));
    let head = one_cell("h", &scaled(&factors(12, 0.005, 3), 1.05));
    let base = one_cell("g", &factors(12, 0.005, 4));
    let with = judge_with(&base, &head, &Options { noise: Some(noise.clone()), ..Options::default() });
    let image = with.cells[0].metric(Metric::IMAGE).unwrap();
    assert!((image.threshold - 3.0 * series.p90).abs() < 1e-12 && image.outcome == Outcome::Ok, "{image:?}");
    assert!(image.threshold_from == ThresholdFrom::Noise { of: "a + b".into() });
    assert_eq!(
        (image.gate_threshold, noise.threshold_for(&id(), Metric::IMAGE, 48).unwrap().0),
        (0.02, 1.5 * series.p90)
    );
    assert_eq!(outcome(&judge(&base, &head), Metric::IMAGE), Outcome::Regressed);
    // Seven launches earn nothing.
    let mut few = noise;
    few.series.iter_mut().for_each(|series| series.launches = 7);
    let verdict = judge_with(&base, &head, &Options { noise: Some(few), ..Options::default() });
    assert_eq!(outcome(&verdict, Metric::IMAGE), Outcome::Regressed);
}

#[test]
fn the_verdict_comes_back_from_json() {
    let base = one_cell("a", &factors(8, 0.01, 1));
    let verdict = judge(&base, &one_cell("b", &scaled(&factors(8, 0.01, 2), 1.1)));
    let text = ditbench_reports::verdict::faces::json(&verdict);
    assert_eq!(serde_json::from_str::<Verdict>(&text).unwrap(), verdict);
    assert!(text.contains("\"denoiser_step_1_s\"") && verdict.cell(&id()).is_some());
}
