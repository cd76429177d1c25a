//! The history: a store of records, and the series that run through them.
//!
//! Contract: a record goes in whole or not at all, and comes out byte for byte as it went in. Once [`HistoryStore::import`] has
//! returned, the record survives the death of this process, of every other, and of the machine. Any number of processes may
//! write at once. A store that is damaged, newer than this program or another program's is refused unchanged, with what to do.
//!
//! One interface, two stores: an SQLite file for one machine, and PostgreSQL by its URL for a team (cargo feature `postgres`).

mod error;
pub mod page;
#[cfg(feature = "postgres")]
mod postgres;
mod record;
pub mod series;
mod sql;
mod sqlite;
mod store;

use serde::Serialize;

pub use error::HistoryError;
pub use series::{Point, SeriesKey};

pub use crate::metric::Metric;
use crate::record::Run;

/// What became of a record that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Imported {
    /// It is in the store now.
    New,
    /// It was there already; nothing was changed.
    Already,
    /// An earlier state of the same run was there (unfinished, or before a resume) and has been replaced.
    Continued,
}

/// A run of the store in a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunSummary {
    /// [`crate::record::RunInfo::id`].
    pub id: String,
    /// When it began, RFC 3339 in UTC.
    pub created: String,
    /// When it ended; `None` if it had not when it was imported.
    pub finished: Option<String>,
    /// Version of ditbench that measured.
    pub tool_version: String,
    /// The source revision; `None` where the record does not say.
    pub revision: Option<String>,
    /// [`series::fingerprint`] of its machine.
    pub machine: String,
    /// [`series::describe`] of its machine.
    pub description: String,
    /// Cells that ended well.
    pub cells_ok: u32,
    /// Cells that did not.
    pub cells_failed: u32,
}

/// A series of the store in a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeriesSummary {
    /// What it is of.
    pub key: SeriesKey,
    /// [`series::describe`] of its machine.
    pub description: String,
    /// How many runs it has.
    pub points: u64,
}

/// What a check of the whole store found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Integrity {
    /// Records that were read back and compared.
    pub runs: u64,
    /// Points that were compared with their records.
    pub points: u64,
    /// What is wrong, and where. Empty: nothing.
    pub problems: Vec<String>,
}

impl Integrity {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

/// A store of records.
pub trait HistoryStore: Send {
    /// Where it is, without passwords.
    fn location(&self) -> &str;

    /// Puts in a record as the text of its `record.json`, which is kept byte for byte. When this returns, it is on the disk.
    ///
    /// # Errors
    /// The text is no record or has no place in a series; the store holds another record, or a later state, of the same id;
    /// the store cannot be written. Then nothing of it is in the store.
    fn import_text(&mut self, text: &str) -> Result<Imported, HistoryError>;

    /// Puts in a record.
    ///
    /// # Errors
    /// As [`HistoryStore::import_text`].
    fn import(&mut self, run: &Run) -> Result<Imported, HistoryError> {
        self.import_text(&record::to_text(run)?)
    }

    /// The text of a record as it was put in.
    ///
    /// # Errors
    /// There is none of this id, or it is not what was put in any more.
    fn export_text(&mut self, id: &str) -> Result<String, HistoryError>;

    /// A record.
    ///
    /// # Errors
    /// As [`HistoryStore::export_text`].
    fn export(&mut self, id: &str) -> Result<Run, HistoryError> {
        let text = self.export_text(id)?;
        crate::record::parse(&text).map_err(|source| HistoryError::Record { source })
    }

    /// Every run, the oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    fn runs(&mut self) -> Result<Vec<RunSummary>, HistoryError>;

    /// Every series, in the order of their keys.
    ///
    /// # Errors
    /// The store cannot be read.
    fn series(&mut self) -> Result<Vec<SeriesSummary>, HistoryError>;

    /// The points of a series, the oldest run first; none if there is no such series.
    ///
    /// # Errors
    /// The store cannot be read.
    fn points(&mut self, key: &SeriesKey) -> Result<Vec<Point>, HistoryError>;

    /// Reads everything and compares: the store's own structure, each record with its hash, each point with its record.
    ///
    /// # Errors
    /// The store cannot be read at all; whatever else is wrong is in [`Integrity::problems`].
    fn integrity(&mut self) -> Result<Integrity, HistoryError>;
}

/// What to do where there is no store yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Make one.
    Create,
    /// Refuse: somebody wants to read.
    Refuse,
}

/// Opens a store: PostgreSQL for a URL (`postgres://` or `postgresql://`), else an SQLite file.
///
/// # Errors
/// There is none and `missing` says to refuse; it is damaged, newer, another program's, out of reach, or PostgreSQL was not
/// built in.
pub fn open(location: &str, missing: Missing) -> Result<Box<dyn HistoryStore>, HistoryError> {
    if location.starts_with("postgres://") || location.starts_with("postgresql://") {
        #[cfg(feature = "postgres")]
        return Ok(Box::new(postgres::open(location, missing)?));
        #[cfg(not(feature = "postgres"))]
        return Err(HistoryError::NotBuiltIn);
    }
    if let Some((scheme, _)) = location.split_once("://") {
        return Err(HistoryError::Scheme { scheme: scheme.to_owned() });
    }
    Ok(Box::new(sqlite::open(std::path::Path::new(location), missing)?))
}

/// A record for tests, read in a moment where [`crate::sample::run`] takes its time over pictures.
#[cfg(test)]
fn golden() -> Run {
    crate::record::parse(include_str!("../../tests/data/record-v1.json")).expect("the golden record")
}
