//! The verdict as JUnit XML, which every CI system shows.
//!
//! Contract: a suite for each cell, a case for each number, and one case for what fails whatever the speed. Regressed is a
//! failure; an undecided number, and what could not be checked, are skipped with their reasons: they neither passed nor failed.
//! Valid by Jenkins's schema, and XML whatever a record holds.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{explained, value};
use crate::text::inert;
use crate::verdict::{CellVerdict, MetricVerdict, Outcome, Verdict};

/// Why there is no XML.
#[derive(Debug, thiserror::Error)]
#[error("the JUnit report cannot be written: {0}")]
pub struct JunitError(#[from] quick_junit::SerializeError);

/// The report.
///
/// # Errors
/// The XML writer fails: a fault of this program.
pub fn of_verdict(verdict: &Verdict) -> Result<String, JunitError> {
    let mut report = Report::new("ditbench");
    report.add_test_suites(verdict.cells.iter().map(suite));
    Ok(without_skipped_in_all(&report.to_string()?))
}

/// Jenkins's schema (junit-10.xsd of its xUnit plugin, which validates) knows a count of skipped cases for each suite, and none
/// for all suites together; the writer has one in its first element.
fn without_skipped_in_all(xml: &str) -> String {
    let all = || {
        let element = xml.find("<testsuites ")?;
        let end = element + xml[element..].find('>')?;
        let from = element + xml[element..end].find(" skipped=\"")?;
        let to = from + " skipped=\"".len() + xml[from + " skipped=\"".len()..end].find('"')? + 1;
        Some([&xml[..from], &xml[to..]].concat())
    };
    all().unwrap_or_else(|| xml.to_owned())
}

fn suite(cell: &CellVerdict) -> TestSuite {
    let mut suite = TestSuite::new(&cell.id);
    // Of a criterion benchmark nothing is known but its times.
    let name = if cell.key.is_some() { "works, in place and right" } else { "was run" };
    let mut whole = TestCase::new(name, TestCaseStatus::success());
    if let Some(first) = cell.findings.first() {
        let says: Vec<String> =
            cell.findings.iter().map(|finding| format!("{}: {}", finding.fault.name(), finding.says)).collect();
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_type(first.fault.name()).set_message(inert(&says.join("; ")).as_ref());
        whole.status = status;
    } else if cell.outcome.is_none() {
        let mut status = TestCaseStatus::skipped();
        status.set_message(super::state(cell));
        whole.status = status;
    } else if !cell.unchecked.is_empty() {
        let mut status = TestCaseStatus::skipped();
        status.set_type("not checked").set_message(cell.unchecked.join("; "));
        whole.status = status;
    }
    whole.set_classname(&cell.id);
    suite.add_test_case(whole);
    suite.add_test_cases(cell.metrics.iter().map(|metric| case(cell, metric)));
    suite
}

fn case(cell: &CellVerdict, metric: &MetricVerdict) -> TestCase {
    let (base, head) = (value(metric, metric.base), value(metric, metric.head));
    let says = format!("{base} → {head}, {}; {}", metric.show_change(), explained(metric));
    let says = inert(&says);
    let status = if metric.fails() {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_type("regressed").set_message(says.as_ref());
        status
    } else if metric.outcome == Outcome::Inconclusive {
        let mut status = TestCaseStatus::skipped();
        status.set_type("inconclusive").set_message(says.as_ref());
        status
    } else {
        TestCaseStatus::success()
    };
    let mut case = TestCase::new(metric.metric.name(), status);
    case.set_classname(&cell.id);
    case
}
