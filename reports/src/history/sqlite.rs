//! A history in one SQLite file, for one machine.
//!
//! Contract: the file is written ahead (WAL), flushed to the disk at each commit, so that readers never wait and writers queue up.
//! A file is looked at before anything is written to it: another program's, a newer one's and a damaged one are left as they are.
//! It may come from anybody (a build's artefact, a colleague), so it is not trusted: it must hold the tables and indexes that
//! this program makes and nothing else, since a view or a trigger in it would run as part of our questions. What is left to
//! read is then no more than the file itself.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, ffi, params_from_iter};

use super::sql::{Database, MIGRATIONS, Row, Session, VERSION, Value, Work, has_old_points, migrations_after};
use super::store::{Store, take_points_anew};
use super::{HistoryError, Missing};
use crate::record::one_line;

/// "ditb": tells a history from other programs' SQLite files.
const APPLICATION_ID: i64 = 0x6469_7462;

/// How long a writer waits for the others. An import takes milliseconds; a queue of a thousand is waited out.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest text or row, in bytes: some hundred times the largest record that was seen.
const LONGEST: i32 = 256 << 20;

/// An open file.
pub(super) struct Sqlite {
    connection: Connection,
    location: String,
}

/// What a file says of itself.
struct Identity {
    application: i64,
    version: i64,
    tables: i64,
}

/// A store in an SQLite file.
pub(super) fn open(path: &Path, missing: Missing) -> Result<Store<Sqlite>, HistoryError> {
    let location = path.display().to_string();
    // A path that cannot even be asked about goes on, so that SQLite says why.
    if missing == Missing::Refuse && path.try_exists().is_ok_and(|exists| !exists) {
        return Err(HistoryError::Missing { store: location });
    }
    if fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        return Err(HistoryError::NotAStore { store: location, why: "it is not a regular file".into() });
    }
    // Never open the file by other means here: closing it would release the locks that this process's other connections hold
    // on it (https://sqlite.org/howtocorrupt.html, 2.2). Asking for its length is safe.
    let settled = fs::metadata(path).ok().filter(|_| !is_being_written(path)).map(|file| file.len());
    let create = if missing == Missing::Create { OpenFlags::SQLITE_OPEN_CREATE } else { OpenFlags::empty() };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | create;
    let connection = Connection::open_with_flags(path, flags).map_err(told(&location, "opening it"))?;
    let mut database = Sqlite { connection, location };
    database.prepare(missing, settled)?;
    Ok(Store { database })
}

/// Whether somebody is writing, or was killed at it: then there is a file beside the store, from which SQLite puts it right.
fn is_being_written(path: &Path) -> bool {
    ["-wal", "-journal"].iter().any(|ending| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        Path::new(&name).exists()
    })
}

impl Sqlite {
    /// `settled` is the file's length where nobody was writing.
    fn prepare(&mut self, missing: Missing, settled: Option<u64>) -> Result<(), HistoryError> {
        const DOING: &str = "opening it";
        self.connection.busy_timeout(PATIENCE).map_err(told(&self.location, DOING))?;
        self.distrust().map_err(told(&self.location, DOING))?;
        let identity = self.identity()?;
        let fresh = identity.application == 0 && identity.version == 0 && identity.tables == 0;
        if fresh && missing == Missing::Refuse {
            return Err(HistoryError::Missing { store: self.location.clone() });
        }
        if !fresh {
            self.accept(&identity)?;
            self.refuse_foreign(identity.version)?;
            self.refuse_cut_off(settled)?;
            let problems = self.pragma_rows("PRAGMA quick_check(1)")?;
            if let Some(why) = problems.into_iter().next() {
                return Err(self.damaged(one_line(&why)));
            }
        }
        self.write_ahead()?;
        // FULL: a commit is on the disk before it is told. foreign_keys is off by default, for each connection.
        let settings = "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA foreign_keys = ON;";
        self.connection.execute_batch(settings).map_err(told(&self.location, DOING))?;
        self.migrate()
    }

    /// Nothing in the file's schema may act, and no value be longer than [`LONGEST`].
    fn distrust(&self) -> Result<(), rusqlite::Error> {
        for (setting, on) in [
            (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
            (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
            (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
            (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        ] {
            self.connection.set_db_config(setting, on)?;
        }
        // SAFETY: the handle is of an open connection that lives over the call, which only stores a number.
        unsafe { ffi::sqlite3_limit(self.connection.handle(), ffi::SQLITE_LIMIT_LENGTH, LONGEST) };
        Ok(())
    }

    /// Refuses a schema that is not the one that this program gave its files at that version, statement for statement.
    fn refuse_foreign(&self, version: i64) -> Result<(), HistoryError> {
        let fault = told(&self.location, "reading its schema");
        let made = Connection::open_in_memory().map_err(&fault)?;
        for migration in MIGRATIONS.iter().take(usize::try_from(version).unwrap_or(0)) {
            made.execute_batch(migration).map_err(&fault)?;
        }
        let (ours, theirs) = (schema(&made).map_err(&fault)?, schema(&self.connection).map_err(&fault)?);
        if let Some((kind, name, _)) = theirs.iter().find(|object| !ours.contains(object)) {
            let what = format!("the {} \"{}\"", one_line(kind), one_line(name));
            return Err(HistoryError::Foreign { store: self.location.clone(), what });
        }
        match ours.iter().find(|object| !theirs.contains(object)) {
            Some((kind, name, _)) => Err(self.damaged(format!("it lacks the {kind} {name}"))),
            None => Ok(()),
        }
    }

    fn identity(&mut self) -> Result<Identity, HistoryError> {
        let read = |connection: &mut Connection| {
            // One transaction: another program may be making the tables at this moment.
            let transaction = connection.transaction()?;
            let number = |sql: &str| transaction.query_row(sql, [], |row| row.get::<_, i64>(0));
            Ok(Identity {
                application: number("PRAGMA application_id")?,
                version: number("PRAGMA user_version")?,
                tables: number("SELECT count(*) FROM (SELECT 1 FROM sqlite_schema LIMIT 1)")?,
            })
        };
        read(&mut self.connection).map_err(told(&self.location, "reading it"))
    }

    fn accept(&self, identity: &Identity) -> Result<(), HistoryError> {
        let store = self.location.clone();
        if identity.application != APPLICATION_ID {
            return Err(HistoryError::NotAStore { store, why: "it is an SQLite database of another program".into() });
        }
        if identity.version > VERSION {
            return Err(HistoryError::TooNew { store, found: identity.version, known: VERSION });
        }
        if identity.version < 1 {
            return Err(HistoryError::Damaged { store, why: format!("its schema version is {}", identity.version) });
        }
        Ok(())
    }

    /// Refuses a file that ends in the midst of a page: SQLite would take it and read the rest as zeros.
    fn refuse_cut_off(&self, settled: Option<u64>) -> Result<(), HistoryError> {
        let page = self.connection.query_row("PRAGMA page_size", [], |row| row.get::<_, i64>(0));
        let page = page.map_err(told(&self.location, "reading it"))?;
        match (settled, u64::try_from(page)) {
            (Some(length), Ok(page)) if page > 0 && length % page != 0 => {
                Err(self.damaged(format!("it ends in the middle of a page: it was cut off at {length} bytes")))
            }
            _ => Ok(()),
        }
    }

    /// Switches to write-ahead logging, which lasts. While two programs make one file, SQLite turns one of them away without
    /// waiting; so the wait is here.
    fn write_ahead(&self) -> Result<(), HistoryError> {
        let began = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            match self.connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0)) {
                Ok(mode) if mode == "wal" => return Ok(()),
                Ok(mode) => {
                    return Err(HistoryError::Database {
                        store: self.location.clone(),
                        doing: "preparing it for several writers",
                        why: format!("the file system only allows the journal mode {mode}"),
                        cure: "Keep it on a local disk, not on a network file system; or use PostgreSQL",
                    });
                }
                Err(error) if is_busy(&error) && began.elapsed() < PATIENCE => {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(100));
                }
                Err(error) => return Err(told(&self.location, "opening it")(error)),
            }
        }
    }

    fn migrate(&mut self) -> Result<(), HistoryError> {
        let identity = self.identity()?;
        if identity.version == VERSION {
            return Ok(());
        }
        const DOING: &str = "bringing its tables up to date";
        let fault = told(&self.location, DOING);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&fault)?;
        // Again, now that no other program can write.
        let version = transaction.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).map_err(&fault)?;
        if version > VERSION {
            return Err(HistoryError::TooNew { store: self.location.clone(), found: version, known: VERSION });
        }
        for (to, sql) in migrations_after(version) {
            transaction.execute_batch(sql).map_err(&fault)?;
            transaction.pragma_update(None, "user_version", to).map_err(&fault)?;
        }
        if has_old_points(version) {
            take_points_anew(&mut Transaction { transaction: &transaction, location: &self.location })?;
        }
        transaction.pragma_update(None, "user_version", VERSION).map_err(&fault)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(&fault)?;
        transaction.commit().map_err(&fault)
    }

    /// The answers of a check, less its `ok`.
    fn pragma_rows(&self, sql: &str) -> Result<Vec<String>, HistoryError> {
        let read = || {
            let mut statement = self.connection.prepare(sql)?;
            let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
            rows.collect::<Result<Vec<_>, _>>()
        };
        let rows = read().map_err(told(&self.location, "checking it"))?;
        Ok(rows.into_iter().filter(|row| row != "ok").collect())
    }

    fn transact(&mut self, behavior: TransactionBehavior, work: Work) -> Result<(), HistoryError> {
        let fault = told(&self.location, "writing to it");
        let transaction = self.connection.transaction_with_behavior(behavior).map_err(&fault)?;
        // Dropped without a commit, it is undone.
        work(&mut Transaction { transaction: &transaction, location: &self.location })?;
        transaction.commit().map_err(&fault)
    }
}

impl Database for Sqlite {
    fn location(&self) -> &str {
        &self.location
    }

    fn read(&mut self, work: Work) -> Result<(), HistoryError> {
        self.transact(TransactionBehavior::Deferred, work)
    }

    fn write(&mut self, work: Work) -> Result<(), HistoryError> {
        // Immediate: a transaction that begins by reading could not wait for its turn to write.
        self.transact(TransactionBehavior::Immediate, work)
    }

    fn check(&mut self) -> Result<Vec<String>, HistoryError> {
        let mut problems = self.pragma_rows("PRAGMA integrity_check")?;
        // Table, row, parent: a row that refers to one that is not there.
        let orphans = self.pragma_rows("PRAGMA foreign_key_check")?;
        problems.extend(orphans.iter().map(|table| format!("a row of {table} refers to a row that is not there")));
        Ok(problems)
    }
}

/// Kind, name and statement of what a database holds, less the statistics that SQLite itself keeps.
fn schema(connection: &Connection) -> Result<Vec<(String, String, Option<String>)>, rusqlite::Error> {
    // More than any file of ours holds: the rest of somebody else's is not read.
    let sql = "SELECT type, name, sql FROM sqlite_schema WHERE substr(name, 1, 11) <> 'sqlite_stat' LIMIT 100";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    rows.collect()
}

struct Transaction<'a> {
    transaction: &'a rusqlite::Transaction<'a>,
    location: &'a str,
}

impl Session for Transaction<'_> {
    fn execute(&mut self, doing: &'static str, sql: &str, values: &[Value]) -> Result<u64, HistoryError> {
        let run = || self.transaction.prepare_cached(sql)?.execute(params_from_iter(values));
        run().map(|rows| rows as u64).map_err(told(self.location, doing))
    }

    fn query(&mut self, doing: &'static str, sql: &str, values: &[Value]) -> Result<Vec<Row>, HistoryError> {
        let read = || {
            let mut statement = self.transaction.prepare_cached(sql)?;
            let columns = statement.column_count();
            let rows = statement.query_map(params_from_iter(values), |row| {
                (0..columns).map(|column| value(row.get_ref(column)?, column)).collect::<Result<Vec<_>, _>>().map(Row)
            })?;
            rows.collect::<Result<Vec<_>, _>>()
        };
        read().map_err(told(self.location, doing))
    }
}

fn value(found: ValueRef, column: usize) -> Result<Value, rusqlite::Error> {
    Ok(match found {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Int(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(bytes) => Value::Text(
            std::str::from_utf8(bytes).map_err(|error| rusqlite::Error::Utf8Error(column, error))?.to_owned(),
        ),
        // We write none: the reader of the column will say so.
        ValueRef::Blob(_) => Value::Null,
    })
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// SQLite's refusal in our words.
fn told(location: &str, doing: &'static str) -> impl Fn(rusqlite::Error) -> HistoryError + use<> {
    let store = location.to_owned();
    move |error| {
        let (store, why) = (store.clone(), one_line(&error.to_string()));
        let failed = |cure| HistoryError::Database { store: store.clone(), doing, why: why.clone(), cure };
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                HistoryError::Busy { store, seconds: PATIENCE.as_secs() }
            }
            Some(ErrorCode::DatabaseCorrupt) => HistoryError::Damaged { store, why },
            Some(ErrorCode::NotADatabase) => HistoryError::NotAStore {
                store,
                why:
                    "it is not an SQLite database. If it was a history, its beginning has been overwritten: restore a \
                     copy"
                        .into(),
            },
            Some(ErrorCode::TooBig) => failed("A history accepts records of up to 256 MiB: keep this one as a file"),
            Some(ErrorCode::DiskFull) => {
                failed("The disk is full: free some space and try again; what was committed is kept")
            }
            Some(ErrorCode::CannotOpen) => {
                failed("Give the path of a file in a directory that exists and that you may write to")
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => failed(
                "Its file and its directory must be writable, even for reading: readers and writers coordinate through \
                 a file beside it",
            ),
            _ if matches!(error, rusqlite::Error::Utf8Error(..)) => HistoryError::Damaged { store, why },
            _ => failed("Check the disk; `ditbench history check` reads all of the history"),
        }
    }
}
