//! A storm of 1,000 imports from several processes of several threads, which are killed in the midst of it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::RwLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use ditbench_reports::history::{self, HistoryError, HistoryStore, Missing};

use crate::common::numbered;

/// Set in the processes that a storm starts: the first run to put in, the one after the last, and the store.
const WRITER: &str = "DITBENCH_TEST_HISTORY_WRITER";
/// Runs to put in.
const RUNS: usize = 1000;
/// Processes that write.
const PROCESSES: usize = 4;
/// Threads of each, each with its own connection.
const THREADS: usize = 4;
/// How often each process is killed and started again with the same task.
const KILLS: usize = 5;

/// Whether this process was started to write.
pub fn is_writer() -> bool {
    std::env::var_os(WRITER).is_some()
}

/// Imports its share from several threads and says each one that is committed.
pub fn writer() {
    let orders = std::env::var(WRITER).unwrap();
    let mut parts = orders.splitn(3, ' ');
    let mut number = || parts.next().unwrap().parse::<usize>().unwrap();
    let (from, to) = (number(), number());
    let location = parts.next().unwrap();
    let say = |line: String| {
        // One write of a whole line: never torn by the kill. The test harness's own line may precede it.
        std::io::stdout().lock().write_all(format!("\n{line}\n").as_bytes()).unwrap();
    };
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                let work = || {
                    let mut store = history::open(location, Missing::Create)?;
                    for number in (from..to).filter(|number| number % THREADS == thread) {
                        let run = numbered(number);
                        store.import(&run)?;
                        say(format!("committed {}", run.run.id));
                    }
                    Ok(())
                };
                let done: Result<(), HistoryError> = work();
                if let Err(error) = done {
                    say(format!("failed {error}"));
                    // Not a panic: the other threads' work ends here too.
                    std::process::exit(1);
                }
            });
        }
    });
}

/// A storm on a store that does not exist yet.
pub struct Storm<'a> {
    /// The test that calls, which the writers are started as.
    pub test: &'a str,
    /// The store.
    pub location: &'a str,
    /// After how many commits the server crashes, besides.
    pub crashes: &'a [usize],
}

impl Storm<'_> {
    fn start(&self, process: usize) -> Child {
        let share = RUNS / PROCESSES;
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", self.test, "--include-ignored", "--nocapture", "--test-threads", "1"])
            .env(WRITER, format!("{} {} {}", process * share, (process + 1) * share, self.location))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn open(&self) -> Box<dyn HistoryStore> {
        history::open(self.location, Missing::Refuse).unwrap()
    }

    /// One process's task, through its kills, to its end: what it said was committed.
    fn watch(
        &self,
        process: usize,
        up: &RwLock<()>,
        commits: &AtomicUsize,
        crash: &(dyn Fn() + Sync),
    ) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        for life in 0.. {
            let mut child = {
                let _up = up.read().unwrap();
                self.start(process)
            };
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
            let mut committed = || {
                let run = lines.by_ref().find_map(|line| {
                    let failed = line.starts_with("failed ") && self.crashes.is_empty();
                    assert!(!failed, "a writer was not killed, and {line}");
                    line.strip_prefix("committed ").map(str::to_owned)
                })?;
                if self.crashes.contains(&(commits.fetch_add(1, Ordering::SeqCst) + 1)) {
                    let _down = up.write().unwrap();
                    crash();
                }
                Some(run)
            };
            let kill = life < KILLS;
            // Other numbers for each process and life, so that the kills fall at other moments.
            let enough = if kill { seen.len() + 11 + 4 * process + 2 * life } else { usize::MAX };
            while seen.len() < enough {
                let Some(run) = committed() else { break };
                seen.insert(run);
            }
            if kill {
                child.kill().unwrap();
                // What was said before the kill, and not read yet.
                seen.extend(std::iter::from_fn(committed));
            }
            let status = child.wait().unwrap();
            let _up = up.read().unwrap();
            let held: BTreeSet<String> = self.open().runs().unwrap().into_iter().map(|run| run.id).collect();
            let lost: Vec<_> = seen.difference(&held).collect();
            assert!(lost.is_empty(), "committed, and not there after a kill: {lost:?}");
            if status.success() {
                assert!(!kill, "a writer ended before it was killed: this test tests nothing");
                return seen;
            }
            if self.crashes.is_empty() {
                #[cfg(unix)]
                assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "not killed, but failed");
            }
            assert!(life < KILLS + 1 + self.crashes.len(), "writer {process} fails again and again");
        }
        seen
    }

    /// Lets it rage, then looks at what is left.
    pub fn rage(&self, crash: &(dyn Fn() + Sync)) {
        let (up, commits) = (RwLock::new(()), AtomicUsize::new(0));
        let seen: BTreeSet<String> = std::thread::scope(|scope| {
            let (up, commits) = (&up, &commits);
            let watchers: Vec<_> =
                (0..PROCESSES).map(|process| scope.spawn(move || self.watch(process, up, commits, crash))).collect();
            watchers.into_iter().flat_map(|watcher| watcher.join().unwrap()).collect()
        });
        assert_eq!(seen.len(), RUNS);
        let mut store = self.open();
        let held: BTreeSet<String> = store.runs().unwrap().into_iter().map(|run| run.id).collect();
        assert_eq!(held, seen);
        let found = store.integrity().unwrap();
        assert_eq!((found.runs, found.problems), (RUNS as u64, Vec::new()));
        for number in (0..RUNS).step_by(97) {
            let run = numbered(number);
            assert_eq!(store.export(&run.run.id).unwrap(), run);
        }
    }
}
