//! What a backend needs on a phone, carried there.
//!
//! Contract: what is not for this kind of phone is refused before anything is sent.

use std::collections::BTreeMap;
use std::path::Path;

use ditbench_backend_api::Parcel;
use sha2::{Digest, Sha256};

use super::device::quote;
use super::elf::{Machine, machine_of};
use super::session::Session;

/// Sends a parcel of a backend and gives the variables by which the program there finds it.
///
/// # Errors
/// It is not for this phone; says how to get one that is.
pub(super) fn send(
    session: &mut Session,
    backend: &str,
    parcel: &Parcel,
    say: &dyn Fn(String),
) -> Result<BTreeMap<String, String>, String> {
    let abi = session.identity.abi.value().map_or("unknown", String::as_str).to_owned();
    fits(parcel, &abi).map_err(|why| format!("{why}: {}", parcel.how))?;
    let files = format!("{}/files", session.folder());
    let mut sent = Vec::new();
    for file in &parcel.files {
        let there = session.pusher.put(&session.device, &file.path, &files, "0600", say);
        sent.push((there.map_err(|error| error.to_string())?, name(&file.path)));
    }
    if let ([(there, name)], [file]) = (sent.as_slice(), parcel.files.as_slice())
        && file.path == parcel.named
    {
        // One that was named alone is found by its path, whatever its name there.
        let ours = format!("{}/{name}", Parcel::THERE);
        return Ok(with(parcel, &ours, there));
    }
    let mut content = Sha256::new();
    for (there, name) in &sent {
        content.update(format!("{name} {there}\n"));
    }
    // Its name stands for what is in it.
    let hash: String = content.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let place = format!("{}/cache/{backend}-{hash}", session.folder());
    // Copied, so that what is kept is known by its hash the next time.
    let copies: String = sent
        .iter()
        .map(|(from, to)| format!(" && cp {} {}", quote(from), quote(&format!("{place}.part/{to}"))))
        .collect();
    let script =
        format!("[ -d {0} ] || {{ rm -rf {0}.part; mkdir -p {0}.part{copies} && mv {0}.part {0}; }}", quote(&place));
    session.device.ask("placing a backend's libraries", &script).map_err(|error| error.to_string())?;
    Ok(with(parcel, Parcel::THERE, &place))
}

/// The parcel's variables, with what they call `ours` as it is called there.
fn with(parcel: &Parcel, ours: &str, there: &str) -> BTreeMap<String, String> {
    parcel.environment.iter().map(|(key, value)| (key.clone(), value.replace(ours, there))).collect()
}

/// Whether a parcel is for a phone of that ABI.
///
/// # Errors
/// One of its files is not, or cannot be read.
pub fn fits(parcel: &Parcel, abi: &str) -> Result<(), String> {
    parcel.files.iter().filter(|file| file.for_processor).try_for_each(|file| library_fits(&file.path, abi))
}

fn library_fits(library: &Path, abi: &str) -> Result<(), String> {
    match machine_of(library) {
        Ok(Some(machine)) if Some(machine) == Machine::of_abi(abi) => Ok(()),
        Ok(Some(machine)) => Err(format!("{} is for {}, but the phone is {abi}", library.display(), machine.name())),
        Ok(None) => Err(format!("{} is not a library for Android or Linux", library.display())),
        Err(error) => Err(format!("cannot read {}: {error}", library.display())),
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use ditbench_backend_api::Carried;

    use super::*;

    #[test]
    fn a_library_for_another_machine_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("libruntime.so");
        let parcel = |for_processor| Parcel {
            named: path.clone(),
            files: vec![Carried { path: path.clone(), for_processor }],
            environment: BTreeMap::new(),
            how: String::new(),
        };
        std::fs::write(&path, "no library").unwrap();
        assert!(fits(&parcel(true), "arm64-v8a").unwrap_err().contains("is not a library"));
        let mut elf = [0u8; 20];
        elf[..4].copy_from_slice(b"\x7fELF");
        elf[18] = 62;
        std::fs::write(&path, elf).unwrap();
        assert!(fits(&parcel(true), "arm64-v8a").unwrap_err().contains("is for x86_64, but the phone is arm64-v8a"));
        assert_eq!(fits(&parcel(true), "x86_64"), Ok(()));
        assert_eq!(fits(&parcel(false), "arm64-v8a"), Ok(()), "code for another part of the phone");
    }
}
