//! A backend of one way of running, for ways that the backend itself offers only on some machines.

use ditbench_backend_api::{Backend, BackendError, CompileOptions, DeviceFacts, Session, Variant, VersionReport};
use ditbench_graph::Graph;
use ditbench_graph::weights::{Scheme, Weights};

/// `backend` with one way of running alone, made as `compile` says: what the backend does not offer on this machine can pass the
/// suite on it, for example with the scalar code of kernels whose instructions this machine lacks.
#[derive(Clone, Copy, Debug)]
pub struct OneWay<B> {
    /// Gives its name, its version and its devices, and refuses what is not of the one way.
    pub backend: B,
    /// The way's name.
    pub name: &'static str,
    /// The way as it is offered for weights of a scheme, if it is.
    pub variant: fn(Scheme) -> Option<Variant>,
    /// Makes a session of that way on the processor.
    pub compile: Compile,
}

/// As [`Backend::compile`].
pub type Compile = fn(&Graph, &Weights, &CompileOptions) -> Result<Box<dyn Session>, BackendError>;

impl<B: Backend> Backend for OneWay<B> {
    fn name(&self) -> &'static str {
        self.backend.name()
    }

    fn version(&self) -> VersionReport {
        self.backend.version()
    }

    fn devices(&self) -> Vec<DeviceFacts> {
        self.backend.devices()
    }

    fn variants(&self, scheme: Scheme) -> Vec<Variant> {
        (self.variant)(scheme).into_iter().collect()
    }

    fn compile(
        &self,
        graph: &Graph,
        weights: &Weights,
        options: &CompileOptions,
    ) -> Result<Box<dyn Session>, BackendError> {
        if options.variant != self.name || options.device != "cpu" {
            return self.backend.compile(graph, weights, options);
        }
        (self.compile)(graph, weights, options)
    }
}
