//! A backend that computes nothing: it takes the time, the memory and the nodes that a script says, and is as wrong as the
//! script says.
//!
//! A gate that never failed is not known to work. With this backend a slowdown, a wrong result, a fall-back and a growth in
//! memory can be planted from the command line, and the gate seen to fail. It runs only where [`SCRIPT`] names a script,
//! so its numbers cannot be taken for a runtime's by accident.

mod script;
mod session;

use std::path::PathBuf;

use ditbench_backend_api::{
    Backend, BackendError, CompileOptions, DeviceFacts, Missing, Session, Variant, VersionReport,
};
use ditbench_graph::Graph;
use ditbench_graph::weights::{Format, Scheme, Weights};

pub use script::Script;

/// The name that commands and tables use.
pub const NAME: &str = "scripted";

/// The environment variable that names the script, a JSON file.
pub const SCRIPT: &str = "DITBENCH_SCRIPT";

/// The backend.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scripted;

/// The script, from the environment.
fn script() -> Result<Script, Missing> {
    let missing = |why: String| Missing {
        why,
        cure: format!(
            "set {SCRIPT} to a JSON file such as {{\"denoiser_ms\": 5}}; it is for trying a gate, not for measuring"
        ),
    };
    let path = std::env::var_os(SCRIPT).map(PathBuf::from).ok_or_else(|| missing(format!("{SCRIPT} is not set")))?;
    let text = std::fs::read_to_string(&path).map_err(|error| missing(format!("{}: {error}", path.display())))?;
    serde_json::from_str(&text).map_err(|error| missing(format!("{}: {error}", path.display())))
}

impl Backend for Scripted {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> VersionReport {
        VersionReport {
            runtime: env!("CARGO_PKG_VERSION").to_owned(),
            details: vec!["computes nothing: times, memory and results are scripted".to_owned()],
        }
    }

    fn devices(&self) -> Vec<DeviceFacts> {
        vec![DeviceFacts::cpu("scripted times and results, to try a gate").in_state(script().map(|_| ()))]
    }

    fn variants(&self, _: Scheme) -> Vec<Variant> {
        vec![Variant::new("scripted", "computes nothing; times, memory and results are scripted")]
    }

    fn compile(&self, graph: &Graph, weights: &Weights, _: &CompileOptions) -> Result<Box<dyn Session>, BackendError> {
        let script = script().map_err(|missing| BackendError::Unavailable {
            backend: NAME,
            why: missing.why,
            cure: missing.cure,
        })?;
        let mut few_bits = false;
        for index in 0..graph.weights.len() {
            let tensor = weights.tensor(graph, ditbench_graph::WeightId(index))?;
            few_bits |= matches!(tensor.format(), Format::Q4 | Format::Q8 | Format::Palette4);
        }
        Ok(Box::new(session::ScriptedSession::new(graph, script, few_bits)))
    }
}
