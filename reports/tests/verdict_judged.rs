//! Pictures that were judged, in the gate: retrieval@1 is one of its numbers.

use ditbench_record::Run;
use ditbench_reports::sample_judged;
use ditbench_reports::verdict::{Metric, Options, Outcome, Side, Verdict, compare};

fn judge(base: &Run, head: &Run) -> Verdict {
    compare(&Side::of_runs("base", [base]), &Side::of_runs("head", [head]), &Options::default()).unwrap()
}

fn retrieval(run: &mut Run) -> &mut f64 {
    &mut run.cells[0].judged.as_mut().unwrap().retrieval_at_1.value
}

#[test]
fn pictures_that_are_found_again_less_often_are_a_regression() {
    let base = sample_judged::run();
    let outcome = |by: f64| {
        let mut head = base.clone();
        *retrieval(&mut head) -= by;
        let verdict = judge(&base, &head);
        verdict.cells[0].metric(Metric::RETRIEVAL).unwrap().outcome
    };
    assert_eq!(outcome(0.0), Outcome::Ok);
    assert_eq!(outcome(0.015), Outcome::Ok, "less than the threshold");
    assert_eq!(outcome(0.05), Outcome::Regressed);
    assert_eq!(outcome(-0.05), Outcome::Ok, "more is better");
}
