//! `engines.toml`: the engines that a user has, a row each.
//!
//! Contract: one file is read, the first of those that there are. A mistake in it is an error that names the file, never an
//! engine that is missing without a word.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The environment variable that names the file.
pub const ENGINES: &str = "DITBENCH_ENGINES";
/// The file's usual name.
const FILE: &str = "engines.toml";
/// Seconds that an answer may take where the row does not say.
const TIMEOUT_S: f64 = 600.0;

/// An engine outside the program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The name that plans and tables use.
    pub name: String,
    /// Program and arguments. What is relative is so to `folder`.
    pub command: Vec<String>,
    /// Environment variables of the process, beside those that it inherits.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Seconds that an answer may take; a description a minute at most.
    #[serde(default = "timeout_s")]
    pub timeout_s: f64,
    /// The folder that the process starts in: where the file is.
    #[serde(default)]
    pub folder: PathBuf,
}

fn timeout_s() -> f64 {
    TIMEOUT_S
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    engine: Vec<Row>,
}

/// The rows of the file that [`ENGINES`] names; else of `engines.toml` in the current folder, else in the user's config
/// folder. None where there is no file.
///
/// # Errors
/// A file that was named and is not there; a mistake in it. `taken` are names that a row must not have.
pub fn rows(taken: &[&str]) -> Result<Vec<Row>, String> {
    let named = variable(ENGINES).map(PathBuf::from);
    let places = [Some(PathBuf::from(FILE)), config_folder().map(|folder| folder.join("ditbench").join(FILE))];
    let found = named.or_else(|| places.into_iter().flatten().find(|path| path.is_file()));
    found.map_or_else(|| Ok(Vec::new()), |path| rows_of(&path, taken))
}

/// The rows of a file.
///
/// # Errors
/// It is not there; a mistake in it.
pub fn rows_of(path: &Path, taken: &[&str]) -> Result<Vec<Row>, String> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let text = std::fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    parse(&text, path.parent().unwrap_or(Path::new("/")), taken)
        .map_err(|why| format!("{}: {}", path.display(), why.trim_end()))
}

fn variable(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn config_folder() -> Option<PathBuf> {
    let home = || variable("HOME").map(|home| PathBuf::from(home).join(".config"));
    variable("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home)
}

fn parse(text: &str, folder: &Path, taken: &[&str]) -> Result<Vec<Row>, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    let mut rows: Vec<Row> = Vec::new();
    for row in file.engine {
        let Row { name, command, timeout_s, .. } = &row;
        let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || !name.chars().all(letters) {
            return Err(format!("engine \"{name}\": a name has letters, digits, '-', '_' and '.' only"));
        }
        if taken.contains(&name.as_str()) {
            return Err(format!("engine \"{name}\": ditbench has a backend of that name; choose another"));
        }
        if rows.iter().any(|row| row.name == *name) {
            return Err(format!("engine \"{name}\" is there twice"));
        }
        if command.first().is_none_or(String::is_empty) {
            return Err(format!(
                "engine \"{name}\": its command is empty; write command = [\"program\", \"argument\"]"
            ));
        }
        if !(timeout_s.is_finite() && *timeout_s > 0.0 && *timeout_s < 1e7) {
            return Err(format!("engine \"{name}\": timeout_s = {timeout_s}: write a number of seconds"));
        }
        rows.push(Row { folder: folder.join(&row.folder), ..row });
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Row>, String> {
        parse(text, Path::new("/home/me"), &["candle"])
    }

    #[test]
    fn a_row_has_a_name_a_command_and_the_files_folder() {
        let rows = read("[[engine]]\nname = 'ncnn'\ncommand = ['./ncnn-engine', '--quiet']\n").unwrap();
        assert_eq!(rows[0].command, ["./ncnn-engine", "--quiet"]);
        assert_eq!((rows[0].folder.as_path(), rows[0].timeout_s), (Path::new("/home/me"), 600.0));
        assert_eq!(read("").unwrap(), []);
    }

    #[test]
    fn mistakes_are_named() {
        let row = |name: &str, rest: &str| format!("[[engine]]\nname = '{name}'\n{rest}\n");
        let command = "command = ['x']";
        for (text, wanted) in [
            (row("candle", command), "has a backend of that name"),
            (row("a:b", command), "letters, digits"),
            (row("", command), "letters, digits"),
            (row("a", "command = []"), "its command is empty"),
            (row("a", ""), "command"),
            (row("a", &format!("{command}\ntimeout_s = 0")), "timeout_s = 0"),
            (row("a", &format!("{command}\ntimeout_s = nan")), "write a number of seconds"),
            (row("a", &format!("{command}\ncomand = 1")), "comand"),
            ([row("a", command), row("a", command)].concat(), "twice"),
            ("[engine]".to_owned(), "engine"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }
}
