//! What every cell of a workload is fed: named tensors, made once by the host, kept in one small file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ditbench_graph::Tensor;
use ditbench_graph::hash::sha256;
use ditbench_graph::tensor::TensorError;
use ditbench_graph::tensor_file::{bytes, load, save};
use safetensors::SafeTensors;

/// Why inputs cannot be made, read or written.
#[derive(Debug, thiserror::Error)]
pub enum InputsError {
    /// The prompt cannot be turned into tokens.
    #[error("{0}")]
    Prompt(String),
    /// The file cannot be read or written.
    #[error("{}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Tensors that do not fit together, or are not this workload's.
    #[error("these inputs do not belong to this workload: {0}")]
    Wrong(String),
    /// Numbers that do not fit their shape: a mistake of ours.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

/// The inputs of one image: tensors by name in the order in which they are hashed, and what is said of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// Token ids (`tokens`), the first latent (`noise`), and whatever else the workload feeds its stages.
    pub tensors: Vec<(String, Tensor)>,
    /// Entries of the file's metadata: the sampler, its levels.
    pub about: BTreeMap<String, String>,
}

impl Inputs {
    /// The tensor of that name.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|(known, _)| known == name).map(|(_, tensor)| tensor)
    }

    /// SHA-256 of the first latent, little-endian, in hex; of nothing where there is none.
    pub fn noise_sha256(&self) -> String {
        self.tensor("noise").map(bytes).map_or_else(String::new, |bytes| sha256(&bytes))
    }

    /// SHA-256 of the token ids, little-endian, in hex; of nothing where there are none.
    pub fn tokens_sha256(&self) -> String {
        let is_tokens = |name: &str| name == "tokens" || name.starts_with("tokens.");
        let all = self.tensors.iter().filter(|(name, _)| is_tokens(name)).flat_map(|(_, tensor)| bytes(tensor));
        let all: Vec<u8> = all.collect();
        if all.is_empty() { String::new() } else { sha256(&all) }
    }

    /// SHA-256 over everything that a session is fed, in hex.
    pub fn sha256(&self) -> String {
        let all: Vec<u8> = self
            .tensors
            .iter()
            .flat_map(|(name, tensor)| [name.clone().into_bytes(), bytes(tensor)].concat())
            .collect();
        sha256(&all)
    }

    /// Writes the inputs to a safetensors file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), InputsError> {
        let named: Vec<(String, &Tensor)> = self.tensors.iter().map(|(name, tensor)| (name.clone(), tensor)).collect();
        let about = self.about.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        save(path, &named, about)
            .map_err(|why| InputsError::File { path: path.to_owned(), why: format!("cannot write: {why}") })
    }

    /// Reads what [`Inputs::save`] wrote; tensors come in the order of their names.
    ///
    /// # Errors
    /// The file cannot be read, or holds tensors of another type.
    pub fn load(path: &Path) -> Result<Self, InputsError> {
        let fail = |why: &dyn std::fmt::Display| InputsError::File { path: path.to_owned(), why: why.to_string() };
        let data = std::fs::read(path).map_err(|error| fail(&error))?;
        let (_, header) = SafeTensors::read_metadata(&data).map_err(|error| fail(&error))?;
        let about = header.metadata().clone().unwrap_or_default().into_iter().collect();
        let tensors: BTreeMap<String, Tensor> = load(&data).map_err(|why| fail(&why))?.into_iter().collect();
        Ok(Self { tensors: tensors.into_iter().collect(), about })
    }
}
