//! May two records be compared at all? The same machine, the same work, the same schema, under the same conditions
//! ([`Condition`]).
//!
//! Contract: what is recorded on both sides and differs is a difference, with both values: an option can allow it by name, but
//! for what lies beneath the program (kernel, hypervisor), which is named and forbids nothing. What only one side records is
//! named too, since it may differ.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::history::series::{describe, fingerprint};
use crate::record::conditions::Of;
use crate::record::{Cell, Condition, Inputs, Run};
use crate::text;

/// A kind of difference that forbids comparing, unless it is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// Another version of the record's schema.
    Schema,
    /// Another machine: processor, cores, memory, operating system.
    Machine,
    /// Other work: graph, weights, noise, tokens, steps, sampler.
    Workload,
    /// Another kind of build: profile, target, compiler, its flags.
    Build,
    /// The machine was treated otherwise: CPUs, governor, limits, heat, sensors.
    Conditions,
}

impl Difference {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Schema, Self::Machine, Self::Workload, Self::Build, Self::Conditions];

    /// Its name on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::Machine => "machine",
            Self::Workload => "workload",
            Self::Build => "build",
            Self::Conditions => "conditions",
        }
    }

    /// What a condition that differs is; `None` for what is only named.
    fn of(condition: Condition) -> Option<Self> {
        match condition.of() {
            Of::Treatment => Some(Self::Conditions),
            Of::Build => Some(Self::Build),
            Of::Platform => None,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Difference {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|difference| difference.name() == name)
            .ok_or_else(|| format!("\"{name}\" is not one of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// What differs between two records and forbids comparing them, each in a sentence, each once.
pub fn differences(one: &Run, other: &Run) -> Vec<(Difference, String)> {
    let mut found: Vec<(Difference, String)> = Vec::new();
    let mut note = |kind, what: &str, a: &str, b: &str| {
        if a != b && !a.is_empty() && !b.is_empty() {
            let says = format!("{what}: {a} in {}, {b} in {}", one.run.id, other.run.id);
            if !found.iter().any(|(_, known)| *known == says) {
                found.push((kind, says));
            }
        }
    };
    note(Difference::Schema, "schema version", &one.schema_version.to_string(), &other.schema_version.to_string());
    if fingerprint(&one.machine) != fingerprint(&other.machine) {
        let (a, b) = (describe(&one.machine), describe(&other.machine));
        // Two machines can differ in what their descriptions round off.
        let same = a == b;
        let suffix = |run: &Run| if same { format!(" [{}]", fingerprint(&run.machine)) } else { String::new() };
        note(Difference::Machine, "machine", &format!("{a}{}", suffix(one)), &format!("{b}{}", suffix(other)));
    }
    let flags = |run: &Run| Condition::Flags.value(run, None);
    for (condition, a, b) in both(one, other) {
        // What the flags say already.
        let follows = condition == Condition::Features && flags(one) != flags(other);
        if let (Some(kind), Some(a), Some(b), false) = (Difference::of(condition), a, b, follows) {
            note(kind, condition.name(), &a, &b);
        }
    }
    let (a, b) = (&one.run, &other.run);
    note(Difference::Workload, "prompt", &a.prompt, &b.prompt);
    note(Difference::Workload, "seed", &a.seed.to_string(), &b.seed.to_string());
    for cell in &one.cells {
        let Some(twin) = other.cell(&cell.key) else { continue };
        of_cell((one, cell), (other, twin), &mut note);
    }
    found
}

/// What differs between two records and forbids nothing, and what only one of them records, in sentences.
pub fn named(one: &Run, other: &Run) -> Vec<String> {
    let mut found = Vec::new();
    let (mut one_lacks, mut other_lacks) = (Vec::new(), Vec::new());
    for (condition, a, b) in both(one, other) {
        match (a, b) {
            (Some(a), Some(b)) if a != b && Difference::of(condition).is_none() => {
                found.push(format!("{}: {a} in {}, {b} in {}", condition.name(), one.run.id, other.run.id));
            }
            (None, Some(_)) => one_lacks.push(condition.name()),
            (Some(_), None) => other_lacks.push(condition.name()),
            _ => {}
        }
    }
    for (run, lacks) in [(one, one_lacks), (other, other_lacks)] {
        // One of several cells may not say what others do.
        let mut lacks = lacks;
        lacks.dedup();
        if !lacks.is_empty() {
            found.push(format!(
                "{} does not record these conditions, so it is not known whether they were the same: {}",
                run.run.id,
                lacks.join(", ")
            ));
        }
    }
    found
}

/// Each condition with its values on both sides: those that cells have, cell by cell where both records have the cell.
fn both(one: &Run, other: &Run) -> Vec<(Condition, Option<String>, Option<String>)> {
    let twins: Vec<(&Cell, &Cell)> = one.cells.iter().filter_map(|cell| Some((cell, other.cell(&cell.key)?))).collect();
    let mut found = Vec::new();
    for condition in Condition::ALL {
        if condition != Condition::Cpus || twins.is_empty() {
            found.push((condition, condition.value(one, None), condition.value(other, None)));
            continue;
        }
        for (cell, twin) in &twins {
            let values = (condition, condition.value(one, Some(cell)), condition.value(other, Some(twin)));
            if !found.contains(&values) {
                found.push(values);
            }
        }
    }
    found
}

/// Other versions of what computed the cells of one key, in a sentence: what a new build brings along is part of what is
/// compared, and a library that was replaced beneath it is not.
pub(super) fn other_versions(base: &[(usize, &Cell)], head: &[(usize, &Cell)]) -> Option<String> {
    let of = |cells: &[(usize, &Cell)]| {
        let mut found: Vec<String> = cells
            .iter()
            .flat_map(|(_, cell)| &cell.versions)
            .map(|version| format!("{} {}", version.name, version.version))
            .collect();
        found.sort_unstable();
        found.dedup();
        found.join(", ")
    };
    let (a, b) = (of(base), of(head));
    (a != b && !a.is_empty() && !b.is_empty()).then(|| format!("base ran on {a}, head on {b}"))
}

fn of_cell(
    (one, cell): (&Run, &Cell),
    (other, twin): (&Run, &Cell),
    note: &mut impl FnMut(Difference, &str, &str, &str),
) {
    let workload = Difference::Workload;
    let size = format!("{}{}", cell.key.name(), text::pixels(cell.key.width, cell.key.height));
    if let Some((a, b)) = one.model(&cell.key).zip(other.model(&cell.key)) {
        for stage in &a.stages {
            let graph = b.stage(&stage.name).map_or("", |twin| &twin.graph_sha256);
            note(workload, &format!("graph of {} of {size}", stage.name), short(&stage.graph_sha256), short(graph));
        }
    }
    if let Some((a, b)) = inputs(one, cell).zip(inputs(other, twin)) {
        for (what, a, b) in [
            ("inputs", &a.inputs_sha256, &b.inputs_sha256),
            ("noise", &a.noise_sha256, &b.noise_sha256),
            ("tokens", &a.tokens_sha256, &b.tokens_sha256),
        ] {
            note(workload, &format!("{what} of {size}"), short(a), short(b));
        }
    }
    note(workload, &format!("noise levels of {size}"), &levels(one, cell), &levels(other, twin));
    let weights =
        |cell: &Cell| cell.weights.as_ref().map_or(String::new(), |weights| short(&weights.sha256).to_owned());
    note(workload, &format!("weights of {size} in {}", cell.key.precision), &weights(cell), &weights(twin));
}

fn inputs<'a>(run: &'a Run, cell: &Cell) -> Option<&'a Inputs> {
    let key = &cell.key;
    run.inputs.iter().find(|inputs| {
        let size = (inputs.height, inputs.width, inputs.batch, inputs.text_tokens)
            == (key.height, key.width, key.batch, key.text_tokens());
        // Older records do not say more.
        let rest = (inputs.model.as_str(), inputs.steps, inputs.sampler.as_str())
            == (key.name().as_str(), key.steps, key.sampler().unwrap_or_default());
        size && (rest || inputs.model.is_empty())
    })
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

fn levels(run: &Run, cell: &Cell) -> String {
    run.sigmas(cell).iter().map(f64::to_string).collect::<Vec<_>>().join(" ")
}
