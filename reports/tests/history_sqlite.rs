//! The history in an SQLite file: what goes in comes out, from many writers at once, through kills, and damage is refused.

use std::fs;
use std::path::{Path, PathBuf};

use ditbench_record::{self as record, Run};
use ditbench_reports::history::{self, HistoryError, HistoryStore, Imported, Missing};
use ditbench_reports::sample;
use rusqlite::Connection;

mod common;
#[path = "common/contract.rs"]
mod contract;
#[path = "common/storm.rs"]
mod storm;
use common::numbered;

fn create(path: &Path) -> Box<dyn HistoryStore> {
    history::open(path.to_str().unwrap(), Missing::Create).unwrap()
}

fn refused(path: &Path) -> HistoryError {
    match history::open(path.to_str().unwrap(), Missing::Refuse) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => error,
    }
}

fn temp() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    (dir, path)
}

#[test]
fn it_keeps_the_contract() {
    let (_dir, path) = temp();
    contract::contract(&mut || create(&path));
}

#[test]
fn there_must_be_a_store_to_read() {
    let (dir, path) = temp();
    assert!(matches!(refused(&path), HistoryError::Missing { .. }));
    assert!(!path.exists(), "looking made a file");
    // An empty file is what a writer leaves that was killed before it made the tables.
    fs::write(&path, "").unwrap();
    assert!(matches!(refused(&path), HistoryError::Missing { .. }));
    assert_eq!(create(&path).import(&numbered(1)).unwrap(), Imported::New);
    let error = history::open(dir.path().to_str().unwrap(), Missing::Create).err().unwrap().to_string();
    assert!(error.contains("Give the path of a file"), "{error}");
    let error = history::open("mysql://host/db", Missing::Create).err().unwrap().to_string();
    assert!(error.contains("cannot be at a mysql:// address"), "{error}");
}

#[test]
fn other_files_are_refused_and_left_alone() {
    let (dir, path) = temp();
    let unchanged = |bytes: &[u8], words: &str| {
        fs::write(&path, bytes).unwrap();
        for missing in [Missing::Create, Missing::Refuse] {
            let error = history::open(path.to_str().unwrap(), missing).err().expect("refused").to_string();
            assert!(error.contains(words), "{error}");
            assert!(fs::read(&path).unwrap() == bytes, "the file was changed");
        }
    };
    let text = serde_json::to_string(&sample::run()).unwrap();
    unchanged(text.as_bytes(), "not an SQLite database");
    unchanged(&[0xA5; 8192], "not an SQLite database");
    let other = dir.path().join("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE run (id TEXT)").unwrap();
    unchanged(&fs::read(&other).unwrap(), "of another program");
}

/// A store with some runs, closed: one file, nothing beside it.
fn closed_store(path: &Path) -> Vec<u8> {
    let mut store = create(path);
    for number in 0..20 {
        store.import(&numbered(number)).unwrap();
    }
    drop(store);
    assert!(!path.with_file_name("history.db-wal").exists(), "the last one out writes everything back");
    fs::read(path).unwrap()
}

/// What somebody else may have put into a file to have it run by whoever opens it.
#[test]
fn a_store_that_holds_what_ditbench_did_not_make_is_refused_and_left_alone() {
    let (_dir, path) = temp();
    let whole = closed_store(&path);
    for (crafted, named) in [
        // Each run that is imported would vanish.
        ("CREATE TRIGGER t AFTER INSERT ON run BEGIN DELETE FROM run WHERE id = new.id; END", "trigger \"t\""),
        // Rows without end, where the machines should be.
        (
            "DROP TABLE machine; CREATE VIEW machine AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
             SELECT 'a' || i AS fingerprint, 'b' AS description FROM n",
            "view \"machine\"",
        ),
        ("CREATE INDEX slow ON run (hex(zeroblob(100000000)))", "index \"slow\""),
        ("CREATE TABLE \"a\nb\u{1b}[2J\" (x)", "table \"a b\u{fffd}[2J\""),
        ("ALTER TABLE point ADD COLUMN more GENERATED ALWAYS AS (1)", "table \"point\""),
    ] {
        fs::write(&path, &whole).unwrap();
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch(&format!("PRAGMA foreign_keys = OFF; DELETE FROM run; {crafted}")).unwrap();
        connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        drop(connection);
        let before = fs::read(&path).unwrap();
        for missing in [Missing::Refuse, Missing::Create] {
            let error = history::open(path.to_str().unwrap(), missing).err().expect(named);
            assert!(matches!(error, HistoryError::Foreign { .. }), "{error}");
            let error = error.to_string();
            assert!(error.contains(named) && !error.contains(char::is_control), "{error}");
        }
        assert!(fs::read(&path).unwrap() == before, "the file was changed");
    }
    // The statistics that SQLite keeps for itself are nobody's.
    fs::write(&path, &whole).unwrap();
    Connection::open(&path).unwrap().execute_batch("ANALYZE").unwrap();
    assert_eq!(history::open(path.to_str().unwrap(), Missing::Refuse).unwrap().runs().unwrap().len(), 20);
}

#[test]
fn the_problems_of_a_store_are_a_line_each() {
    let (_dir, path) = temp();
    closed_store(&path);
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "foreign_keys", false).unwrap();
    connection
        .execute_batch(
            "UPDATE run SET id = 'a' || char(10) || 'b' || char(27) || '[2J' WHERE id = 'run-00003';
             UPDATE run SET record = '{\"schema_version\": 1, \"run\": {\"git\": {\"x' || char(92) || 'ny\": 1}}}' WHERE id = 'run-00004'",
        )
        .unwrap();
    drop(connection);
    let found = create(&path).integrity().unwrap();
    assert!(found.problems.len() >= 2, "{found:?}");
    for problem in &found.problems {
        assert!(!problem.contains(char::is_control), "{problem:?}");
    }
    assert!(found.problems.iter().any(|problem| problem.starts_with("run a b\u{fffd}[2J")), "{found:?}");
}

#[cfg(unix)]
#[test]
fn a_pipe_is_no_store_and_nobody_waits_for_it() {
    let (_dir, path) = temp();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(refused(&path).to_string()));
    let error = receiver.recv_timeout(std::time::Duration::from_secs(20)).expect("an answer");
    assert!(error.contains("not a regular file"), "{error}");
}

#[test]
fn a_newer_store_is_refused_and_left_alone() {
    let (_dir, path) = temp();
    closed_store(&path);
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = fs::read(&path).unwrap();
    let error = refused(&path);
    assert!(matches!(error, HistoryError::TooNew { found: 99, .. }), "{error}");
    assert!(error.to_string().contains("Update ditbench"), "{error}");
    assert!(fs::read(&path).unwrap() == before, "the file was changed");
}

#[test]
fn a_truncated_store_is_refused() {
    let (_dir, path) = temp();
    let whole = closed_store(&path);
    assert!(whole.len() > 10 * 4096);
    for length in [50, 1000, 4096, 4097, 8192, whole.len() / 2, whole.len() - 4096, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let error = refused(&path);
        assert!(matches!(error, HistoryError::Damaged { .. } | HistoryError::NotAStore { .. }), "at {length}: {error}");
        assert!(error.to_string().contains("estore a copy"), "{error}");
        assert_eq!(fs::read(&path).unwrap().len(), length, "the file was changed");
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(history::open(path.to_str().unwrap(), Missing::Refuse).unwrap().runs().unwrap().len(), 20);
}

/// A page's unused middle may be overwritten without harm; then every record and point must still be what it was.
#[test]
fn no_overwritten_page_gives_a_wrong_answer_in_silence() {
    let (_dir, path) = temp();
    let whole = closed_store(&path);
    let runs: Vec<Run> = (0..20).map(numbered).collect();
    let series = create(&path).series().unwrap();
    let points: Vec<_> = series.iter().map(|series| create(&path).points(&series.key).unwrap()).collect();
    let (mut at_opening, mut on_reading, mut harmless) = (0, 0, 0);
    for page in (0..whole.len() / 4096).step_by(5) {
        let mut bytes = whole.clone();
        bytes[page * 4096 + 2000..page * 4096 + 4000].fill(0x5A);
        fs::write(&path, &bytes).unwrap();
        let mut store = match history::open(path.to_str().unwrap(), Missing::Refuse) {
            Err(error) => {
                assert!(error.to_string().contains("estore a copy"), "page {page}: {error}");
                at_opening += 1;
                continue;
            }
            Ok(store) => store,
        };
        let found = store.integrity().unwrap();
        let exports: Vec<_> = runs.iter().map(|run| store.export(&run.run.id)).collect();
        if found.is_sound() {
            assert!(exports.into_iter().map(Result::unwrap).eq(runs.iter().cloned()), "page {page}");
            assert_eq!(store.series().unwrap(), series, "page {page}");
            let now: Vec<_> = series.iter().map(|series| store.points(&series.key).unwrap()).collect();
            assert!(now == points, "page {page}");
            harmless += 1;
        } else {
            // The middle of a record: the structure is whole, so only its hash can tell.
            for (run, export) in runs.iter().zip(exports) {
                match export {
                    Ok(export) => assert_eq!(export, *run, "page {page}"),
                    Err(error) => assert!(matches!(error, HistoryError::DamagedRecord { .. }), "page {page}: {error}"),
                }
            }
            on_reading += 1;
        }
    }
    assert!(at_opening > 0 && on_reading > harmless, "{at_opening} {on_reading} {harmless}");
}

#[test]
fn a_changed_value_is_noticed() {
    let (_dir, path) = temp();
    closed_store(&path);
    assert!(create(&path).integrity().unwrap().is_sound());
    for (change, words) in [
        ("UPDATE point SET value = value * 1.01 WHERE run = 'run-00003'", "run-00003: its points"),
        ("DELETE FROM point WHERE run = 'run-00004' AND launches = 1", "run-00004: its points"),
        (
            "UPDATE run SET cells_ok = 9 WHERE id = 'run-00005'",
            "run-00005: its record does not agree with its cells_ok",
        ),
        ("UPDATE run SET record = replace(record, '16:15', '16:16') WHERE id = 'run-00006'", "run-00006"),
        ("UPDATE run SET machine = 'nowhere' WHERE id = 'run-00007'", "refers to a row that is not there"),
    ] {
        let copy = path.with_extension("copy");
        fs::copy(&path, &copy).unwrap();
        let changed = {
            let connection = Connection::open(&copy).unwrap();
            connection.pragma_update(None, "foreign_keys", false).unwrap();
            connection.execute(change, []).unwrap()
        };
        assert!(changed > 0, "{change}");
        let found = create(&copy).integrity().unwrap();
        assert!(found.problems.iter().any(|problem| problem.contains(words)), "{change}: {found:?}");
        fs::remove_file(&copy).unwrap();
    }
}

#[test]
fn an_older_store_is_brought_up_to_date_and_keeps_what_it_holds() {
    let (_dir, path) = temp();
    closed_store(&path);
    let of_today: i64 =
        Connection::open(&path).unwrap().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    // Two runs of little and big cores, which older programs put into one series.
    let pinned = |number: usize, cpus: &str| {
        let mut run = numbered(number);
        run.machine.logical_cores = record::Reading::Ok(8);
        run.machine.phone = Some(record::PhoneFacts { asked_cpus: Some(cpus.into()), ..record::PhoneFacts::default() });
        run
    };
    let mut store = create(&path);
    for (number, cpus) in [(20, "0-3"), (21, "4-7")] {
        store.import(&pinned(number, cpus)).unwrap();
    }
    let series = store.series().unwrap();
    assert!(["CPUs 0-3", "CPUs 4-7"].iter().all(|cpus| series.iter().any(|series| series.key.conditions == *cpus)));
    drop(store);
    // Version 3 lacked conditions and compilers, version 2 CPUs, version 1 the index.
    let connection = Connection::open(&path).unwrap();
    let older = "PRAGMA foreign_keys = OFF; DROP INDEX point_of_run; \
                 DELETE FROM point WHERE series IN (SELECT id FROM series WHERE conditions <> ''); \
                 DELETE FROM series WHERE conditions <> ''; \
                 UPDATE run SET content_sha256 = 'of what an older program made of it'; \
                 ALTER TABLE series DROP COLUMN company; ALTER TABLE series DROP COLUMN own; ALTER TABLE series DROP COLUMN conditions; ALTER TABLE series DROP COLUMN cpus; ALTER TABLE run DROP COLUMN toolchain; PRAGMA user_version = 1";
    connection.execute_batch(older).unwrap();
    drop(connection);
    let mut store = create(&path);
    assert_eq!(store.runs().unwrap().len(), 22);
    assert!(store.integrity().unwrap().is_sound(), "{:?}", store.integrity());
    assert_eq!(store.series().unwrap(), series, "every point is where this program puts it");
    assert_eq!(store.import(&pinned(20, "0-3")).unwrap(), Imported::Already);
    let connection = Connection::open(&path).unwrap();
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    let index = "SELECT count(*) FROM sqlite_schema WHERE name = 'point_of_run'";
    assert_eq!((version, connection.query_row(index, [], |row| row.get(0))), (of_today, Ok(1)));
}

/// A number that is taken in another way than it was, or was not followed: the records are whole, so its points can be had.
#[test]
fn a_store_of_an_older_program_takes_its_points_anew_and_goes_on_in_the_same_series() {
    let (_dir, path) = temp();
    closed_store(&path);
    let read = |store: &mut dyn HistoryStore| {
        let series = store.series().unwrap();
        let points: Vec<_> = series.iter().map(|one| store.points(&one.key).unwrap()).collect();
        (series, points)
    };
    let (series, points) = read(&mut *create(&path));
    let connection = Connection::open(&path).unwrap();
    let ids = |connection: &Connection| -> Vec<String> {
        let mut statement = connection.prepare("SELECT id FROM series ORDER BY id").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let before = ids(&connection);
    let old = "UPDATE point SET value = value * 1.001 WHERE launches = 1; DELETE FROM point WHERE run = 'run-00004'; \
               UPDATE run SET record = 'damaged' WHERE id = 'run-00007'; \
               ALTER TABLE series DROP COLUMN company; ALTER TABLE series DROP COLUMN own; PRAGMA user_version = 4";
    connection.execute_batch(old).unwrap();
    let mut store = create(&path);
    assert_eq!(ids(&connection), before, "a series has another id");
    let (series_now, points_now) = read(&mut *store);
    assert_eq!(series_now, series);
    let but_damaged =
        |points: &[history::Point]| points.iter().filter(|one| one.run != "run-00007").cloned().collect::<Vec<_>>();
    for (now, then) in points_now.iter().zip(&points) {
        assert_eq!((but_damaged(now), now.len()), (but_damaged(then), then.len()));
    }
    let found = store.integrity().unwrap().problems;
    assert!(found.iter().all(|problem| problem.contains("run-00007")) && !found.is_empty(), "{found:?}");
}

#[test]
fn threads_may_make_the_store_and_write_at_once() {
    let (_dir, path) = temp();
    let outcomes: Vec<Imported> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let path = &path;
                scope.spawn(move || {
                    let mut store = create(path);
                    // Every run is given by two threads.
                    (0..10).map(|i| store.import(&numbered(thread / 2 * 10 + i)).unwrap()).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Imported::New).count(), 40);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Imported::Already).count(), 40);
    let mut store = create(&path);
    assert_eq!(store.runs().unwrap().len(), 40);
    assert_eq!(store.integrity().unwrap().problems, Vec::<String>::new());
}

/// kill -9, over and over, in the midst of 1,000 concurrent imports: what was said to be committed is there and whole, and
/// what is there is whole.
#[test]
fn killed_writers_lose_no_committed_record() {
    if storm::is_writer() {
        return storm::writer();
    }
    let (_dir, path) = temp();
    let storm = storm::Storm {
        test: "killed_writers_lose_no_committed_record",
        location: path.to_str().unwrap(),
        crashes: &[],
    };
    storm.rage(&|| unreachable!("there is no server to crash"));
}

/// Counts were followed when stores were of version 7 already: one that was made before has none of them.
#[test]
fn a_store_from_before_counts_were_followed_gets_them() {
    let (_dir, path) = temp();
    let mut run = numbered(1);
    let cell = run.cells.iter_mut().find(|cell| cell.has_result()).unwrap();
    let counted = record::Counted { by: "callgrind".into(), instructions: 7, ..record::Counted::default() };
    cell.counted = Some(record::Reading::Ok(counted));
    let mut store = create(&path);
    assert_eq!(store.import(&run).unwrap(), Imported::New);
    let series = store.series().unwrap();
    assert!(series.iter().any(|one| one.key.metric.name() == "counted_instructions"));
    drop(store);
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "DELETE FROM point WHERE series IN (SELECT id FROM series WHERE metric = 'counted_instructions');
             DELETE FROM series WHERE metric = 'counted_instructions';
             PRAGMA user_version = 7; PRAGMA wal_checkpoint(TRUNCATE)",
        )
        .unwrap();
    drop(connection);
    assert_eq!(create(&path).series().unwrap(), series);
}

/// As the programs before keys had a map left it: a model's name with what sets it apart, and no column for the rest.
#[test]
fn a_store_of_an_older_program_goes_on_with_the_same_series() {
    let (_dir, path) = temp();
    let old = common::GOLDEN.replace("\"model\": \"tiny\"", "\"model\": \"tiny-w0.5\"");
    let old = old.replace("\"name\": \"tiny\"", "\"name\": \"tiny-w0.5\"");
    let mut store = create(&path);
    assert_eq!(store.import_text(&old).unwrap(), Imported::New);
    let series = store.series().unwrap();
    drop(store);
    let connection = Connection::open(&path).unwrap();
    let ids = |connection: &Connection| -> Vec<(String, String)> {
        let mut asked = connection.prepare("SELECT id, model FROM series ORDER BY id").unwrap();
        let rows = asked.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let before = ids(&connection);
    connection
        .execute_batch(
            "ALTER TABLE series DROP COLUMN company; ALTER TABLE series DROP COLUMN own;
             UPDATE series SET model = 'tiny-w0.5' WHERE model = 'tiny';
             PRAGMA user_version = 5; PRAGMA wal_checkpoint(TRUNCATE)",
        )
        .unwrap();
    assert!(ids(&connection).iter().any(|(_, model)| model == "tiny-w0.5"));
    drop(connection);

    let mut store = create(&path);
    assert_eq!(store.series().unwrap(), series);
    assert!(series.iter().any(|one| one.key.cell.model == "tiny" && one.key.cell.own("width") == Some("0.5")));
    assert_eq!(store.integrity().unwrap().problems, Vec::<String>::new());
    assert_eq!(store.import_text(&old).unwrap(), Imported::Already);
    // A record as this program writes it, of the same cells.
    let mut next = record::parse(&old).unwrap();
    next.run.id = "run-of-today".into();
    assert_eq!(store.import(&next).unwrap(), Imported::New);
    let now = store.series().unwrap();
    assert!(now.len() == series.len() && now.iter().all(|one| one.points == 2), "{now:#?}");
    drop(store);
    assert_eq!(ids(&Connection::open(&path).unwrap()), before);
}
