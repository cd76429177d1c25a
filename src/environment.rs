//! What every command is told of its surroundings: the cache, where ONNX Runtime is, and which engines there are.

use std::ffi::OsString;
use std::path::PathBuf;

/// What all commands share.
#[derive(Clone, Debug, clap::Args)]
pub struct Common {
    /// Folder for prepared weights, exported models and the ONNX Runtime library [default: the user's cache folder]
    #[arg(long, global = true, env = "DITBENCH_CACHE", value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// The ONNX Runtime library to use, instead of fetching one
    #[arg(long, global = true, env = "ORT_DYLIB_PATH", value_name = "FILE")]
    pub ort_lib: Option<PathBuf>,
    /// The engines outside ditbench that backends may be named after (TOML) [default: engines.toml here, else in the
    /// user's config folder]
    #[arg(long, global = true, env = "DITBENCH_ENGINES", value_name = "FILE")]
    pub engines: Option<PathBuf>,
}

/// The file that `--engines` names. It is wanted before the rest of the command line is read, because the names of backends
/// are checked while it is.
pub fn engines_file(words: impl IntoIterator<Item = OsString>) -> Option<PathBuf> {
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if word == "--engines" {
            return words.next().map(PathBuf::from);
        }
        if let Some(file) = word.to_str().and_then(|word| word.strip_prefix("--engines=")) {
            return Some(PathBuf::from(file));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_file_is_found_wherever_it_stands() {
        let file = |line: &str| engines_file(line.split(' ').map(OsString::from));
        for line in ["run --engines a.toml --backend x", "--engines=a.toml run", "run --backend x --engines a.toml"] {
            assert_eq!(file(line), Some("a.toml".into()), "{line}");
        }
        assert_eq!((file("run --backend x"), file("run --engines")), (None, None));
    }
}
