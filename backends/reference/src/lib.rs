//! The reference: a plain interpreter of graphs in 64-bit floats, the oracle that every backend is tested against.
//!
//! Contract: each operation is one small function that reads like its definition in
//! [`ditbench_graph::Op`]; inputs and weights are widened to f64 exactly (whatever their storage format),
//! nothing is fused, and results do not depend on the number of threads. [`ReferenceSession::run_f64`] gives results
//! before they are rounded to f32, [`ReferenceSession::run_traced`] shows every intermediate value.

mod array;
mod matmul;
mod ops;
mod session;

use std::time::Instant;

use ditbench_backend_api::{
    Backend, BackendError, CompileOptions, Costs, DeviceFacts, Session, Variant, VersionReport,
};
use ditbench_graph::Graph;
use ditbench_graph::weights::{Scheme, Weights};

pub use array::Array;
pub use session::{ReferenceSession, Step};

/// The backend's name.
pub const NAME: &str = "reference";
/// Its one variant.
pub const VARIANT: &str = "plain";
/// Its one device.
pub const DEVICE: &str = "cpu";

/// The f64 interpreter as a backend: one device, `cpu`, and one variant, `plain`, for every scheme.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference;

impl Backend for Reference {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> VersionReport {
        VersionReport { runtime: env!("CARGO_PKG_VERSION").to_owned(), details: vec!["f64 interpreter".to_owned()] }
    }

    fn devices(&self) -> Vec<DeviceFacts> {
        vec![DeviceFacts::cpu("the processor, in 64-bit floats")]
    }

    fn variants(&self, _: Scheme) -> Vec<Variant> {
        vec![Variant::new(VARIANT, "weights unpacked at each use, everything computed in 64-bit floats")]
    }

    fn costs(&self) -> Costs {
        // Everything is held, and computed, twice as wide.
        Costs { share_of_peak: 0.05, weights: 2.0, activations: 2.0 }
    }

    fn is_reference(&self) -> bool {
        true
    }

    fn compile(
        &self,
        graph: &Graph,
        weights: &Weights,
        options: &CompileOptions,
    ) -> Result<Box<dyn Session>, BackendError> {
        let unsupported = |what: &str, asked: &str, has: &str| {
            let why = format!("it has no {what} \"{asked}\", only \"{has}\"");
            Err(BackendError::Unsupported { backend: NAME, why })
        };
        if options.device != DEVICE {
            return unsupported("device", &options.device, DEVICE);
        }
        if options.variant != VARIANT {
            return unsupported("variant", &options.variant, VARIANT);
        }
        let start = Instant::now();
        let mut session = ReferenceSession::new(graph, weights, options.threads)?;
        session.load_s = start.elapsed().as_secs_f64();
        Ok(Box::new(session))
    }
}
