//! Two hundred simulated comparisons of each kind: how often equal builds are flagged, how often a planted 5 % is found, and
//! that a drift of the machine is never taken for a change. What decides is the program's own plan with its early looks, its
//! stopping and its confirming blocks. Seeds are fixed; no clock is read and no process started.

use std::time::Duration;

use ditbench_record::{Launch, Reading};
use ditbench_reports::stats::random::Random;
use ditbench_reports::verdict::plan::{Build, Next, Plan, Settings, Stop};
use ditbench_reports::verdict::{Design, Difference, Metric, Options, Outcome, Side, Verdict, aa, compare};

#[path = "common/launches.rs"]
mod launches;
use launches::{cell, key, launch, one_cell, run};

const COMPARISONS: u64 = 200;

/// What a launch takes, as a factor: of the place in the sequence of all launches, 0 to 1, and of chance.
type World = fn(&mut Random, f64) -> f64;

fn quiet(random: &mut Random, _: f64) -> f64 {
    (0.02 * random.normal()).exp()
}

/// Layout decides at each start between two levels, 17 % apart.
fn bimodal(random: &mut Random, _: f64) -> f64 {
    (0.01 * random.normal()).exp() * if random.uniform() < 0.4 { 1.17 } else { 1.0 }
}

/// Student's t with two degrees of freedom: its variance is infinite. And every tenth launch meets foreign load.
fn heavy_tailed(random: &mut Random, _: f64) -> f64 {
    let t = random.normal() / (-random.uniform().max(1e-12).ln()).sqrt();
    let load = if random.uniform() < 0.1 { 0.5 * random.uniform() } else { 0.0 };
    (0.02 * t).clamp(-0.5, 2.0).exp() * (1.0 + load)
}

/// The machine heats up by 30 % over the sequence.
fn heating(random: &mut Random, at: f64) -> f64 {
    quiet(random, at) * (1.0 + 0.3 * at)
}

/// A neighbour comes in the middle and stays.
fn neighbour(random: &mut Random, at: f64) -> f64 {
    quiet(random, at) * if at > 0.47 { 1.4 } else { 1.0 }
}

/// Slow waves of load.
fn waves(random: &mut Random, at: f64) -> f64 {
    quiet(random, at) * (1.0 + 0.15 * (20.0 * at).sin())
}

/// Two modes, heavy tails and heat at once.
fn everything(random: &mut Random, at: f64) -> f64 {
    bimodal(random, at) * heavy_tailed(random, at) * (1.0 + 0.3 * at)
}

const WORLDS: [(&str, World); 7] = [
    ("quiet", quiet),
    ("bimodal", bimodal),
    ("heavy-tailed", heavy_tailed),
    ("heating", heating),
    ("neighbour", neighbour),
    ("waves", waves),
    ("everything", everything),
];

/// How the numbers of one launch differ from each other.
#[derive(Clone, Copy)]
enum Stages {
    /// All move together: one thing is tested, under many names.
    Together,
    /// Each stage, the first image, the sessions and the memory have noise of their own beside: many things are tested.
    Apart,
}

/// A launch in a world at its place in the sequence.
fn one(stages: Stages, world: World, random: &mut Random, at: f64, change: f64, index: u32) -> Launch {
    let mut made = launch(index, change * world(random, at));
    if let Stages::Together = stages {
        return made;
    }
    let mut own = |spread: f64| (spread * random.normal()).exp();
    let (text, steps, decoder, first) = (own(0.05), [own(0.02), own(0.02)], own(0.02), own(0.05));
    for image in &mut made.samples {
        for (stage, own) in image.stages.iter_mut().zip([&[text][..], &steps, &[decoder]]) {
            stage.seconds.iter_mut().zip(own).for_each(|(seconds, own)| *seconds *= own);
        }
        image.total_s = image.in_stages_s() + image.harness_s;
    }
    made.samples[0].total_s *= first;
    made.compile[0].load_s *= own(0.1);
    let memory = own(0.005);
    made.max_rss_bytes = made.max_rss_bytes.map(|bytes| (bytes as f64 * memory) as u64);
    made
}

struct Ended {
    verdict: Verdict,
    /// Launches of each build in the first cell.
    pairs: usize,
    stop: Stop,
}

/// A whole A/B comparison as the plan wants it, with launches that take what the world says.
fn ab(world: World, change: f64, seed: u64) -> Ended {
    ab_with(world, change, seed, Options::default())
}

fn ab_with(world: World, change: f64, seed: u64, options: Options) -> Ended {
    ab_of(Stages::Together, &["ort"], world, change, seed, options)
}

/// The same for a cell of each backend, one after the other as the plan says.
fn ab_of(stages: Stages, backends: &[&str], world: World, change: f64, seed: u64, options: Options) -> Ended {
    let mut random = Random::new(seed);
    let settings = Settings::default();
    let all = (backends.len() as u32 * 2 * (settings.most + settings.confirm)) as f64;
    let cells = || backends.iter().map(|backend| cell(key(backend, "f32"), &[])).collect();
    let (mut base, mut head) = (run("base", cells()), run("head", cells()));
    let mut plan = Plan::new(base.cells.iter().map(|cell| cell.key.id()), settings, options);
    let mut made = 0;
    loop {
        match plan.next(Duration::ZERO) {
            Next::Launch(steps) => {
                for step in steps {
                    let (side, change) = match step.build {
                        Build::Base => (&mut base, 1.0),
                        Build::Head => (&mut head, change),
                    };
                    let cell = side.cells.iter_mut().find(|cell| cell.key.id() == step.cell).unwrap();
                    let at = f64::from(made) / all;
                    cell.launches.push(one(stages, world, &mut random, at, change, step.pair));
                    made += 1;
                }
            }
            Next::Look => {
                let sides = (Side::of_runs("base", [&base]), Side::of_runs("head", [&head]));
                plan.look(compare(&sides.0, &sides.1, &plan.options()).unwrap());
            }
            Next::Stop(stop) => {
                let verdict = plan.verdict().unwrap();
                return Ended { verdict, pairs: base.cells[0].launches.len(), stop };
            }
        }
    }
}

/// Whether the calibration loop feels what the world does to the launches.
#[derive(Clone, Copy)]
enum Loop {
    Feels,
    /// It is about the core's clock, and the world is about memory.
    Deaf,
}

/// Records as `compare` gets them; their launches one record after the other, or interleaved.
fn records(world: World, change: f64, launches: u32, interleaved: bool, seed: u64) -> Verdict {
    records_with(world, change, launches, interleaved, Loop::Deaf, seed, &Options::default())
}

fn records_with(
    world: World,
    change: f64,
    launches: u32,
    interleaved: bool,
    calibration: Loop,
    seed: u64,
    options: &Options,
) -> Verdict {
    let mut random = Random::new(seed);
    let (mut base, mut head) = (one_cell("base", &[]), one_cell("head", &[]));
    let all = f64::from(2 * launches);
    let mut order: Vec<bool> = (0..2 * launches).map(|place| place >= launches).collect();
    if interleaved {
        order = (0..2 * launches).map(|place| matches!(place % 4, 1 | 2)).collect();
    }
    for (place, is_head) in (0u32..).zip(order) {
        let at = f64::from(place) / all;
        let factor = world(&mut random, at);
        let side = if is_head { &mut head } else { &mut base };
        let index = side.cells[0].launches.len() as u32;
        let mut made = launch(index, if is_head { factor * change } else { factor });
        if let Loop::Feels = calibration {
            let slower = world(&mut random, at);
            made.calibration.before_s = Reading::Ok(0.2 * slower);
            made.calibration.after_s = Reading::Ok(0.2 * slower);
        }
        side.cells[0].launches.push(made);
    }
    let sides = (Side::of_runs("base", [&base]), Side::of_runs("head", [&head]));
    compare(&sides.0, &sides.1, options).unwrap()
}

fn image(verdict: &Verdict) -> Outcome {
    verdict.cells[0].metric(Metric::IMAGE).unwrap().outcome
}

#[test]
fn equal_builds_are_flagged_in_one_of_a_hundred_at_most() {
    for (name, world) in WORLDS {
        // Any number of any stage counts as an alarm.
        let alarms = |verdict: &Verdict| usize::from(verdict.outcome == Outcome::Regressed);
        let ab: usize = (0..COMPARISONS).map(|seed| alarms(&ab(world, 1.0, 1000 + seed).verdict)).sum();
        let compared: usize = (0..COMPARISONS).map(|seed| alarms(&records(world, 1.0, 12, true, 3000 + seed))).sum();
        println!("{name}: {ab} alarms in ab, {compared} in compare, of {COMPARISONS}");
        assert!(ab <= 2 && compared <= 2, "{name}: {ab} and {compared} false alarms of {COMPARISONS}");
    }
}

/// Four cells of twelve noisy numbers each: many chances for a false alarm.
#[test]
fn equal_builds_with_many_numbers_are_not_flagged_more_often() {
    for (name, world) in WORLDS {
        let alarms = |seed| {
            let backends = ["ort", "candle", "tract", "other"];
            let ended = ab_of(Stages::Apart, &backends, world, 1.0, 21_000 + seed, Options::default());
            usize::from(ended.verdict.outcome == Outcome::Regressed)
        };
        let alarms: usize = (0..COMPARISONS).map(alarms).sum();
        println!("{name}, four cells: {alarms} alarms of {COMPARISONS}");
        assert!(alarms <= 2, "{name}: {alarms} false alarms of {COMPARISONS}");
    }
}

#[test]
fn five_per_cent_are_found_in_twenty_launches_at_two_per_cent_of_noise() {
    let mut pairs = Vec::new();
    let found = (0..COMPARISONS)
        .filter(|seed| {
            let ended = ab(quiet, 1.05, 5000 + seed);
            pairs.push(ended.pairs);
            image(&ended.verdict) == Outcome::Regressed
        })
        .count();
    let compared = (0..COMPARISONS)
        .filter(|seed| image(&records(quiet, 1.05, 20, false, 7000 + seed)) == Outcome::Regressed)
        .count();
    let mean = pairs.iter().sum::<usize>() as f64 / pairs.len() as f64;
    println!("found {found} in ab ({mean:.1} launches of each on average), {compared} in compare, of {COMPARISONS}");
    assert!(found >= 190 && compared >= 190, "{found} and {compared} of {COMPARISONS}");
    // Twenty of each build, and the confirming block.
    assert!(pairs.iter().all(|pairs| *pairs <= 26));
    // The same in a machine that heats up, because pairs are neighbours.
    let hot =
        (0..COMPARISONS).filter(|seed| image(&ab(heating, 1.05, 9000 + seed).verdict) == Outcome::Regressed).count();
    println!("found {hot} while the machine heats up by 30 %");
    assert!(hot >= 180, "{hot} of {COMPARISONS}");
}

/// Thresholds that the machine's noise earned must not hide what there is to find.
#[test]
fn five_per_cent_are_found_with_the_machines_noise_known_too() {
    let mut random = Random::new(17_000);
    let mut side = |id: &str| {
        let factors: Vec<f64> = (0..12).map(|_| quiet(&mut random, 0.0)).collect();
        one_cell(id, &factors)
    };
    let (a, b) = (side("a"), side("b"));
    let (noise, _) =
        aa::of_aa(&[&a], &[&b], &Options { design: Design::Paired, ..Options::default() }, 500, 1).unwrap();
    let image_noise = noise.series.iter().find(|series| series.metric == Metric::IMAGE).unwrap();
    assert!(image_noise.p90 > 0.007, "the noise must matter: {image_noise:?}");
    let options = Options { noise: Some(noise), ..Options::default() };
    let found = (0..COMPARISONS)
        .filter(|seed| image(&ab_with(quiet, 1.05, 19_000 + seed, options.clone()).verdict) == Outcome::Regressed)
        .count();
    println!("found {found} with the noise known");
    assert!(found >= 190, "{found} of {COMPARISONS}");
}

#[test]
fn drift_in_time_never_becomes_a_verdict() {
    for (name, world) in [("heating", heating as World), ("neighbour", neighbour), ("waves", waves)] {
        for seed in 0..COMPARISONS {
            let ended = ab(world, 1.0, 11_000 + seed);
            assert_ne!(ended.verdict.outcome, Outcome::Regressed, "{name}, seed {seed}");
            assert_eq!(ended.verdict.improvements().count(), 0, "{name}, seed {seed}");
        }
    }
}

/// Records that were made one after the other have no neighbours in time. A drift is seen in the order of their launches, and a
/// step between them by the calibration loop.
#[test]
fn drift_between_records_never_becomes_a_verdict() {
    let known = Options { allow: [Difference::Machine].into(), ..Options::default() };
    for (name, world, calibration) in [
        ("heating", heating as World, Loop::Deaf),
        ("heating", heating, Loop::Feels),
        ("neighbour", neighbour, Loop::Feels),
        ("waves", waves, Loop::Feels),
    ] {
        let mut fooled = 0;
        for seed in 0..COMPARISONS {
            let of = |options: &Options| records_with(world, 1.0, 20, false, calibration, 13_000 + seed, options);
            let verdict = of(&Options::default());
            assert_ne!(verdict.outcome, Outcome::Regressed, "{name}, seed {seed}");
            assert_eq!(verdict.improvements().count(), 0, "{name}, seed {seed}");
            fooled += usize::from(image(&of(&known)) == Outcome::Regressed);
        }
        println!("{name}: without looking at the machine {fooled} would have been flagged");
        assert!(fooled > 190 || name == "waves", "{name}: {fooled}: else the test shows nothing");
    }
}

/// Records of two days cannot be interleaved; there the calibration loop tells that it was the machine.
#[test]
fn a_slower_day_is_not_a_slower_build() {
    for seed in 0..COMPARISONS {
        let mut random = Random::new(15_000 + seed);
        let mut day = |slower: f64| {
            let mut run = one_cell("day", &[]);
            for index in 0..12 {
                let mut one = launch(index, slower * quiet(&mut random, 0.0));
                let mut read = || Reading::Ok(0.2 * slower * (0.005 * random.normal()).exp());
                (one.calibration.before_s, one.calibration.after_s) = (read(), read());
                run.cells[0].launches.push(one);
            }
            run
        };
        for slower in [1.04, 1.15] {
            let (base, head) = (day(1.0), day(slower));
            let sides = (Side::of_runs("a", [&base]), Side::of_runs("b", [&head]));
            let verdict = compare(&sides.0, &sides.1, &Options::default()).unwrap();
            assert_eq!(verdict.outcome, Outcome::Inconclusive, "{slower}, seed {seed}");
        }
    }
}

#[test]
fn it_stops_early_where_there_is_nothing_to_see() {
    let steady: World = |random, _| (0.002 * random.normal()).exp();
    let ended = ab(steady, 1.0, 1);
    assert_eq!((ended.verdict.outcome, ended.pairs, ended.stop), (Outcome::Ok, 10, Stop::Decided));
    // A glaring change takes one look and its confirming block.
    let ended = ab(quiet, 1.3, 1);
    assert_eq!((ended.verdict.outcome, ended.pairs, ended.stop), (Outcome::Regressed, 16, Stop::Decided));
    let confirmed = ended.verdict.cells[0].metric(Metric::IMAGE).unwrap().confirmed.unwrap();
    assert!(confirmed.agrees && confirmed.launches == 6 && ended.verdict.method.design == Design::Paired);
    // So much noise that nothing can be told.
    let wild: World = |random, _| (0.5 * random.normal()).exp();
    let ended = ab(wild, 1.0, 1);
    assert_eq!((ended.verdict.outcome, ended.pairs, ended.stop), (Outcome::Inconclusive, 20, Stop::Launches));
}
