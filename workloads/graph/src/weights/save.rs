//! The one place that writes safetensors files.
//!
//! Contract: a file appears under its name whole or not at all, and with the permissions that this process gives to any new
//! file. The library alone would leave it readable by its owner only, so that nobody else could read a shared cache, or
//! what was made in a container.

use std::collections::HashMap;
use std::fmt::Display;
use std::fs::File;
use std::path::{Path, PathBuf};

use safetensors::View;

/// Writes tensors under their names. `finish` has the last word, when all is written and has no name yet.
///
/// # Errors
/// The disk is full, the folder is read-only; what `finish` says. Nothing is left behind then.
pub fn save<S, V, E>(
    path: &Path,
    tensors: impl IntoIterator<Item = (S, V)>,
    metadata: HashMap<String, String>,
    fail: impl Fn(&dyn Display) -> E,
    finish: impl FnOnce(&File) -> Result<(), E>,
) -> Result<(), E>
where
    S: AsRef<str> + Ord + Display,
    V: View,
{
    let part = part(path);
    let written = (|| {
        // Asks the system, rather than its umask, what a new file of ours may be read by: the folder has a say too.
        let usual = File::create(&part).and_then(|file| file.metadata()).map_err(|error| fail(&error))?.permissions();
        safetensors::serialize_to_file(tensors, Some(metadata), &part).map_err(|error| fail(&error))?;
        let file = File::open(&part).map_err(|error| fail(&error))?;
        file.set_permissions(usual).map_err(|error| fail(&error))?;
        finish(&file)?;
        std::fs::rename(&part, path).map_err(|error| fail(&error))
    })();
    if written.is_err() {
        // Best effort: the first error is the one to tell.
        let _ = std::fs::remove_file(&part);
    }
    written
}

fn part(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.part", std::process::id()))
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use safetensors::{Dtype, tensor::TensorView};

    use super::*;

    #[test]
    fn a_file_may_be_read_by_whoever_may_read_any_other_of_ours() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        std::fs::write(folder.path().join("usual"), b"").unwrap();
        let view = TensorView::new(Dtype::F32, vec![1], &[0; 4]).unwrap();
        let path = folder.path().join("w.safetensors");
        let fail = |error: &dyn Display| error.to_string();
        save(&path, [("a", view.clone())], HashMap::new(), fail, |_| Ok(())).unwrap();
        assert_eq!(mode("w.safetensors"), mode("usual"));
        let refused = save(&path, [("b", view)], HashMap::new(), fail, |_| Err("no".to_owned()));
        assert_eq!(refused, Err("no".to_owned()));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "the old file, and no part of the new one");
    }
}
