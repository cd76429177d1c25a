//! Running the real program, in a folder of its own.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder for one test, and the program in it.
pub struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary folder") }
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The program with these arguments, its cache shared by all tests of this build so that weights are made once.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ditbench"));
        command.args(arguments).current_dir(self.dir()).env("DITBENCH_CACHE", cache());
        // Tests run beside each other: to one run the others are other programs, for whose sake it would make every launch again.
        command.env("DITBENCH_SYSTEM_ROOT", uncounted());
        // Nothing that the user of this machine fetched before may help.
        command.env("XDG_CACHE_HOME", self.path("no-cache")).env_remove("ORT_DYLIB_PATH");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program starts")
    }

    /// Runs and expects success; gives standard output.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?} failed: {}\n{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    /// Runs and expects exit code 2 with one clear line; gives that line.
    pub fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(!error.contains("panicked"), "{error}");
        error.trim().to_owned()
    }

    /// The record of a run in this folder.
    pub fn record(&self, run: &str) -> serde_json::Value {
        let text = std::fs::read_to_string(self.path(run).join("record.json")).expect("a record");
        serde_json::from_str(&text).expect("a record of JSON")
    }
}

pub fn cells(record: &serde_json::Value) -> &Vec<serde_json::Value> {
    record["cells"].as_array().expect("cells")
}

/// Expects all cells to have a result near the f32 reference's, which alone is not compared; gives how many were.
pub fn near_the_reference(record: &serde_json::Value) -> usize {
    let mut compared = 0;
    for cell in cells(record) {
        let key = &cell["key"];
        assert_eq!(cell["status"], "ok", "{key}: {}", cell["reason"]);
        let Some(latents) = cell["quality"]["ok"]["latents"].as_array() else {
            assert_eq!(
                (&key["backend"], &key["precision"]),
                (&"reference".into(), &"f32".into()),
                "{}",
                cell["quality"]
            );
            continue;
        };
        compared += 1;
        let last = latents.last().unwrap()["relative_l2"].as_f64().unwrap();
        // Against f32 weights: f32 cells differ by rounding alone, 4-bit cells by what 4 bits cost.
        let bound = if key["precision"] == "f32" { 1e-3 } else { 0.6 };
        assert!(last < bound, "{key}: the last latent is {last} from the reference");
        if key["precision"] == "q4" {
            assert!(last > 1e-4, "{key}: 4 bits cannot be that exact");
        }
    }
    compared
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// This machine's own `/proc` and `/sys`, but for the counters of what its CPUs do.
fn uncounted() -> PathBuf {
    static MADE: std::sync::Once = std::sync::Once::new();
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("uncounted");
    MADE.call_once(|| {
        std::fs::create_dir_all(root.join("proc")).expect("a folder for tests");
        for name in ["proc/self", "proc/meminfo", "proc/cpuinfo", "proc/loadavg", "proc/pressure", "sys"] {
            // Another test's program may have made it just now.
            let _ = std::os::unix::fs::symlink(Path::new("/").join(name), root.join(name));
        }
    });
    root
}

pub fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache")
}
