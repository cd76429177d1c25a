//! The errors of backends: what was wrong, where, what to do next.

use ditbench_graph::tensor::TensorError;
use ditbench_graph::weights::WeightsError;

/// Why a backend could not compile or run.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The backend cannot do what was asked, on any machine or on this one. Recorded as `unsupported`.
    #[error("{backend} cannot run this: {why}")]
    Unsupported {
        /// The backend's name.
        backend: &'static str,
        /// What it cannot do.
        why: String,
    },
    /// Something that the backend needs is not there. Recorded as `unsupported`, with the cure.
    #[error("{backend} is not available: {why}. {cure}")]
    Unavailable {
        /// The backend's name.
        backend: &'static str,
        /// What is missing.
        why: String,
        /// How to get it.
        cure: String,
    },
    /// The weights do not fit the graph.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// An input is of the wrong shape or type.
    #[error("{graph}: input \"{input}\": {why}")]
    Input {
        /// The graph's name.
        graph: String,
        /// The input's name.
        input: String,
        /// Shapes wanted and found.
        why: String,
    },
    /// A result that does not fit its shape: a fault of the backend.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The runtime itself failed. Recorded as `error`.
    #[error("{backend}, {what}: {why}")]
    Runtime {
        /// The backend's name.
        backend: &'static str,
        /// What was being done, down to the node where known.
        what: String,
        /// The runtime's own words.
        why: String,
    },
}

impl BackendError {
    /// The runtime's own failure while doing `what`.
    pub fn runtime(backend: &'static str, what: impl Into<String>, why: impl std::fmt::Display) -> Self {
        Self::Runtime { backend, what: what.into(), why: format!("{why:#}") }
    }

    /// Checks tensors against the inputs of a graph.
    ///
    /// # Errors
    /// [`BackendError::Input`] with both shapes, or with both counts.
    pub fn check_inputs(graph: &ditbench_graph::Graph, inputs: &[ditbench_graph::Tensor]) -> Result<(), Self> {
        let input = |input: String, why: String| Err(Self::Input { graph: graph.name.clone(), input, why });
        if inputs.len() != graph.inputs.len() {
            let names: Vec<&str> = graph.inputs.iter().map(|port| port.name.as_str()).collect();
            return input(names.join(", "), format!("expected {} inputs, got {}", names.len(), inputs.len()));
        }
        for (port, tensor) in graph.inputs.iter().zip(inputs) {
            let value = graph.value(port.value);
            if tensor.shape() != value.shape || tensor.dtype() != value.dtype {
                let why = format!(
                    "wanted {:?} {:?}, found {:?} {:?}",
                    value.dtype,
                    value.shape,
                    tensor.dtype(),
                    tensor.shape()
                );
                return input(port.name.clone(), why);
            }
        }
        Ok(())
    }
}
