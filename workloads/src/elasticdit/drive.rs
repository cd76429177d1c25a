//! From a prompt to an image, and what the models that share a file of weights have in common.

use ditbench_graph::Graph;

use crate::blocks::flow;
use crate::{Choice, Drive, Inputs, InputsError, RunError, StageRunner, Trace};

/// The way from a prompt to an image.
pub(super) struct Way {
    pub(super) flow: flow::Way,
    /// Denoisers that together read every weight of the file.
    pub(super) held: Vec<Graph>,
    /// A model that runs every block.
    pub(super) measured_on: Choice,
}

impl Drive for Way {
    fn inputs(&self, prompt: &str, seed: u64) -> Result<Inputs, InputsError> {
        self.flow.inputs(prompt, seed)
    }

    fn image(&self, inputs: &Inputs, runner: &mut dyn StageRunner<Error = RunError>) -> Result<Trace, RunError> {
        self.flow.image(inputs, runner)
    }

    fn sigmas(&self) -> Vec<f64> {
        self.flow.sigmas()
    }

    fn held(&self) -> &[Graph] {
        &self.held
    }

    fn measured_on(&self) -> Option<&Choice> {
        Some(&self.measured_on)
    }
}
