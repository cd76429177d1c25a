//! The verdict for a terminal: plain text, aligned, no colour.

use std::fmt::Write as _;

use super::{explained, headline, method, notable, q, sides, state, value};
use crate::text::one_line;
use crate::verdict::{Basis, CellVerdict, MetricVerdict, Verdict};

/// The verdict. With `all`, every number of every cell; else the strict ones and what changed.
pub fn of_verdict(verdict: &Verdict, all: bool) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}\n{}", headline(verdict), plain(&sides(verdict)));
    for allowed in &verdict.allowed {
        let _ = writeln!(text, "allowed difference: {}", plain(allowed));
    }
    for cell in &verdict.cells {
        let _ = writeln!(text, "\n{}: {}", cell.id, state(cell));
        for finding in &cell.findings {
            let _ = writeln!(text, "  {}: {}", finding.fault.name(), plain(&finding.says));
        }
        let shown = if all { cell.metrics.iter().collect() } else { notable(cell) };
        rows(&mut text, &shown);
        for note in cell.remarks() {
            let _ = writeln!(text, "  note: {}", plain(note));
        }
        hidden(&mut text, cell, shown.len());
    }
    for caution in &verdict.cautions {
        let _ = writeln!(text, "\ncaution: {}", plain(caution));
    }
    let _ = writeln!(text, "\n{}", method(verdict));
    text
}

fn hidden(text: &mut String, cell: &CellVerdict, shown: usize) {
    let hidden = cell.metrics.len() - shown;
    if hidden > 0 {
        let _ = writeln!(text, "  {hidden} more numbers are not shown");
    }
}

/// Text in one line, as a terminal breaks it.
fn plain(text: &str) -> String {
    one_line(text).replace('\u{a0}', " ")
}

fn rows(text: &mut String, metrics: &[&MetricVerdict]) {
    let cells: Vec<[String; 6]> = metrics.iter().map(|metric| row(metric)).collect();
    let widths: Vec<usize> =
        (0..5).map(|column| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    for row in &cells {
        let mut line = String::from(" ");
        for (column, words) in row.iter().enumerate() {
            let pad = widths.get(column).map_or(0, |width| width - words.chars().count());
            let _ = write!(line, " {words}{}", " ".repeat(pad + 1));
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

fn row(metric: &MetricVerdict) -> [String; 6] {
    let q = metric.q.map(|_| format!("q {}", q(metric)));
    let size = match metric.basis {
        Basis::Value => String::new(),
        Basis::Counted => "counted".to_owned(),
        Basis::Launches | Basis::Iterations => format!("n {}+{}", metric.base_samples, metric.head_samples),
    };
    [
        metric.metric.title(),
        metric.word().to_owned(),
        format!("{} → {}", value(metric, metric.base), value(metric, metric.head)),
        metric.show_change(),
        [q.unwrap_or_default(), size].join(" ").trim().to_owned(),
        explained(metric),
    ]
    .map(|words| plain(&words))
}
