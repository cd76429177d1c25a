//! ONNX Runtime for a phone: the library that the user named, or a folder of it and its execution providers, with what the
//! environment says of the providers.
//!
//! Contract: nothing is sent from here, and nothing is looked up in the user's cache: a library for this machine is none for a
//! phone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ditbench_backend_api::{Carried, Missing, Named, Parcel};

use crate::LIBRARY_VARIABLE;
use crate::plugin::VARIABLE as PROVIDERS;

/// The library that everything else belongs to.
const RUNTIME: &str = "libonnxruntime.so";

/// How a user comes by it.
const HOW: &str = "libonnxruntime.so is in the folder jni of the archive onnxruntime-android-VERSION.aar; name it with --ort-lib FILE, or with \
                   --ort-dir DIR the folder that has it and its providers' libraries";

/// What goes to a phone.
///
/// # Errors
/// Nothing was named; a folder without ONNX Runtime, or without a provider that the environment names.
pub(crate) fn parcel(named: &Named) -> Result<Parcel, Missing> {
    let missing = |why: String| Missing { why, cure: HOW.to_owned() };
    match (&named.folder, &named.library) {
        // As the more particular of the two.
        (Some(folder), _) => of_folder(folder, &said(named)).map_err(missing),
        (None, Some(library)) => Ok(Parcel {
            named: library.clone(),
            files: vec![Carried { path: library.clone(), for_processor: true }],
            environment: BTreeMap::from([(LIBRARY_VARIABLE.to_owned(), there(&name(library)))]),
            how: HOW.to_owned(),
        }),
        (None, None) => Err(missing("no ONNX Runtime library for the phone was named".to_owned())),
    }
}

/// What was said of providers: with `--ep` or in the plan, else in the environment.
fn said(named: &Named) -> String {
    if named.providers.is_empty() { std::env::var(PROVIDERS).unwrap_or_default() } else { named.providers.join(";") }
}

fn of_folder(folder: &Path, providers_said: &str) -> Result<Parcel, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let mut libraries: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| name(path).contains(".so")).collect();
    libraries.sort();
    let runtime = libraries.iter().map(|path| name(path)).find(|name| name.starts_with(RUNTIME));
    let runtime = runtime.ok_or_else(|| format!("{} has no {RUNTIME}", folder.display()))?;
    let environment = [
        (LIBRARY_VARIABLE, there(&runtime)),
        // They look for each other by their names.
        ("LD_LIBRARY_PATH", Parcel::THERE.to_owned()),
        ("ADSP_LIBRARY_PATH", Parcel::THERE.to_owned()),
        (PROVIDERS, providers(providers_said, &libraries)?),
    ];
    // Those of a signal processor (Hexagon's skeletons) are for another machine than the phone's processor.
    let carried = |path: PathBuf| Carried { for_processor: !name(&path).contains("Skel"), path };
    Ok(Parcel {
        named: folder.to_owned(),
        files: libraries.into_iter().map(carried).collect(),
        environment: environment.map(|(key, value)| (key.to_owned(), value)).into(),
        how: HOW.to_owned(),
    })
}

/// What was said of providers, with each library of the folder as the phone will have it.
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
                return Err(format!("--ep names {value}, and --ort-dir has no such library"));
            }
            pairs.push(if known { format!("{key}={}", there(&file)) } else { pair.to_owned() });
        }
        entries.push(pairs.join(","));
    }
    Ok(entries.join(";"))
}

fn there(file: &str) -> String {
    format!("{}/{file}", Parcel::THERE)
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
            said.unwrap().replace(Parcel::THERE, "/p"),
            "webgpu=/p/libwebgpu.so;qnn=/p/libqnn.so,backend_path=/p/libQnnHtp.so,soc_model=69"
        );
        assert_eq!(providers("", &libraries).unwrap(), "");
        assert!(providers("qnn=/y/libother.so", &libraries).unwrap_err().contains("--ort-dir has no such library"));
    }

    #[test]
    fn a_library_goes_alone_and_a_folder_whole() {
        let nothing = parcel(&Named::default()).unwrap_err();
        assert!(nothing.why.contains("was named") && nothing.cure.contains("--ort-lib FILE"), "{nothing:?}");
        let library = PathBuf::from("/phone/libonnxruntime.so");
        let alone = parcel(&Named { library: Some(library.clone()), ..Named::default() }).unwrap();
        assert_eq!(alone.files, [Carried { path: library.clone(), for_processor: true }]);
        assert_eq!(alone.environment[LIBRARY_VARIABLE], there("libonnxruntime.so"));

        let folder = tempfile::tempdir().unwrap();
        let named = Named { library: Some(library), folder: Some(folder.path().to_owned()), ..Named::default() };
        assert!(parcel(&named).unwrap_err().why.contains("has no libonnxruntime.so"));
        for file in ["libonnxruntime.so.1", "libQnnHtpV73Skel.so", "libqnn.so", "README"] {
            std::fs::write(folder.path().join(file), file).unwrap();
        }
        let whole = parcel(&named).unwrap();
        let files: Vec<(String, bool)> =
            whole.files.iter().map(|file| (name(&file.path), file.for_processor)).collect();
        let wanted = [("libQnnHtpV73Skel.so", false), ("libonnxruntime.so.1", true), ("libqnn.so", true)];
        assert_eq!(files, wanted.map(|(file, checked)| (file.to_owned(), checked)));
        assert_eq!(whole.environment[LIBRARY_VARIABLE], there("libonnxruntime.so.1"));
        assert_eq!(whole.environment["LD_LIBRARY_PATH"], Parcel::THERE);
    }
}
