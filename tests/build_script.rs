//! The build script by itself, in a small repository: what it says of the source holds after each build, and it compiles nothing
//! anew where nothing has changed.

use std::path::Path;
use std::process::{Command, Output};

const MAIN: &str = "fn main() { println!(\"{} {}\", env!(\"DITBENCH_REVISION\"), env!(\"DITBENCH_DIRTY\")); }\n";

struct Repository(tempfile::TempDir);

impl Repository {
    fn new() -> Self {
        let repository = Self(tempfile::tempdir().unwrap());
        repository.write("Cargo.toml", "[package]\nname = \"ditbench\"\nversion = \"0.0.0\"\nedition = \"2024\"\n");
        repository.write("build.rs", include_str!("../build.rs"));
        repository.write("src/main.rs", MAIN);
        repository.write("README.md", "words\n");
        repository.write("tests/all.rs", "");
        repository.write(".gitignore", "target\nCargo.lock\n");
        repository.git(&["init", "--quiet"]);
        repository.commit();
        repository
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.0.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn git(&self, arguments: &[&str]) -> String {
        let names = ["-c", "user.name=test", "-c", "user.email=test@example.org"];
        let output = Command::new("git").args(names).args(arguments).current_dir(self.0.path()).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn commit(&self) {
        self.git(&["add", "."]);
        self.git(&["commit", "--quiet", "-m", "a revision"]);
    }

    fn cargo(&self, folder: &Path) -> Output {
        let mut command = Command::new(env!("CARGO"));
        command.args(["build", "--verbose", "--offline"]).current_dir(folder);
        let output = command.env_remove("CARGO_TARGET_DIR").env_remove("CARGO_BUILD_TARGET").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// Builds, and what the program says: its revision, and whether it is dirty.
    fn built_in(&self, folder: &Path) -> String {
        self.cargo(folder);
        let output = Command::new(folder.join("target/debug/ditbench")).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn built(&self) -> String {
        self.built_in(self.0.path())
    }

    fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    /// Whether a build has nothing to do.
    fn is_fresh(&self, folder: &Path) -> bool {
        let said = self.cargo(folder).stderr;
        String::from_utf8_lossy(&said).contains("Fresh ditbench")
    }
}

#[test]
fn a_build_from_an_edited_tree_is_dirty_and_from_a_commit_it_is_not() {
    let repository = Repository::new();
    assert_eq!(repository.built(), format!("{} false", repository.head()));
    repository.write("src/main.rs", &format!("// edited\n{MAIN}"));
    assert_eq!(repository.built(), format!("{} true", repository.head()));
    repository.commit();
    assert_eq!(repository.built(), format!("{} false", repository.head()));
    repository.git(&["commit", "--quiet", "--amend", "-m", "the same by another name"]);
    assert_eq!(repository.built(), format!("{} false", repository.head()));
    repository.git(&["checkout", "--quiet", "HEAD~1"]);
    assert_eq!(repository.built(), format!("{} false", repository.head()));
    repository.write("src/main.rs", &format!("// edited\n{MAIN}"));
    assert_eq!(repository.built(), format!("{} true", repository.head()));
    repository.git(&["checkout", "--quiet", "--", "src"]);
    assert_eq!(repository.built(), format!("{} false", repository.head()));
}

#[test]
fn nothing_is_compiled_anew_for_the_sake_of_the_revision() {
    let repository = Repository::new();
    let here = repository.0.path();
    repository.built();
    assert!(repository.is_fresh(here));
    repository.git(&["status"]);
    repository.write("README.md", "other words\n");
    repository.write("tests/all.rs", "// another test\n");
    repository.git(&["add", "."]);
    assert!(repository.is_fresh(here), "no program is built from these");
    assert!(repository.built().ends_with(" false"));
    // A second work tree has its own HEAD, and no folder .git.
    let second = here.join("target/second");
    repository.git(&["worktree", "add", "--quiet", "--detach", second.to_str().unwrap()]);
    assert_eq!(repository.built_in(&second), format!("{} false", repository.head()));
    assert!(repository.is_fresh(&second));
}
