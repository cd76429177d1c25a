//! Tuning: a plan as wide as the machine allows, and launches where the decision is close.
//!
//! Contract: which launch is next is decided by [`ditbench_reports::advice::search`] from the record alone; here the space is
//! opened up, cells are handed over, and what was dropped is put into the record with its reason.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use ditbench_backend_api::MemoryMode;
use ditbench_graph::weights::Scheme;
use ditbench_record::disturbed::several;
use ditbench_record::store::{self, RunStore};
use ditbench_record::{Cell as Row, CellKey, Status, Warning};
use ditbench_reports::advice::search::{self, Arm, Terms};
use ditbench_reports::advice::{self, Candidate, Question, faces, gather, group_of};
use ditbench_worker::registry;
use ditbench_workloads::own as own_model;

use super::resolve::Resolved;
use super::schedule::CellState;
use super::{Settings, fidelity, host, own};
use crate::environment::Common;
use crate::host::Host;
use crate::plan::{Axes, BackendChoice, Estimate, PlanFile, Threads};

/// Images of a launch, roughly: what it costs before one was made.
const IMAGES: f64 = 5.0;
/// How the reason of a dropped cell begins.
const DROPPED: &str = "The search dropped it after ";
/// Dropped cells that are named on the terminal; each row of the report has its reason.
const NAMED: usize = 12;

/// Opens the machine, fills what the plan leaves open, and searches; gives the run's directory, or only shows the cells.
///
/// # Errors
/// As [`super::start`]; nothing can be searched there.
pub fn start(
    mut settings: Settings,
    common: &Common,
    out: Option<&Path>,
    dry_run: bool,
    force: bool,
) -> Result<Option<PathBuf>> {
    let id = super::new_id();
    let dir = super::place(out, &id, dry_run)?;
    let mut host = host::open(&settings, &id)?;
    settings.plan = open_up(&settings, common, host.as_mut())?;
    super::start_on((host, id), settings, common, (!dry_run).then_some(dir), force)
}

/// Prints what a search has found, and gives what it exits with; `None` for a run that was no search.
///
/// # Errors
/// The record cannot be read.
pub fn advise(dir: &Path) -> Result<Option<ExitCode>> {
    let found = store::read(dir)?;
    let asked = found.run.run.plan.get("tune").cloned().map(serde_json::from_value::<Option<Question>>);
    let Some(question) = asked.and_then(Result::ok).flatten() else { return Ok(None) };
    let advice = advice::of_runs(&[&found.run], &[], &question);
    crate::text::show(&format!("\n{}", faces::text::of_advice(&advice)));
    Ok(Some(ExitCode::from(advice.outcome.exit_code())))
}

/// Fills what the plan leaves open with everything that the machine has: backends and their ways, devices, precisions, numbers of
/// threads, memory modes.
///
/// # Errors
/// No backend can be used there.
fn open_up(settings: &Settings, common: &Common, host: &mut dyn Host) -> Result<PlanFile> {
    let mut plan = settings.plan.clone();
    let common = &common.with_providers(plan.ep.as_deref());
    if plan.group.is_empty() {
        plan.group.push(Axes::default());
    }
    let engines = registry::engines().map_err(anyhow::Error::msg)?;
    let all: Vec<String> =
        registry::listed().map(str::to_owned).chain(engines.iter().map(|engine| engine.name.clone())).collect();
    let groups = std::mem::take(&mut plan.group);
    let cores = host.cores();
    for (group, is_users) in groups.into_iter().flat_map(parted) {
        let open = |name: &String| BackendChoice { name: name.clone(), variant: None };
        let backends = group.backend.clone().unwrap_or_else(|| all.iter().map(open).collect());
        for backend in backends {
            // What it lacks is told where it is asked for.
            host.prepare(&backend.name, common, &|message| crate::text::tell(&message));
            match host.backend(&backend.name) {
                // What the others are held against is not what is shipped.
                Ok(facts) if facts.is_reference && group.backend.is_none() => {}
                Ok(facts) => plan.group.extend(opened(&group, is_users, &backend, &facts, cores)),
                Err(why) => crate::text::tell(&format!("{} is left out: {why}", backend.name)),
            }
        }
    }
    if plan.group.is_empty() {
        bail!("there is nothing to search: no backend can be used here; `ditbench devices` says why, and what to do");
    }
    Ok(plan)
}

/// A group with models of ours, and one with those that users bring, whose files have their precision: `true`.
fn parted(group: Axes) -> Vec<(Axes, bool)> {
    let models = group.model.clone().unwrap_or_default();
    let (users, ours): (Vec<String>, Vec<String>) =
        models.into_iter().partition(|model| own_model::Given::of(model).is_some());
    if users.is_empty() {
        return vec![(group, false)];
    }
    let of = |models: Vec<String>, is_users: bool| (Axes { model: Some(models), ..group.clone() }, is_users);
    let parts = [of(ours, false), of(users, true)];
    parts.into_iter().filter(|(part, _)| part.model.as_ref().is_some_and(|models| !models.is_empty())).collect()
}

/// The groups of one backend: one for each precision, because ways differ.
fn opened(
    group: &Axes,
    is_users: bool,
    backend: &BackendChoice,
    facts: &registry::BackendFacts,
    cores: usize,
) -> Vec<Axes> {
    let usable = facts.devices.iter().filter(|device| device.state.is_ok() && device.nature.shows_speed());
    let devices: Vec<String> =
        group.device.clone().unwrap_or_else(|| usable.map(|device| device.name.clone()).collect());
    let counts: BTreeSet<usize> = [1, cores / 2, cores].into_iter().filter(|count| *count > 0).collect();
    let counts: Vec<Threads> = counts.into_iter().map(Threads::nearest).collect();
    let of = |scheme: Option<Scheme>| {
        let ways: Vec<BackendChoice> = match &backend.variant {
            Some(_) => vec![backend.clone()],
            None => {
                let ways = facts.variants.get(scheme.map_or(registry::OF_FILES, Scheme::name)).into_iter().flatten();
                let way = |name: &str| BackendChoice { name: backend.name.clone(), variant: Some(name.to_owned()) };
                ways.map(|variant| way(&variant.name)).collect()
            }
        };
        let usable = !ways.is_empty() && !devices.is_empty();
        usable.then(|| Axes {
            backend: Some(ways),
            // A precision that is asked of files is refused where the plan is multiplied out.
            precision: scheme.map(|scheme| vec![scheme]).or_else(|| group.precision.clone()),
            device: Some(devices.clone()),
            // Pinned cells have as many threads as cores.
            threads: group.threads.clone().or_else(|| group.cluster.is_none().then(|| counts.clone())),
            memory: group.memory.clone().or_else(|| Some(vec![MemoryMode::Fast, MemoryMode::Small])),
            ..group.clone()
        })
    };
    let schemes = || group.precision.clone().unwrap_or_else(|| Scheme::ALL.to_vec()).into_iter().map(Some).collect();
    let schemes: Vec<Option<Scheme>> = if is_users { vec![None] } else { schemes() };
    schemes.into_iter().filter_map(of).collect()
}

/// A search under way.
pub(super) struct Search<'a> {
    question: &'a Question,
    cells: &'a [Resolved],
    /// Seconds of each cell's first launch, roughly.
    expected_s: Vec<f64>,
    /// Launches of a cell, at most.
    most: usize,
    /// Whether results have been held against the reference's: quality is known from then on.
    compared: bool,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        question: &'a Question,
        cells: &'a [Resolved],
        estimates: &[Estimate],
        settings: &Settings,
    ) -> Self {
        let launch_s = |estimate: &Estimate| {
            let times = estimate.times.as_ref().map(|times| times.value);
            // Of a device of which nothing is known, nothing is expected.
            times.map_or(0.0, |times| times.ready_s + times.first_image_s + (IMAGES - 1.0) * times.image_s())
        };
        let expected_s = estimates.iter().map(launch_s).collect();
        Self { question, cells, expected_s, most: settings.launches.get(), compared: settings.brief }
    }

    /// The next launch: the place of its cell; `None` when the decision is made or the time is spent.
    ///
    /// # Errors
    /// The record cannot be written.
    pub(super) fn next(&mut self, store: &mut RunStore, states: &[CellState], left: Duration) -> Result<Option<usize>> {
        let next = self.decided(store, states, left);
        if self.compared || next.is_some_and(|place| states[place].made == 0) {
            return Ok(next);
        }
        // After the first round: which pictures are near enough decides from now on.
        self.compared = true;
        let keys: Vec<CellKey> = self.cells.iter().map(|cell| cell.key.clone()).collect();
        fidelity::compare(store, &keys, &own::expected(self.cells))?;
        Ok(self.decided(store, states, left))
    }

    fn decided(&self, store: &RunStore, states: &[CellState], left: Duration) -> Option<usize> {
        let terms = Terms { most: self.most, left_s: left.as_secs_f64() };
        let found = self.groups(store, states).into_iter().filter_map(|group| {
            let next = search::next(self.question, &group.arms(), terms)?;
            Some((group.launches(), group.cells[next].place))
        });
        // First launches before all others; then the decision that has had the least goes on.
        found.min_by_key(|(launches, place)| (states[*place].made > 0, *launches)).map(|(_, place)| place)
    }

    /// Puts into the record why cells were not measured further, and says it.
    ///
    /// # Errors
    /// The record cannot be written.
    pub(super) fn close(&self, store: &mut RunStore, states: &[CellState]) -> Result<()> {
        // What a search said that was then resumed no longer holds.
        store.update(|run| {
            for row in &mut run.cells {
                row.warnings.retain(|warning| !matches!(warning, Warning::Said(words) if words.starts_with(DROPPED)));
            }
        })?;
        let mut said: Vec<String> = Vec::new();
        for group in self.groups(store, states) {
            for (arm, why) in search::dropped(self.question, &group.arms()) {
                let cell = &group.cells[arm];
                // What failed has its reason, and a yardstick was never searched.
                if states[cell.place].failed || states[cell.place].once {
                    continue;
                }
                let label = cell.candidate.as_ref().map_or_else(String::new, |candidate| candidate.label.clone());
                said.push(format!("  {label}, after {}: {why}", launches(cell.launches)));
                let words = format!("{DROPPED}{}: {why}.", launches(cell.launches));
                let key = self.cells[cell.place].key.clone();
                store.update(|run| {
                    if let Some(row) = run.cells.iter_mut().find(|row| row.key == key) {
                        row.warnings.push(Warning::Said(words));
                    }
                })?;
            }
        }
        let untried: Vec<&Resolved> =
            self.cells.iter().zip(states).filter(|(_, s)| !s.failed && s.made == 0).map(|(cell, _)| cell).collect();
        for cell in &untried {
            let why = "not tried: the budget was spent before its turn came";
            store.put_cell(Row::failed(cell.key.clone(), Status::Interrupted, why))?;
        }
        let made: usize = states.iter().map(|state| state.made).sum();
        crate::text::show(&format!(
            "\nSearched {} with {}; the whole plan would be {}.\n",
            several(self.cells.len() - untried.len(), "cell"),
            launches(made),
            launches(states.iter().map(|state| state.wanted(self.most)).sum())
        ));
        if !untried.is_empty() {
            crate::text::show(&format!(
                "{} not tried because the time ran out; a longer --budget would try more.\n",
                several(untried.len(), "cell")
            ));
        }
        if !said.is_empty() {
            let more = said.len().saturating_sub(NAMED);
            said.truncate(NAMED);
            crate::text::show(&format!("Dropped:\n{}\n", said.join("\n")));
            if more > 0 {
                crate::text::show(&format!("  and {more} more, each with its reason in the report\n"));
            }
        }
        Ok(())
    }

    /// The decisions: the cells of one device, and of one workload unless workloads compete.
    fn groups(&self, store: &RunStore, states: &[CellState]) -> Vec<Group> {
        let mut known: Vec<Candidate> =
            gather(&[store.run()], self.question).into_iter().flat_map(|evidence| evidence.candidates).collect();
        let mut groups: Vec<Group> = Vec::new();
        for (place, cell) in self.cells.iter().enumerate() {
            let state = &states[place];
            let candidate = known.iter().position(|candidate| candidate.key == cell.key && state.made > 0);
            let member = Member {
                place,
                candidate: candidate.map(|found| known.swap_remove(found)),
                launches: state.made,
                launch_s: state.longest.map_or(self.expected_s[place], |longest| longest.as_secs_f64()),
                closed: (!state.is_open(self.most)).then(|| "no further launch of it is wanted".to_owned()),
            };
            let name = (cell.key.device.clone(), group_of(self.question, &cell.key));
            match groups.iter_mut().find(|group| group.name == name) {
                Some(group) => group.cells.push(member),
                None => groups.push(Group { name, cells: vec![member] }),
            }
        }
        groups
    }
}

fn launches(count: usize) -> String {
    several(count, "launch")
}

/// A cell of a decision.
struct Member {
    place: usize,
    candidate: Option<Candidate>,
    launches: usize,
    launch_s: f64,
    closed: Option<String>,
}

impl Member {
    fn arm(&self) -> Arm<'_> {
        let (launches, launch_s, closed) = (self.launches, self.launch_s, self.closed.clone());
        Arm { candidate: self.candidate.as_ref(), launches, launch_s, closed }
    }
}

/// The cells of one decision.
struct Group {
    /// Device, and workload.
    name: (String, String),
    cells: Vec<Member>,
}

impl Group {
    fn arms(&self) -> Vec<Arm<'_>> {
        self.cells.iter().map(Member::arm).collect()
    }

    fn launches(&self) -> usize {
        self.cells.iter().map(|member| member.launches).sum()
    }
}
