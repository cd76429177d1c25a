//! What a backend needs before it can run: found or fetched on this machine, or carried to another.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What a user named for a backend. It is used, or it is said why not: never another in its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// The library to use.
    pub library: Option<PathBuf>,
    /// The folder of libraries to carry to a phone.
    pub folder: Option<PathBuf>,
    /// Execution providers that are libraries of their own, each as `NAME=LIBRARY[,key=value…]`.
    pub providers: Vec<String>,
}

impl Named {
    /// Whether neither a library nor a folder was named.
    pub fn is_nothing(&self) -> bool {
        self.library.is_none() && self.folder.is_none()
    }
}

/// How to get ready on this machine.
pub struct PrepareOptions<'a> {
    /// What the user named.
    pub named: &'a Named,
    /// The cache folder, in which what is fetched is kept: made when it is first asked for, or why there is none.
    pub cache: &'a dyn Fn() -> Result<PathBuf, String>,
    /// Whether what is missing may be fetched.
    pub fetch: bool,
    /// Where to say what is going on.
    pub say: &'a dyn Fn(String),
    /// Whether to give up.
    pub stop: &'a dyn Fn() -> bool,
}

/// What a backend that is ready has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// Environment variables by which a process of its own finds the same.
    pub environment: BTreeMap<String, String>,
    /// What was found or fetched: its name and where it is.
    pub found: Option<(String, PathBuf)>,
}

/// Files that a backend needs on another machine, and how it finds them there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// What the user named: these files, or the folder that has them.
    pub named: PathBuf,
    /// The files, as they lie here. They are put into one folder, under their own names.
    pub files: Vec<Carried>,
    /// Environment variables of the program there; [`Parcel::THERE`] stands for that folder.
    pub environment: BTreeMap<String, String>,
    /// Where to get files that fit.
    pub how: String,
}

impl Parcel {
    /// Stands in the environment for the folder, until its path is known.
    pub const THERE: &str = "\u{1}";
}

/// A file of a [`Parcel`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it is code for the processor there, so that one for another kind is a mistake. Code for a part of the machine
    /// that only the runtime knows (a signal processor) is not looked at.
    pub for_processor: bool,
}

/// Rough figures for the estimates with which a plan is shown, and by which one that cannot fit is refused. Never a result.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// Share of the processor's f32 peak that it may reach, 0..1.
    pub share_of_peak: f64,
    /// Memory that weights take, as a multiple of their bytes when loaded: runtimes keep a re-laid copy of some.
    pub weights: f64,
    /// Memory that activations take, as a multiple of the least that the graph needs.
    pub activations: f64,
}

impl Default for Costs {
    /// From runs on one two-core x86-64 machine.
    fn default() -> Self {
        Self { share_of_peak: 0.3, weights: 1.3, activations: 1.5 }
    }
}

/// The variable that sets the size of rayon's pool, once per process.
const RAYON: &str = "RAYON_NUM_THREADS";

/// What a process must start with whose computing is spread over rayon's pool: so many threads.
pub fn rayon_pool(threads: usize) -> BTreeMap<String, String> {
    BTreeMap::from([(RAYON.to_owned(), threads.to_string())])
}
