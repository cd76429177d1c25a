//! May two records be compared at all? The same machine, the same work, the same schema, the same kind of build.
//!
//! Contract: what is not recorded on either side is not held against it; what is recorded and differs is a difference, with
//! both values, so that an option can allow it by name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::history::series::{describe, fingerprint};
use crate::record::{Cell, Inputs, Run};

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
    /// Another kind of build: profile or target.
    Build,
}

impl Difference {
    /// Its name on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::Machine => "machine",
            Self::Workload => "workload",
            Self::Build => "build",
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
        [Self::Schema, Self::Machine, Self::Workload, Self::Build]
            .into_iter()
            .find(|difference| difference.name() == name)
            .ok_or_else(|| format!("\"{name}\" is none of schema, machine, workload, build"))
    }
}

/// What differs between two records, each in a sentence, each once.
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
    note(Difference::Build, "profile", &one.run.build.profile, &other.run.build.profile);
    note(Difference::Build, "target", &one.run.build.target, &other.run.build.target);
    let (a, b) = (&one.run, &other.run);
    note(Difference::Workload, "prompt", &a.prompt, &b.prompt);
    note(Difference::Workload, "seed", &a.seed.to_string(), &b.seed.to_string());
    for cell in &one.cells {
        let Some(twin) = other.cell(&cell.key) else { continue };
        of_cell((one, cell), (other, twin), &mut note);
    }
    found
}

fn of_cell(
    (one, cell): (&Run, &Cell),
    (other, twin): (&Run, &Cell),
    note: &mut impl FnMut(Difference, &str, &str, &str),
) {
    let workload = Difference::Workload;
    let size = format!("{} {}×{}", cell.key.model, cell.key.width, cell.key.height);
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
            == (key.height, key.width, key.batch, key.text_tokens);
        // Older records do not say more.
        let rest = (&inputs.model, inputs.steps, &inputs.sampler) == (&key.model, key.steps, &key.sampler);
        size && (rest || inputs.model.is_empty())
    })
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

fn levels(run: &Run, cell: &Cell) -> String {
    run.sigmas(cell).iter().map(f64::to_string).collect::<Vec<_>>().join(" ")
}
