//! What was chosen of a workload: what a plan varies, and what crosses the pipe to a worker.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ImageSize;

/// Something that a plan may vary of one workload: the name is the flag and the key of a plan file.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    /// `text-tokens`, `rung`, …
    pub name: &'static str,
    /// What it is and which values there are: the flag's help.
    pub help: &'static str,
    /// The value that is meant when nobody says; empty for the model's own.
    pub default: &'static str,
    /// A value in its one way of writing, or what to write instead.
    pub parse: fn(&str) -> Result<String, String>,
    /// How a value that is not the default is shown behind the model's name.
    pub show: fn(&str) -> String,
}

/// One point of a workload: which model, at which size, with what of its own axes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Choice {
    /// The workload's name: `snapgenpp`.
    pub workload: String,
    /// The model's name within it: `nano`.
    pub model: String,
    /// The image's size.
    pub size: ImageSize,
    /// Denoiser steps.
    pub steps: usize,
    /// Values of the workload's own axes, in their one way of writing; what is absent is the default.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub own: BTreeMap<String, String>,
}

impl Choice {
    /// A model at a size, in as many steps, everything else as usual.
    pub fn new(workload: &str, model: &str, size: ImageSize, steps: usize) -> Self {
        Self { workload: workload.to_owned(), model: model.to_owned(), size, steps, own: BTreeMap::new() }
    }

    /// The same with a value on one of the workload's own axes.
    pub fn with(mut self, axis: &str, value: &str) -> Self {
        self.own.insert(axis.to_owned(), value.to_owned());
        self
    }

    /// The value on an own axis; `None` where it is the default.
    pub fn own(&self, axis: &str) -> Option<&str> {
        self.own.get(axis).map(String::as_str)
    }
}
