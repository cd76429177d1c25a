//! How to treat a phone: the flags of `ditbench run` that only concern phones. Kept in the record's plan.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ditbench_backend_api::Named;
use serde::{Deserialize, Serialize};

use crate::environment::Common;
use crate::naming::Folders;
use crate::plan::Patience;

/// Where our files are on a phone when nobody says: the one folder that the shell user may write and execute in.
pub const FOLDER: &str = "/data/local/tmp/ditbench";

/// Flags for phones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(default)]
pub struct PhoneOptions {
    /// Whether what the phone keeps up when it is hot is measured: launches that were held back count.
    /// Set by `--sustained`.
    #[arg(skip)]
    pub sustained: bool,
    /// Whether sensors are read only before and after launches. Set by `--telemetry off`.
    #[arg(skip)]
    pub no_telemetry: bool,
    /// Switch Android's fixed-performance mode on during launches
    #[arg(long, help_heading = "Phones")]
    pub fixed_performance: bool,
    /// Put workers into a profile of Android's scheduling (Android 13 and later): MaxPerformance comes close to what an app gets
    #[arg(long, value_name = "PROFILE", help_heading = "Phones")]
    pub task_profile: Option<String>,
    /// Have Android's perfetto trace the whole system in a pass of its own for each cell: threads on cores, clocks, the battery
    #[arg(long, help_heading = "Phones")]
    pub perfetto: bool,
    /// Folders of libraries for the phone, by backend.
    #[command(flatten)]
    #[serde(skip_serializing_if = "Folders::is_empty")]
    pub folders: Folders,
    /// Leave program, weights and models on the phone for the next run
    #[arg(long, help_heading = "Phones")]
    pub keep: bool,
    /// The program for the phone, if it is not beside this one (see scripts/android/build.sh)
    #[arg(long, value_name = "FILE", env = "DITBENCH_PHONE_BINARY", help_heading = "Phones")]
    pub phone_binary: Option<PathBuf>,
    /// Folder on the phone for our files [default: /data/local/tmp/ditbench]
    #[arg(long, value_name = "DIR", help_heading = "Phones")]
    pub phone_dir: Option<String>,
    /// Seconds to wait for a phone that disconnected [default: 60]
    #[arg(long, value_name = "SECONDS", help_heading = "Phones")]
    pub patience: Option<Patience>,
}

impl PhoneOptions {
    /// Our folder on the phone.
    pub fn folder(&self) -> &str {
        self.phone_dir.as_deref().map_or(FOLDER, |dir| dir.trim_end_matches('/'))
    }

    /// What the user named for a backend on a phone.
    pub fn named(&self, backend: &str, common: &Common) -> Named {
        let own = |path: Option<&Path>| path.map(Path::to_path_buf);
        Named {
            library: own(common.libraries.of(backend)),
            folder: own(self.folders.of(backend)),
            providers: common.providers(),
        }
    }

    /// How long to wait for a phone that went away.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.patience.map_or(60, Patience::get) as u64)
    }
}
