//! The first look at a phone that nobody has measured: every cluster with as many threads as it has cores, in f32 and q4; then the
//! fastest of these for minutes on end, from a cool phone on.
//!
//! Contract: two runs below one directory (`clusters`, `sustained`), each a record like any other, and one report over both.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use ditbench_record::CellKey;
use ditbench_record::store::{self, LoadedRun};
use ditbench_reports::advice::Question;
use ditbench_reports::table;
use ditbench_worker::probe::phone::clusters;
use ditbench_worker::registry;
use ditbench_workloads::workload;

use super::{Settings, print, resolve};
use crate::environment::Common;
use crate::host::adb::{Device, Limit, PhoneOptions, Program, quote, read_sources};
use crate::plan::{Axes, BackendChoice, Cell, ClusterChoice, Cores, Launches, PlanFile, Seconds, Target, Threads};

/// The model of a first look: large enough to warm a phone, small enough for its memory.
const MODEL: &str = "small";

/// Makes both runs and gives the report's page.
///
/// # Errors
/// No phone was named; as [`super::start`].
pub fn start(
    settings: Settings,
    sustained_s: Seconds,
    common: &Common,
    out: Option<&Path>,
    force: bool,
) -> Result<PathBuf> {
    let Some(Target::Phone(serial)) = settings.on.clone() else {
        bail!("--first-look is for a phone: add --on adb, or --on adb:SERIAL");
    };
    let device = Device::new(Arc::new(Program::find()), &serial);
    device.reach()?;
    let groups = clusters::group(&read_sources(&device)?);
    let names: Vec<&str> = groups.iter().map(|cluster| cluster.name.as_str()).collect();
    let plan = plan(settings.plan.clone(), &names);
    let dir = out.map_or_else(|| Path::new("runs").join(super::new_id()), Path::to_path_buf);
    let place = |name: &str| dir.join(name);
    let options = settings.phone.clone();
    // What the first run sends the second one needs.
    let look = Settings { plan, phone: PhoneOptions { keep: true, ..options.clone() }, ..settings };
    let first = super::start(look.clone(), common, Some(&place("clusters")), false, force);
    if first.is_err() && !options.keep {
        take_back(&device, &options);
    }
    first?;
    let first = store::read(&place("clusters"))?;
    let best = best(&look.plan, &first, &groups);
    let Some((cell, key)) = best else {
        bail!("no cell gave a time and a right result; each row of the table has its reason")
    };
    let settled = Settings {
        plan: PlanFile { group: vec![cell.axes(&key.variant)], ..look.plan.clone() },
        sustained_s: Some(sustained_s),
        launches: Launches::fixed(1),
        phone: PhoneOptions { sustained: true, ..options },
        ..look
    };
    crate::text::show(&format!("\nThe fastest, {}, for {}:\n\n", cell.key(), crate::text::seconds(sustained_s.get())));
    let second = super::start(settled, common, Some(&place("sustained")), false, force);
    let mut runs = vec![first];
    runs.extend(store::read(&place("sustained")).ok());
    let page = print::write(&Question::default(), &runs, &[], &dir)?;
    crate::text::show(&format!("{}\n", page.display()));
    second.with_context(|| format!("the sustained run (the first is in {})", dir.display()))?;
    Ok(dir)
}

/// What was not said becomes what a first look wants: small, both precisions, each cluster and all of them together.
fn plan(mut plan: PlanFile, clusters: &[&str]) -> PlanFile {
    let choice = |name: &str| name.parse::<ClusterChoice>().ok();
    let mut places: Vec<ClusterChoice> = clusters.iter().filter_map(|name| choice(name)).collect();
    if clusters.len() > 1 {
        places.extend(choice("all"));
    }
    for group in &mut plan.group {
        // What asks for nothing beside our program on the phone.
        let alone = || registry::USUAL.into_iter().filter(|name| registry::ALONE.contains(name));
        let backends = || alone().map(|name| BackendChoice { name: name.to_owned(), variant: None }).collect();
        let Axes { model, backend, cluster, .. } = group;
        model.get_or_insert_with(|| vec![MODEL.to_owned()]);
        backend.get_or_insert_with(backends);
        if cluster.is_none() && !places.is_empty() {
            *cluster = Some(places.clone());
        }
    }
    plan
}

/// The fastest cell, and its key in the record.
fn best(plan: &PlanFile, run: &LoadedRun, groups: &[clusters::Cluster]) -> Option<(Cell, CellKey)> {
    let table = table::of_runs(&[&run.run]);
    let timed = table.rows.iter().filter(|row| !row.is_wrong()).filter_map(|row| Some((row, row.best_s()?)));
    let key = &timed.min_by(|a, b| a.1.total_cmp(&b.1))?.0.key;
    let known: Vec<u32> = groups.iter().flat_map(|cluster| cluster.cpus.iter().copied()).collect();
    let cores = Cores { count: known.len().max(1), cpus_of: &|choice| clusters::cpus_of(choice.as_str(), groups) };
    let is = |cell: &Cell| {
        let Ok(pipeline) = workload::build(&cell.choice) else { return false };
        let own = resolve::key(cell, &pipeline, &key.variant);
        let threads = if key.cpus.is_empty() { key.threads } else { own.threads };
        let named = |variant: &String| key.variant.starts_with(variant.as_str());
        cell.backend.variant.as_ref().is_none_or(named) && CellKey { threads, ..own } == *key
    };
    let cell = plan.cells_on(&cores).ok()?.into_iter().find(is)?;
    // Without clusters the phone itself says how many threads.
    Some((Cell { threads: Threads::nearest(key.threads as usize), ..cell }, key.clone()))
}

/// Removes what was left for a second run that does not come.
fn take_back(device: &Device, options: &PhoneOptions) {
    let folder = quote(options.folder());
    let script = format!(
        "cd {folder} 2>/dev/null || exit 0; rm -rf bin files cache; rmdir launches 2>/dev/null; [ -d launches ] || {{ cd ..; rm -rf {folder}; }}"
    );
    let _ = device.ask_within("removing our files", &script, Limit::always(std::time::Duration::from_secs(20)));
}

#[cfg(test)]
mod tests {
    use ditbench_backend_api::MemoryMode;
    use ditbench_record::{Cell as Row, Launch, Quality, Reading, Run, Sample, Status, StepDivergence};

    use super::*;

    #[test]
    fn every_cluster_and_all_of_them_in_both_precisions() {
        let given = PlanFile { group: vec![Axes::default()], ..PlanFile::default() };
        let groups = [("little", 0..4), ("big", 4..6)].map(|(name, cpus)| clusters::Cluster {
            name: name.into(),
            cpus: cpus.collect(),
            ..clusters::Cluster::default()
        });
        let made = plan(given, &["little", "big"]);
        let cpus_of = |choice: &ClusterChoice| clusters::cpus_of(choice.as_str(), &groups);
        let cells = made.cells_on(&Cores { count: 6, cpus_of: &cpus_of }).unwrap();
        assert_eq!(cells.len(), 3 * 2 * 2, "clusters, precisions, backends");
        let mut threads: Vec<usize> = cells.iter().map(|cell| cell.threads.get()).collect();
        threads.dedup();
        assert_eq!(threads, [4, 2, 6]);
        assert!(cells.iter().all(|cell| cell.choice.model == MODEL));
        // What was said stays, and a phone that tells of no clusters is not pinned.
        let nano = Axes { model: Some(vec!["nano".to_owned()]), ..Axes::default() };
        let made = plan(PlanFile { group: vec![nano], ..PlanFile::default() }, &[]);
        assert_eq!((made.group[0].model.clone(), made.group[0].cluster.clone()), (Some(vec!["nano".to_owned()]), None));
    }

    #[test]
    fn the_fastest_is_found_by_all_that_makes_a_cell_different() {
        let nano = Axes {
            model: Some(vec!["nano".to_owned()]),
            memory: Some(vec![MemoryMode::Fast, MemoryMode::Small]),
            ..Axes::default()
        };
        let groups = [clusters::Cluster { name: "big".into(), cpus: vec![0, 1], ..clusters::Cluster::default() }];
        let plan = plan(PlanFile { group: vec![nano], ..PlanFile::default() }, &["big"]);
        let cores = Cores { count: 2, cpus_of: &|choice| clusters::cpus_of(choice.as_str(), &groups) };
        let image = |image: u32, total_s: f64| Sample { image, total_s, ..Sample::default() };
        let row = |cell: &Cell| {
            // The small memory of tract in q4 is the fastest of all.
            let best = cell.memory == MemoryMode::Small && cell.backend.name == "tract" && cell.scheme.name() == "q4";
            let seconds = if best { 1.0 } else { 2.0 };
            let samples = (0..4).map(|index| image(index, seconds)).collect();
            let launch = Launch { status: Status::Ok, samples, ..Launch::default() };
            let key = resolve::key(cell, &workload::build(&cell.choice).unwrap(), "tuned-int8");
            Row { key, status: Status::Ok, launches: vec![launch], ..Row::default() }
        };
        let cells: Vec<Row> = plan.cells_on(&cores).unwrap().iter().map(row).collect();
        assert_eq!(cells.len(), 2 * 2 * 2, "memory, precisions, backends");
        let run = Run { cells, ..Run::default() };
        let best = |run: &Run| best(&plan, &LoadedRun { dir: "nowhere".into(), run: run.clone() }, &groups).unwrap();
        let (cell, key) = best(&run);
        assert_eq!((key.memory.as_str(), key.backend.as_str(), key.precision.as_str()), ("small", "tract", "q4"));
        let axes = cell.axes(&key.variant);
        assert_eq!((cell.memory, axes.memory), (MemoryMode::Small, Some(vec![MemoryMode::Small])));
        assert_eq!(
            (cell.threads.get(), axes.cluster.map(|places| places.len())),
            (2, Some(1)),
            "where it was measured"
        );
        // What computes something else is the fastest of nothing.
        let mut run = run;
        let fastest = run.cells.iter_mut().find(|row| row.key == key).unwrap();
        let latents = vec![StepDivergence { step: 0, relative_l2: 1.0, cosine: 0.0 }];
        let reference = format!("{}io.npz", Quality::EXPECTED);
        fastest.quality = Reading::Ok(Quality { reference, latents, ..Quality::default() });
        assert_ne!(best(&run).1, key);
    }
}
