//! The program for the phone: found, and held against the phone's kind before it is sent.

use std::path::{Path, PathBuf};

use super::elf::{Machine, machine_of};
use super::error::{AdbError, how_to_build};

/// The program for a phone: the one named, else one beside this program, else one that `scripts/android/build.sh` made
/// here, else this program itself if the phone is of its kind.
///
/// # Errors
/// There is none, or the one named is for another kind of machine; says how to make one.
pub fn find(named: Option<&Path>, abi: &str) -> Result<PathBuf, AdbError> {
    let wanted = Machine::of_abi(abi).ok_or_else(|| AdbError::NoBuild { abi: abi.to_owned() })?;
    let fits = |path: &Path| machine_of(path).ok().flatten() == Some(wanted);
    if let Some(path) = named {
        return match machine_of(path) {
            Ok(Some(machine)) if machine == wanted => Ok(path.to_owned()),
            Ok(Some(machine)) => Err(AdbError::Binary(format!(
                "{} is for {}, but the phone is {abi}. {}",
                path.display(),
                machine.name(),
                how_to_build(abi)
            ))),
            Ok(None) => Err(AdbError::Binary(format!("{} is not a program for Android or Linux", path.display()))),
            Err(error) => Err(AdbError::local(path)(error)),
        };
    }
    let own = std::env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent).unwrap_or(Path::new("."));
    let arch = wanted.name();
    let triples = ["linux-android", "unknown-linux-musl"].map(|rest| format!("{arch}-{rest}"));
    let candidates = triples
        .iter()
        .map(|triple| beside.join(format!("ditbench-{triple}")))
        .chain(triples.iter().map(|triple| Path::new("target").join(triple).join("release/ditbench-worker")));
    candidates.chain(own.clone()).find(|path| fits(path)).ok_or_else(|| AdbError::NoBuild { abi: abi.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::super::elf::machine;
    use super::*;

    fn elf(machine: u16) -> [u8; 20] {
        let mut head = [0u8; 20];
        head[..4].copy_from_slice(b"\x7fELF");
        head[18..].copy_from_slice(&machine.to_le_bytes());
        head
    }

    #[test]
    fn machines_are_told_apart() {
        assert_eq!(machine(&elf(183)), Some(Machine::Aarch64));
        assert_eq!(machine(&elf(62)), Machine::of_abi("x86_64"));
        assert_eq!(machine(&elf(999)), Some(Machine::Other(999)));
        assert_eq!(machine(&[0; 20]), None);
    }

    #[test]
    fn a_program_for_another_machine_is_refused_before_it_is_sent() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ditbench");
        std::fs::write(&path, elf(62)).unwrap();
        let error = find(Some(&path), "arm64-v8a").unwrap_err().to_string();
        assert!(error.contains("is for x86_64, but the phone is arm64-v8a"), "{error}");
        assert!(error.contains("scripts/android/build.sh"), "{error}");
        assert_eq!(find(Some(&path), "x86_64").unwrap(), path);
        std::fs::write(&path, "#!/bin/sh").unwrap();
        assert!(find(Some(&path), "x86_64").unwrap_err().to_string().contains("is not a program"));
        for (abi, words) in [("riscv64", "never run"), ("armeabi-v7a", "32-bit"), ("x86", "32-bit")] {
            let error = find(None, abi).unwrap_err();
            assert!(error.to_string().contains(abi) && error.to_string().contains(words), "{error}");
            assert!(!error.to_string().contains("build.sh"), "{error}");
        }
        assert!(how_to_build("x86_64").contains("x86_64-unknown-linux-musl"));
    }
}
