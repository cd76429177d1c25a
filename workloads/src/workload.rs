//! What a workload is to the harness, and the list of those there are.

use crate::pipeline::Pipeline;
use crate::snapgenpp::SnapGenPp;
use crate::{Axis, Choice, ImageSize};

/// All workloads, the usual one first.
pub static ALL: [&dyn Workload; 1] = [&SnapGenPp];

/// The workload of that name.
pub fn named(name: &str) -> Option<&'static dyn Workload> {
    ALL.into_iter().find(|workload| workload.name() == name)
}

/// A model of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// The name that commands and tables use.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// The image that it is run at where nobody says.
    pub usual_size: ImageSize,
    /// Denoiser steps that it is run with where nobody says.
    pub usual_steps: usize,
}

/// Why a pipeline cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// There is no such workload, model or value.
    #[error("{0}")]
    Choice(String),
    /// The graphs cannot be built as asked: a size that is no multiple, heads that do not divide.
    #[error(transparent)]
    Graph(#[from] ditbench_graph::GraphError),
}

/// Something that ditbench can run on every backend.
pub trait Workload: Sync {
    /// The name that commands and tables use.
    fn name(&self) -> &'static str;

    /// What it is, in a sentence, with its source.
    fn about(&self) -> &'static str;

    /// Its models, the smallest first.
    fn models(&self) -> &'static [ModelInfo];

    /// What a plan may vary beyond what every workload has.
    fn axes(&self) -> &'static [Axis];

    /// Builds the stages of a choice. Nothing computes.
    ///
    /// # Errors
    /// No such model or value; sizes that cannot be built.
    fn build(&self, choice: &Choice) -> Result<Pipeline, WorkloadError>;
}

/// Builds the pipeline of a choice.
///
/// # Errors
/// As [`Workload::build`]; a workload that this program does not have.
pub fn build(choice: &Choice) -> Result<Pipeline, WorkloadError> {
    let known = || ALL.map(|workload| workload.name()).join(", ");
    let workload = named(&choice.workload).ok_or_else(|| {
        WorkloadError::Choice(format!("unknown workload \"{}\": choose from {}", choice.workload, known()))
    })?;
    workload.build(choice)
}

/// The workload that has a model, and the model.
///
/// # Errors
/// Names the models there are.
pub fn of_model(name: &str) -> Result<(&'static dyn Workload, &'static ModelInfo), WorkloadError> {
    let all = || ALL.into_iter().flat_map(|workload| workload.models().iter().map(move |model| (workload, model)));
    all().find(|(_, model)| model.name == name).ok_or_else(|| {
        let names: Vec<&str> = all().map(|(_, model)| model.name).collect();
        WorkloadError::Choice(format!("unknown model \"{name}\": choose one of {}", names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn models_have_one_name_each_and_build_at_their_usual_size() {
        let mut names = HashSet::new();
        for workload in ALL {
            for model in workload.models() {
                assert!(names.insert(model.name), "{} is in two workloads", model.name);
                let (found, info) = of_model(model.name).unwrap();
                assert_eq!((found.name(), info), (workload.name(), model));
            }
            let smallest = &workload.models()[0];
            let choice = Choice::new(workload.name(), smallest.name, smallest.usual_size, smallest.usual_steps);
            let pipeline = build(&choice).unwrap();
            assert!(!pipeline.stages.is_empty() && pipeline.flops_per_image() > 0);
        }
        assert!(of_model("huge").map(|_| ()).unwrap_err().to_string().contains("nano"));
    }

    #[test]
    fn the_default_of_an_axis_is_a_value_of_it_and_what_is_wrong_is_said() {
        for axis in ALL.into_iter().flat_map(|workload| workload.axes()) {
            if !axis.default.is_empty() {
                assert_eq!((axis.parse)(axis.default).as_deref(), Ok(axis.default), "{}", axis.name);
            }
            let error = (axis.parse)("no such value").unwrap_err();
            assert!(error.contains("no such value") && error.len() > 30, "{}: {error}", axis.name);
            assert!(axis.help.len() > 10 && !axis.name.contains('_'));
        }
    }
}
