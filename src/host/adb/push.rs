//! Files to the phone and back: by content, whole or not at all.
//!
//! Contract: a file on the phone has its SHA-256 as its name and appears under it only when its size and hash have been
//! seen there; what is there is not sent again. An interrupted transfer leaves a part under a name that nobody reads.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use super::device::quote;
use super::{AdbError, Device, Limit};
use crate::text;

/// Room that must be left beside a file.
const SPARE_KIB: u64 = 32 << 10;
/// Slower than this counts as hanging: USB 2 gives some fifty times as much, a phone far away on a network a few times.
const SLOWEST_BYTES_PER_S: u64 = 500_000;

/// Ends the name of a file that is being sent: ours, not another host's.
pub fn part() -> String {
    format!("{}.part", std::process::id())
}

/// Sends files and remembers their hashes.
#[derive(Default)]
pub struct Pusher {
    hashes: HashMap<(PathBuf, u64, Option<SystemTime>), String>,
    /// Bytes sent so far.
    pub sent: u64,
}

impl Pusher {
    /// Makes sure that a file is on the phone in `folder`; gives its path there. `mode` is its permissions, `0700`.
    ///
    /// # Errors
    /// No room, the phone went away, or the file arrived damaged.
    pub fn put(
        &mut self,
        device: &Device,
        file: &Path,
        folder: &str,
        mode: &str,
        say: &dyn Fn(String),
    ) -> Result<String, AdbError> {
        let (hash, size) = self.hash(file)?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let target = format!("{folder}/{hash}");
        let what = format!("{name} ({})", text::bytes(size));
        let there = device.ask(
            &format!("looking for {name}"),
            &format!("mkdir -p {0} && {{ [ -f {1} ] && wc -c < {1} || echo none; }}", quote(folder), quote(&target)),
        )?;
        if there.trim().parse() == Ok(size) {
            return Ok(target);
        }
        let free = free_kib(device, folder)?;
        let full = || AdbError::Full { serial: device.serial().to_owned(), what: what.clone(), dir: folder.to_owned() };
        if free.is_some_and(|free| free < size / 1024 + SPARE_KIB) {
            return Err(full());
        }
        say(format!("sending {what} to the phone"));
        let part = format!("{folder}/.{hash}.{}", part());
        self.send(device, file, &part, size, &what, &full)?;
        let doing = format!("checking {name}");
        let limit = Limit::work(Duration::from_secs(20 + size / SLOWEST_BYTES_PER_S));
        let seen = device.ask_within(&doing, &format!("wc -c < {0} && sha256sum {0}", quote(&part)), limit)?;
        let mut words = seen.split_whitespace();
        let (seen_size, seen_hash) = (words.next().unwrap_or("?"), words.next().unwrap_or("?"));
        if seen_size != size.to_string() || seen_hash != hash {
            let _ = device.ask("removing a damaged file", &format!("rm -f {}", quote(&part)));
            let why = format!("{seen_size} bytes with SHA-256 {seen_hash}, not {size} with {hash}");
            return Err(AdbError::Damaged { serial: device.serial().to_owned(), what, why });
        }
        device.ask(&doing, &format!("chmod {mode} {0} && mv {0} {1}", quote(&part), quote(&target)))?;
        self.sent += size;
        Ok(target)
    }

    fn send(
        &self,
        device: &Device,
        file: &Path,
        part: &str,
        size: u64,
        what: &str,
        full: &dyn Fn() -> AdbError,
    ) -> Result<(), AdbError> {
        let limit = Limit::work(Duration::from_secs(20 + size / SLOWEST_BYTES_PER_S));
        let local = file.to_string_lossy();
        let doing = format!("sending {what}");
        let output = device.transfer(&doing, &["push", &local, part], limit)?;
        let said = format!("{}\n{}", output.stdout, output.stderr);
        if output.code == Some(0) && !said.contains("error:") {
            return Ok(());
        }
        if said.contains("No space left") || said.contains("ENOSPC") || said.contains("Disk quota") {
            let _ = device.ask("removing half a file", &format!("rm -f {}", quote(part)));
            return Err(full());
        }
        // The file may have gone since it was hashed.
        File::open(file).map_err(AdbError::local(file))?;
        // What the phone's own file system refuses begins with "remote"; anything else is the connection, which may be
        // back by now.
        if !said.contains("remote ") {
            return Err(device.lost(&doing, &output.stderr));
        }
        let said = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default().to_owned();
        Err(AdbError::Failed { serial: device.serial().to_owned(), doing, status: output.code.unwrap_or(-1), said })
    }

    /// SHA-256 in hex and size; taken once for a file that does not change.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn hash(&mut self, path: &Path) -> Result<(String, u64), AdbError> {
        let fail = AdbError::local(path);
        let meta = std::fs::metadata(path).map_err(&fail)?;
        let key = (path.to_owned(), meta.len(), meta.modified().ok());
        if let Some(known) = self.hashes.get(&key) {
            return Ok((known.clone(), meta.len()));
        }
        let mut file = File::open(path).map_err(&fail)?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0u8; 1 << 20];
        loop {
            match file.read(&mut buffer).map_err(&fail)? {
                0 => break,
                read => hash.update(&buffer[..read]),
            }
        }
        let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        self.hashes.insert(key, hex.clone());
        Ok((hex, meta.len()))
    }
}

/// Makes sure that a folder of the cache, whose name stands for its content, is in the cache on the phone.
///
/// # Errors
/// As [`Pusher::put`].
pub fn put_folder(
    pusher: &mut Pusher,
    device: &Device,
    folder: &Path,
    ours: &str,
    say: &dyn Fn(String),
) -> Result<(), AdbError> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let target = quote(&format!("{ours}/cache/{name}"));
    let doing = format!("looking for {name}");
    if device.shell(&doing, &format!("[ -d {target} ]"), Limit::work(super::device::CALL))?.status == 0 {
        return Ok(());
    }
    let part = quote(&format!("{ours}/cache/{name}.part"));
    let mut script = format!("rm -rf {part} && mkdir -p {part}");
    let fail = AdbError::local(folder);
    for entry in std::fs::read_dir(folder).map_err(&fail)? {
        // A file left out would leave half a model under the name of a whole one.
        let file = entry.map_err(&fail)?.path();
        if std::fs::metadata(&file).map_err(AdbError::local(&file))?.is_dir() {
            continue;
        }
        let sent = pusher.put(device, &file, &format!("{ours}/files"), "0600", say)?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        // Moved, not linked: runtimes read a model's data beside the model, and some refuse links.
        script.push_str(&format!(" && mv {} {part}/{}", quote(&sent), quote(&name)));
    }
    device.ask(&format!("placing {name}"), &format!("{script} && mv {part} {target}")).map(|_| ())
}

/// Fetches a file whole: under another name first.
///
/// # Errors
/// It is not there, the phone went away, or our disk is full.
pub fn pull(device: &Device, remote: &str, local: &Path) -> Result<(), AdbError> {
    let part = local.with_extension("part");
    let text = part.to_string_lossy();
    let doing = format!("fetching {remote}");
    let output = device.transfer(&doing, &["pull", remote, &text], Limit::work(Duration::from_secs(120)))?;
    let fail =
        |said: String| AdbError::Failed { serial: device.serial().to_owned(), doing: doing.clone(), status: 1, said };
    if output.code != Some(0) || !part.is_file() {
        let _ = std::fs::remove_file(&part);
        if device.state().is_err() {
            return Err(device.lost(&doing, &output.stderr));
        }
        return Err(fail(format!("{}{}", output.stdout, output.stderr).trim().to_owned()));
    }
    let size = device.ask(&doing, &format!("wc -c < {}", quote(remote)))?;
    let here = std::fs::metadata(&part).map_or(0, |meta| meta.len());
    if size.trim().parse() != Ok(here) {
        let _ = std::fs::remove_file(&part);
        return Err(AdbError::Damaged {
            serial: device.serial().to_owned(),
            what: remote.to_owned(),
            why: format!("{here} bytes of {}", size.trim()),
        });
    }
    std::fs::rename(&part, local).map_err(AdbError::local(local))
}

/// Free room in KiB where a folder is; `None` if `df` is of a form that we do not know.
///
/// # Errors
/// The phone went away.
pub fn free_kib(device: &Device, folder: &str) -> Result<Option<u64>, AdbError> {
    let reply =
        device.shell("asking for free room", &format!("df -k {}", quote(folder)), Limit::work(super::device::CALL))?;
    Ok(parse_df(&reply.stdout))
}

/// The fourth number of the last line, or the third if a long device name has a line of its own.
fn parse_df(text: &str) -> Option<u64> {
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let percent = words.iter().position(|word| word.ends_with('%'))?;
    words.get(percent.checked_sub(1)?)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn free_room_in_several_forms() {
        let toybox = "Filesystem     1K-blocks     Used Available Use% Mounted on\n/dev/block/dm-5 113246208 58720256 54525952  52% /data/user/0\n";
        let long = "Filesystem 1K-blocks Used Available Use% Mounted on\n/dev/block/by-name/a-very-long-name\n  113246208 58720256 54525952 52% /data\n";
        assert_eq!((parse_df(toybox), parse_df(long)), (Some(54_525_952), Some(54_525_952)));
        assert_eq!(parse_df("df: /nowhere: No such file or directory"), None);
    }

    #[test]
    fn a_file_that_changes_is_hashed_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let mut pusher = Pusher::default();
        std::fs::write(&path, "abc").unwrap();
        let (first, size) = pusher.hash(&path).unwrap();
        assert_eq!((first.as_str(), size), ("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 3));
        std::fs::write(&path, "abcd").unwrap();
        assert_ne!(pusher.hash(&path).unwrap().0, first);
        std::fs::remove_file(&path).unwrap();
        let error = pusher.hash(&path).unwrap_err();
        assert!(matches!(&error, AdbError::Local { path: of, .. } if *of == path), "{error}");
    }

    proptest! {
        #[test]
        fn no_df_panics(text in "([0-9]{1,22}|%| |\n|.){0,40}") {
            let _ = parse_df(&text);
        }
    }
}
