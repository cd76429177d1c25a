//! The advice for a terminal: plain text, aligned, no colour.

use std::fmt::Write as _;

use super::{about, asked, columns, excluded, head, notes, row, word};
use crate::advice::{Advice, Device};
use crate::text::{list, one_line};

/// The advice: the conclusions first, then what they are made from.
pub fn of_advice(advice: &Advice) -> String {
    let mut out = String::new();
    line(&mut out, "", &format!("{}: {}.", word(advice.outcome), asked(&advice.question)));
    for decision in &advice.decisions {
        line(&mut out, "\n", &about(decision));
        for says in &decision.fleet_says {
            line(&mut out, "  ", says);
        }
        for device in &decision.devices {
            of_device(&mut out, advice, device);
        }
    }
    if advice.decisions.is_empty() {
        line(&mut out, "\n", "The runs have no cell: there is nothing to choose from.");
    }
    out
}

fn of_device(out: &mut String, advice: &Advice, device: &Device) {
    line(out, "\n  ", &format!("{}, {}: {}", device.machine, device.device, word(device.choice.outcome)));
    for says in &device.says {
        line(out, "  ", says);
    }
    if !device.choice.weighed.is_empty() {
        out.push('\n');
        let numbers = columns(&advice.question, &device.choice);
        let bounded = !advice.question.bounds.is_empty();
        let rows: Vec<Vec<String>> = [head(&numbers, bounded)]
            .into_iter()
            .chain(device.choice.weighed.iter().map(|one| row(one, &numbers, bounded)))
            .map(|row| row.iter().map(|words| plain(words)).collect())
            .collect();
        table(out, &rows);
    }
    let excluded = excluded(&device.choice);
    if !excluded.is_empty() {
        line(out, "\n  ", "Never advised:");
    }
    for (why, labels) in excluded {
        line(out, "    ", &format!("{}: {why}", list(&labels)));
    }
    for (place, (of, note)) in notes(&device.choice, &device.notes).enumerate() {
        let of = of.map(|of| format!("{of}: ")).unwrap_or_default();
        line(out, if place == 0 { "\n  note: " } else { "  note: " }, &format!("{of}{note}"));
    }
}

fn line(out: &mut String, before: &str, words: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{before}{}", plain(words));
}

/// Text in one line, as a terminal breaks it.
pub(crate) fn plain(text: &str) -> String {
    one_line(text).replace('\u{a0}', " ")
}

/// The first column to the left, the others to the right.
pub(crate) fn table(out: &mut String, rows: &[Vec<String>]) {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> =
        (0..columns).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    for row in rows {
        let mut words = String::from("   ");
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
            let _ = if column == 0 { write!(words, " {cell}{pad}") } else { write!(words, "  {pad}{cell}") };
        }
        let _ = writeln!(out, "{}", words.trim_end());
    }
}
