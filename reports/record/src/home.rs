//! The user's home folder, which is written as `~`: its name is as a rule the user's.
//!
//! Contract: everything that a record says goes through [`Home::hide_in`] before it is written, so no field has to think of it.
//! Prompts stay as they are: they are the work itself. A path that is read back to be used is made whole by [`Home::whole`].

use std::path::{Path, PathBuf};

use serde_json::Value;

/// A home folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Home {
    /// Its name as the environment has it, and, where that leads over a link, as the system has it.
    names: Vec<String>,
}

impl Home {
    /// The user's, as the environment has it; none where it has none.
    pub fn of_user() -> Self {
        std::env::var_os("HOME").map(|folder| Self::new(Path::new(&folder))).unwrap_or_default()
    }

    /// This folder. The root of the file system is nobody's.
    pub fn new(folder: &Path) -> Self {
        let name =
            |path: &Path| Some(path.to_str()?.trim_end_matches('/').to_owned()).filter(|name| name.starts_with('/'));
        let resolved = folder.canonicalize().ok();
        let mut names: Vec<String> =
            [Some(folder), resolved.as_deref()].into_iter().flatten().filter_map(name).collect();
        names.dedup();
        Self { names }
    }

    /// The text with `~` in place of the folder.
    pub fn hide(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, name| replace(&text, name))
    }

    /// The same for every text in a value but prompts.
    pub fn hide_in(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.hide(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.hide_in(value)),
            Value::Object(fields) => {
                fields.iter_mut().filter(|(name, _)| *name != "prompt").for_each(|(_, value)| self.hide_in(value));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// A path that was hidden, to be used on this machine.
    pub fn whole(&self, path: &Path) -> PathBuf {
        match (path.strip_prefix("~"), self.names.first()) {
            (Ok(rest), Some(name)) => Path::new(name).join(rest),
            _ => path.to_owned(),
        }
    }
}

/// Replaces a folder's name where it stands as a whole: not as the beginning of a longer name, nor in the midst of a path.
fn replace(text: &str, name: &str) -> String {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(name) {
        let (before, after) = (&rest[..at], &rest[at + name.len()..]);
        let begins = !before
            .chars()
            .next_back()
            .or(out.chars().next_back())
            .is_some_and(|c| part_of_name(c) || ".~".contains(c));
        let mut next = after.chars();
        let ends = match next.next() {
            // A full stop ends a sentence, or begins an ending.
            Some('.') => !next.next().is_some_and(part_of_name),
            c => !c.is_some_and(part_of_name),
        };
        out.push_str(before);
        out.push_str(if begins && ends { "~" } else { name });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_folder_is_hidden_where_it_stands_as_a_whole() {
        let home = Home::new(Path::new("/home/anna/"));
        for (text, hidden) in [
            ("/home/anna/.cache/x.so", "~/.cache/x.so"),
            ("library: /home/anna/a b, found in /home/anna.", "library: ~/a b, found in ~."),
            ("--out=/home/anna", "--out=~"),
            ("file:///home/anna/x", "file://~/x"),
            ("/home/annabel/x", "/home/annabel/x"),
            ("/home/anna.old/x", "/home/anna.old/x"),
            ("/mnt/home/anna/x", "/mnt/home/anna/x"),
            ("/home/anna/home/anna", "~/home/anna"),
            ("a turtle", "a turtle"),
        ] {
            assert_eq!(home.hide(text), hidden);
        }
        assert_eq!(home.whole(Path::new("~/x")), Path::new("/home/anna/x"));
        assert_eq!(home.whole(Path::new("x/~/y")), Path::new("x/~/y"));
    }

    #[test]
    fn the_root_is_no_home_and_prompts_stay() {
        assert_eq!(Home::new(Path::new("/")).hide("/a/b"), "/a/b");
        let mut value = serde_json::json!({"prompt": "/home/anna/x", "plan": [{"weights": {"file": "/home/anna/x"}}]});
        Home::new(Path::new("/home/anna")).hide_in(&mut value);
        assert_eq!(value, serde_json::json!({"prompt": "/home/anna/x", "plan": [{"weights": {"file": "~/x"}}]}));
    }

    #[cfg(unix)]
    #[test]
    fn a_home_behind_a_link_has_two_names() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let home = Home::new(&link);
        assert_eq!(home.hide(&format!("{}/a {}/b", link.display(), real.canonicalize().unwrap().display())), "~/a ~/b");
    }
}
