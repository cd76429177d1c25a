//! A history in PostgreSQL, for a team: one database, any number of machines that write.
//!
//! Contract: everything is in one schema of the database, `ditbench_history`. Commits are flushed to the server's disk before
//! they are told. The connection is not encrypted (no TLS is built in), so a server that is not on this machine is refused unless
//! the URL says `sslmode=disable`. A password may stand in the URL or, better, in `PGPASSWORD`; it is never shown.

use std::error::Error as _;
use std::time::Duration;

use ::postgres::config::{Host, SslMode};
use ::postgres::error::SqlState;
use ::postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use ::postgres::{Client, Config, IsolationLevel, NoTls};

use super::sql::{Database, Row, Session, VERSION, Value, Work, has_old_points, migrations_after};
use super::store::{Store, take_points_anew};
use super::{HistoryError, Missing};

/// How long a statement waits for a lock.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How often a transaction is tried that the server broke off for the sake of another.
const TRIES: u32 = 5;
/// "ditbhist": the lock that is held while tables are made.
const MIGRATION_LOCK: i64 = 0x6469_7462_6869_7374;

/// An open connection.
pub(super) struct Postgres {
    client: Client,
    location: String,
}

/// A store in a PostgreSQL database.
pub(super) fn open(url: &str, missing: Missing) -> Result<Store<Postgres>, HistoryError> {
    let mut config: Config = url.parse().map_err(|error: ::postgres::Error| HistoryError::Database {
        // The text cannot be shown: it may hold a password, and where it ends is not known.
        store: "at this postgres:// address".into(),
        doing: "reading the URL",
        why: words(&error),
        cure: "Write it as postgres://user@host:5432/database, with % signs for special characters",
    })?;
    let location = address(&config);
    if config.get_ssl_mode() != SslMode::Disable && !is_local(&config) {
        return Err(HistoryError::PlainText { store: location });
    }
    if config.get_password().is_none()
        && let Ok(password) = std::env::var("PGPASSWORD")
    {
        config.password(password);
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT);
    }
    if config.get_application_name().is_none() {
        config.application_name("ditbench");
    }
    let client = config.connect(NoTls).map_err(told(&location, "connecting"))?;
    let mut database = Postgres { client, location };
    database.prepare(missing)?;
    Ok(Store { database })
}

/// The address without the password.
fn address(config: &Config) -> String {
    let hosts: Vec<String> = config
        .get_hosts()
        .iter()
        .enumerate()
        .map(|(index, host)| {
            let ports = config.get_ports();
            let port = ports.get(index).or(ports.first()).map(|port| format!(":{port}")).unwrap_or_default();
            match host {
                Host::Tcp(name) => format!("{name}{port}"),
                #[cfg(unix)]
                Host::Unix(path) => format!("{}{port}", path.display()),
            }
        })
        .collect();
    let user = config.get_user().map(|user| format!("{user}@")).unwrap_or_default();
    format!("postgres://{user}{}/{}", hosts.join(","), config.get_dbname().unwrap_or_default())
}

/// Whether nothing leaves this machine.
fn is_local(config: &Config) -> bool {
    let local = |host: &Host| match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    };
    // An address given beside the name is the one that is called.
    config.get_hosts().iter().all(local) && config.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback)
}

impl Postgres {
    fn prepare(&mut self, missing: Missing) -> Result<(), HistoryError> {
        const DOING: &str = "opening it";
        let settings = format!(
            "SET search_path TO ditbench_history; SET lock_timeout = {}; \
             SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
            PATIENCE.as_millis()
        );
        self.client.batch_execute(&settings).map_err(told(&self.location, DOING))?;
        let encoding: String = self
            .client
            .query_one("SELECT current_setting('server_encoding')", &[])
            .and_then(|row| row.try_get(0))
            .map_err(told(&self.location, DOING))?;
        if encoding != "UTF8" {
            return Err(HistoryError::NotAStore {
                store: self.location.clone(),
                why: format!(
                    "the database keeps text as {encoding}, and records are UTF-8: make one with createdb --encoding=UTF8 --template=template0"
                ),
            });
        }
        match self.version()? {
            None if missing == Missing::Refuse => Err(HistoryError::Missing { store: self.location.clone() }),
            Some(version) if version > VERSION => {
                Err(HistoryError::TooNew { store: self.location.clone(), found: version, known: VERSION })
            }
            // Nothing to write, so that no right to make tables is needed.
            Some(VERSION) => Ok(()),
            _ => self.migrate(),
        }
    }

    /// The schema version; `None` where there are no tables yet.
    fn version(&mut self) -> Result<Option<i64>, HistoryError> {
        let fault = told(&self.location, "reading its schema version");
        let there: bool = self
            .client
            .query_one("SELECT to_regclass('ditbench_history.schema_version') IS NOT NULL", &[])
            .and_then(|row| row.try_get(0))
            .map_err(&fault)?;
        if !there {
            return Ok(None);
        }
        let rows = self.client.query("SELECT version FROM ditbench_history.schema_version", &[]).map_err(&fault)?;
        let [row] = rows.as_slice() else {
            return Err(self.damaged(format!("its schema_version has {} rows instead of one", rows.len())));
        };
        row.try_get(0).map(Some).map_err(&fault)
    }

    fn migrate(&mut self) -> Result<(), HistoryError> {
        let location = self.location.clone();
        let fault = told(&location, "bringing its tables up to date");
        let mut transaction = self.client.transaction().map_err(&fault)?;
        // Held until the end of the transaction: one program at a time makes tables.
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).map_err(&fault)?;
        let tables = "CREATE SCHEMA IF NOT EXISTS ditbench_history; \
                      CREATE TABLE IF NOT EXISTS schema_version (only_row BIGINT PRIMARY KEY CHECK (only_row = 1), version BIGINT NOT NULL); \
                      INSERT INTO schema_version VALUES (1, 0) ON CONFLICT DO NOTHING";
        transaction.batch_execute(tables).map_err(&fault)?;
        // Read now: another program may have been quicker.
        let version: i64 = transaction
            .query_one("SELECT version FROM schema_version", &[])
            .and_then(|row| row.try_get(0))
            .map_err(&fault)?;
        if version > VERSION {
            return Err(HistoryError::TooNew { store: self.location.clone(), found: version, known: VERSION });
        }
        for (to, sql) in migrations_after(version) {
            transaction.batch_execute(sql).map_err(&fault)?;
            transaction.execute("UPDATE schema_version SET version = $1", &[&to]).map_err(&fault)?;
        }
        if has_old_points(version) {
            take_points_anew(&mut Transaction { transaction: &mut transaction, location: &location })?;
        }
        transaction.execute("UPDATE schema_version SET version = $1", &[&VERSION]).map_err(&fault)?;
        transaction.commit().map_err(&fault)
    }

    fn transact(&mut self, read_only: bool, work: Work) -> Result<(), HistoryError> {
        let location = self.location.clone();
        let fault = told(&location, if read_only { "reading" } else { "committing" });
        let mut tried = 0;
        loop {
            tried += 1;
            // A reader sees one state of the store; a writer sees what others have committed while it waited for them.
            let level = if read_only { IsolationLevel::RepeatableRead } else { IsolationLevel::ReadCommitted };
            let builder = self.client.build_transaction().isolation_level(level).read_only(read_only);
            let mut transaction = builder.start().map_err(&fault)?;
            let done = work(&mut Transaction { transaction: &mut transaction, location: &location });
            // Dropped without a commit, it is undone.
            let done = done.and_then(|()| transaction.commit().map_err(&fault));
            match done {
                Err(HistoryError::Busy { .. }) if tried < TRIES => {}
                done => return done,
            }
        }
    }
}

impl Database for Postgres {
    fn location(&self) -> &str {
        &self.location
    }

    fn read(&mut self, work: Work) -> Result<(), HistoryError> {
        self.transact(true, work)
    }

    fn write(&mut self, work: Work) -> Result<(), HistoryError> {
        self.transact(false, work)
    }

    fn check(&mut self) -> Result<Vec<String>, HistoryError> {
        let mut problems = Vec::new();
        self.read(&mut |session| {
            const DOING: &str = "checking its structure";
            problems.clear();
            let invalid = "SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class ON pg_class.oid = indrelid \
                           WHERE relnamespace = 'ditbench_history'::regnamespace AND NOT indisvalid";
            for row in session.query(DOING, invalid, &[])? {
                problems.push(format!("the index {} is not valid", row.text(0).unwrap_or_default()));
            }
            for (table, column, other, id) in [
                ("run", "machine", "machine", "fingerprint"),
                ("series", "machine", "machine", "fingerprint"),
                ("point", "series", "series", "id"),
                ("point", "run", "run", "id"),
            ] {
                let sql = format!(
                    "SELECT count(*) FROM {table} WHERE NOT EXISTS (SELECT 1 FROM {other} WHERE {other}.{id} = {table}.{column})"
                );
                let rows = session.query(DOING, &sql, &[])?;
                let count = rows.first().and_then(|row| row.int(0)).unwrap_or_default();
                if count > 0 {
                    problems.push(format!("a row of {table} refers to a row that is not there ({count} times, in {other})"));
                }
            }
            Ok(())
        })?;
        Ok(problems)
    }
}

struct Transaction<'a, 'b> {
    transaction: &'a mut ::postgres::Transaction<'b>,
    location: &'a str,
}

fn parameters(values: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

impl Session for Transaction<'_, '_> {
    fn execute(&mut self, doing: &'static str, sql: &str, values: &[Value]) -> Result<u64, HistoryError> {
        self.transaction.execute(sql, &parameters(values)).map_err(told(self.location, doing))
    }

    fn query(&mut self, doing: &'static str, sql: &str, values: &[Value]) -> Result<Vec<Row>, HistoryError> {
        let fault = told(self.location, doing);
        let rows = self.transaction.query(sql, &parameters(values)).map_err(&fault)?;
        let read = |row: &::postgres::Row| (0..row.len()).map(|column| value(row, column)).collect::<Result<_, _>>();
        rows.iter().map(|row| read(row).map(Row).map_err(&fault)).collect()
    }
}

fn value(row: &::postgres::Row, column: usize) -> Result<Value, ::postgres::Error> {
    Ok(match *row.columns()[column].type_() {
        Type::INT8 => row.try_get::<_, Option<i64>>(column)?.map_or(Value::Null, Value::Int),
        Type::FLOAT8 => row.try_get::<_, Option<f64>>(column)?.into(),
        // Anything but text is an error here, and says so.
        _ => row.try_get::<_, Option<&str>>(column)?.into(),
    })
}

impl ToSql for Value {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut ::postgres::types::private::BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(number) => number.to_sql_checked(kind, out),
            Self::Real(number) => number.to_sql_checked(kind, out),
            Self::Text(text) => text.to_sql_checked(kind, out),
        }
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::INT8 | Type::FLOAT8 | Type::TEXT)
    }

    to_sql_checked!();
}

/// An error and its causes in one line.
fn words(error: &::postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        let detail = said.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
        return format!("{}{detail}", said.message());
    }
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        // Some errors repeat their cause in their own words.
        if !line.contains(&source.to_string()) {
            line = format!("{line}: {source}");
        }
        cause = source.source();
    }
    line
}

/// The server's refusal in our words.
fn told(location: &str, doing: &'static str) -> impl Fn(::postgres::Error) -> HistoryError + use<> {
    let store = location.to_owned();
    move |error| {
        let store = store.clone();
        let cure = match error.code() {
            Some(
                &SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED | &SqlState::LOCK_NOT_AVAILABLE,
            ) => {
                return HistoryError::Busy { store, seconds: PATIENCE.as_secs() };
            }
            Some(&SqlState::DATA_CORRUPTED | &SqlState::INDEX_CORRUPTED) => {
                "The server reports damage: restore its backup"
            }
            Some(&SqlState::DISK_FULL) => {
                "The server's disk is full: free some space and try again; what was committed is kept"
            }
            Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                "The database's owner must allow it: GRANT CREATE ON DATABASE for the first import, then the tables of the schema ditbench_history"
            }
            Some(&SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION) => {
                "Check the user and the password (in the URL or in PGPASSWORD)"
            }
            Some(&SqlState::INVALID_CATALOG_NAME) => "Create the database with createdb, or give another",
            Some(_) => "`ditbench history check` reads all of the history; the server's log says more",
            // Nothing came from the server: the connection. What was being committed may or may not be in: importing again is safe.
            None => {
                "Check that the server runs and can be reached, then try again: an import that succeeded is not \
                 repeated"
            }
        };
        HistoryError::Database { store, doing, why: words(&error), cure }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        open(url, Missing::Create).err().expect("refused").to_string()
    }

    #[test]
    fn a_password_is_never_shown_and_never_sent_in_the_clear() {
        for url in [
            "postgres://ann:s3cret@db.example.org/bench",
            "postgresql://ann:s3cret@db.example.org:5433/bench?sslmode=require",
            "postgres://ann:s3cret@localhost,db.example.org/bench",
            "postgres://ann:s3cret@localhost/bench?hostaddr=192.0.2.1",
        ] {
            let said = refusal(url);
            assert!(said.contains("would not be encrypted") && said.contains("sslmode=disable"), "{said}");
            assert!(said.contains("ann@") && !said.contains("s3cret"), "{said}");
        }
        let said = refusal("postgres://ann:s3cret@host:port/bench?what=ever");
        assert!(said.contains("Write it as postgres://") && !said.contains("s3cret"), "{said}");
        // Nobody listens on port 1.
        let said = refusal("postgres://ann:s3cret@127.0.0.1:1/bench");
        assert!(said.contains("connecting failed") && said.contains("Check that the server runs"), "{said}");
        assert!(said.contains("127.0.0.1:1") && !said.contains("s3cret"), "{said}");
    }
}
