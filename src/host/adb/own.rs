//! A user's own model on a phone: its files, in the folders that they have here.

use std::path::Path;

use ditbench_graph::hash::sha256;
use ditbench_workloads::{Pipeline, own};

use super::device::{CALL, quote};
use super::push::Pusher;
use super::{AdbError, Device, Limit};

/// Makes sure that the model of a pipeline is on the phone, below `ours`; gives its path there, `None` for a model of ditbench's.
///
/// # Errors
/// A file cannot be read; as [`Pusher::put`].
pub fn put(
    pusher: &mut Pusher,
    device: &Device,
    pipeline: &Pipeline,
    ours: &str,
    say: &dyn Fn(String),
) -> Result<Option<String>, AdbError> {
    let Some(root) = own::path_of(&pipeline.choice) else { return Ok(None) };
    let mut files = Vec::new();
    for (file, place) in own::files(pipeline) {
        let (hash, _) = pusher.hash(&file)?;
        files.push((hash, file, place.to_string_lossy().into_owned()));
    }
    let listed: String = files.iter().map(|(hash, _, place)| format!("{hash} {place}\n")).collect();
    let mut key = sha256(listed.as_bytes());
    key.truncate(32);
    let folder = format!("{ours}/cache/model-{key}");
    let name = if root.is_dir() { None } else { root.file_name() };
    let model = name.map_or_else(|| folder.clone(), |name| format!("{folder}/{}", name.to_string_lossy()));
    let doing = format!("looking for {}", pipeline.name);
    if device.shell(&doing, &format!("[ -d {} ]", quote(&folder)), Limit::work(CALL))?.status == 0 {
        return Ok(Some(model));
    }
    let part = format!("{folder}.part");
    let mut script = format!("rm -rf {0} && mkdir -p {0}", quote(&part));
    for (index, (hash, file, place)) in files.iter().enumerate() {
        let sent = pusher.put(device, file, &format!("{ours}/files"), "0600", say)?;
        let to = format!("{part}/{place}");
        let within = Path::new(&to).parent().map(|folder| folder.to_string_lossy().into_owned()).unwrap_or_default();
        // Moved, so that weights take their room once; of files that are alike the last one is.
        let again = files.iter().skip(index + 1).any(|(other, ..)| other == hash);
        let place = if again { "cp" } else { "mv" };
        script.push_str(&format!(" && mkdir -p {} && {place} {} {}", quote(&within), quote(&sent), quote(&to)));
    }
    script.push_str(&format!(" && mv {} {}", quote(&part), quote(&folder)));
    device.ask(&format!("placing {}", pipeline.name), &script)?;
    Ok(Some(model))
}
