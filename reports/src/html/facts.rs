//! What stands behind the figures: cautions, conditions, the machine, versions, and how to read the page.

use std::collections::BTreeMap;

use super::{Page, each_once};
use crate::caution::Weight;
use crate::metric::{Metric, Shown};
use crate::record::{Machine, PhoneFacts, Reading, Run};
use crate::table::Table;
use crate::text::{self, escape};

/// Every caution in full.
pub(super) fn cautions(page: &mut Page, runs: &[&Run], table: &Table) {
    page.raw("<h2 id=\"cautions\">Cautions</h2>\n");
    let mut any = false;
    for run in runs {
        for warning in &run.warnings {
            page.line(&format!(
                "<p><span class=\"chip warn\">run {}</span> {}</p>",
                escape(&run.run.id),
                escape(&warning.to_string())
            ));
            any = true;
        }
        if let Some(slowdown) = run.machine.calibration.slowdown() {
            page.line(&format!(
                "<p>A fixed piece of work took {} before the run and {} times as long after it: {}.</p>",
                run.machine.calibration.before_s.value().map(|s| text::seconds(*s)).unwrap_or_default(),
                text::significant(slowdown, 3),
                if slowdown > crate::record::held::SLOWER {
                    "the machine itself slowed down"
                } else {
                    "the machine kept its speed"
                }
            ));
        }
    }
    // The gravest first; each once, with the cells that it is about.
    let mut said: Vec<(Weight, String, Vec<String>)> = Vec::new();
    for row in &table.rows {
        for caution in &row.cautions {
            let (key, label, short) = (&row.key, row.label(), caution.short());
            let cell = format!("{}{} · {label}: {short}", key.name(), text::pixels(key.width, key.height));
            let words = caution.long();
            match said.iter_mut().find(|(weight, known, _)| *weight == caution.weight() && *known == words) {
                Some((.., cells)) => cells.push(cell),
                None => said.push((caution.weight(), words, vec![cell])),
            }
        }
    }
    said.sort_by_key(|(weight, ..)| std::cmp::Reverse(*weight));
    if !said.is_empty() {
        any = true;
        page.raw("<ul>\n");
        for (weight, words, cells) in &said {
            let class = match weight {
                Weight::Grave => "chip bad",
                Weight::Uncertain => "chip warn",
                Weight::Note => "chip",
            };
            let cells: Vec<String> =
                cells.iter().map(|cell| format!("<span class=\"{class}\">{}</span>", escape(cell))).collect();
            page.line(&format!("<li>{}<br>{}</li>", escape(words), cells.concat()));
        }
        page.raw("</ul>\n");
    }
    if !any {
        page.raw(
            "<p>None: there were enough launches, they were steady and alike, and they ran on the device that was \
                  asked for.</p>\n",
        );
    }
}

/// The machine, versions, hashes, plan: what it takes to judge and to repeat each run.
pub(super) fn conditions(page: &mut Page, runs: &[&Run]) {
    page.raw("<h2 id=\"conditions\">Conditions</h2>\n");
    for run in runs {
        page.line(&format!("<h3>Machine of run {}</h3>", escape(&run.run.id)));
        machine(page, &run.machine);
        sensors(page, run);
        page.raw("<details>\n<summary>Program, plan, versions, models, hashes</summary>\n<dl class=\"facts\">\n");
        let info = &run.run;
        fact(page, "Run", &format!("{} to {}", info.created, info.finished.as_deref().unwrap_or("not finished")));
        if info.resumed > 0 {
            fact(page, "Resumed", &format!("{} times", info.resumed));
        }
        fact(page, "ditbench", &info.tool_version);
        reading(page, "Source", &info.git, |git| {
            format!("{}{}", git.revision, if git.dirty { ", with uncommitted changes" } else { "" })
        });
        let build = &info.build;
        fact(
            page,
            "Build",
            &[&build.rustc, &build.target, &build.profile, &build.flags]
                .map(String::as_str)
                .into_iter()
                .filter(|s| !s.is_empty())
                .collect::<Vec<_>>()
                .join(", "),
        );
        for says in noise_levels(run) {
            fact(page, "Sampler", &says);
        }
        fact(
            page,
            "Seeds",
            &format!(
                "noise {}{}",
                info.seed,
                info.weights_seed.map(|seed| format!(", weights {seed}")).unwrap_or_default()
            ),
        );
        for inputs in &run.inputs {
            fact(
                page,
                &format!("Noise{}", text::pixels(inputs.width, inputs.height)),
                &format!("SHA-256 {}", inputs.noise_sha256),
            );
        }
        for model in &run.models {
            let name = format!("Model {}{}", model.name, text::pixels(model.width, model.height));
            let stages: Vec<String> = model
                .stages
                .iter()
                .map(|s| {
                    format!(
                        "{}: {} parameters, {} multiply-adds, graph {}",
                        s.name.replace('_', " "),
                        text::count(s.parameters as f64),
                        text::count(s.macs as f64),
                        short(&s.graph_sha256)
                    )
                })
                .collect();
            fact(page, &name, &stages.join("; "));
            for weights in &model.weights {
                fact(
                    page,
                    &format!("Weights {}", weights.scheme),
                    &format!("{}, {}, SHA-256 {}", weights.origin, text::bytes(weights.bytes), weights.sha256),
                );
            }
        }
        for line in versions(run) {
            fact(page, "Backend", &line);
        }
        for line in ways(run) {
            fact(page, "Way of running", &line);
        }
        page.raw("</dl>\n<p class=\"small\">Command line</p>\n");
        page.line(&format!("<pre>{}</pre>", escape(&info.command_line.join(" "))));
        let plan = serde_json::to_string_pretty(&info.plan).unwrap_or_default();
        page.line(&format!("<p class=\"small\">Plan</p>\n<pre>{}</pre>\n</details>", escape(&plan)));
    }
}

/// Each sampler of the cells with its noise levels.
fn noise_levels(run: &Run) -> Vec<String> {
    let known = run.cells.iter().filter(|cell| !run.sigmas(cell).is_empty());
    each_once(known.map(|cell| {
        let levels: Vec<String> = run.sigmas(cell).iter().map(f64::to_string).collect();
        let sampler = cell.key.sampler().map(|sampler| format!("{sampler}, ")).unwrap_or_default();
        format!("{sampler}noise levels {}", levels.join(", "))
    }))
}

fn machine(page: &mut Page, machine: &Machine) {
    page.raw("<dl class=\"facts\">\n");
    reading(page, "Processor", &machine.cpu_model, Clone::clone);
    fact(page, "Architecture", &machine.architecture);
    reading(page, "Cores", &machine.physical_cores, u32::to_string);
    reading(page, "Usable cores", &machine.usable_cores, u32::to_string);
    reading(page, "Threads of execution", &machine.logical_cores, u32::to_string);
    fact(page, "CPU features", &machine.cpu_features.join(", "));
    reading(page, "Memory", &machine.memory_bytes, |bytes| text::bytes(*bytes));
    reading(page, "Memory available", &machine.memory_available_bytes, |bytes| text::bytes(*bytes));
    reading(page, "Memory limit", &machine.memory_limit_bytes, |bytes| text::bytes(*bytes));
    reading(page, "Swap", &machine.swap_bytes, |bytes| text::bytes(*bytes));
    reading(page, "CPUs allowed", &machine.cpus_allowed, Clone::clone);
    reading(page, "CPU quota", &machine.cpu_quota, |cores| format!("{cores} cores"));
    reading(page, "Operating system", &machine.os, Clone::clone);
    reading(page, "Kernel", &machine.kernel, Clone::clone);
    reading(page, "Governor", &machine.governor, Clone::clone);
    reading(page, "Hypervisor", &machine.hypervisor, Clone::clone);
    if let Some(phone) = &machine.phone {
        phone_facts(page, phone);
    }
    for (name, value) in &machine.readings {
        reading(page, &name.replace('_', " "), value, f64::to_string);
    }
    for peak in &machine.peaks {
        let low = peak.samples.iter().copied().fold(f64::INFINITY, f64::min);
        let high = peak.samples.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let spread = if peak.samples.is_empty() {
            String::new()
        } else {
            format!(" ({} to {})", text::significant(low, 3), text::significant(high, 3))
        };
        let threads = if peak.threads == 1 { "1 thread".into() } else { format!("{} threads", peak.threads) };
        let doubt = crate::record::disturbed::doubtful_peak(machine, peak)
            .map(|why| format!("; doubtful: {why}"))
            .unwrap_or_default();
        let value = text::significant(peak.value, 3);
        fact(
            page,
            &format!("Measured peak, {}", peak.kind),
            &format!("{value} {}{spread}, {threads}: {}{doubt}", peak.unit, peak.method),
        );
    }
    page.raw("</dl>\n");
}

fn phone_facts(page: &mut Page, phone: &PhoneFacts) {
    reading(page, "Phone", &phone.model, Clone::clone);
    reading(page, "System on a chip", &phone.soc, Clone::clone);
    reading(page, "Android", &phone.android, Clone::clone);
    reading(page, "API level", &phone.sdk, u32::to_string);
    reading(page, "ABI", &phone.abi, Clone::clone);
    reading(page, "System build", &phone.fingerprint, Clone::clone);
    for cluster in &phone.clusters {
        let capacity = cluster.capacity.map(|n| format!(", capacity {n}")).unwrap_or_default();
        let mhz = cluster.max_mhz.map(|mhz| format!(", up to {} MHz", text::significant(mhz, 4))).unwrap_or_default();
        let core = cluster.core.as_ref().map(|core| format!(", {core}")).unwrap_or_default();
        fact(page, &format!("Cores, {}", cluster.name), &format!("CPU {}{core}{capacity}{mhz}", cluster.cpus));
    }
    reading(page, "Screen", &phone.screen, Clone::clone);
    reading(page, "Battery saver", &phone.battery_saver, |on| if *on { "on".into() } else { "off".into() });
    reading(page, "Workers' user", &phone.uid, |uid| match uid {
        0 => "root".into(),
        2000 => "shell".into(),
        other => other.to_string(),
    });
    reading(page, "Group of CPUs", &phone.cpuset, Clone::clone);
    if let Some(profile) = &phone.task_profile {
        fact(page, "Task profile", profile);
    }
    for threshold in phone.thresholds.iter().filter(|threshold| threshold.skin) {
        let steps = ["light", "moderate", "severe", "critical", "emergency", "shutdown"]
            .iter()
            .zip(threshold.celsius.iter().skip(1));
        let steps: Vec<String> =
            steps.filter_map(|(name, degrees)| Some(format!("{name} {} °C", (*degrees)?))).collect();
        fact(page, &format!("Thermal thresholds of {}", threshold.sensor), &steps.join(", "));
    }
    // Newer records have them in each cell's key.
    if let Some(cpus) = &phone.asked_cpus {
        fact(page, "Pinned to CPUs", cpus);
    }
    let heat = if phone.sustained {
        "part of the measurement; launches started cool"
    } else {
        "each launch waited until the phone was cool"
    };
    fact(page, "Heat", heat);
}

/// What sensors said while cells were measured: the range of each, or why it could not be read.
fn sensors(page: &mut Page, run: &Run) {
    let launches = run.cells.iter().flat_map(|cell| &cell.launches);
    let mut found: BTreeMap<&str, (Vec<f64>, &str)> = BTreeMap::new();
    for (name, reading) in launches.flat_map(|launch| &launch.telemetry).flat_map(|moment| &moment.readings) {
        let (values, why) = found.entry(name).or_default();
        values.extend(reading.value());
        *why = reading.why().unwrap_or(why);
    }
    if found.is_empty() {
        return;
    }
    page.raw("<p class=\"small\">During the measurements</p>\n<dl class=\"facts\">\n");
    if let Some(meter) = crate::energy::meter(run) {
        reading(page, "Unit of the battery's current", &meter, |meter| {
            format!("{} ({})", meter.evidence, meter.source)
        });
    }
    let loads: Vec<f64> = run
        .cells
        .iter()
        .flat_map(|cell| &cell.launches)
        .filter_map(|launch| Some(100.0 * launch.foreign.value()?.share()))
        .collect();
    if let Some(median) = crate::stats::median(&loads) {
        let most = loads.iter().copied().fold(0.0, f64::max);
        let said = format!("median {}, at most {}", text::significant(median, 2), text::significant(most, 2));
        fact(page, "Other programs, % of the CPUs", &said);
    }
    // Where a driver is missing, all that it would tell is.
    let mut silent: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, (values, why)) in found {
        if values.is_empty() {
            silent.entry(why).or_default().push(name.replace('_', " "));
            continue;
        }
        let (low, high) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
        let range = if low == high {
            text::significant(low, 4)
        } else {
            format!("{} to {}", text::significant(low, 4), text::significant(high, 4))
        };
        fact(page, &name.replace('_', " "), &range);
    }
    for (why, names) in silent {
        reading(page, &names.join(", "), &Reading::<String>::absent(why), Clone::clone);
    }
    page.raw("</dl>\n");
}

/// Backends and versions, each once.
fn versions(run: &Run) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for version in run.cells.iter().flat_map(|cell| &cell.versions) {
        let details =
            if version.details.is_empty() { String::new() } else { format!(" ({})", version.details.join(", ")) };
        let line = format!("{} {}{details}", version.name, version.version);
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// What each way of running does, in its backend's words.
fn ways(run: &Run) -> Vec<String> {
    let said = run.cells.iter().filter(|cell| !cell.variant_about.is_empty());
    each_once(said.map(|cell| format!("{} {}: {}", cell.key.backend, cell.key.variant, cell.variant_about)))
}

fn short(hash: &str) -> String {
    if hash.is_empty() { "not recorded".into() } else { hash.chars().take(12).collect() }
}

fn fact(page: &mut Page, name: &str, value: &str) {
    let value = if value.is_empty() { "<span class=\"unknown\">not recorded</span>".to_owned() } else { escape(value) };
    page.line(&format!("<dt>{}</dt><dd>{value}</dd>", escape(name)));
}

fn reading<T>(page: &mut Page, name: &str, value: &Reading<T>, words: impl Fn(&T) -> String) {
    match value {
        Reading::Ok(value) => fact(page, name, &words(value)),
        Reading::Denied { why } => {
            page.line(&format!("<dt>{}</dt><dd class=\"unknown\">not readable: {}</dd>", escape(name), escape(why)))
        }
        Reading::Absent { why } => {
            page.line(&format!("<dt>{}</dt><dd class=\"unknown\">not known: {}</dd>", escape(name), escape(why)))
        }
    }
}

/// Each term of the page in a sentence; numbers in the words of their list.
fn reading_terms() -> Vec<(&'static str, &'static str)> {
    let cell = (
        "Cell",
        "One model at one size on one backend, with one way of running, precision and number of threads. Each runs in \
         its own processes.",
    );
    let others = [
        (
            "Busy machine",
            "Other programs took more than 5 % of a launch's CPUs, or nearly half a CPU if it has a thread for each: \
             the time that the kernel counted as busy, minus what the launch used itself.",
        ),
        (
            "Interval",
            "With 6 or more launches: where the median lies with 95 % confidence, whatever the distribution. With 2 to \
             5 launches, which are too few for an interval: their range. With one launch: 95 % over its images, which \
             says nothing about variation between launches.",
        ),
        (
            "Computes in",
            "The arithmetic that is really used: weight only means low-bit weights and f32 arithmetic; int8 \
             activations means that activations are rounded to 8 bits before integer products.",
        ),
        (
            "Status",
            "ok; error: the backend failed; oom: out of memory; timeout; unsupported: the backend cannot do this here; \
             interrupted: the run was stopped or its budget had no room for the cell, and --resume continues it.",
        ),
        (
            "Other hardware",
            "Rows of the paper, for orientation: another machine, another runtime, another size. Ratios between its rows can be compared with ratios between ours; seconds cannot.",
        ),
    ];
    let numbers = Metric::shown(Shown::Main).chain(Metric::shown(Shown::More)).map(Metric::definition);
    [cell].into_iter().chain(numbers.map(|row| (row.heading, row.glossary))).chain(others).collect()
}

/// How to read the page.
pub(super) fn reading_section(page: &mut Page) {
    page.raw("<h2 id=\"reading\">How to read this</h2>\n<dl class=\"facts\">\n");
    for (term, meaning) in reading_terms() {
        fact(page, term, meaning);
    }
    page.raw("</dl>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Cell, Launch, Telemetry};

    #[test]
    fn sensors_that_are_silent_for_one_reason_are_one_line() {
        let readings = [
            ("gpu_c", Reading::absent("there is no driver")),
            ("gpu_mhz", Reading::absent("there is no driver")),
            ("cpu_mhz", Reading::Ok(2000.0)),
            ("steal_s", Reading::absent("no such file")),
        ];
        let readings = readings.map(|(name, reading)| (name.to_owned(), reading)).into();
        let telemetry = vec![Telemetry { moment: "before".into(), readings, ..Telemetry::default() }];
        let launches = vec![Launch { telemetry, ..Launch::default() }];
        let run = Run { cells: vec![Cell { launches, ..Cell::default() }], ..Run::default() };
        let mut page = Page { html: String::new() };
        sensors(&mut page, &run);
        assert!(page.html.contains("<dt>gpu c, gpu mhz</dt><dd class=\"unknown\">not known: there is no driver</dd>"));
        assert_eq!(page.html.matches("<dt>").count(), 3, "{}", page.html);
    }
}
