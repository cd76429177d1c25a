//! The order of launches, what is measured further, when it ends: the plan by itself, with verdicts handed to it.

use std::time::Duration;

use ditbench_record::{Counted, Reading, Status};
use ditbench_reports::verdict::plan::{Build, Next, Plan, Settings, Step, Stop};
use ditbench_reports::verdict::{Options, Outcome, Side, Verdict, compare};

#[path = "common/launches.rs"]
mod launches;
use launches::{cell, factors, key, run};

const CELLS: [&str; 3] = ["ort", "candle", "tract"];

fn plan(settings: Settings) -> Plan {
    Plan::new(CELLS.map(|backend| key(backend, "f32").id()), settings, Options::default())
}

fn steps(next: Next) -> Vec<Step> {
    match next {
        Next::Launch(steps) => steps,
        other => panic!("{other:?}"),
    }
}

/// A verdict in which the three cells come out so.
fn verdict(plan: &Plan, outcomes: [Outcome; 3]) -> Verdict {
    let by = |outcome| match outcome {
        Outcome::Ok => (1.0, 0.001),
        Outcome::Regressed => (1.5, 0.001),
        Outcome::Inconclusive => (1.0, 0.3),
    };
    let side = |name: &str, head: bool| {
        let cells = CELLS.iter().zip(outcomes).zip(1..).map(|((backend, outcome), seed)| {
            let (change, noise) = by(outcome);
            let scale = if head { change } else { 1.0 };
            let times: Vec<f64> = factors(18, noise, seed + u64::from(head) * 100).iter().map(|f| f * scale).collect();
            cell(key(backend, "f32"), &times)
        });
        run(name, cells.collect())
    };
    let (base, head) = (side("base", false), side("head", true));
    let found = compare(&Side::of_runs("base", [&base]), &Side::of_runs("head", [&head]), &plan.options()).unwrap();
    let outcomes_found: Vec<_> = found.cells.iter().map(|cell| cell.outcome.unwrap()).collect();
    assert_eq!(outcomes_found, outcomes, "the scripted cells");
    found
}

#[test]
fn launches_are_balanced_and_neighbours_are_pairs() {
    let mut plan = plan(Settings { first: 4, ..Settings::default() });
    let steps = steps(plan.next(Duration::ZERO));
    assert_eq!(steps.len(), 3 * 4 * 2);
    let order: Vec<(char, u32)> =
        steps[..4].iter().map(|step| (if step.build == Build::Base { 'A' } else { 'B' }, step.pair)).collect();
    assert_eq!(order, [('A', 0), ('B', 0), ('B', 1), ('A', 1)]);
    // Cell by cell, then round again.
    assert!(steps[..4].iter().all(|step| step.cell == steps[0].cell && !step.confirming));
    assert_ne!(steps[4].cell, steps[0].cell);
    assert_eq!((&steps[12].cell, steps[12].pair), (&steps[0].cell, 2));
    for pair in 0..4 {
        let of = |build| steps.iter().filter(|s| s.build == build && s.pair == pair && s.cell == steps[0].cell).count();
        assert_eq!((of(Build::Base), of(Build::Head)), (1, 1));
    }
    assert_eq!(plan.next(Duration::ZERO), Next::Look);
}

#[test]
fn only_flagged_cells_get_a_confirming_block_and_only_open_ones_more() {
    let mut plan = plan(Settings::default());
    assert_eq!(steps(plan.next(Duration::ZERO)).len(), 3 * 10 * 2);
    assert_eq!(plan.next(Duration::ZERO), Next::Look);
    let first = plan.options().level.unwrap();
    plan.look(verdict(&plan, [Outcome::Ok, Outcome::Regressed, Outcome::Inconclusive]));
    let confirming = steps(plan.next(Duration::ZERO));
    assert!(confirming.len() == 12 && confirming.iter().all(|step| step.confirming && step.cell.contains("candle")));
    assert_eq!(confirming.iter().map(|step| step.pair).min(), Some(10));
    assert_eq!(plan.next(Duration::ZERO), Next::Look);
    assert_eq!(plan.options().confirming.iter().collect::<Vec<_>>(), [(&key("candle", "f32").id(), &10)]);
    assert_eq!(plan.options().level, Some(0.02), "confirming spends nothing");
    plan.look(verdict(&plan, [Outcome::Ok, Outcome::Regressed, Outcome::Inconclusive]));
    let more = steps(plan.next(Duration::ZERO));
    assert!(more.len() == 20 && more.iter().all(|step| step.cell.contains("tract") && !step.confirming));
    assert_eq!(plan.next(Duration::ZERO), Next::Look);
    assert!(plan.options().level.unwrap() > first);
    plan.look(verdict(&plan, [Outcome::Ok, Outcome::Regressed, Outcome::Ok]));
    assert_eq!(plan.next(Duration::ZERO), Next::Stop(Stop::Decided));
    let ended = plan.verdict().unwrap();
    assert_eq!(ended.outcome, Outcome::Regressed);
    assert!(ended.cautions.iter().any(|caution| caution.contains("every cell is decided")));
}

#[test]
fn what_the_confirming_block_does_not_show_is_no_regression() {
    let mut plan = plan(Settings::default());
    steps(plan.next(Duration::ZERO));
    plan.next(Duration::ZERO);
    plan.look(verdict(&plan, [Outcome::Ok, Outcome::Regressed, Outcome::Ok]));
    steps(plan.next(Duration::ZERO));
    plan.next(Duration::ZERO);
    // All launches together are clearly slower; those of the block, from the tenth on, are so in half of the pairs only.
    let block = [0.98, 0.98, 0.98, 1.031, 1.031, 1.031];
    let change = [1.5; 10].into_iter().chain(block);
    let head: Vec<f64> = factors(16, 0.0002, 1).iter().zip(change).map(|(factor, change)| factor * change).collect();
    let one = |name, times: &[f64]| {
        run(
            name,
            CELLS
                .iter()
                .map(|backend| cell(key(backend, "f32"), if *backend == "candle" { times } else { &[] }))
                .collect(),
        )
    };
    let (base, head) = (one("base", &factors(16, 0.0002, 2)), one("head", &head));
    let found = compare(&Side::of_runs("base", [&base]), &Side::of_runs("head", [&head]), &plan.options()).unwrap();
    let candle = found.cell(&key("candle", "f32").id()).unwrap();
    assert_eq!(candle.outcome, Some(Outcome::Inconclusive));
    assert!(candle.metrics[0].why.contains("did not confirm it"), "{}", candle.metrics[0].why);
    plan.look(found);
    assert_eq!(plan.next(Duration::ZERO), Next::Stop(Stop::Decided));
    assert_eq!(plan.verdict().unwrap().outcome, Outcome::Inconclusive);
}

#[test]
fn the_budget_ends_it_with_one_last_look_that_may_spend_the_rest() {
    let settings = Settings { budget: Some(Duration::from_secs(60)), ..Settings::default() };
    let mut plan = plan(settings);
    steps(plan.next(Duration::ZERO));
    assert_eq!(plan.next(Duration::from_secs(61)), Next::Look);
    let first = plan.options().level.unwrap();
    plan.look(verdict(&plan, [Outcome::Inconclusive; 3]));
    assert_eq!(plan.next(Duration::from_secs(61)), Next::Look);
    let last = plan.options().level.unwrap();
    assert!(last > first && first + last <= 0.05 + 1e-12, "{first} {last}");
    plan.look(verdict(&plan, [Outcome::Inconclusive; 3]));
    assert_eq!(plan.next(Duration::from_secs(62)), Next::Stop(Stop::Budget));
    assert_eq!(plan.verdict().unwrap().exit_code(), 3);
    // However little time there is, there is a first block, of which each cell's first turn is made.
    let settings = Settings { budget: Some(Duration::ZERO), ..Settings::default() };
    let mut none = Plan::new(["x".to_owned()], settings, Options::default());
    let block = steps(none.next(Duration::ZERO));
    assert_eq!(block.iter().filter(|step| none.leaves_out(step, Duration::ZERO)).count(), 4);
    assert_eq!(none.verdict(), None);
}

#[test]
fn a_spent_budget_ends_a_block_between_two_turns_and_never_before_the_first() {
    let settings = Settings { budget: Some(Duration::from_secs(60)), ..Settings::default() };
    let mut plan = plan(settings);
    let block = steps(plan.next(Duration::ZERO));
    let (early, late) = (Duration::from_secs(59), Duration::from_secs(60));
    assert!(block.iter().all(|step| !plan.leaves_out(step, early)));
    let left_out: Vec<usize> = (0..block.len()).filter(|place| plan.leaves_out(&block[*place], late)).collect();
    // Three cells of four launches: the first turn is made; each further one can be left out, at its beginning.
    assert_eq!(left_out[..3], [12, 16, 20]);
    assert!(left_out.iter().all(|place| place % 4 == 0) && left_out.len() == 3 * 4);
    // A confirming block is made all the same.
    plan.next(late);
    plan.look(verdict(&plan, [Outcome::Ok, Outcome::Regressed, Outcome::Ok]));
    let confirming = steps(plan.next(late));
    assert!(confirming.iter().all(|step| step.confirming && !plan.leaves_out(step, late)));
}

#[test]
fn what_fails_before_any_launch_is_not_measured() {
    let mut plan = plan(Settings::default());
    let side = |name: &str| run(name, CELLS.iter().map(|backend| cell(key(backend, "f32"), &[])).collect());
    let (base, mut head) = (side("base"), side("head"));
    head.cells[0].placement[0].entries[0].device = "elsewhere".into();
    head.cells[1].status = Status::Error;
    let options = plan.options();
    let found = compare(&Side::of_runs("base", [&base]), &Side::of_runs("head", [&head]), &options).unwrap();
    plan.checked(found);
    let steps = steps(plan.next(Duration::ZERO));
    assert!(steps.len() == 20 && steps.iter().all(|step| step.cell.contains("tract")));
    let verdict = plan.verdict().unwrap();
    assert_eq!((verdict.findings().count(), verdict.outcome), (2, Outcome::Regressed));
}

/// Counts decide a cell only where its time does not: as long as there are pairs to make, the time may still.
#[test]
fn counts_end_nothing_as_long_as_the_time_is_undecided() {
    let counted =
        |instructions| Some(Reading::Ok(Counted { by: "callgrind".into(), instructions, ..Counted::default() }));
    let of = |name: &str, seed, instructions| {
        let mut cell = cell(key("ort", "f32"), &factors(20, 0.1, seed));
        cell.counted = counted(instructions);
        run(name, vec![cell])
    };
    for (instructions, ended) in [(1_000_000, Outcome::Ok), (1_100_000, Outcome::Regressed)] {
        let mut plan = Plan::new([key("ort", "f32").id()], Settings::default(), Options::default());
        let (base, head) = (of("base", 1, 1_000_000), of("head", 2, instructions));
        let look = |plan: &Plan| {
            let found =
                compare(&Side::of_runs("base", [&base]), &Side::of_runs("head", [&head]), &plan.options()).unwrap();
            assert_eq!(found.outcome, ended, "the counts decide for now");
            found
        };
        assert_eq!(steps(plan.next(Duration::ZERO)).len(), 20);
        assert_eq!(plan.next(Duration::ZERO), Next::Look);
        plan.look(look(&plan));
        let more = steps(plan.next(Duration::ZERO));
        assert!(more.len() == 20 && more.iter().all(|step| !step.confirming), "{more:?}");
        assert_eq!(plan.next(Duration::ZERO), Next::Look);
        plan.look(look(&plan));
        assert_eq!(plan.next(Duration::ZERO), Next::Stop(Stop::Launches));
        assert_eq!(plan.verdict().unwrap().outcome, ended);
    }
}

#[test]
fn levels_of_all_looks_sum_to_what_may_be_spent() {
    let mut plan = plan(Settings::default());
    let mut spent = 0.0;
    loop {
        match plan.next(Duration::ZERO) {
            Next::Launch(_) => {}
            Next::Look => {
                spent += plan.options().level.unwrap();
                plan.look(verdict(&plan, [Outcome::Inconclusive; 3]));
            }
            Next::Stop(stop) => {
                assert_eq!(stop, Stop::Launches);
                break;
            }
        }
    }
    assert!((0.049..=0.05 + 1e-12).contains(&spent), "{spent}");
}
