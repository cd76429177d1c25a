//! The advice as Markdown, for an issue or a pull request.
//!
//! Contract: nothing in a record can break a row, start markup or speak to a terminal.

use std::fmt::Write as _;

use super::{about, asked, columns, excluded, head, notes, row, word};
use crate::advice::{Advice, Device};
use crate::text::{list, markdown as plain};

/// The advice: the conclusions first, then what they are made from, folded away.
pub fn of_advice(advice: &Advice) -> String {
    let mut out = String::new();
    line(
        &mut out,
        &format!(
            "### ditbench advises: {}\n\n{}.",
            word(advice.outcome).to_lowercase(),
            plain(&asked(&advice.question))
        ),
    );
    for decision in &advice.decisions {
        line(&mut out, &format!("\n#### {}\n", plain(&about(decision))));
        for says in &decision.fleet_says {
            line(&mut out, &format!("- {}", plain(says)));
        }
        for device in &decision.devices {
            of_device(&mut out, advice, device);
        }
    }
    out
}

fn of_device(out: &mut String, advice: &Advice, device: &Device) {
    let outcome = word(device.choice.outcome).to_lowercase();
    line(out, &format!("\n**{}, {}: {outcome}**\n", plain(&device.machine), plain(&device.device)));
    for says in &device.says {
        line(out, &format!("- {}", plain(says)));
    }
    for (of, note) in notes(&device.choice, &device.notes) {
        let of = of.map(|of| format!("{of}: ")).unwrap_or_default();
        line(out, &format!("- *{}*", plain(&format!("{of}{note}"))));
    }
    if !device.choice.weighed.is_empty() {
        line(out, "\n<details><summary>All that were weighed</summary>\n");
        let numbers = columns(&advice.question, &device.choice);
        let bounded = !advice.question.bounds.is_empty();
        let head = head(&numbers, bounded);
        cells(out, &head);
        line(out, &format!("|{}", "---|".repeat(head.len())));
        for one in &device.choice.weighed {
            cells(out, &row(one, &numbers, bounded));
        }
        line(out, "\n</details>");
    }
    let excluded = excluded(&device.choice);
    if !excluded.is_empty() {
        line(out, "\nNever advised:\n");
    }
    for (why, labels) in excluded {
        line(out, &format!("- {}: {}", plain(&list(&labels)), plain(&why)));
    }
}

fn cells(out: &mut String, row: &[String]) {
    line(out, &format!("| {} |", row.iter().map(|words| plain(words)).collect::<Vec<_>>().join(" | ")));
}

fn line(out: &mut String, words: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{words}");
}
