//! A report: the page and its tables as files.
//!
//! Contract: `report.html`, `table.csv`, `table.json`, `table.md`, each written whole or not at all; made from records and
//! the images beside them alone.

use std::io;
use std::path::{Path, PathBuf};

use crate::advice::Question;
use crate::plots::PlotError;
use crate::table::{Absent, Table};
use crate::{csv, html, markdown, table};
use ditbench_record::store::{LoadedRun, StoreError, replace_file};

/// Why a report cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// There is nothing to report.
    #[error("no run was given. Give the directory of a run, or several")]
    Nothing,
    /// A plot failed.
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// A file cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where the files of a report are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportFiles {
    /// The page.
    pub html: PathBuf,
    /// The table as CSV.
    pub csv: PathBuf,
    /// The table as JSON.
    pub json: PathBuf,
    /// The table as Markdown.
    pub markdown: PathBuf,
}

/// Writes the report of some runs into a directory, which is made if need be, and says which machines gave none.
///
/// # Errors
/// No run, or a file that cannot be written.
pub fn report(runs: &[LoadedRun], absent: &[Absent], out_dir: &Path) -> Result<ReportFiles, ReportError> {
    answering(&Question::default(), runs, absent, out_dir)
}

/// The same with the answer to a question as the page's conclusion.
///
/// # Errors
/// As [`report`].
pub fn answering(
    question: &Question,
    runs: &[LoadedRun],
    absent: &[Absent],
    out_dir: &Path,
) -> Result<ReportFiles, ReportError> {
    if runs.is_empty() {
        return Err(ReportError::Nothing);
    }
    let records: Vec<_> = runs.iter().map(|loaded| &loaded.run).collect();
    let table = Table { absent: absent.to_vec(), ..table::of_runs(&records) };
    let page = html::of_question(runs, &table, question)?;
    std::fs::create_dir_all(out_dir).map_err(|source| StoreError::Io {
        doing: "create",
        path: out_dir.to_owned(),
        source,
    })?;
    let files = ReportFiles {
        html: out_dir.join("report.html"),
        csv: out_dir.join("table.csv"),
        json: out_dir.join("table.json"),
        markdown: out_dir.join("table.md"),
    };
    replace_file(&files.html, |file| file.write_all(page.as_bytes()))?;
    replace_file(&files.csv, |file| csv::write_table(&table, file))?;
    replace_file(&files.json, |file| {
        serde_json::to_writer_pretty(&mut *file, &table).map_err(io::Error::from)?;
        file.write_all(b"\n")
    })?;
    replace_file(&files.markdown, |file| file.write_all(markdown::of_table(&table).as_bytes()))?;
    Ok(files)
}
