//! One configuration for several machines.

use ditbench_record::{CellKey, Reading, Run};
use ditbench_reports::advice::{self, Advice, Bound, Choice, Outcome, Question, faces};
use ditbench_reports::metric::Metric;
use ditbench_reports::table::Absent;

#[path = "common/launches.rs"]
mod launches;
use launches::{cell, key, run};

fn best(choice: &Choice) -> &str {
    &choice.best.as_ref().expect("something to advise").label
}

fn latency(limit: f64) -> Question {
    Question { bounds: vec![Bound::at_most(Metric::IMAGE, limit)], ..Question::default() }
}

fn ask(runs: &[&Run], question: &Question) -> Advice {
    advice::of_runs(runs, &[], question)
}

fn machine(id: &str, name: &str, cells: &[(&str, u32, f64)]) -> Run {
    let cells =
        cells.iter().map(|&(backend, threads, factor)| cell(CellKey { threads, ..key(backend, "f32") }, &[factor; 6]));
    let mut run = run(id, cells.collect());
    run.machine.cpu_model = Reading::Ok(name.into());
    run.machine.logical_cores = Reading::Ok(8);
    run
}

#[test]
fn a_fleet_gets_the_best_worst_case_and_threads_are_each_machines_own() {
    // On each machine another one is the fastest; tract is never the best, and never bad.
    let laptop = machine("l", "Laptop", &[("ort", 4, 0.2), ("candle", 4, 2.0), ("tract", 4, 0.4)]);
    let phone = machine("p", "Phone", &[("ort", 2, 3.0), ("candle", 2, 0.5), ("tract", 2, 0.7), ("tract", 1, 1.0)]);
    let advice = ask(&[&laptop, &phone], &latency(10.0));
    let decision = &advice.decisions[0];
    let bests: Vec<&str> = decision.devices.iter().map(|device| best(&device.choice)).collect();
    assert!(bests[0].starts_with("ort") && bests[1].starts_with("candle"), "{bests:?}");
    let fleet = decision.fleet.as_ref().unwrap();
    let shipped = fleet.best.as_ref().unwrap();
    assert_eq!((fleet.outcome, shipped.label.as_str()), (Outcome::Met, "tract stock · f32"));
    assert_eq!((shipped.worst.machine.as_str(), shipped.worst.label.contains("2\u{a0}threads")), ("Phone", true));
    assert!(decision.fleet_says[0].contains("For all 2 machines, ship tract stock · f32"), "{:?}", decision.fleet_says);
    assert_eq!(advice, ask(&[&phone, &laptop], &latency(10.0)));
    // Where nothing does everywhere, each machine may still have something of its own.
    let tight = ask(&[&laptop, &phone], &latency(1.1));
    let fleet = tight.decisions[0].fleet.as_ref().unwrap();
    assert_eq!((tight.outcome, fleet.outcome), (Outcome::Met, Outcome::NotMet));
    assert!(tight.decisions[0].fleet_says[0].contains("comes nearest; on"), "{:?}", tight.decisions[0].fleet_says);
    // A machine that gave no record leaves the answer open.
    let absent = Absent { machine: "adb:LOST".into(), reason: "it went away".into() };
    let open = advice::of_runs(&[&laptop, &phone], &[absent], &latency(10.0));
    assert_eq!((open.outcome, open.decisions[0].fleet.as_ref().unwrap().outcome), (Outcome::NotSure, Outcome::NotSure));
    assert!(faces::text::of_advice(&open).contains("adb:LOST gave no record"));
}

#[test]
fn what_was_not_measured_somewhere_is_open_there_and_what_failed_is_not() {
    let laptop = machine("l", "Laptop", &[("ort", 4, 0.2), ("candle", 4, 2.0)]);
    // The other machine has none of ort at all; or it was spoiled there; or it misses the bound.
    let without = machine("p", "Phone", &[("candle", 2, 20.0)]);
    let mut spoiled = machine("p", "Phone", &[("ort", 2, 0.5), ("candle", 2, 20.0)]);
    let none =
        ditbench_record::Cell::failed(spoiled.cells[0].key.clone(), ditbench_record::Status::Interrupted, "left out");
    spoiled.cells[0] = none;
    for phone in [&without, &spoiled] {
        let advice = ask(&[&laptop, phone], &latency(10.0));
        let fleet = advice.decisions[0].fleet.as_ref().unwrap();
        let shipped = fleet.best.as_ref().unwrap();
        assert_eq!((fleet.outcome, shipped.label.as_str()), (Outcome::NotSure, "ort stock · f32"));
        assert_eq!((shipped.lacks.len(), &shipped.unmeasured[..]), (0, &["Phone".to_owned()][..]));
        assert!(
            advice.decisions[0].fleet_says[1].contains("no sound measurement on Phone"),
            "{:?}",
            advice.decisions[0]
        );
    }
    let slow = machine("p", "Phone", &[("ort", 2, 30.0), ("candle", 2, 20.0)]);
    let advice = ask(&[&laptop, &slow], &latency(10.0));
    let fleet = advice.decisions[0].fleet.as_ref().unwrap();
    assert_eq!((fleet.outcome, fleet.best.as_ref().unwrap().lacks.len()), (Outcome::NotMet, 1));
}
