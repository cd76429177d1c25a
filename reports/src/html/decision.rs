//! The conclusion of the page: what to ship, in sentences; then the map that it is read from.

use super::{Page, figure};
use crate::advice::{Advice, Decision, Device, Outcome, faces};
use crate::plots::{PlotError, map, parallel};
use crate::text::{escape, list};

/// Whether there is something to say of a device: without bounds, only where something can be shipped.
fn is_told(advice: &Advice, device: &Device) -> bool {
    !advice.question.bounds.is_empty() || device.choice.outcome == Outcome::Met
}

/// The decisions that the page shows.
pub(super) fn told(advice: &Advice) -> Vec<&Decision> {
    let any = |decision: &&Decision| decision.devices.iter().any(|device| is_told(advice, device));
    advice.decisions.iter().filter(any).collect()
}

/// The conclusions, all before any plot.
pub(super) fn conclusions(page: &mut Page, advice: &Advice) {
    let told = told(advice);
    if told.is_empty() {
        return;
    }
    page.raw("<section id=\"advice\" aria-label=\"What to ship\">\n<h2>What to ship</h2>\n");
    if !advice.question.bounds.is_empty() {
        page.line(&format!(
            "<p class=\"lead\">{}: <b>{}</b>.</p>",
            escape(&faces::asked(&advice.question)),
            faces::word(advice.outcome).to_lowercase()
        ));
    }
    for decision in told {
        if !decision.workload.is_empty() {
            page.line(&format!("<h3>{}</h3>", escape(&decision.workload)));
        }
        sentences(page, &decision.fleet_says);
        let several = decision.devices.len() > 1;
        for device in decision.devices.iter().filter(|device| is_told(advice, device)) {
            if several {
                page.line(&format!("<p><b>{}, {}</b></p>", escape(&device.machine), escape(&device.device)));
            }
            sentences(page, &device.says);
        }
    }
    page.raw("</section>\n");
}

fn sentences(page: &mut Page, says: &[String]) {
    if says.is_empty() {
        return;
    }
    page.raw("<ul class=\"headline\">\n");
    for says in says {
        page.line(&format!("<li>{}</li>", escape(says)));
    }
    page.raw("</ul>\n");
}

/// The maps, and what was left out of them.
///
/// # Errors
/// A plot cannot be drawn: a fault of this program.
pub(super) fn maps(page: &mut Page, advice: &Advice) -> Result<(), PlotError> {
    let told = told(advice);
    if told.is_empty() {
        return Ok(());
    }
    page.raw("<h2 id=\"map\">The map</h2>\n");
    // What is the same for several is told once.
    let (mut captioned, mut noted): (Vec<&str>, _) = (Vec::new(), Vec::new());
    for decision in told {
        for device in decision.devices.iter().filter(|device| is_told(advice, device)) {
            let mut maps = map::of_choice(&advice.question, &device.choice)?;
            maps.extend(parallel::of_choice(&advice.question, &device.choice)?);
            if maps.is_empty() && device.choice.excluded.is_empty() {
                continue;
            }
            let of = [&decision.workload, &device.machine, &device.device].map(|words| escape(words));
            let of: Vec<String> = of.into_iter().filter(|words| !words.is_empty()).collect();
            page.line(&format!("<h3>{}</h3>", of.join(" · ")));
            if !maps.is_empty() {
                page.raw("<div class=\"figures\">\n");
                for plot in maps {
                    let known = captioned.contains(&plot.id);
                    figure(page, &plot, if known { "Read as above." } else { &plot.caption });
                    captioned.push(plot.id);
                }
                page.raw("</div>\n");
            }
            beside(page, device, &mut noted);
        }
    }
    Ok(())
}

/// Notes, and what is never advised.
fn beside(page: &mut Page, device: &Device, noted: &mut Vec<String>) {
    for (of, note) in faces::notes(&device.choice, &device.notes) {
        let of = of.map(|of| format!("{of}: ")).unwrap_or_default();
        let note = format!("{of}{note}");
        if !noted.contains(&note) {
            page.line(&format!("<p class=\"small\">{}</p>", escape(&note)));
            noted.push(note);
        }
    }
    let excluded = faces::excluded(&device.choice);
    if excluded.is_empty() {
        return;
    }
    page.line(&format!("<details><summary>Never advised ({})</summary>\n<ul>", device.choice.excluded.len()));
    for (why, labels) in excluded {
        page.line(&format!("<li><b>{}</b>: {}</li>", escape(&list(&labels)), escape(&why)));
    }
    page.raw("</ul></details>\n");
}
