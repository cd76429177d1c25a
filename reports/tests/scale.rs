//! What costs grow as, from made-up records: planted laws are found, and what must not be in a curve is not.

use ditbench_record::{
    Cell, CellKey, Device, ForeignLoad, Launch, ModelEntry, ProfileRow, Quality, Reading, Run, Status, Version,
};
use ditbench_reports::scale::law::{Check, Reach};
use ditbench_reports::scale::{Axis, Scale, Series, axis, can_follow, faces, of_runs};

#[path = "common/launches.rs"]
mod launches;
#[path = "common/sizes.rs"]
mod sizes;
use launches::{key, run};
use sizes::{SIDES, at, grown, law, sized};

fn analysed(runs: &[&Run]) -> Scale {
    of_runs(runs, &[axis::read("512").unwrap()])
}

fn only(scale: &Scale) -> &Series {
    let [series] = scale.series.as_slice() else { panic!("{:?}", scale.series) };
    series
}

#[test]
fn a_planted_law_is_found_checked_and_used_to_predict() {
    let scale = analysed(&[&grown("a", 1.25, 1)]);
    let series = only(&scale);
    assert_eq!((series.axis, series.workload.as_str()), (Axis::Size, "nano, 2 steps, 16 text tokens"));
    let names: Vec<&str> = series.curves.iter().map(|curve| curve.of.as_str()).collect();
    assert_eq!(names, ["image", "text encoder", "denoiser, a pass", "decoder"]);
    for curve in &series.curves {
        let law = curve.law.value().unwrap();
        assert!((law.exponent - 1.25).abs() < 0.02 && law.interval.unwrap().half_width() < 0.05, "{law:?}");
        assert_eq!((curve.points.len(), curve.held_out.len(), law.points), (5, 5, 5));
        let [predicted] = curve.predicted.as_slice() else { panic!("{:?}", curve.predicted) };
        assert_eq!(predicted.reach, Reach::Above(4.0));
    }
    let image = &series.curves[0];
    let truth = 2.0 * self::law(512, 1.25);
    assert!((image.predicted[0].predicted / truth - 1.0).abs() < 0.05, "{:?} of {truth}", image.predicted);
    assert!((image.points[2].seconds / (2.0 * self::law(128, 1.25)) - 1.0).abs() < 0.02);
    // Counts grow as they were planted: linear, dense attention, and both together in between and bent.
    let work = |kind: &str| series.work.iter().find(|work| work.work == kind).unwrap();
    assert!((work("dense attention").growth.exponent - 2.0).abs() < 1e-3);
    assert!((work("linear").growth.exponent - 1.0).abs() < 1e-3);
    assert!((work("linear").share_first - 0.5).abs() < 1e-6 && work("linear").share_last < 0.07);
    let both = series.curves[2].operations.unwrap();
    assert!(both.first > 1.5 && both.first < both.last && both.last < 2.0, "{both:?}");
    let said = faces::text::of_scale(&scale);
    for words in [
        "PREDICTED, not measured: 512×512, image",
        "4.0 times the largest",
        "Held out, 256×256",
        "dense attention 2.00",
    ] {
        assert!(said.contains(words), "no \"{words}\" in {said}");
    }
    let markdown = faces::markdown::of_scale(&scale);
    assert!(markdown.contains("| image |") && markdown.contains("PREDICTED"), "{markdown}");
    let json: serde_json::Value = serde_json::from_str(&faces::json(&scale)).unwrap();
    assert_eq!(json["series"][0]["curves"][0]["predicted"][0]["measured"], false);
    assert_eq!(json["series"][0]["curves"][0]["points"][4]["at"], "256×256");
}

#[test]
fn exponents_lie_in_their_intervals_as_often_as_these_say() {
    let held = |seed: &u64| {
        let scale = analysed(&[&grown("a", 1.1, *seed)]);
        only(&scale).curves[0].law.value().unwrap().interval.unwrap().holds(1.1)
    };
    let kept = (1..=100).filter(held).count();
    // 95 expected, with a standard deviation of 2.2.
    assert!((88..=100).contains(&kept), "{kept}");
}

#[test]
fn a_bend_is_noticed_and_said_beside_every_prediction() {
    let mut bent = grown("a", 1.1, 1);
    // A cache is outgrown.
    bent.cells[4] = at(sized("ort", 256), 1.6 * law(256, 1.1), 6, 9);
    let scale = analysed(&[&bent]);
    let image = &only(&scale).curves[0];
    assert_eq!(image.check, Check::Missed);
    assert!((image.held_out[4].off() - 0.6).abs() < 0.05, "{:?}", image.held_out[4]);
    let said = faces::text::of_scale(&scale);
    assert!(said.contains("OUTSIDE") && said.contains("does not hold to the end for: image"), "{said}");
    assert!(said.contains("do not rely on it: the same law missed 256×256: measured 6"), "{said}");
}

#[test]
fn one_point_is_no_series_and_two_have_no_interval() {
    let whole = grown("a", 1.0, 1);
    let of = |count: usize| Run { cells: whole.cells[..count].to_vec(), ..whole.clone() };
    let one = analysed(&[&of(1)]);
    assert!(one.is_empty() && one.notes[0].contains("512×512 is not predicted"), "{:?}", one.notes);
    let two = analysed(&[&of(2)]);
    let image = &only(&two).curves[0];
    let law = image.law.value().unwrap();
    assert!(law.interval.is_none() && image.held_out.is_empty() && image.predicted[0].interval.is_none());
    let said = faces::text::of_scale(&two);
    assert!(
        said.contains("(2 points)") && said.contains("without an interval") && said.contains("unchecked"),
        "{said}"
    );
    assert_eq!(only(&analysed(&[&of(3)])).curves[0].check, Check::Unknown);
}

#[test]
fn machines_are_never_in_one_curve_and_runs_of_one_machine_are_if_they_may_be_compared() {
    let whole = grown("a", 1.0, 1);
    let (mut small, mut large) = (whole.clone(), grown("b", 1.0, 2));
    small.cells.truncate(2);
    large.cells.drain(..2);
    let together = analysed(&[&small, &large]);
    assert_eq!(only(&together).curves[0].points.len(), 5);
    assert_eq!(analysed(&[&large, &small]), together, "their order does not matter");
    let mut other = large.clone();
    other.machine.cpu_model = Reading::Ok("Another processor".into());
    let apart = analysed(&[&small, &other]);
    let points: Vec<usize> = apart.series.iter().map(|series| series.curves[0].points.len()).collect();
    assert_eq!((points.iter().sum::<usize>(), points.len()), (5, 2), "{:?}", apart.series);
    assert_ne!(apart.series[0].machine, apart.series[1].machine);
    let mut governed = large;
    governed.machine.governor = Reading::Ok("powersave".into());
    small.machine.governor = Reading::Ok("performance".into());
    let apart = analysed(&[&small, &governed]);
    assert_eq!(apart.series.len(), 2);
    assert!(
        apart.notes.iter().any(|note| note.contains("curves of its own") && note.contains("powersave")),
        "{:?}",
        apart.notes
    );
    // Another program, and the same one with another library beneath it.
    let changed = |change: fn(&mut Run)| {
        let version = Version { name: "onnxruntime".into(), version: "1.22.0".into(), details: Vec::new() };
        let mut parts = [whole.clone(), grown("b", 1.0, 2)];
        parts.iter_mut().flat_map(|run| &mut run.cells).for_each(|cell| cell.versions = vec![version.clone()]);
        parts[0].cells.truncate(2);
        parts[1].cells.drain(..2);
        change(&mut parts[1]);
        let scale = analysed(&[&parts[0], &parts[1]]);
        (scale.series.len(), scale.notes.join("; "))
    };
    assert_eq!(changed(|_| {}), (1, String::new()));
    let (series, notes) = changed(|run| run.run.tool_version = "0.2.0".into());
    assert!(series == 2 && notes.contains("program: 0.2.0 in b, 0.1.0 in a"), "{series}: {notes}");
    let (series, notes) = changed(|run| run.cells[0].versions[0].version = "1.23.0".into());
    assert!(series == 2 && notes.contains("onnxruntime: 1.22.0, 1.23.0 in b, 1.22.0 in a"), "{series}: {notes}");
    // The same cell in two runs of a machine: their launches count together.
    let twice = analysed(&[&whole, &grown("c", 1.0, 3)]);
    assert_eq!(only(&twice).curves[0].points[0].launches, 12);
}

#[test]
fn what_was_spoiled_withheld_or_failed_is_not_in_a_curve() {
    let mut run = grown("a", 1.0, 1);
    let truth = analysed(&[&run]);
    let busy = ForeignLoad { cpus: 2, wall_s: 10.0, busy_s: 15.0, own_s: 8.0, ..ForeignLoad::default() };
    // One launch of the largest, three times as slow because of others.
    let mut slow = launches::launch(6, 3.0 * law(256, 1.0));
    slow.foreign = Reading::Ok(busy.clone());
    run.cells[4].launches.push(slow);
    assert_eq!(analysed(&[&run]).series, truth.series, "a spoiled launch counts");
    for launch in &mut run.cells[3].launches {
        launch.foreign = Reading::Ok(busy.clone());
    }
    run.cells[2] = Cell::failed(run.cells[2].key.clone(), Status::Oom, "it was killed for want of memory");
    run.cells[1].device = Some(Device { nature: "simulator".into(), ..Device::default() });
    let scale = analysed(&[&run]);
    let places: Vec<&str> = only(&scale).curves[0].points.iter().map(|point| point.at.says.as_str()).collect();
    assert_eq!(places, ["64×64", "256×256"]);
    let why: Vec<&str> = scale.left_out.iter().map(|left| left.why.as_str()).collect();
    assert_eq!(why.len(), 3, "{why:?}");
    assert!(why[0].contains("a simulator of the device") && why[1].contains("oom: it was killed"), "{why:?}");
    assert!(why[2].contains("spoiled in 6 launches") && why[2].contains("other programs"), "{why:?}");
    let said = faces::text::of_scale(&scale);
    assert!(said.contains("Left out:") && said.contains("nano, 128×128"), "{said}");
    // First images only: no steady time.
    for launch in &mut run.cells[4].launches {
        launch.samples.truncate(1);
    }
    let scale = analysed(&[&run]);
    assert!(scale.series.is_empty() && scale.left_out[3].why.contains("only first images"), "{:?}", scale.left_out);
}

#[test]
fn threads_have_speed_up_efficiency_and_a_serial_share() {
    let of = |threads: u32| {
        let key = CellKey { threads, ..key("ort", "f32") };
        at(key, 0.25 + 0.75 / f64::from(threads), 8, u64::from(threads))
    };
    let mut run = run("a", [1, 2, 4].map(of).to_vec());
    run.machine.logical_cores = Reading::Ok(4);
    run.machine.usable_cores = Reading::Ok(4);
    let scale = analysed(&[&run]);
    let series = only(&scale);
    let threads = series.threads.as_ref().unwrap();
    assert!((threads.serial.value().unwrap().share - 0.25).abs() < 0.02, "{:?}", threads.serial);
    let four = &threads.steps[2];
    assert!((four.speedup.value - 1.0 / 0.4375).abs() < 0.05 && four.speedup.interval.is_some(), "{four:?}");
    assert!((four.efficiency - 0.571).abs() < 0.02 && series.curves[0].held_out.is_empty());
    let said = faces::text::of_scale(&scale);
    assert!(
        said.contains("times as fast as 1 thread") && said.contains("Amdahl") && !said.contains("exponent"),
        "{said}"
    );
}

#[test]
fn curves_of_pinned_cells_and_of_company_say_so_and_count_the_cores_that_they_have() {
    let of = |threads: u32, cpus: &str, company: u32| {
        let key = CellKey { threads, cpus: cpus.into(), company, ..key("ort", "f32") };
        // Beyond two cores of their own, pinned threads only take turns.
        let cores = if cpus.is_empty() { 4 } else { 2 };
        at(key, 0.2 + 0.8 / f64::from(threads.min(cores)), 8, u64::from(threads))
    };
    let counts = [1, 2, 4];
    let cells = counts.map(|n| of(n, "4-5", 0)).into_iter().chain(counts.map(|n| of(n, "", 1)));
    let mut run = run("a", cells.collect());
    run.machine.usable_cores = Reading::Ok(4);
    let scale = analysed(&[&run]);
    let [company, pinned] = scale.series.as_slice() else { panic!("{:?}", scale.series) };
    assert!(company.workload.ends_with("in company of 1") && !company.label.contains("CPUs"), "{company:?}");
    assert!(pinned.label.contains("on CPUs") && !pinned.workload.contains("company"), "{}", pinned.label);
    for (series, points) in [(company, 3), (pinned, 2)] {
        let serial = *series.threads.as_ref().unwrap().serial.value().unwrap();
        assert!((serial.share - 0.2).abs() < 0.03 && serial.points == points, "{}: {serial:?}", series.label);
    }
}

#[test]
fn profiled_cells_have_exponents_of_blocks_and_operations() {
    let mut run = grown("a", 1.2, 1);
    for (cell, side) in run.cells.iter_mut().zip(SIDES) {
        let row = |scope: &str, op: &str, exponent: f64| ProfileRow {
            stage: "denoiser".into(),
            scope: Some(scope.into()),
            op: op.into(),
            seconds: 0.01 * law(side, exponent),
            flops: Some((1e6 * law(side, exponent)) as u64),
            ..ProfileRow::default()
        };
        let added = ProfileRow { scope: None, ..row("", "Cast", 1.0) };
        cell.profile = Reading::Ok(vec![
            row("middle.0", "Attention", 2.0),
            row("middle.1", "Attention", 2.0),
            row("up.0", "Attention", 1.5),
            row("up.0", "Linear", 1.0),
            added,
        ]);
    }
    let scale = analysed(&[&run]);
    let found: Vec<(&str, String)> = only(&scale)
        .profiled
        .iter()
        .map(|curve| (curve.of.as_str(), format!("{:.2}", curve.law.value().unwrap().exponent)))
        .collect();
    let wanted = [
        ("denoiser: Attention in middle", "2.00"),
        ("denoiser: Attention in up", "1.50"),
        ("denoiser: Linear in up", "1.00"),
    ];
    assert_eq!(found, wanted.map(|(of, exponent)| (of, exponent.to_owned())));
}

#[test]
fn ladders_and_families_stand_beside_the_papers_ratios() {
    let rung = |name: &str, factor: f64, seed: u64| {
        let mut key = key("ort", "f32");
        key.model = "snapgen-imagenet".into();
        at(if name == "final" { key } else { key.with("ladder", name) }, factor, 8, seed)
    };
    let cells = vec![rung("mqa", 0.5, 1), rung("thin", 2.0, 2), rung("no-high-sa", 1.6, 3), rung("sep2", 0.8, 4)];
    let mut one = run("a", cells);
    for model in ["tiny", "small"] {
        let mut key = key("ort", "f32");
        key.model = model.into();
        one.cells.push(at(key, if model == "tiny" { 0.7 } else { 1.0 }, 8, 5));
    }
    let scale = of_runs(&[&one], &[]);
    assert_eq!(scale.ladders.len(), 2, "{:?}", scale.ladders);
    let ladder = &scale.ladders[0];
    assert_eq!(
        ladder.rungs.iter().map(|rung| rung.rung.as_str()).collect::<Vec<_>>(),
        ["thin", "no-high-sa", "sep2", "mqa"]
    );
    let sep2 = &ladder.rungs[2];
    assert_eq!(sep2.against.as_deref(), Some("no-high-sa"), "the paper's own step");
    let time = sep2.time.unwrap();
    assert!((time.value - 0.5).abs() < 0.02 && time.interval.unwrap().holds(0.5), "{time:?}");
    assert!((sep2.to_first.unwrap().value - 0.4).abs() < 0.02);
    assert!((sep2.paper[0].time.unwrap() - 1.0 / 2.4).abs() < 1e-9 && sep2.paper[0].operations == Some(0.73));
    let mqa = &ladder.rungs[3];
    assert_eq!(
        (mqa.against.as_deref(), mqa.paper[0].time),
        (Some("sep2"), None),
        "ffn3 is missing, and has no time in the paper"
    );
    assert!((mqa.paper[0].operations.unwrap() - 0.88 * 0.94).abs() < 1e-9, "steps one after the other");
    let sizes = &scale.ladders[1];
    assert_eq!(sizes.title, "SnapGen++'s sizes");
    let small = &sizes.rungs[1];
    assert!((small.paper[0].time.unwrap() - 0.36 / 0.28).abs() < 1e-9 && small.paper[0].hardware.contains("iPhone"));
    let said = faces::text::of_scale(&scale);
    assert!(
        said.contains("SnapGen's ladder: snapgen-imagenet") && said.contains("paper: time on iPhone 15 Pro"),
        "{said}"
    );
    assert!(said.contains("iPhone 16 Pro Max, 1024×1024") && small.paper[0].size == 1024, "{said}");
    // A model of the user's own may be called small, and is not the paper's.
    let mut own = one.clone();
    let files = |name: &str| ModelEntry {
        name: name.into(),
        height: 64,
        width: 64,
        text_tokens: Some(16),
        config: serde_json::json!({ "files": [] }),
        ..ModelEntry::default()
    };
    own.models = ["tiny", "small"].map(files).to_vec();
    assert_eq!(of_runs(&[&own], &[]).ladders.len(), 1);
    // A rung that failed is told of where the others stand.
    one.cells[1] = Cell::failed(one.cells[1].key.clone(), Status::Oom, "it was killed");
    let scale = of_runs(&[&one], &[]);
    assert!(scale.ladders[0].rungs.len() == 3 && scale.left_out.len() == 1, "{:?}", scale.left_out);
    // One rung is no ladder.
    one.cells.truncate(1);
    assert!(of_runs(&[&one], &[]).is_empty());
}

#[test]
fn what_can_be_followed_is_known_before_it_is_measured() {
    let key = key("ort", "f32");
    let can = |others: &[CellKey]| can_follow([&key].into_iter().chain(others).map(|key| (key, false)));
    let model = |name: &str| CellKey { model: name.into(), ..key.clone() };
    for one in [
        CellKey { width: 128, ..key.clone() },
        CellKey { threads: 4, ..key.clone() },
        CellKey { steps: 4, ..key.clone() },
        key.clone().with("text_tokens", 77),
        key.clone().with("rung", "assa"),
    ] {
        assert!(can(std::slice::from_ref(&one)), "{one}");
    }
    for one in [
        key.clone(),
        model("tiny"),
        CellKey { precision: "q4".into(), ..key.clone() },
        CellKey { width: 128, threads: 4, ..key.clone() },
        CellKey { company: 1, ..key.clone() },
        key.clone().with("class", 3),
    ] {
        assert!(!can(std::slice::from_ref(&one)), "{one}");
    }
    let family = [model("tiny"), model("small")];
    assert!(can(&family));
    assert!(!can_follow(family.iter().map(|key| (key, true))), "names of the user's own say nothing");
}

#[test]
fn a_cell_of_which_a_launch_failed_is_no_point() {
    let mut run = grown("a", 1.0, 1);
    let reason = Some("it was killed".to_owned());
    run.cells[4].launches.push(Launch { status: Status::Oom, reason, ..Launch::default() });
    let scale = analysed(&[&run]);
    assert_eq!(only(&scale).curves[0].points.len(), 4);
    let [left] = scale.left_out.as_slice() else { panic!("{:?}", scale.left_out) };
    assert!(left.cell.contains("256×256") && left.why == "oom: 1 of 7 launches failed: it was killed", "{left:?}");
}

#[test]
fn every_place_that_is_to_be_predicted_is_answered() {
    let wanted = ["128", "256x64", "32", "100", "512"].map(|text| axis::read(text).unwrap());
    let scale = of_runs(&[&grown("a", 1.25, 1)], &wanted);
    let found: Vec<(&str, Reach)> = only(&scale).curves[0].predicted.iter().map(|p| (&*p.at.says, p.reach)).collect();
    // As many pixels as 128×128 is another place.
    let all = [
        ("256×64", Reach::Within),
        ("32×32", Reach::Below(4.0)),
        ("100×100", Reach::Within),
        ("512×512", Reach::Above(4.0)),
    ];
    assert_eq!(found, all);
    let said = faces::text::of_scale(&scale);
    for words in [
        "128×128 is not predicted, because it was measured",
        "the smallest measured is 4.0 times as large",
        "within what was measured",
    ] {
        assert!(said.contains(words), "no \"{words}\" in {said}");
    }
}

#[test]
fn a_check_whose_interval_holds_nearly_everything_is_called_none() {
    // Three sizes off their law by a third, and the largest twice as slow as it says.
    let times = [(64, 1.0), (96, 3.0), (128, 3.5), (256, 32.0)];
    let cells = times.map(|(side, factor)| at(sized("ort", side), factor, 6, u64::from(side)));
    let scale = analysed(&[&run("a", cells.to_vec())]);
    let image = &only(&scale).curves[0];
    let held = &image.held_out[3];
    assert!(held.interval.unwrap().holds(held.measured) && image.check == Check::Vague, "{held:?}");
    let said = faces::text::of_scale(&scale);
    assert!(said.contains("too wide to check it") && said.contains("too wide to tell"), "{said}");
    assert!(said.contains("held out in turn: 12 intervals are too wide to check; the farthest is"), "{said}");
    assert!(!said.contains("rightly") && !said.contains("predicted 256×256 within"), "{said}");
}

#[test]
fn a_wrong_result_is_no_point_and_a_disputed_one_is_told() {
    let off = |reference: String| {
        let mut run = grown("a", 1.0, 1);
        let Reading::Ok(quality) = &mut run.cells[4].quality else { panic!("it has a quality") };
        quality.reference = reference;
        quality.latents.last_mut().unwrap().relative_l2 = 1.0;
        analysed(&[&run])
    };
    let wrong = off(format!("{}io.npz", Quality::EXPECTED));
    assert_eq!(only(&wrong).curves[0].points.len(), 4);
    assert!(wrong.left_out[0].why.starts_with("the result is wrong: "), "{:?}", wrong.left_out);
    let disputed = off("another".to_owned());
    assert_eq!(only(&disputed).curves[0].points.len(), 5);
    assert!(only(&disputed).notes.iter().any(|note| note.contains("or the reference's is wrong")));
}
