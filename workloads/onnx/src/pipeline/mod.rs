//! From a prompt to an image through an exported pipeline, on whatever runs its graphs.
//!
//! * [`Pipeline`] is a folder with its graphs' interfaces.
//! * [`Plan`] is one way of running it: steps, sizes, guidance; every input of every graph has a size and a role.
//! * [`Plan::image`] runs it on a [`Run`] and records the seconds of each pass.
//!
//! Contract: the host's arithmetic between the graphs (scheduler, guidance, packing, scaling) is that of diffusers; it is
//! done in f64 and rounded to f32 once a step. What a graph is fed is checked against its interface before it is run.

mod error;
mod image;
mod plan;
mod roles;
mod source;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;
use std::path::Path;

pub use error::{DriveError, RunError};
pub use image::{Image, Inputs, Run, Stage};
pub use plan::{Component, Plan, PlanError, Request};

use crate::folder::{Folder, FolderError};
use crate::model::{Model, ReadError};

/// A pipeline's folder, and the interfaces of its graphs.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// The folder.
    pub folder: Folder,
    /// Each component's graph by the component's name.
    pub models: BTreeMap<String, Model>,
}

/// Why a pipeline cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// One of its graphs.
    #[error(transparent)]
    Model(#[from] ReadError),
}

impl Pipeline {
    /// Reads a folder and the interfaces of its graphs, and looks whether their weights are there.
    ///
    /// # Errors
    /// What is missing or not understood.
    pub fn open(path: &Path, files: &BTreeMap<String, String>) -> Result<Self, PipelineError> {
        let folder = Folder::open(path, files)?;
        let mut models = BTreeMap::new();
        for component in folder.components() {
            let model = Model::open(&component.graph)?;
            let beside = component.graph.parent().unwrap_or(path);
            model.check_data(beside).map_err(|fault| ReadError { path: component.graph.clone(), fault })?;
            models.insert(component.name.clone(), model);
        }
        Ok(Self { folder, models })
    }
}
