//! What a user names for backends on the command line: paths by backend's name, from flags that the registry lists.
//!
//! Contract: nothing from here on knows which backends there are, or what the flags are called.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, value_parser};
use ditbench_worker::registry::{FOLDER_FLAGS, LIBRARY_FLAGS, NamingFlag};
use serde::{Deserialize, Serialize};

/// The flags of a table as arguments of a command.
fn arguments(flags: &'static [NamingFlag], each: impl Fn(Arg) -> Arg) -> impl Iterator<Item = Arg> {
    flags.iter().map(move |naming| {
        let arg = Arg::new(naming.flag).long(naming.flag).value_name(naming.value).help(naming.help);
        let arg = arg.value_parser(value_parser!(PathBuf));
        each(match naming.variable {
            Some(variable) => arg.env(variable),
            None => arg,
        })
    })
}

/// What was given for them.
fn given(flags: &'static [NamingFlag], matches: &ArgMatches) -> BTreeMap<String, PathBuf> {
    let path =
        |naming: &NamingFlag| Some((naming.backend.to_owned(), matches.get_one::<PathBuf>(naming.flag)?.clone()));
    flags.iter().filter_map(path).collect()
}

/// Paths by backend, from the flags of a table, each changed by a function on its way into a command.
macro_rules! paths_by_backend {
    ($(#[$about:meta])* $name:ident, $flags:expr, $each:expr) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub BTreeMap<String, PathBuf>);

        impl $name {
            /// What was named for a backend.
            pub fn of(&self, backend: &str) -> Option<&Path> {
                self.0.get(backend).map(PathBuf::as_path)
            }

            /// Whether nothing was named.
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }

            /// As words of a command line: each flag and its value.
            pub fn words(&self) -> Vec<(String, OsString)> {
                let flags = $flags.iter().filter_map(|naming| Some((naming, self.of(naming.backend)?)));
                flags.map(|(naming, path)| (format!("--{}", naming.flag), path.as_os_str().to_owned())).collect()
            }
        }

        impl clap::FromArgMatches for $name {
            fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
                Ok(Self(given(&$flags, matches)))
            }

            fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
                self.0.extend(given(&$flags, matches));
                Ok(())
            }
        }

        impl clap::Args for $name {
            fn augment_args(command: Command) -> Command {
                command.args(arguments(&$flags, $each))
            }

            fn augment_args_for_update(command: Command) -> Command {
                Self::augment_args(command)
            }
        }
    };
}

paths_by_backend!(
    /// Libraries to use instead of those that are found or fetched.
    Libraries,
    LIBRARY_FLAGS,
    |arg: Arg| arg.global(true)
);

paths_by_backend!(
    /// Folders of libraries to carry to a phone.
    Folders,
    FOLDER_FLAGS,
    |arg: Arg| arg.help_heading("Phones")
);

impl Folders {
    /// Takes over what a record of before kept under the flag's name.
    pub fn take_over(&mut self, phone: &serde_json::Value) {
        for naming in &FOLDER_FLAGS {
            if let Some(path) = phone[naming.flag.replace('-', "_")].as_str() {
                self.0.entry(naming.backend.to_owned()).or_insert_with(|| path.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Words {
        #[command(flatten)]
        libraries: Libraries,
        #[command(flatten)]
        folders: Folders,
    }

    #[test]
    fn a_flag_of_the_registry_names_something_for_its_backend() {
        let (library, folder) = (&LIBRARY_FLAGS[0], &FOLDER_FLAGS[0]);
        let line = ["x".to_owned(), format!("--{}", folder.flag), "/f".to_owned(), format!("--{}=/l.so", library.flag)];
        let words = Words::try_parse_from(line).unwrap();
        assert_eq!(words.libraries.of(library.backend), Some(Path::new("/l.so")));
        assert_eq!(words.folders.words(), [(format!("--{}", folder.flag), "/f".into())]);
        assert!(words.libraries.of("another").is_none());
    }

    #[test]
    fn folders_of_older_records_are_taken_over() {
        let mut folders = Folders::default();
        folders.take_over(&serde_json::json!({"ort_dir": null, "keep": true}));
        assert!(folders.is_empty());
        folders.take_over(&serde_json::json!({"ort_dir": "/phone"}));
        assert_eq!(folders.of("ort"), Some(Path::new("/phone")));
        let text = serde_json::to_string(&folders).unwrap();
        assert_eq!(serde_json::from_str::<Folders>(&text).unwrap(), folders);
    }
}
