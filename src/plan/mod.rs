//! What to run: axes (models, sizes, backends, precisions, threads, …) multiplied out to cells.
//!
//! Contract: the same [`PlanFile`] is read from TOML and filled from flags; a flag replaces what the file says, in every
//! group. Expansion asks no backend anything: a cell that turns out impossible becomes a row that says why.

mod axes;
mod bounds;
mod brought;
mod cell;
mod cluster;
mod defaults;
mod estimate;
mod experience;
pub mod own;
mod shard;
mod target;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

pub use axes::{BackendChoice, Size, parse_memory, parse_scheme};
pub use bounds::{Company, Images, Launches, Names, Patience, Seconds, Steps, Threads};
pub use brought::{Brought, choice as choice_of, parse_model};
pub use cell::Cell;
pub use cluster::{ClusterChoice, Cores, Pinned, no_clusters};
pub use defaults::DEFAULT_PLAN;
pub use estimate::{Basis, Estimate, Guess, estimate};
pub use experience::{Experience, Remembered, Subject, Times};
pub use own::OwnAxes;
pub use shard::Shard;
pub use target::Target;

use ditbench_backend_api::MemoryMode;
use ditbench_graph::weights::Scheme;
use ditbench_record::Home;
use ditbench_reports::text::toml_mistake;

use crate::provider::Provider;

/// A mistake in a plan: what, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PlanError(pub String);

/// The most cells of a plan: each takes at least a process and a row, and has its model in memory before the first one runs.
pub const MOST_CELLS: u128 = 2000;

/// The axes of one group of cells; what is absent is the default. Field names are the TOML keys and the flags' names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(default, rename_all = "kebab-case")]
pub struct Axes {
    /// Models: nano, tiny, small, full; edgedit-nano, edgedit-1, edgedit-6, dit-xl-2; snapgen-nano, snapgen-imagenet, snapgen,
    /// dreamlite; elastic-nano, elastic-nano-lite-half, elastic-lite-half, elastic-lite, elastic-full-half, elastic-full; cdm-nano, adm-64-256,
    /// adm-64, adm-128, adm-256, cdm-32, cdm-32-64, cdm-32-64-256;
    /// or your own: a pipeline's folder or an .onnx file, as PATH or NAME=PATH [default: nano]
    #[arg(long, value_delimiter = ',', value_name = "LIST", value_parser = parse_model)]
    #[serde(skip_serializing_if = "Option::is_none", with = "axes::one_or_many")]
    pub model: Option<Vec<String>>,
    /// Image sizes in pixels: 512, or WIDTHxHEIGHT [default: the model's usual: 64 for nano, 512 for small, 256 for edgedit-1]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    #[serde(skip_serializing_if = "Option::is_none", with = "axes::one_or_many")]
    pub size: Option<Vec<Size>>,
    /// Backends: candle, tract, ort, reference, engines of engines.toml; a way of running after a colon: candle:stock,
    /// ort:exact [default: ort,candle,tract]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    #[serde(skip_serializing_if = "Option::is_none", with = "axes::one_or_many")]
    pub backend: Option<Vec<BackendChoice>>,
    /// Precisions of the weights: f32, f16, q4, q8, mixed, palette4 [default: f32,q4]; not for your own model, whose files have theirs
    #[arg(long, value_delimiter = ',', value_name = "LIST", value_parser = axes::parse_scheme)]
    #[serde(skip_serializing_if = "Option::is_none", with = "axes::one_or_many")]
    pub precision: Option<Vec<Scheme>>,
    /// Devices, as `ditbench devices` names them [default: cpu]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    #[serde(skip_serializing_if = "Option::is_none", with = "axes::one_or_many")]
    pub device: Option<Vec<String>>,
    /// Thread counts [default: one per core]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    #[serde(skip_serializing_if = "Option::is_none", with = "axes::one_or_many")]
    pub threads: Option<Vec<Threads>>,
    /// Cores of a phone: little, mid, big or all, several as in mid+big, a list as in 4-7, a mask as in 0xf0; threads are then as many
    /// [default: the system decides]
    #[arg(long, value_delimiter = ',', value_name = "LIST", help_heading = "Phones")]
    #[serde(skip_serializing_if = "Option::is_none", with = "axes::one_or_many")]
    pub cluster: Option<Vec<ClusterChoice>>,
    /// Denoiser steps [default: the model's usual: 4, or 25 for edgedit-1]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    #[serde(skip_serializing_if = "Option::is_none", with = "axes::one_or_many")]
    pub steps: Option<Vec<Steps>>,
    /// Trade-off: fast (more memory, more speed) or small (less memory, less speed) [default: fast]
    #[arg(long, value_delimiter = ',', value_name = "LIST", value_parser = axes::parse_memory)]
    #[serde(skip_serializing_if = "Option::is_none", with = "axes::one_or_many")]
    pub memory: Option<Vec<MemoryMode>>,
    /// Keep this many threads busy beside the worker for the whole launch; 0,1 measures each cell alone and with one busy thread, as
    /// separate cells [default: 0]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    #[serde(skip_serializing_if = "Option::is_none", with = "axes::one_or_many")]
    pub company: Option<Vec<Company>>,
    /// What is said of a user's own model.
    #[command(flatten)]
    #[serde(flatten)]
    pub brought: Brought,
    /// What only some workloads have. Last: what no field before it has taken is read as one of these.
    #[command(flatten)]
    #[serde(flatten)]
    pub own: OwnAxes,
}

impl Axes {
    /// The axes that every workload has.
    pub const NAMES: [&str; 10] =
        ["model", "size", "backend", "precision", "device", "threads", "cluster", "steps", "memory", "company"];
}

/// A plan as users write it: what all cells share, and one or more groups of axes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct PlanFile {
    /// The prompt.
    pub prompt: Option<String>,
    /// Seed of the noise and of initialised weights.
    pub seed: Option<u64>,
    /// Launches (processes) per cell, at most.
    pub launches: Option<Launches>,
    /// Images per launch, at most.
    pub images: Option<Images>,
    /// Time for the whole run: `90s`, `10m`, `1h`.
    #[serde(with = "bounds::time_as_text")]
    pub budget: Option<Seconds>,
    /// Where to run, as `--on` takes it: `["adb:A", "adb:B"]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<Vec<Target>>,
    /// Execution providers that are libraries of their own, as `--ep` takes them: `["webgpu=LIBRARY"]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ep: Option<Vec<Provider>>,
    /// Groups of cells; each is multiplied out on its own.
    pub group: Vec<Axes>,
}

impl PlanFile {
    /// Reads a plan from TOML.
    ///
    /// # Errors
    /// TOML's own message, with line and column, or an unknown key.
    pub fn parse(text: &str, source: &str) -> Result<Self, PlanError> {
        toml::from_str(text).map_err(|error| PlanError(format!("{source}, {}", toml_mistake(text, &error))))
    }

    /// Replaces, in every group, the axes that `flags` gives.
    pub fn override_with(&mut self, flags: &Axes) {
        if self.group.is_empty() {
            self.group.push(Axes::default());
        }
        for group in &mut self.group {
            let take = group.clone();
            *group = Axes {
                model: flags.model.clone().or(take.model),
                size: flags.size.clone().or(take.size),
                backend: flags.backend.clone().or(take.backend),
                precision: flags.precision.clone().or(take.precision),
                device: flags.device.clone().or(take.device),
                threads: flags.threads.clone().or(take.threads),
                cluster: flags.cluster.clone().or(take.cluster),
                steps: flags.steps.clone().or(take.steps),
                memory: flags.memory.clone().or(take.memory),
                company: flags.company.clone().or(take.company),
                brought: take.brought.overridden_with(&flags.brought),
                own: take.own.overridden_with(&flags.own),
            };
        }
    }

    /// Paths that do not depend on the folder that one is in.
    ///
    /// # Errors
    /// A model that there is not.
    pub fn make_paths_whole(&mut self) -> Result<(), PlanError> {
        for group in &mut self.group {
            group.brought.make_paths_whole();
            for model in group.model.iter_mut().flatten() {
                *model = parse_model(model).map_err(PlanError)?;
            }
        }
        Ok(())
    }

    /// Paths as they were before the record hid the user's home folder in them.
    pub fn show_home(&mut self, home: &Home) {
        for group in &mut self.group {
            group.brought.show_home(home);
            group.model.iter_mut().flatten().for_each(|model| *model = brought::show_home(model, home));
        }
    }

    /// All cells for a machine without clusters, in the order of the axes, each once.
    ///
    /// # Errors
    /// As [`PlanFile::cells_on`].
    pub fn cells(&self, cores: usize) -> Result<Vec<Cell>, PlanError> {
        self.cells_on(&Cores { count: cores, cpus_of: &no_clusters })
    }

    /// Whether some cell is to have company.
    pub fn has_company(&self) -> bool {
        self.group.iter().flat_map(|group| group.company.iter().flatten()).any(|company| company.get() > 0)
    }

    /// The cores that the plan names, each once.
    pub fn clusters(&self) -> Vec<ClusterChoice> {
        let mut named: Vec<ClusterChoice> = Vec::new();
        for choice in self.group.iter().filter_map(|group| group.cluster.as_ref()).flatten() {
            if !named.contains(choice) {
                named.push(choice.clone());
            }
        }
        named
    }

    /// All cells, in the order of the axes, each once.
    ///
    /// # Errors
    /// An axis with no value; more cells than [`MOST_CELLS`], which are counted before any is made; cores that the machine
    /// has not got.
    pub fn cells_on(&self, cores: &Cores) -> Result<Vec<Cell>, PlanError> {
        let count = self.group.iter().map(defaults::count).fold(0, u128::saturating_add);
        if count > MOST_CELLS {
            return Err(PlanError(format!(
                "the plan has {count} cells, but a plan can have at most {MOST_CELLS}: give fewer values, or write \
                 several plans"
            )));
        }
        let groups = self.group.iter().zip(0..).map(|(axes, group)| defaults::expand(axes, group, cores));
        let all: Vec<Cell> = groups.collect::<Result<Vec<_>, _>>()?.concat();
        // Before cells of one name are taken for one.
        brought::check_names(all.iter().map(|cell| &cell.choice))?;
        let mut seen = HashSet::new();
        let cells: Vec<Cell> = all.into_iter().filter(|cell| seen.insert(cell.key())).collect();
        if cells.is_empty() {
            return Err(PlanError("the plan has no cells: give at least one model, backend and precision".to_owned()));
        }
        Ok(cells)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_plan_is_a_valid_plan() {
        let plan = PlanFile::parse(DEFAULT_PLAN, "the default plan").unwrap();
        let cells = plan.cells(2).unwrap();
        let names: Vec<String> = cells.iter().map(Cell::key).collect();
        for model in ["nano 64×64", "tiny 512×512"] {
            for backend in ["ort", "candle", "tract"] {
                for precision in ["f32", "q4"] {
                    let found = cells.iter().any(|cell| {
                        cell.choice.to_string().starts_with(model)
                            && cell.backend.name == backend
                            && cell.scheme.name() == precision
                    });
                    assert!(found, "{model} {backend} {precision} is not in {names:?}");
                }
            }
        }
    }

    #[test]
    fn flags_win_over_the_file_in_every_group() {
        let mut plan =
            PlanFile::parse("[[group]]\nmodel = 'nano'\n[[group]]\nmodel = ['tiny']\nthreads = 1", "t").unwrap();
        plan.override_with(&Axes {
            threads: Some(vec![Threads::fixed(2)]),
            backend: Some(vec!["ort".parse().unwrap()]),
            ..Axes::default()
        });
        let cells = plan.cells(8).unwrap();
        assert!(cells.iter().all(|cell| cell.threads.get() == 2 && cell.backend.name == "ort"));
        assert_eq!(cells.iter().filter(|cell| cell.choice.model == "tiny").count(), 2);
    }

    #[test]
    fn the_same_cell_in_two_groups_is_run_once() {
        let plan = PlanFile::parse("[[group]]\nmodel = 'nano'\n[[group]]\nmodel = 'nano'", "t").unwrap();
        let keys: Vec<String> = plan.cells(2).unwrap().iter().map(Cell::key).collect();
        let mut unique = keys.clone();
        unique.dedup();
        assert_eq!(keys, unique);
    }

    #[test]
    fn cores_are_an_axis_and_say_how_many_threads() {
        let plan = "[[group]]\nmodel = 'nano'\nbackend = 'candle'\nprecision = 'f32'\ncluster = ['little', 'big', 'big+little']";
        let plan = PlanFile::parse(plan, "t").unwrap();
        let of = |choice: &ClusterChoice| match choice.as_str() {
            "little" => Ok(vec![0, 1, 2, 3]),
            "big" => Ok(vec![7]),
            "big+little" => Ok(vec![0, 1, 2, 3, 7]),
            other => Err(format!("no {other}")),
        };
        let cells = plan.cells_on(&Cores { count: 8, cpus_of: &of }).unwrap();
        let threads: Vec<usize> = cells.iter().map(|cell| cell.threads.get()).collect();
        assert_eq!(threads, [4, 1, 5]);
        assert_eq!(cells[1].pinned.as_ref().map(|pinned| pinned.cpus.clone()), Some(vec![7]));
        assert!(cells[1].key().ends_with("on big"), "{}", cells[1].key());
        assert_eq!(plan.clusters().len(), 3);
        assert!(plan.cells(2).unwrap_err().to_string().contains("--cluster is for phones"));
    }

    #[test]
    fn mistakes_are_named() {
        let error = PlanFile::parse("[[group]]\nmodle = 'nano'", "plan.toml").unwrap_err().to_string();
        assert!(error.starts_with("plan.toml, line 1") && error.contains("modle") && !error.contains('\n'), "{error}");
        // Which models there are is asked when the plan is multiplied out.
        let plan = PlanFile::parse("[[group]]\nmodel = 'huge'", "plan.toml").unwrap();
        let error = plan.cells(2).unwrap_err().to_string();
        assert!(error.contains("huge") && error.contains("nano"), "{error}");
    }

    #[test]
    fn numbers_beyond_their_bounds_are_refused_where_they_stand() {
        let refused = |text: &str| {
            let error = PlanFile::parse(text, "plan.toml").unwrap_err().to_string();
            assert!(error.starts_with("plan.toml, line ") && !error.contains('\n'), "{error}");
            error
        };
        for (text, bounds) in [
            ("[[group]]\nsteps = 9223372036854775807", "from 1 to 1000"),
            ("[[group]]\nsteps = [4, 0]", "from 1 to 1000"),
            ("[[group]]\nthreads = 5000", "from 1 to 4096"),
            ("[[group]]\nthreads = -1", "from 1 to 4096"),
            ("launches = 1001", "from 1 to 1000"),
            ("images = 0", "from 1 to 100000"),
            ("budget = '-1s'", "up to 100 days"),
            ("budget = '1e300'", "up to 100 days"),
        ] {
            assert!(refused(text).contains(bounds), "{text}: {}", refused(text));
        }
    }

    #[test]
    fn cells_are_counted_before_any_is_made() {
        let list = |count: usize| (1..=count).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
        let plan = |steps: usize, threads: usize| {
            let axes = format!(
                "[[group]]\nbackend = 'ort'\nprecision = 'f32'\nsteps = [{}]\nthreads = [{}]\n",
                list(steps),
                list(threads)
            );
            PlanFile::parse(&axes, "t").unwrap().cells(2)
        };
        assert_eq!(plan(20, 100).unwrap().len(), 2000);
        let error = plan(1000, 4096).unwrap_err().to_string();
        assert!(error.contains("4096000 cells") && error.contains("2000"), "{error}");
        // So many that their number itself is hard to hold.
        let many = |axis: &str, value: &str| format!("{axis} = [{}]\n", vec![value; 10_000].join(", "));
        let lists: String =
            [("size", "64"), ("device", "'cpu'"), ("layout", "'1-1-1'"), ("width", "1"), ("steps", "4")]
                .map(|(axis, value)| many(axis, value))
                .concat();
        assert!(PlanFile::parse(&format!("[[group]]\n{lists}"), "t").unwrap().cells(2).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
            let _ = PlanFile::parse(&text, "a plan").map(|plan| plan.cells(2));
        }

        /// Values of every TOML type on every axis: each is taken or refused by name.
        #[test]
        fn no_value_of_an_axis_makes_it_panic(
            key in proptest::sample::select(vec![
                "model", "size", "backend", "precision", "device", "threads", "steps", "text-tokens", "rung", "layout",
                "sampler", "class", "guidance", "ladder", "memory", "cluster",
            ]),
            value in proptest::prop_oneof![
                "-?[0-9]{1,20}", "-?[0-9]{1,3}\\.[0-9]{1,3}", "'[ -&(-~]{0,12}'", "\\['[a-z0-9:+x-]{0,9}'(, -?[0-9]{1,4})?\\]",
                "(true|nan|inf|\\[\\]|1979-05-27|\\{a = 1\\})",
            ],
        ) {
            let text = format!("[[group]]\n{key} = {value}");
            match PlanFile::parse(&text, "a plan").and_then(|plan| plan.cells(2)) {
                Ok(cells) => assert!(!cells.is_empty()),
                Err(error) => assert!(error.to_string().len() > 10, "{error}"),
            }
        }

        /// The default plan with a piece cut out or doubled.
        #[test]
        fn a_damaged_plan_does_not_make_it_panic(from in 0usize..1000, length in 0usize..100, twice: bool) {
            let characters: Vec<char> = DEFAULT_PLAN.chars().collect();
            let from = from.min(characters.len());
            let to = (from + length).min(characters.len());
            let piece: String = characters[from..to].iter().collect();
            let (before, after): (String, String) = (characters[..from].iter().collect(), characters[to..].iter().collect());
            let text = if twice { format!("{before}{piece}{piece}{after}") } else { format!("{before}{after}") };
            let _ = PlanFile::parse(&text, "a plan").map(|plan| plan.cells(2));
        }
    }
}
