//! The driver, as the system tells of it.

use std::path::Path;

use ditbench_backend_api::Missing;

/// A GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// `NVIDIA H200`.
    pub name: String,
}

/// What the driver says of this machine: its version and its GPUs in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Driver {
    /// `580.95.05`, where it says.
    pub version: Option<String>,
    /// Its GPUs.
    pub gpus: Vec<Gpu>,
}

/// Reads what the driver puts below `proc`; `None` if it is not loaded.
pub fn read(proc: &Path) -> Option<Driver> {
    let folder = proc.join("driver/nvidia");
    let version = std::fs::read_to_string(folder.join("version")).ok()?;
    let is_version = |word: &&str| word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.');
    let first = version.lines().next().unwrap_or_default();
    let version = first.split_whitespace().find(is_version).map(str::to_owned);
    let mut folders: Vec<_> =
        std::fs::read_dir(folder.join("gpus")).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    folders.sort();
    let name = |folder: &Path| {
        let text = std::fs::read_to_string(folder.join("information")).ok()?;
        let model = text.lines().find_map(|line| line.strip_prefix("Model:"))?;
        Some(Gpu { name: model.trim().to_owned() })
    };
    Some(Driver { version, gpus: folders.iter().filter_map(|folder| name(folder)).collect() })
}

/// Whether there is a GPU of that index with a driver, as far as can be seen without waking it. `cure` is what to do where there is no
/// driver.
///
/// # Errors
/// There is none, and what to do.
pub fn present(index: usize, cure: &str) -> Result<(), Missing> {
    present_in(open(LIBRARY.as_ref()).map(drop), read(Path::new("/proc")), index, cure)
}

/// The driver's library.
pub(crate) const LIBRARY: &str = if cfg!(windows) { "nvcuda.dll" } else { "libcuda.so.1" };

/// Loads it.
///
/// # Errors
/// Why not, in the system's own words.
pub(crate) fn open(library: &Path) -> Result<libloading::Library, String> {
    // SAFETY: loading the driver's library runs what it does at its start.
    let loads = unsafe { libloading::Library::new(library) };
    // The system's own words stand behind the first ones.
    loads.map_err(|error| {
        let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        cause.split_whitespace().collect::<Vec<_>>().join(" ")
    })
}

/// There is no driver, for that reason.
pub(crate) fn no_driver(why: &str, cure: &str) -> Missing {
    Missing { why: format!("there is no NVIDIA driver ({why})"), cure: cure.to_owned() }
}

fn present_in(loads: Result<(), String>, driver: Option<Driver>, index: usize, cure: &str) -> Result<(), Missing> {
    loads.map_err(|why| no_driver(&why, cure))?;
    // Where the system does not list them (a container, another system's Linux), the provider will say.
    match driver.map_or(0, |driver| driver.gpus.len()) {
        count if count > 0 && index >= count => Err(Missing {
            why: format!("the driver lists {count} GPU(s), counted from 0"),
            cure: "Ask for cuda:0".to_owned(),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_and_its_gpus_are_read_where_they_are() {
        let proc = tempfile::tempdir().unwrap();
        assert_eq!(read(proc.path()), None);
        let present_in = |loads, driver, index| super::present_in(loads, driver, index, "get one");
        let missing = present_in(Err("libcuda.so.1: not found".to_owned()), None, 0).unwrap_err();
        assert!(missing.why.contains("libcuda.so.1") && missing.cure == "get one", "{missing:?}");
        assert_eq!(present_in(Ok(()), None, 3), Ok(()), "nobody knows better");
        let folder = proc.path().join("driver/nvidia");
        for (bus, model) in [("0000:c1:00.0", "NVIDIA H200"), ("0000:41:00.0", "NVIDIA GeForce RTX 4090")] {
            let gpu = folder.join("gpus").join(bus);
            std::fs::create_dir_all(&gpu).unwrap();
            std::fs::write(gpu.join("information"), format!("Model: \t\t {model}\nIRQ:   \t\t 80\n")).unwrap();
        }
        let line =
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build  (dvs-builder@U22)";
        std::fs::write(folder.join("version"), format!("{line}\nGCC version:  gcc version 12.3.0\n")).unwrap();
        let driver = read(proc.path()).unwrap();
        assert_eq!(driver.version.as_deref(), Some("580.95.05"));
        let names: Vec<&str> = driver.gpus.iter().map(|gpu| gpu.name.as_str()).collect();
        assert_eq!(names, ["NVIDIA GeForce RTX 4090", "NVIDIA H200"]);
        assert_eq!(present_in(Ok(()), Some(driver.clone()), 1), Ok(()));
        assert!(present_in(Ok(()), Some(driver), 2).unwrap_err().why.contains("2 GPU(s)"));
    }
}
