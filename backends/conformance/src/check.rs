//! One case on one backend, against the reference.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};

use ditbench_backend_api::{Backend, BackendError, CompileOptions, Numerics};
use ditbench_graph::tensor::TensorData;
use ditbench_graph::weights::Scheme;
use ditbench_graph::{Graph, Tensor};
use ditbench_reference::{Array, ReferenceSession};

use crate::{Case, Difference, allowed, first_divergence, weights};

/// What came of one case.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The case's name.
    pub case: String,
    /// How the weights were stored.
    pub scheme: Scheme,
    /// The backend's variant.
    pub variant: String,
    /// The session's precision; `None` if no session could be made.
    pub numerics: Option<Numerics>,
    /// The output furthest from the reference; `None` if nothing came out.
    pub found: Option<Difference>,
    /// The bound on its relative L2 distance.
    pub allowed: Option<f64>,
    /// Right, wrong or not possible.
    pub verdict: Verdict,
}

/// Right, wrong or not possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Within the bound, repeatable.
    Passed,
    /// The backend returned [`BackendError::Unsupported`].
    Unsupported {
        /// The backend's words.
        why: String,
        /// Whether the test declared it, and the reason that it gave.
        declared: Option<String>,
    },
    /// Wrong, not repeatable, or an error.
    Failed {
        /// What is wrong and where.
        why: String,
    },
}

impl Outcome {
    /// An outcome with nothing measured.
    pub(crate) fn new(case: &str, scheme: Scheme, variant: &str, verdict: Verdict) -> Self {
        let (case, variant) = (case.to_owned(), variant.to_owned());
        Self { case, scheme, variant, numerics: None, found: None, allowed: None, verdict }
    }

    /// Whether this may stand: passed, or unsupported as declared.
    pub fn is_ok(&self) -> bool {
        match &self.verdict {
            Verdict::Passed => true,
            Verdict::Unsupported { declared, .. } => declared.is_some(),
            Verdict::Failed { .. } => false,
        }
    }
}

/// Runs a case on a backend with weights of a scheme, in the variant that the options name, and compares with the
/// reference on the same weights.
pub fn check(backend: &dyn Backend, case: &Case, scheme: Scheme, options: &CompileOptions) -> Outcome {
    let verdict = Verdict::Passed;
    let mut outcome = Outcome::new(&case.name, scheme, &options.variant, verdict);
    // A runtime that panics costs its case, not the table of the others.
    let judged = panic::catch_unwind(AssertUnwindSafe(|| judge(backend, case, scheme, options, &mut outcome)));
    outcome.verdict = match judged.unwrap_or_else(|panic| Err(Fault::Wrong(format!("panicked: {}", words(&*panic))))) {
        Ok(()) => Verdict::Passed,
        Err(Fault::Backend(BackendError::Unsupported { why, .. })) => Verdict::Unsupported { why, declared: None },
        Err(Fault::Backend(error)) => Verdict::Failed { why: error.to_string() },
        Err(Fault::Wrong(why)) => Verdict::Failed { why },
    };
    outcome
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

/// Why a case did not pass.
enum Fault {
    Backend(BackendError),
    Wrong(String),
}

impl From<BackendError> for Fault {
    fn from(error: BackendError) -> Self {
        Self::Backend(error)
    }
}

fn judge(
    backend: &dyn Backend,
    case: &Case,
    scheme: Scheme,
    options: &CompileOptions,
    outcome: &mut Outcome,
) -> Result<(), Fault> {
    let graph = &case.graph;
    let weights = weights(graph, scheme, case.seed);
    let mut session = backend.compile(graph, &weights, options)?;
    let bound = allowed(session.numerics(), graph, &weights);
    outcome.numerics = Some(session.numerics());
    outcome.allowed = Some(bound);
    let results = session.run(&case.inputs)?;
    let reference = ReferenceSession::new(graph, &weights, options.threads)?;
    let truth = reference.run_f64(&case.inputs)?;
    let (worst, difference) = worst_output(graph, &results, &truth).map_err(Fault::Wrong)?;
    outcome.found = Some(difference);
    if !difference.is_within(bound) {
        let place = first_divergence(backend, case, &weights, options);
        let place = place.map_or_else(|| "no single node could be told".to_owned(), |found| found.to_string());
        return Err(Fault::Wrong(format!("output \"{worst}\" of {} is wrong; {place}", graph.name)));
    }
    // Other inputs, then the first again: a session must neither remember results nor drift.
    let others = other_inputs(&case.inputs);
    let (worst, difference) =
        worst_output(graph, &session.run(&others)?, &reference.run_f64(&others)?).map_err(Fault::Wrong)?;
    if !difference.is_within(bound) {
        let far = difference.relative_l2;
        // A fault of about the bound's size may show here alone. A session that remembers has none that a fresh one shows.
        let place = first_divergence(backend, &Case { inputs: others, ..case.clone() }, &weights, options);
        let place = place.map_or_else(
            || "no single node could be told, as of a session that remembers".to_owned(),
            |found| found.to_string(),
        );
        return Err(Fault::Wrong(format!(
            "output \"{worst}\" is right for the first inputs, off by {far:.1e} for others; {place}"
        )));
    }
    if bits(&results) == bits(&session.run(&case.inputs)?) {
        Ok(())
    } else {
        Err(Fault::Wrong("the same inputs gave other bytes when run again".to_owned()))
    }
}

/// The name of the output furthest from the reference, and its distance.
fn worst_output(graph: &Graph, results: &[Tensor], truth: &[Array]) -> Result<(String, Difference), String> {
    if results.len() != truth.len() {
        return Err(format!("{} outputs given, the graph has {}", results.len(), truth.len()));
    }
    let mut worst: Option<(String, Difference)> = None;
    for ((port, result), truth) in graph.outputs.iter().zip(results).zip(truth) {
        if result.shape() != truth.shape {
            return Err(format!("output \"{}\" is {:?}, the graph says {:?}", port.name, result.shape(), truth.shape));
        }
        let values = result.as_f32().map_err(|error| format!("output \"{}\": {error}", port.name))?;
        let difference = Difference::between(values, &truth.data);
        // Written so that what is not a number counts as worst.
        if worst.as_ref().is_none_or(|(_, most)| !difference.is_within(most.relative_l2)) {
            worst = Some((port.name.clone(), difference));
        }
    }
    worst.ok_or_else(|| "the graph has no output".to_owned())
}

/// The elements of all tensors, bit by bit.
fn bits(tensors: &[Tensor]) -> Vec<Vec<u32>> {
    tensors.iter().map(|t| t.as_f32().unwrap_or(&[]).iter().map(|v| v.to_bits()).collect()).collect()
}

/// Inputs that differ from these in every element that is not 0.
fn other_inputs(inputs: &[Tensor]) -> Vec<Tensor> {
    inputs
        .iter()
        .map(|tensor| {
            let shape = tensor.shape().to_vec();
            let other = match tensor.data() {
                TensorData::F32(values) => Tensor::f32(shape, values.iter().map(|v| -0.5 * v).collect()),
                TensorData::I64(values) => Tensor::i64(shape, values.iter().rev().copied().collect()),
            };
            other.expect("the same number of elements in the same shape")
        })
        .collect()
}
