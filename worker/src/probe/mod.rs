//! What a machine says of itself: processor, memory, sensors, the build that runs on it.
//!
//! Contract: every source is asked; what does not answer is `Denied` or `Absent` with a reason, never zero. A number and what it
//! is divided by are of the same scope: the CPUs that this process may use, the control group that it is in.

pub mod build;
pub mod cgroup;
pub mod cpus;
pub mod load;
pub mod machine;
pub mod memory;
mod nvidia;
pub mod phone;
mod read;
pub mod sensors;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Names another folder to read `/proc` and `/sys` in, for tests: what the record says is then not of this machine.
pub const ROOT: &str = "DITBENCH_SYSTEM_ROOT";

/// The folder that `proc` and `sys` are in: `/`, unless [`ROOT`] says otherwise.
pub fn root() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| std::env::var_os(ROOT).map_or_else(|| PathBuf::from("/"), PathBuf::from))
}

/// Files as the kernel has them, in a folder of their own.
#[cfg(test)]
pub(crate) fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let file = dir.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    dir
}
