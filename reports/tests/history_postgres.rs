//! The history in PostgreSQL, against real servers that these tests start: each a cluster in a temporary directory, on a socket
//! of its own there, closed to the network.
//!
//! They need the server's programs (Debian: `apt-get install postgresql`) and are run with
//! `cargo test -p ditbench-reports --features postgres --test history_postgres -- --ignored`. Without `--ignored` they are
//! reported as ignored, and with it but without a server they fail: never as passed without having run.
#![cfg(all(feature = "postgres", unix))]

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use ditbench_reports::history::{self, HistoryError, HistoryStore, Imported, Missing};
use postgres::{Client, NoTls};

mod common;
#[path = "common/contract.rs"]
mod contract;
#[path = "common/storm.rs"]
mod storm;
use common::numbered;

/// `nobody`, whom a server may run as where the tests run as root; PostgreSQL refuses to run as root.
const NOBODY: u32 = 65534;

struct Server {
    dir: tempfile::TempDir,
    programs: PathBuf,
}

impl Server {
    fn start() -> Self {
        let server = Self { dir: tempfile::tempdir().unwrap(), programs: programs() };
        if is_root(server.dir.path()) {
            chown(server.dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let data = server.data();
        server.run("initdb", &["-D", &data, "-U", "ditbench", "-A", "trust", "-E", "UTF8", "--locale=C"]);
        server.up();
        for database in ["bench", "other", "latin"] {
            let encoding = if database == "latin" { "LATIN1" } else { "UTF8" };
            let sql = format!("CREATE DATABASE {database} ENCODING '{encoding}' TEMPLATE template0");
            server.sql("postgres", &sql);
        }
        server
    }

    fn data(&self) -> String {
        self.dir.path().join("data").display().to_string()
    }

    fn up(&self) {
        let options = format!("-k {} -h ''", self.dir.path().display());
        let log = self.dir.path().join("log").display().to_string();
        self.run("pg_ctl", &["-D", &self.data(), "-o", &options, "-l", &log, "-w", "start"]);
    }

    fn down(&self, mode: &str) {
        self.run("pg_ctl", &["-D", &self.data(), "-m", mode, "-w", "stop"]);
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(self.programs.join(program));
        command.args(arguments).current_dir(self.dir.path());
        // What it prints goes to a file: a server keeps a pipe open for as long as it lives.
        let output = self.dir.path().join("output");
        let file = fs::File::create(&output).unwrap();
        command.stdout(file.try_clone().unwrap()).stderr(file);
        if is_root(&output) {
            command.uid(NOBODY).gid(NOBODY);
        }
        let status = command.status().unwrap();
        assert!(status.success(), "{program} {arguments:?}: {}", fs::read_to_string(&output).unwrap());
    }

    fn url(&self, database: &str) -> String {
        let socket = self.dir.path().display().to_string().replace('/', "%2F");
        format!("postgres://ditbench@{socket}/{database}")
    }

    fn client(&self, database: &str) -> Client {
        Client::connect(&self.url(database), NoTls).unwrap()
    }

    fn sql(&self, database: &str, sql: &str) {
        self.client(database).batch_execute(sql).unwrap();
    }

    fn open(&self, database: &str, missing: Missing) -> Result<Box<dyn HistoryStore>, HistoryError> {
        history::open(&self.url(database), missing)
    }

    fn refused(&self, database: &str) -> HistoryError {
        self.open(database, Missing::Refuse).err().expect("refused")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Also after a failed test, whose own words matter more than these.
        let mut command = Command::new(self.programs.join("pg_ctl"));
        command.args(["-D", &self.data(), "-m", "immediate", "stop"]).current_dir(self.dir.path());
        if is_root(Path::new("/proc/self")) {
            command.uid(NOBODY).gid(NOBODY);
        }
        let _ = command.output();
    }
}

/// Whether a file that this process made, or the process itself, is root's.
fn is_root(path: &Path) -> bool {
    fs::metadata(path).unwrap().uid() == 0
}

/// Where the server's programs are: on the path, or where Debian keeps them.
fn programs() -> PathBuf {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let debian =
        fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let mut found: Vec<PathBuf> = debian.chain(std::env::split_paths(&on_path)).collect();
    found.retain(|dir| dir.join("initdb").exists() && dir.join("pg_ctl").exists());
    found.pop().expect("no PostgreSQL server to test against: apt-get install postgresql")
}

#[test]
#[ignore = "needs the programs of a PostgreSQL server; run with --ignored"]
fn it_keeps_the_contract() {
    let server = Server::start();
    contract::contract(&mut || server.open("bench", Missing::Create).unwrap());
    assert!(server.open("bench", Missing::Refuse).is_ok());
}

#[test]
#[ignore = "needs the programs of a PostgreSQL server; run with --ignored"]
fn what_is_no_store_is_refused_with_what_to_do() {
    let server = Server::start();
    let tables = "SELECT count(*) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname LIKE 'ditbench%'";
    let count = |database: &str| -> i64 { server.client(database).query_one(tables, &[]).unwrap().get(0) };
    assert!(matches!(server.refused("bench"), HistoryError::Missing { .. }));
    assert_eq!(count("bench"), 0, "looking made tables");
    assert!(server.refused("latin").to_string().contains("UTF8"));
    let said = server.refused("nowhere").to_string();
    assert!(said.contains("createdb"), "{said}");

    let mut store = server.open("bench", Missing::Create).unwrap();
    for number in 0..10 {
        store.import(&numbered(number)).unwrap();
    }
    // An account that may read and write the tables, and make none.
    server.sql(
        "bench",
        "CREATE ROLE guest LOGIN; GRANT USAGE ON SCHEMA ditbench_history TO guest; \
                         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ditbench_history TO guest",
    );
    let guest = |database| history::open(&server.url(database).replace("ditbench@", "guest@"), Missing::Create);
    assert_eq!(guest("bench").unwrap().import(&numbered(10)).unwrap(), Imported::New);
    let said = guest("other").err().unwrap().to_string();
    assert!(said.contains("GRANT CREATE"), "{said}");
    assert_eq!(count("other"), 0);

    // Damage that the database cannot know of.
    server.sql("bench", "UPDATE ditbench_history.point SET value = value * 1.01 WHERE run = 'run-00003'; \
                         UPDATE ditbench_history.run SET record = replace(record, '16:15', '16:16') WHERE id = 'run-00004'");
    let found = store.integrity().unwrap();
    assert!(found.problems.iter().any(|problem| problem.contains("run-00003: its points")), "{found:?}");
    assert!(found.problems.iter().any(|problem| problem.contains("run-00004")), "{found:?}");
    let said = store.export("run-00004").unwrap_err().to_string();
    assert!(said.contains("is damaged") && said.contains("estore a copy"), "{said}");

    // An older store is brought up to date, a newer one is left alone.
    server.sql(
        "bench",
        "DROP INDEX ditbench_history.point_of_run; ALTER TABLE ditbench_history.series DROP COLUMN conditions; \
         ALTER TABLE ditbench_history.series DROP COLUMN cpus; ALTER TABLE ditbench_history.series DROP COLUMN own; ALTER TABLE ditbench_history.series DROP COLUMN company; ALTER TABLE ditbench_history.run DROP COLUMN toolchain; \
         UPDATE ditbench_history.schema_version SET version = 1",
    );
    assert_eq!(server.open("bench", Missing::Refuse).unwrap().runs().unwrap().len(), 11);
    let index = "SELECT to_regclass('ditbench_history.point_of_run') IS NOT NULL";
    assert!(server.client("bench").query_one(index, &[]).unwrap().get::<_, bool>(0));
    server.sql("bench", "UPDATE ditbench_history.schema_version SET version = 99");
    for missing in [Missing::Create, Missing::Refuse] {
        let error = server.open("bench", missing).err().unwrap();
        assert!(matches!(error, HistoryError::TooNew { found: 99, .. }), "{error}");
    }
    let version = "SELECT version FROM ditbench_history.schema_version";
    assert_eq!(server.client("bench").query_one(version, &[]).unwrap().get::<_, i64>(0), 99);
    server.sql("bench", "DELETE FROM ditbench_history.schema_version");
    assert!(matches!(server.refused("bench"), HistoryError::Damaged { .. }));
}

#[test]
#[ignore = "needs the programs of a PostgreSQL server; run with --ignored"]
fn many_may_make_the_store_and_write_at_once() {
    let server = Server::start();
    let outcomes: Vec<Imported> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let server = &server;
                scope.spawn(move || {
                    let mut store = server.open("bench", Missing::Create).unwrap();
                    // Every run is given by two threads.
                    (0..10).map(|i| store.import(&numbered(thread / 2 * 10 + i)).unwrap()).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Imported::New).count(), 40);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Imported::Already).count(), 40);
    let mut store = server.open("bench", Missing::Refuse).unwrap();
    assert_eq!(store.runs().unwrap().len(), 40);
    assert_eq!(store.integrity().unwrap().problems, Vec::<String>::new());
}

/// Writers are killed, and the server itself is stopped dead twice: what was said to be committed is there and whole.
#[test]
#[ignore = "needs the programs of a PostgreSQL server; run with --ignored"]
fn killed_writers_and_a_crashing_server_lose_no_committed_record() {
    if storm::is_writer() {
        return storm::writer();
    }
    let server = Server::start();
    let storm = storm::Storm {
        test: "killed_writers_and_a_crashing_server_lose_no_committed_record",
        location: &server.url("bench"),
        crashes: &[300, 700],
    };
    storm.rage(&|| {
        server.down("immediate");
        server.up();
    });
}
