//! The analysis for a terminal: plain text, aligned, no colour.

use std::fmt::Write as _;

use super::{Rows, about, profiled, rungs, sentences, times, title};
use crate::advice::faces::text::{plain, table};
use crate::scale::Scale;

/// Curves, ladders, and what is not in them.
pub fn of_scale(scale: &Scale) -> String {
    let mut out = String::new();
    let mut machine = "";
    for series in &scale.series {
        whose(&mut out, &mut machine, &series.machine);
        line(&mut out, "\n", &title(series));
        rows(&mut out, times(series));
        if let Some(parts) = profiled(series) {
            line(&mut out, "  ", "Under the runtime's profiler, which slows it down:");
            rows(&mut out, parts);
        }
        for says in sentences(series) {
            line(&mut out, "  ", &says);
        }
    }
    for ladder in &scale.ladders {
        whose(&mut out, &mut machine, &ladder.machine);
        line(&mut out, "\n", &format!("{}: {}", ladder.title, ladder.setting));
        rows(&mut out, rungs(ladder));
        line(&mut out, "  ", &about(ladder));
    }
    if !scale.left_out.is_empty() {
        line(&mut out, "\n", "Left out:");
    }
    for left in &scale.left_out {
        line(&mut out, "  ", &format!("{}: {}", left.cell, left.why));
    }
    for (place, note) in scale.notes.iter().enumerate() {
        line(&mut out, if place == 0 { "\nnote: " } else { "note: " }, note);
    }
    out
}

/// The machine, where it is another than before.
fn whose<'a>(out: &mut String, last: &mut &'a str, machine: &'a str) {
    if *last != machine {
        line(out, if last.is_empty() { "" } else { "\n" }, &format!("On {machine}:"));
        *last = machine;
    }
}

fn rows(out: &mut String, rows: Rows) {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| plain(cell)).collect()).collect();
    table(out, &rows);
}

fn line(out: &mut String, before: &str, words: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{before}{}", plain(words));
}
