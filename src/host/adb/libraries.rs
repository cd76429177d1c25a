//! ONNX Runtime on a phone: the library that the user named, or a folder of it and its execution providers, carried there with
//! what the environment says of the providers.
//!
//! Contract: what is not for this kind of phone is refused before anything is sent.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::device::quote;
use super::elf::{Machine, machine_of};
use super::session::Session;

/// The library that everything else belongs to.
const RUNTIME: &str = "libonnxruntime.so";
/// The environment variable that names providers of their own: `name=library,key=value;…`.
const PROVIDERS: &str = "DITBENCH_ORT_EP";

/// How a user comes by it.
pub const HOW: &str = "libonnxruntime.so is in the folder jni of the archive onnxruntime-android-VERSION.aar; name it with --ort-lib FILE, or with \
                   --ort-dir DIR the folder that has it and its providers' libraries";

/// ONNX Runtime as it lies on a phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The library's path there.
    pub library: String,
    /// Variables of our program there.
    pub environment: Vec<(&'static str, String)>,
}

/// Sends what was named.
///
/// # Errors
/// Nothing was named, or it is not for this phone; says how to get it.
pub(super) fn send(session: &mut Session, library: Option<&Path>, say: &dyn Fn(String)) -> Result<Sent, String> {
    let abi = session.identity.abi.value().map_or("unknown", String::as_str).to_owned();
    if let Some(folder) = session.options.ort_dir.clone() {
        return send_folder(session, &folder, &abi, say);
    }
    let Some(library) = library else {
        return Err(format!("no ONNX Runtime library for the phone ({abi}) was named: {HOW}"));
    };
    fits(library, &abi).map_err(|why| format!("{why}: {HOW}"))?;
    let files = format!("{}/files", session.folder());
    let library =
        session.pusher.put(&session.device, library, &files, "0600", say).map_err(|error| error.to_string())?;
    Ok(Sent { environment: vec![("ORT_DYLIB_PATH", library.clone())], library })
}

/// Whether a library is for a phone of that ABI.
///
/// # Errors
/// It is not, or cannot be read.
pub fn fits(library: &Path, abi: &str) -> Result<(), String> {
    match machine_of(library) {
        Ok(Some(machine)) if Some(machine) == Machine::of_abi(abi) => Ok(()),
        Ok(Some(machine)) => Err(format!("{} is for {}, and the phone is {abi}", library.display(), machine.name())),
        Ok(None) => Err(format!("{} is no library for Android or Linux", library.display())),
        Err(error) => Err(format!("cannot read {}: {error}", library.display())),
    }
}

/// A folder's libraries, and ONNX Runtime's name among them.
///
/// # Errors
/// It cannot be read, has no ONNX Runtime, or has a library for another machine than a phone of that ABI.
pub fn look_over(folder: &Path, abi: &str) -> Result<(Vec<PathBuf>, String), String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let mut libraries: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| name(path).contains(".so")).collect();
    libraries.sort();
    let runtime = libraries.iter().map(|path| name(path)).find(|name| name.starts_with(RUNTIME));
    let Some(runtime) = runtime else {
        return Err(format!("{} has no {RUNTIME}", folder.display()));
    };
    // Those of a signal processor (Hexagon's skeletons) are for another machine than the phone's processor.
    libraries.iter().filter(|path| !name(path).contains("Skel")).try_for_each(|path| fits(path, abi))?;
    Ok((libraries, runtime))
}

/// All libraries of a folder, in a folder there whose name stands for their content, under their own names: they look for each
/// other by them.
fn send_folder(session: &mut Session, folder: &Path, abi: &str, say: &dyn Fn(String)) -> Result<Sent, String> {
    let (libraries, runtime) = look_over(folder, abi).map_err(|why| format!("{why}: {HOW}"))?;
    let environment = providers(&std::env::var(PROVIDERS).unwrap_or_default(), &libraries)?;
    let files = format!("{}/files", session.folder());
    let (mut moves, mut content) = (String::new(), Sha256::new());
    let mut sent = Vec::new();
    for library in &libraries {
        let there =
            session.pusher.put(&session.device, library, &files, "0600", say).map_err(|error| error.to_string())?;
        content.update(format!("{} {there}\n", name(library)));
        sent.push((there, name(library)));
    }
    let hash: String = content.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let place = format!("{}/cache/ort-{hash}", session.folder());
    for (from, to) in sent {
        // Copied, so that what is kept is known by its hash the next time.
        moves += &format!(" && cp {} {}", quote(&from), quote(&format!("{place}.part/{to}")));
    }
    let script =
        format!("[ -d {0} ] || {{ rm -rf {0}.part; mkdir -p {0}.part{moves} && mv {0}.part {0}; }}", quote(&place));
    session.device.ask("placing ONNX Runtime's libraries", &script).map_err(|error| error.to_string())?;
    let library = format!("{place}/{runtime}");
    let providers = environment.replace(HERE, &place);
    Ok(Sent {
        environment: vec![
            ("ORT_DYLIB_PATH", library.clone()),
            ("LD_LIBRARY_PATH", place.clone()),
            ("ADSP_LIBRARY_PATH", place),
            (PROVIDERS, providers),
        ],
        library,
    })
}

/// Stands for the folder on the phone until that is known.
const HERE: &str = "\u{1}";

/// What the environment says of providers, with each library of the folder as the phone will have it.
fn providers(said: &str, libraries: &[PathBuf]) -> Result<String, String> {
    let mut entries = Vec::new();
    for entry in said.split(';').map(str::trim).filter(|entry| !entry.is_empty()) {
        let mut pairs = Vec::new();
        for (index, pair) in entry.split(',').enumerate() {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let file = name(Path::new(value.trim()));
            let known = libraries.iter().any(|library| name(library) == file);
            // The first is the provider itself; others may name libraries too (backend_path).
            if index == 0 && !known {
                return Err(format!("{PROVIDERS} names {value}, and --ort-dir has no such library"));
            }
            pairs.push(if known { format!("{key}={HERE}/{file}") } else { pair.to_owned() });
        }
        entries.push(pairs.join(","));
    }
    Ok(entries.join(";"))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_are_named_as_the_phone_will_have_them() {
        let libraries =
            ["/x/libonnxruntime.so", "/x/libqnn.so", "/x/libQnnHtp.so", "/x/libwebgpu.so"].map(PathBuf::from);
        let said = providers(
            "webgpu=/x/libwebgpu.so; qnn=libqnn.so,backend_path=/elsewhere/libQnnHtp.so,soc_model=69;",
            &libraries,
        );
        assert_eq!(
            said.unwrap().replace(HERE, "/p"),
            "webgpu=/p/libwebgpu.so;qnn=/p/libqnn.so,backend_path=/p/libQnnHtp.so,soc_model=69"
        );
        assert_eq!(providers("", &libraries).unwrap(), "");
        assert!(providers("qnn=/y/libother.so", &libraries).unwrap_err().contains("--ort-dir has no such library"));
    }

    #[test]
    fn a_library_for_another_machine_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("libonnxruntime.so");
        std::fs::write(&path, "no library").unwrap();
        assert!(fits(&path, "arm64-v8a").unwrap_err().contains("is no library"));
        let mut elf = [0u8; 20];
        elf[..4].copy_from_slice(b"\x7fELF");
        elf[18] = 62;
        std::fs::write(&path, elf).unwrap();
        assert!(fits(&path, "arm64-v8a").unwrap_err().contains("is for x86_64, and the phone is arm64-v8a"));
        assert_eq!(fits(&path, "x86_64"), Ok(()));
    }
}
