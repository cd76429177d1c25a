//! `ditbench history`: a store of records, in an SQLite file or in PostgreSQL, and what it tells.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ditbench_record::one_line;
use ditbench_record::store::RECORD_FILE;
use ditbench_reports::history::{self, HistoryStore, Imported, Missing, SeriesSummary, page};
use ditbench_reports::stats::changepoints;

use super::examples;
use crate::text::{data, show, table};

/// Arguments of `ditbench history`.
#[derive(Debug, clap::Args)]
pub struct HistoryArgs {
    #[command(flatten)]
    store: StoreArgs,
    #[command(subcommand)]
    command: HistoryCommand,
}

/// Where the store is.
#[derive(Clone, Debug, clap::Args)]
pub struct StoreArgs {
    /// The store: an SQLite file, or postgres://USER:PASSWORD@HOST/DATABASE for a team [default: history.sqlite in the user's
    /// data folder]
    #[arg(long, global = true, env = "DITBENCH_HISTORY", value_name = "FILE|URL")]
    store: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum HistoryCommand {
    /// Put runs into the store; runs already in it are left as they are
    #[command(after_help = examples::HISTORY_IMPORT)]
    Import {
        /// Directories of runs, or their records
        #[arg(required = true, value_name = "RUN")]
        runs: Vec<PathBuf>,
    },
    /// Export a record, byte for byte as it was imported
    #[command(after_help = examples::HISTORY_EXPORT)]
    Export {
        /// The run's id
        id: String,
        /// Where to write it [default: standard output]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// List the runs
    #[command(after_help = examples::HISTORY_LIST)]
    List,
    /// List the series: machine × backend × device × precision × size × steps, each with its number of runs
    #[command(after_help = examples::HISTORY_SERIES)]
    Series {
        #[command(flatten)]
        filter: Filter,
    },
    /// Write a page with a plot of every series, its level shifts marked
    #[command(after_help = examples::HISTORY_PAGE)]
    Page {
        /// Where to write it
        #[arg(short, long, default_value = "history.html", value_name = "FILE")]
        output: PathBuf,
        #[command(flatten)]
        filter: Filter,
    },
    /// Read everything back and compare it with what was imported
    #[command(after_help = examples::HISTORY_CHECK)]
    Check,
}

/// Which series.
#[derive(Clone, Debug, Default, clap::Args)]
struct Filter {
    /// Only this model
    #[arg(long)]
    model: Option<String>,
    /// Only this backend
    #[arg(long)]
    backend: Option<String>,
    /// Only this precision
    #[arg(long)]
    precision: Option<String>,
    /// Only this number, such as image_s or peak_bytes
    #[arg(long)]
    metric: Option<String>,
}

impl Filter {
    fn wants(&self, series: &SeriesSummary) -> bool {
        let fits = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        let cell = &series.key.cell;
        fits(&self.model, &cell.name())
            && fits(&self.backend, &cell.backend)
            && fits(&self.precision, &cell.precision)
            && fits(&self.metric, &series.key.metric.name())
    }
}

impl StoreArgs {
    /// Opens it.
    ///
    /// # Errors
    /// There is none and one is wanted; it is damaged, newer or out of reach.
    pub fn open(&self, missing: Missing) -> Result<Box<dyn HistoryStore>> {
        let location = match &self.store {
            Some(location) => location.clone(),
            None => {
                let folder = crate::paths::data()?;
                folder.join("history.sqlite").to_str().context("the data folder's name is not UTF-8")?.to_owned()
            }
        };
        Ok(history::open(&location, missing)?)
    }
}

/// Does what was asked.
///
/// # Errors
/// The store's own; a run that cannot be read.
pub fn history(args: &HistoryArgs) -> Result<()> {
    match &args.command {
        HistoryCommand::Import { runs } => import(args.store.open(Missing::Create)?.as_mut(), runs),
        HistoryCommand::Export { id, output } => {
            let text = args.store.open(Missing::Refuse)?.export_text(id)?;
            match output {
                Some(file) => std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display())),
                None => {
                    data(&text);
                    Ok(())
                }
            }
        }
        HistoryCommand::List => list(args.store.open(Missing::Refuse)?.as_mut()),
        HistoryCommand::Series { filter } => series(args.store.open(Missing::Refuse)?.as_mut(), filter),
        HistoryCommand::Page { output, filter } => {
            let mut store = args.store.open(Missing::Refuse)?;
            let detector = changepoints::detector(changepoints::Options::default());
            let contents = page::collect(store.as_mut(), &|series| filter.wants(series), Some(&detector))?;
            if contents.series.is_empty() {
                bail!("{} has no such series; `ditbench history series` lists what there is", contents.location);
            }
            std::fs::write(output, page::html(&contents)?)
                .with_context(|| format!("cannot write {}", output.display()))?;
            for series in &contents.series {
                for change in &series.changes {
                    show(&format!("{}\n", one_line(&format!("{}: {}", series.summary.key, change.says(series)))));
                }
            }
            show(&format!("{}\n", output.display()));
            Ok(())
        }
        HistoryCommand::Check => {
            let found = args.store.open(Missing::Refuse)?.integrity()?;
            for problem in &found.problems {
                show(&format!("{}\n", one_line(problem)));
            }
            if !found.is_sound() {
                bail!(
                    "{} problems; the intact records can be exported with `ditbench history export`",
                    found.problems.len()
                );
            }
            show(&format!("{} runs and {} points: all as they were imported.\n", found.runs, found.points));
            Ok(())
        }
    }
}

/// Puts one run into the store at `location`, which is made if there is none.
///
/// # Errors
/// The store's own; a run that cannot be read.
pub fn put(location: &str, run: &Path) -> Result<()> {
    import(history::open(location, Missing::Create)?.as_mut(), &[run.to_owned()])
}

fn import(store: &mut dyn HistoryStore, runs: &[PathBuf]) -> Result<()> {
    for run in runs {
        let file = if run.is_dir() { run.join(RECORD_FILE) } else { run.clone() };
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let what = match store.import_text(&text).with_context(|| run.display().to_string())? {
            Imported::New => "imported",
            Imported::Already => "was there already",
            Imported::Continued => "replaces an earlier state of the same run",
        };
        show(&format!("{}: {what}\n", run.display()));
    }
    let count = store.runs()?.len();
    show(&format!("{}: {count} runs\n", store.location()));
    Ok(())
}

fn list(store: &mut dyn HistoryStore) -> Result<()> {
    let rows = store.runs()?.into_iter().map(|run| {
        vec![
            run.id,
            run.created,
            run.revision.map_or_else(|| "-".to_owned(), |revision| revision.chars().take(10).collect()),
            format!("{} ok, {} failed", run.cells_ok, run.cells_failed),
            run.description,
        ]
    });
    show(&table(&["run", "created", "revision", "cells", "machine"], rows));
    Ok(())
}

fn series(store: &mut dyn HistoryStore, filter: &Filter) -> Result<()> {
    let rows = store.series()?.into_iter().filter(|series| filter.wants(series)).map(|series| {
        let key = &series.key;
        vec![key.cell.id(), key.metric.name(), series.points.to_string(), key.machine.clone(), key.conditions.clone()]
    });
    show(&table(&["cell", "number", "runs", "machine", "conditions"], rows));
    Ok(())
}
