//! A user's model as it is named on the command line: `./sd-turbo`, `f32=./sd-turbo`, `./unet/model.onnx`.

use std::fmt;
use std::path::{Path, PathBuf};

/// A name and a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// What tables call it.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// A path that cannot be used as a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GivenError {
    /// Nothing there.
    #[error("{}: there is no such file or folder", .0.display())]
    Missing(PathBuf),
    /// A file of another kind.
    #[error("{}: a model of your own is a folder with model_index.json or an .onnx file", .0.display())]
    Kind(PathBuf),
    /// A name that a table cannot use.
    #[error("\"{0}\" is not a name for a model: use letters, digits, \".\", \"-\" and \"_\", as in NAME=PATH")]
    Name(String),
}

impl Given {
    /// A path with or without a name before it; `None` for a word that is no path: the name of a model of ours.
    pub fn of(text: &str) -> Option<Self> {
        let is_path = |word: &str| word.contains(['/', '\\']) || word.ends_with(".onnx") || word == "." || word == "..";
        // A name holds no slash, a path may hold an equals sign.
        if let Some((name, path)) = text.split_once('=').filter(|(name, _)| !is_path(name)) {
            return Some(Self { name: name.to_owned(), path: PathBuf::from(path) });
        }
        (is_path(text) || Path::new(text).is_dir()).then(|| {
            let path = PathBuf::from(text);
            Self { name: usual_name(&path), path }
        })
    }

    /// Whether a table can use the name.
    ///
    /// # Errors
    /// [`GivenError::Name`].
    pub fn check_name(&self) -> Result<(), GivenError> {
        let usable = |sign: char| sign.is_ascii_alphanumeric() || ".-_".contains(sign);
        let fits = !self.name.is_empty() && self.name.chars().all(usable);
        if fits { Ok(()) } else { Err(GivenError::Name(self.name.clone())) }
    }

    /// Whether there may be a model.
    ///
    /// # Errors
    /// [`GivenError`].
    pub fn check(&self) -> Result<(), GivenError> {
        self.check_name()?;
        let path = self.path.clone();
        let is_onnx = path.extension().is_some_and(|extension| extension == "onnx");
        match path.metadata() {
            Err(_) => Err(GivenError::Missing(path)),
            Ok(about) if about.is_file() && !is_onnx => Err(GivenError::Kind(path)),
            Ok(_) => Ok(()),
        }
    }
}

/// `NAME=PATH`: leads back to the same.
impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.path.display())
    }
}

/// The folder's name; of a graph its file's, or its folder's where the file is only called `model`.
fn usual_name(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let named = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let stem = path.extension().filter(|extension| *extension == "onnx").and(path.file_stem());
    let name = match stem.map(|stem| stem.to_string_lossy().into_owned()) {
        Some(stem) if stem != "model" => Some(stem),
        Some(_) => path.parent().and_then(named),
        None => named(&path),
    };
    let usable = |sign: char| if sign.is_ascii_alphanumeric() || ".-_".contains(sign) { sign } else { '-' };
    let name: String = name.unwrap_or_default().chars().map(usable).collect();
    if name.is_empty() { "model".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_a_name_of_its_own_or_the_one_given() {
        for (text, name, path) in [
            ("./sd-turbo", "sd-turbo", "./sd-turbo"),
            ("/models/sd turbo/", "sd-turbo", "/models/sd turbo/"),
            ("f32=./sd-turbo", "f32", "./sd-turbo"),
            ("a/b=c", "b-c", "a/b=c"),
            ("unet.onnx", "unet", "unet.onnx"),
            ("x/unet/model.onnx", "unet", "x/unet/model.onnx"),
            ("q4=unet.onnx", "q4", "unet.onnx"),
            ("q4=C:\\models\\sd", "q4", "C:\\models\\sd"),
        ] {
            let given = Given::of(text).unwrap_or_else(|| panic!("{text} is a path"));
            assert_eq!((given.name.as_str(), given.path.as_path()), (name, Path::new(path)), "{text}");
            assert_eq!(Given::of(&given.to_string()), Some(given), "{text}");
        }
        for word in ["nano", "edgedit-1", "sd-turbo", ""] {
            assert_eq!(Given::of(word), None, "{word} is a name");
        }
    }

    #[test]
    fn what_is_no_model_is_said_before_anything_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("weights.safetensors");
        std::fs::write(&text, "").unwrap();
        let checked = |name: &str, path: &Path| {
            Given { name: name.to_owned(), path: path.to_owned() }.check().map_err(|error| error.to_string())
        };
        assert!(checked("a", folder.path()).is_ok());
        assert!(checked("a", &text).unwrap_err().contains("a folder with model_index.json or an .onnx file"));
        assert!(checked("a", &folder.path().join("none")).unwrap_err().contains("no such file"));
        assert!(checked("a b", folder.path()).unwrap_err().contains("NAME=PATH"));
        assert!(checked("", folder.path()).is_err());
    }
}
