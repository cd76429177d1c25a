//! Small files of the system's, by path: what `grep -H ''` prints of them, or what reading them gives.

use std::collections::BTreeMap;
use std::path::Path;

use ditbench_record::Reading;

/// Each file's first line, or why there is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Files(BTreeMap<String, Reading<String>>);

impl Files {
    /// Reads lines such as `/sys/…/temp:301` and complaints such as `grep: /sys/…/temp: Permission denied`.
    pub fn parse(text: &str) -> Self {
        let mut files = BTreeMap::new();
        for line in text.lines().map(str::trim) {
            let complaint = line
                .split_once(": ")
                .filter(|(program, rest)| !program.contains('/') && rest.starts_with('/'))
                .and_then(|(_, rest)| rest.rsplit_once(": "));
            if let Some((path, why)) = complaint {
                files.entry(path.to_owned()).or_insert_with(|| refusal(path, why));
            } else if let Some((path, value)) = line.split_once(':').filter(|(path, _)| path.starts_with('/')) {
                files.entry(path.to_owned()).or_insert_with(|| Reading::Ok(value.trim().to_owned()));
            }
        }
        Self(files)
    }

    /// Reads the files themselves.
    pub fn read<'a>(paths: impl IntoIterator<Item = &'a str>) -> Self {
        let one = |path: &str| (path.to_owned(), crate::probe::read::first_line(path));
        Self(paths.into_iter().map(one).collect())
    }

    /// The value of a file.
    pub fn value(&self, path: &str) -> Option<&str> {
        self.0.get(path)?.value().map(String::as_str)
    }

    /// A file's value as a number, or why there is none.
    pub fn number(&self, path: &str) -> Reading<f64> {
        match self.0.get(path) {
            Some(Reading::Ok(text)) => Reading::or_absent(
                text.split_whitespace().next().and_then(|word| word.parse().ok()).filter(|n: &f64| n.is_finite()),
                format!("{path} holds no number"),
            ),
            Some(Reading::Denied { why }) => Reading::denied(why),
            Some(Reading::Absent { why }) => Reading::absent(why),
            None => Reading::absent(format!("{path} is not there")),
        }
    }

    /// Files of which the path begins and ends so, by what is between.
    pub fn between<'a>(&'a self, start: &'a str, end: &'a str) -> impl Iterator<Item = (&'a str, &'a Reading<String>)> {
        self.0.iter().filter_map(move |(path, reading)| Some((path.strip_prefix(start)?.strip_suffix(end)?, reading)))
    }
}

fn refusal(path: &str, why: &str) -> Reading<String> {
    if why.contains("ermission") || why.contains("not permitted") {
        Reading::denied(format!("{path}: {why}"))
    } else {
        Reading::absent(format!("{path}: {why}"))
    }
}

/// Paths that a pattern with `*` in whole or part of one folder's name matches, sorted.
pub fn matching(pattern: &str) -> Vec<String> {
    let Some((before, after)) = pattern.split_once('*') else { return vec![pattern.to_owned()] };
    let (folder, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let (suffix, rest) = after.split_once('/').unwrap_or((after, ""));
    let entries = std::fs::read_dir(Path::new(folder)).into_iter().flatten().flatten();
    let mut found: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.len() >= prefix.len() + suffix.len() && name.starts_with(prefix) && name.ends_with(suffix))
        .map(|name| if rest.is_empty() { format!("{folder}/{name}") } else { format!("{folder}/{name}/{rest}") })
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_refusals_and_what_is_missing() {
        let files = Files::parse(
            "/sys/a/temp:301\n/sys/b/name:a: b\ngrep: /sys/c/current_now: Permission denied\n\
             grep: /sys/d/*: No such file or directory\nnonsense\n",
        );
        assert_eq!(files.number("/sys/a/temp"), Reading::Ok(301.0));
        assert_eq!(files.value("/sys/b/name"), Some("a: b"));
        assert!(matches!(files.number("/sys/c/current_now"), Reading::Denied { .. }));
        assert!(matches!(files.number("/sys/d/*"), Reading::Absent { .. }));
        assert!(matches!(files.number("/sys/e"), Reading::Absent { .. }));
        assert_eq!(files.between("/sys/", "/temp").map(|(name, _)| name).collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn patterns_match_names() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["cpu0", "cpu10", "cpufreq"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        let found = matching(&format!("{}/cpu*/x", dir.path().display()));
        assert_eq!(found.len(), 3);
        assert!(found[0].ends_with("cpu0/x"), "{found:?}");
        assert!(matching("/nowhere/at/*/all").is_empty());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,300}") {
            let _ = Files::parse(&text).number("/sys/x");
        }
    }
}
