//! The analysis as Markdown, for an issue or a pull request.
//!
//! Contract: nothing in a record can break a row, start markup or speak to a terminal.

use std::fmt::Write as _;

use super::{Rows, about, profiled, rungs, sentences, times, title};
use crate::scale::Scale;
use crate::text::markdown as plain;

/// Curves, ladders, and what is not in them.
pub fn of_scale(scale: &Scale) -> String {
    let mut out = String::from("### ditbench scale\n");
    for series in &scale.series {
        line(&mut out, &format!("\n#### {}\n\n{}.\n", plain(&title(series)), plain(&series.machine)));
        rows(&mut out, times(series));
        if let Some(parts) = profiled(series) {
            line(&mut out, "\nUnder the runtime's profiler, which slows it down:\n");
            rows(&mut out, parts);
        }
        out.push('\n');
        for says in sentences(series) {
            line(&mut out, &format!("- {}", plain(&says)));
        }
    }
    for ladder in &scale.ladders {
        line(
            &mut out,
            &format!(
                "\n#### {}: {}\n\n{}. {}\n",
                plain(&ladder.title),
                plain(&ladder.setting),
                plain(&ladder.machine),
                plain(&about(ladder))
            ),
        );
        rows(&mut out, rungs(ladder));
    }
    if !scale.left_out.is_empty() {
        line(&mut out, "\nLeft out:\n");
    }
    for left in &scale.left_out {
        line(&mut out, &format!("- {}: {}", plain(&left.cell), plain(&left.why)));
    }
    for (place, note) in scale.notes.iter().enumerate() {
        line(&mut out, &format!("{}- *{}*", if place == 0 { "\n" } else { "" }, plain(note)));
    }
    out
}

fn rows(out: &mut String, rows: Rows) {
    for (place, row) in rows.iter().enumerate() {
        line(out, &format!("| {} |", row.iter().map(|cell| plain(cell)).collect::<Vec<_>>().join(" | ")));
        if place == 0 {
            line(out, &format!("|---|{}", "---:|".repeat(row.len().saturating_sub(1))));
        }
    }
}

fn line(out: &mut String, words: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{words}");
}
