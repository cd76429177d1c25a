//! Why a store cannot do what was asked: what is wrong, where, and what to do next.

use crate::record::RecordError;

/// Why a store cannot do what was asked. In every case the store is as it was.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// There is no store.
    #[error("there is no history at {store}. Import a record first, which creates it, or give another --store")]
    Missing {
        /// Where.
        store: String,
    },
    /// Something else is there.
    #[error("{store} is not a history of ditbench: {why}. Nothing was changed; give another --store")]
    NotAStore {
        /// Where.
        store: String,
        /// What is there.
        why: String,
    },
    /// The store holds what acts by itself: a view or a trigger, an index or a table of somebody else's.
    #[error(
        "the history {store} contains {what}, which ditbench did not create, so reading it could do anything. Nothing \
         was read or changed. If it is yours, remove it with SQLite's own tool; otherwise restore a copy, or give \
         another --store"
    )]
    Foreign {
        /// Where.
        store: String,
        /// Its kind and name.
        what: String,
    },
    /// The store was cut off or overwritten.
    #[error(
        "the history {store} is damaged: {why}. Nothing was changed. Restore a copy; or create a new history and \
         import the runs' record.json files again; or save what can be read with SQLite's own tool: sqlite3 <damaged \
         file> .recover | sqlite3 <new file>"
    )]
    Damaged {
        /// Where.
        store: String,
        /// What was found.
        why: String,
    },
    /// A record of the store is not what was put in.
    #[error(
        "in the history {store} the record {run} is damaged: {why}. Restore a copy of the history, or import the run's \
         record.json into a new one"
    )]
    DamagedRecord {
        /// Where.
        store: String,
        /// The run's id.
        run: String,
        /// What was found.
        why: String,
    },
    /// Written by a newer program.
    #[error(
        "the history {store} has schema version {found}, but this program supports only up to {known}. Nothing was \
         changed. Update ditbench, or export the records with the ditbench that wrote it and import them into a \
         history of this one"
    )]
    TooNew {
        /// Where.
        store: String,
        /// Its version.
        found: i64,
        /// The newest that this program knows.
        known: i64,
    },
    /// Others have been writing for too long.
    #[error(
        "the history {store} has been locked by another program for {seconds} s. Nothing was changed; try again when that program is done"
    )]
    Busy {
        /// Where.
        store: String,
        /// How long was waited.
        seconds: u64,
    },
    /// What was given is no record.
    #[error("{source}")]
    Record {
        /// Why.
        source: RecordError,
    },
    /// A record that has no place in a series.
    #[error("the record {run:?} cannot go into a history: {why}. It was not imported")]
    Unfit {
        /// The run's id.
        run: String,
        /// Why.
        why: String,
    },
    /// Another record of the same id.
    #[error("the record {run} was not imported: {why}")]
    Conflict {
        /// The run's id.
        run: String,
        /// How the two differ, and what to do.
        why: String,
    },
    /// There is no such run.
    #[error("the history {store} holds no run {run:?}. `ditbench history list` names those that it holds")]
    NoRun {
        /// Where.
        store: String,
        /// The id that was asked for.
        run: String,
    },
    /// No store is known by this kind of URL.
    #[error(
        "a history cannot be at a {scheme}:// address. Give the path of an SQLite file, or \
         postgres://user@host/database"
    )]
    Scheme {
        /// What stands before `://`.
        scheme: String,
    },
    /// The feature is off.
    #[error(
        "this ditbench was built without PostgreSQL. Build it with --features postgres, or give the path of an SQLite file"
    )]
    NotBuiltIn,
    /// A connection that anybody on the way could read.
    #[error(
        "the connection to {store} would not be encrypted, and the server is not on this machine. Forward its port through ssh and give \
         localhost; or, on a network that you trust, add sslmode=disable to the URL"
    )]
    PlainText {
        /// Where, without the password.
        store: String,
    },
    /// The database or the operating system refused.
    #[error("the history {store}: {doing} failed: {why}. {cure}")]
    Database {
        /// Where, without the password.
        store: String,
        /// What was being done.
        doing: &'static str,
        /// The database's own words.
        why: String,
        /// What to do.
        cure: &'static str,
    },
}
