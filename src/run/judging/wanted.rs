//! What was asked of a run that judges pictures.

use std::path::PathBuf;

use anyhow::{Context, Result};
use ditbench_workloads::snapgenpp::prompts::{self, Prompts};
use serde::{Deserialize, Serialize};

use crate::plan::Names;

/// What was asked of a run that judges pictures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// So many names, and a quarter as many compositions; `None` for the whole list.
    pub prompts: Option<Names>,
    /// The judge's file, where it is not fetched.
    pub judge: Option<PathBuf>,
}

impl Wanted {
    /// The prompts in words.
    ///
    /// # Errors
    /// The carried list cannot be read: a mistake of ours.
    pub fn said(&self) -> Result<String> {
        let list = self.list()?;
        Ok(format!("{} names and {} compositions of nano's list", list.names.len(), list.compositions.len()))
    }

    /// The prompts.
    ///
    /// # Errors
    /// As [`said`](Self::said).
    pub(super) fn list(&self) -> Result<Prompts> {
        let mut list = prompts::nano().context("reading the list of prompts")?;
        if let Some(names) = self.prompts {
            list.names.truncate(names.get());
            list.compositions.truncate(names.get().div_ceil(4));
        }
        Ok(list)
    }
}
