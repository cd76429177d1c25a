//! Going on with an interrupted run: what is done stays, what is missing is made, and what has changed since is said.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use anyhow::{Context, Result, bail};
use ditbench_record::store::RunStore;
use ditbench_record::{Cell as Row, CellKey, Home, Kind, Run, RunInfo, Status, Warning};
use ditbench_reports::merge;
use ditbench_reports::verdict::{Difference, differences};

use super::resolve::Resolved;
use super::schedule::CellState;
use super::{Settings, host, learn};
use crate::environment::Common;
use crate::host::Host;
use crate::paths;
use crate::plan::Seconds;

/// What a run that goes on may be told anew.
#[derive(Clone, Copy, Debug)]
pub struct ResumeOptions<'a> {
    /// Seconds after which one launch is given up; `None`: as many as the run began with.
    pub timeout_s: Option<Seconds>,
    /// Seconds for the rest; `None`: as many as the run began with.
    pub budget_s: Option<Seconds>,
    /// The program for the phone; `None`: the one that the run began with.
    pub phone_binary: Option<&'a Path>,
}

impl ResumeOptions<'_> {
    /// What is told anew; the rest stays as the run began.
    pub fn apply(&self, settings: &mut Settings) {
        settings.timeout_s = self.timeout_s.unwrap_or(settings.timeout_s);
        settings.leaves_out |= self.budget_s.is_some() && settings.sustained_s.is_none();
        settings.budget_s = self.budget_s.unwrap_or(settings.budget_s);
        if let Some(binary) = self.phone_binary {
            settings.phone.phone_binary = Some(binary.to_owned());
        }
    }

    /// The same as flags, for each of several machines: but for the budget, of which each has its own.
    pub fn flags(&self) -> Vec<OsString> {
        let timeout = self.timeout_s.into_iter().flat_map(|time| ["--timeout".into(), time.to_string().into()]);
        let binary = self.phone_binary.into_iter().flat_map(|binary| ["--phone-binary".into(), binary.into()]);
        timeout.chain(binary).collect()
    }
}

/// Goes on with an interrupted run.
///
/// # Errors
/// No run there, or a mistake in the environment.
pub fn resume(path: &Path, common: &Common, options: &ResumeOptions) -> Result<()> {
    paths::must_be_text(path, "move the run to another directory")?;
    let mut store = RunStore::resume(path)?;
    let mut settings: Settings = serde_json::from_value(store.run().run.plan.clone())
        .with_context(|| format!("{}: the plan in the record cannot be read; run it again", path.display()))?;
    if store.run().run.plan["phone"]["cluster"].is_string() {
        bail!(
            "{} was started by an older ditbench, whose rows do not name their CPUs: start a new run with --cluster",
            path.display()
        );
    }
    settings.phone.folders.take_over(&store.run().run.plan["phone"]);
    settings.make_paths_whole(&Home::of_user());
    options.apply(&mut settings);
    let mut host = host::open(&settings, &store.run().run.id)?;
    let resolved = host::resolve_for(&settings, host.as_mut(), common)?;
    let changed = changed(store.run(), host.as_ref());
    store.update(|run| {
        forget_refusals(run, &resolved);
        forget_budget(run);
        for what in changed.iter().map(|what| Warning::from(Kind::ResumedAlthough { differs: what.clone() })) {
            if !run.warnings.contains(&what) {
                run.warnings.push(what);
            }
        }
    })?;
    let is_done = |cell: &&Resolved| match settings.judging {
        Some(_) => store.is_done(&cell.key),
        None => !state(&store, cell).is_open(settings.launches.get()),
    };
    let done = resolved.iter().filter(is_done).count();
    crate::text::show(&format!("Continuing {}: cells done: {done} of {}.\n", store.dir().display(), resolved.len()));
    for what in changed {
        crate::text::show(&format!("Different from when it began, as the record will say: {what}\n"));
    }
    let estimates = learn::estimates(&resolved, host.as_ref(), Some(&paths::cache(common.cache.as_ref())?));
    super::go(settings, (resolved, estimates), store, common, host.as_mut())
}

/// How this program and machine differ from those that began the run: launches of both will stand in one row.
fn changed(begun: &Run, host: &dyn Host) -> Vec<String> {
    let info = RunInfo {
        id: "the resumed part".to_owned(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        git: host.git(),
        build: host.build(),
        ..begun.run.clone()
    };
    // One elsewhere is found by its own name, and describing it takes a while.
    let machine = if host.is_remote() { begun.machine.clone() } else { host.machine() };
    let now = Run::new(info, machine);
    let matters = |(kind, says): (Difference, String)| {
        matches!(kind, Difference::Machine | Difference::Build | Difference::Conditions).then_some(says)
    };
    differences(begun, &now).into_iter().chain(merge::program_differs(begun, &now)).filter_map(matters).collect()
}

/// Takes out the rows that say a backend was not to be had, if it is there now: its way of running was not known then, so
/// they have keys of their own.
fn forget_refusals(run: &mut Run, resolved: &[Resolved]) {
    let known = |row: &Row| {
        resolved
            .iter()
            .any(|cell| cell.refusal.is_none() && row.key != cell.key && same_but_unknown(&row.key, &cell.key))
    };
    run.cells.retain(|row| !(row.launches.is_empty() && row.status == Status::Unsupported && known(row)));
}

/// Takes out what rows say of a budget that had too little room: now there is another.
fn forget_budget(run: &mut Run) {
    for row in &mut run.cells {
        row.warnings.retain(|warning| !matches!(warning.kind(), Some(Kind::FewerLaunches { .. })));
    }
}

/// Whether `refused` is the key that `found` has while its backend cannot be asked for the variant's full name.
fn same_but_unknown(refused: &CellKey, found: &CellKey) -> bool {
    found.variant.starts_with(&refused.variant)
        && CellKey { variant: found.variant.clone(), ..refused.clone() } == *found
}

/// Keeps the results that a cell of the plan has from an earlier session, with a note why there are no more; `false` if it
/// has none, so that the reason becomes its row.
///
/// # Errors
/// The record cannot be written.
pub(super) fn keep_results(store: &mut RunStore, planned: &[CellKey], key: &CellKey, why: &str) -> Result<bool> {
    // A row that is another cell's own is no result of this one.
    let own = |row: &Row| row.key == *key || (same_but_unknown(key, &row.key) && !planned.contains(&row.key));
    let Some(place) = store.run().cells.iter().position(|row| !row.launches.is_empty() && own(row)) else {
        return Ok(false);
    };
    let note = Warning::from(Kind::NotResumed { why: why.to_owned() });
    store.update(|run| {
        let warnings = &mut run.cells[place].warnings;
        if !warnings.contains(&note) {
            warnings.push(note);
        }
    })?;
    Ok(true)
}

/// What a resumed run has of a cell already; nothing in a new run.
pub(super) fn state(store: &RunStore, cell: &Resolved) -> CellState {
    let Some(row) = store.run().cell(&cell.key) else {
        return CellState { once: cell.cell.is_yardstick, ..CellState::default() };
    };
    let failed = store.is_done(&cell.key) && row.status != Status::Ok;
    let made = row.good_launches().count();
    CellState { made, failed, once: cell.cell.is_yardstick, shown: learn::shown(row), ..CellState::default() }
}

/// The place of the next launch in the order of all: after those of earlier sessions.
pub(super) fn next_order(run: &Run) -> u32 {
    let launches = run.cells.iter().flat_map(|cell| cell.launches.iter().chain(&cell.discarded));
    launches.map(|launch| launch.order.saturating_add(1)).max().unwrap_or(0)
}

/// The command that goes on with a run, with what was named for it.
pub(super) fn command(dir: &Path, common: &Common) -> String {
    let mut words = vec![OsStr::new("ditbench"), "run".as_ref(), "--resume".as_ref(), dir.as_os_str()];
    let named = common.words();
    words.extend(named.iter().flat_map(|(flag, path)| [OsStr::new(flag), path.as_os_str()]));
    words.extend(common.engines.iter().flat_map(|path| [OsStr::new("--engines"), path.as_os_str()]));
    crate::text::command(words)
}

#[cfg(test)]
mod tests {
    use ditbench_record::Launch;

    use super::*;
    use crate::naming::Libraries;
    use crate::plan::{Images, Launches, PlanFile};
    use crate::run::Usual;

    fn row(variant: &str, launches: u32) -> Row {
        let launch = |order| Launch { order, status: Status::Ok, ..Launch::default() };
        Row {
            key: CellKey { backend: "ort".to_owned(), variant: variant.to_owned(), ..CellKey::default() },
            launches: (0..launches).map(launch).collect(),
            ..Row::default()
        }
    }

    #[test]
    fn a_refusal_is_known_again_by_the_beginning_of_its_variant() {
        let key = |variant| row(variant, 0).key;
        assert!(same_but_unknown(&key(""), &key("int8")) && same_but_unknown(&key("tuned"), &key("tuned-int8")));
        assert!(same_but_unknown(&key("int8"), &key("int8")) && !same_but_unknown(&key("stock"), &key("int8")));
        let other = CellKey { threads: 7, ..key("int8") };
        assert!(!same_but_unknown(&key(""), &other));
    }

    #[test]
    fn results_outlive_a_backend_that_is_not_to_be_had_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let run = Run { cells: vec![row("int8", 2), row("stock", 0)], ..ditbench_reports::sample::run() };
        let mut store = RunStore::create(dir.path(), run).unwrap();
        let mut keeps = |planned: &[&str], variant| {
            let planned: Vec<CellKey> = planned.iter().map(|variant| row(variant, 0).key).collect();
            keep_results(&mut store, &planned, &row(variant, 0).key, "no library").unwrap()
        };
        assert!(keeps(&[""], "") && keeps(&["int8"], "int8"));
        assert!(!keeps(&["stock"], "stock") && !keeps(&["tuned"], "tuned"));
        assert!(!keeps(&["", "int8"], ""), "the row is the other cell's");
        let warnings = &store.run().cells[0].warnings;
        assert!(warnings.len() == 1 && warnings[0].to_string().contains("no library"), "{warnings:?}");
    }

    #[test]
    fn the_command_to_go_on_with_can_be_pasted() {
        let common = Common {
            cache: Some("my cache".into()),
            libraries: Libraries([("ort".to_owned(), "/opt/it's/libonnxruntime.so".into())].into()),
            engines: Some("e.toml".into()),
            ep: vec!["webgpu=/opt/lib.so".parse().unwrap()],
        };
        assert_eq!(
            command(Path::new("runs/on Monday"), &common),
            r"ditbench run --resume 'runs/on Monday' --cache 'my cache' --ort-lib '/opt/it'\''s/libonnxruntime.so' --ep webgpu=/opt/lib.so --engines e.toml"
        );
        assert_eq!(command(Path::new("runs/1"), &Common::default()), "ditbench run --resume runs/1");
    }

    #[test]
    fn a_run_that_goes_on_forgets_that_its_budget_was_short() {
        let fewer = Kind::FewerLaunches { made: 1, wanted: 3, budget: "1m".into(), enough: None };
        let warnings = vec![Warning::from(fewer), Warning::from(Kind::NotDeterministic)];
        let mut run = Run { cells: vec![Row { warnings, ..row("int8", 1) }], ..Run::default() };
        forget_budget(&mut run);
        assert_eq!(run.cells[0].warnings, [Warning::from(Kind::NotDeterministic)]);
    }

    #[test]
    fn launches_are_numbered_after_those_of_earlier_sessions() {
        let mut run = Run { cells: vec![row("int8", 3), row("stock", 2)], ..ditbench_reports::sample::run() };
        assert_eq!(next_order(&run), 3);
        run.cells[1].discarded = vec![Launch { order: 8, ..Launch::default() }];
        assert_eq!(next_order(&run), 9);
        run.cells.clear();
        assert_eq!(next_order(&run), 0);
    }

    #[test]
    fn what_is_told_anew_reaches_a_run_and_every_machine_of_several() {
        let begun = Settings::of(
            PlanFile::default(),
            Usual { launches: Launches::fixed(1), images: Images::fixed(1), budget: Seconds::fixed(60.0) },
        );
        let begun = Settings { timeout_s: Seconds::fixed(7.0), ..begun };
        let kept = ResumeOptions { timeout_s: None, budget_s: None, phone_binary: None };
        let told = ResumeOptions {
            timeout_s: Some(Seconds::fixed(90.0)),
            budget_s: Some(Seconds::fixed(5.0)),
            phone_binary: Some(Path::new("d")),
        };
        let after = |options: &ResumeOptions| {
            let mut settings = begun.clone();
            options.apply(&mut settings);
            (settings.timeout_s.get(), settings.budget_s.get(), settings.phone.phone_binary)
        };
        assert_eq!(after(&kept), (7.0, 60.0, None));
        assert_eq!(after(&told), (90.0, 5.0, Some("d".into())));
        assert!(kept.flags().is_empty());
        assert_eq!(told.flags(), ["--timeout", "90s", "--phone-binary", "d"]);
    }
}
