//! What the two databases share: the tables, the statements, and how a value goes in and comes out.
//!
//! Contract: one dialect that both SQLite and PostgreSQL take. Parameters are `$1`, `$2`, … in the order of their first
//! appearance (SQLite numbers them so). Whole numbers are BIGINT, numbers DOUBLE PRECISION, everything else TEXT.

use super::HistoryError;
use crate::metric::{ALL, Followed};

/// How the tables came to be: migration `n` (from 1) leads from schema version `n - 1` to `n`. Never edit one that was released:
/// stores that have it will not run it again. One that changes which points are taken from a record must take them anew.
pub(super) const MIGRATIONS: [&str; 7] = [
    "CREATE TABLE machine (
        fingerprint TEXT NOT NULL PRIMARY KEY,
        description TEXT NOT NULL
    );
    CREATE TABLE run (
        id TEXT NOT NULL PRIMARY KEY,
        created TEXT NOT NULL,
        finished TEXT,
        resumed BIGINT NOT NULL,
        tool_version TEXT NOT NULL,
        revision TEXT,
        dirty BIGINT,
        machine TEXT NOT NULL REFERENCES machine (fingerprint),
        cells_ok BIGINT NOT NULL,
        cells_failed BIGINT NOT NULL,
        text_sha256 TEXT NOT NULL,
        content_sha256 TEXT NOT NULL,
        record TEXT NOT NULL
    );
    CREATE TABLE series (
        id TEXT NOT NULL PRIMARY KEY,
        machine TEXT NOT NULL REFERENCES machine (fingerprint),
        model TEXT NOT NULL,
        height BIGINT NOT NULL,
        width BIGINT NOT NULL,
        backend TEXT NOT NULL,
        variant TEXT NOT NULL,
        device TEXT NOT NULL,
        \"precision\" TEXT NOT NULL,
        threads BIGINT NOT NULL,
        batch BIGINT NOT NULL,
        steps BIGINT NOT NULL,
        text_tokens BIGINT NOT NULL,
        memory TEXT NOT NULL,
        sampler TEXT NOT NULL,
        metric TEXT NOT NULL
    );
    CREATE TABLE point (
        series TEXT NOT NULL REFERENCES series (id),
        run TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
        value DOUBLE PRECISION NOT NULL,
        low DOUBLE PRECISION,
        high DOUBLE PRECISION,
        launches BIGINT NOT NULL,
        detail TEXT NOT NULL,
        PRIMARY KEY (series, run)
    );",
    "CREATE INDEX point_of_run ON point (run);",
    // A cell that is pinned to no CPUs keeps its id.
    "ALTER TABLE series ADD COLUMN cpus TEXT NOT NULL DEFAULT '';",
    // Conditions set series apart, and a compiler is known of each run: `take_points_anew` fills both from the records.
    "ALTER TABLE series ADD COLUMN conditions TEXT NOT NULL DEFAULT '';
    ALTER TABLE run ADD COLUMN toolchain TEXT;",
    // No other tables: a number is followed that was not.
    "",
    // What only some workloads have, as JSON; empty in rows of older programs, whose models' names hold it.
    "ALTER TABLE series ADD COLUMN own TEXT NOT NULL DEFAULT '';",
    // A cell beside which nothing was kept busy keeps its id.
    "ALTER TABLE series ADD COLUMN company BIGINT NOT NULL DEFAULT 0;",
];

/// The version since which points are taken from records as they are now: what a model has not has no point of zero.
const TAKEN_SO: i64 = 6;

/// The schema version that this program writes, and the newest that it reads: the tables', or that of the youngest number.
pub(super) const VERSION: i64 = {
    let tables = MIGRATIONS.len() as i64;
    let points = points_of();
    if tables > points { tables } else { points }
};

/// The version since which points are as this program takes them.
const fn points_of() -> i64 {
    let mut version = TAKEN_SO;
    let mut place = 0;
    while place < ALL.len() {
        if let Followed::As { since, .. } = ALL[place].history
            && since > version
        {
            version = since;
        }
        place += 1;
    }
    version
}

/// Whether a store of that version must take the points of its records anew.
pub(super) fn has_old_points(version: i64) -> bool {
    version < points_of()
}

/// The migrations that a store of a version lacks, each with the version that it leads to.
pub(super) fn migrations_after(version: i64) -> impl Iterator<Item = (i64, &'static str)> {
    (1..).zip(MIGRATIONS).filter(move |(to, _)| *to > version)
}

/// A value of a column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// NULL.
    Null,
    /// BIGINT.
    Int(i64),
    /// DOUBLE PRECISION.
    Real(f64),
    /// TEXT.
    Text(String),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Int(i64::from(number))
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A row of an answer. Its readers say `None` where the column holds something else: only a damaged store does.
#[derive(Debug)]
pub(super) struct Row(pub Vec<Value>);

impl Row {
    /// TEXT.
    pub(super) fn text(&self, column: usize) -> Option<String> {
        match self.0.get(column)? {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// TEXT or NULL.
    pub(super) fn maybe_text(&self, column: usize) -> Option<Option<String>> {
        match self.0.get(column)? {
            Value::Null => Some(None),
            _ => self.text(column).map(Some),
        }
    }

    /// BIGINT.
    pub(super) fn int(&self, column: usize) -> Option<i64> {
        match self.0.get(column)? {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// BIGINT that fits.
    pub(super) fn count(&self, column: usize) -> Option<u32> {
        self.int(column)?.try_into().ok()
    }

    /// BIGINT or NULL.
    pub(super) fn maybe_int(&self, column: usize) -> Option<Option<i64>> {
        match self.0.get(column)? {
            Value::Null => Some(None),
            _ => self.int(column).map(Some),
        }
    }

    /// DOUBLE PRECISION.
    pub(super) fn real(&self, column: usize) -> Option<f64> {
        match self.0.get(column)? {
            Value::Real(number) => Some(*number),
            _ => None,
        }
    }

    /// DOUBLE PRECISION or NULL.
    pub(super) fn maybe_real(&self, column: usize) -> Option<Option<f64>> {
        match self.0.get(column)? {
            Value::Null => Some(None),
            _ => self.real(column).map(Some),
        }
    }
}

/// A transaction.
pub(super) trait Session {
    /// Runs a statement; how many rows it changed.
    fn execute(&mut self, doing: &'static str, sql: &str, values: &[Value]) -> Result<u64, HistoryError>;

    /// Asks.
    fn query(&mut self, doing: &'static str, sql: &str, values: &[Value]) -> Result<Vec<Row>, HistoryError>;
}

/// What a transaction does. It may be called again where the database asks for that.
pub(super) type Work<'a> = &'a mut dyn FnMut(&mut dyn Session) -> Result<(), HistoryError>;

/// An open database whose tables are of [`VERSION`].
pub(super) trait Database: Send {
    /// Where it is, without passwords.
    fn location(&self) -> &str;

    /// One transaction that only reads, and sees one state of the store.
    fn read(&mut self, work: Work) -> Result<(), HistoryError>;

    /// One transaction: on the disk when this returns `Ok`, undone if `work` or the database fails.
    fn write(&mut self, work: Work) -> Result<(), HistoryError>;

    /// What the database itself finds wrong with its structure; empty: nothing.
    fn check(&mut self) -> Result<Vec<String>, HistoryError>;

    /// That the store holds what this program did not write.
    fn damaged(&self, why: String) -> HistoryError {
        HistoryError::Damaged { store: self.location().to_owned(), why }
    }
}

/// Puts rows into a table in as few statements as the databases' limits on parameters allow; rows that are there are left as
/// they are. How many were put in.
pub(super) fn insert(
    session: &mut dyn Session,
    doing: &'static str,
    table: &str,
    columns: &[&str],
    rows: &[Vec<Value>],
) -> Result<u64, HistoryError> {
    let mut inserted = 0;
    for rows in rows.chunks(200) {
        let mut number = 0;
        let tuples: Vec<String> = rows
            .iter()
            .map(|row| {
                let marks: Vec<String> = row
                    .iter()
                    .map(|_| {
                        number += 1;
                        format!("${number}")
                    })
                    .collect();
                format!("({})", marks.join(", "))
            })
            .collect();
        let sql =
            format!("INSERT INTO {table} ({}) VALUES {} ON CONFLICT DO NOTHING", columns.join(", "), tuples.join(", "));
        inserted += session.execute(doing, &sql, &rows.concat())?;
    }
    Ok(inserted)
}
