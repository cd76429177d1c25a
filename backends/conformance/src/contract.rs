//! What is asked of a backend besides right numbers: errors of the right kind, names that are the graph's.

use ditbench_backend_api::{Backend, BackendError, CompileOptions, Session};
use ditbench_graph::weights::{Scheme, Weights};
use ditbench_graph::{Graph, Tensor};

use crate::{Case, Outcome, Verdict, weights};

/// Wrong inputs are refused as [`BackendError::Input`], missing weights as [`BackendError::Weights`], an unknown variant
/// or device as unsupported or unavailable; a profile names nodes of the graph. One outcome for each.
pub fn check_contract(backend: &dyn Backend, case: &Case, scheme: Scheme, options: &CompileOptions) -> Vec<Outcome> {
    let outcome = |what: &str, found: Result<(), String>| {
        let verdict = match found {
            Ok(()) => Verdict::Passed,
            Err(why) => Verdict::Failed { why },
        };
        Outcome::new(&format!("contract.{what}"), scheme, &options.variant, verdict)
    };
    let graph = &case.graph;
    let good = weights(graph, scheme, case.seed);
    let mut outcomes = vec![
        outcome("missing_weights", missing_weights(backend, graph, options)),
        outcome(
            "unknown_variant",
            refused(
                backend,
                graph,
                &good,
                &CompileOptions { variant: "no such variant".to_owned(), ..options.clone() },
            ),
        ),
        outcome(
            "unknown_device",
            refused(backend, graph, &good, &CompileOptions { device: "no such device".to_owned(), ..options.clone() }),
        ),
    ];
    match backend.compile(graph, &good, options) {
        Err(error) => outcomes.push(outcome("compile", Err(error.to_string()))),
        Ok(mut session) => {
            for (what, inputs) in wrong_inputs(&case.inputs) {
                outcomes.push(outcome(what, refuses_inputs(session.as_mut(), &inputs)));
            }
            let after = session.run(&case.inputs).map(|_| ()).map_err(|error| error.to_string());
            outcomes.push(outcome("runs_after_refusing", after));
            outcomes.push(outcome("profile_names", profile_names(session.as_mut(), graph, &case.inputs)));
        }
    }
    outcomes
}

/// The case's inputs made wrong in shape, element type and number.
fn wrong_inputs(inputs: &[Tensor]) -> Vec<(&'static str, Vec<Tensor>)> {
    let with_first = |first: Tensor| {
        let mut inputs = inputs.to_vec();
        inputs[0] = first;
        inputs
    };
    let shape = inputs[0].shape();
    let mut longer = shape.to_vec();
    longer[0] += 1;
    let len = shape.iter().product();
    let integers = Tensor::i64(shape, vec![0; len]).expect("as many elements as the shape says");
    vec![
        ("wrong_shape", with_first(Tensor::zeros(longer))),
        ("wrong_rank", with_first(Tensor::zeros([len]))),
        ("wrong_dtype", with_first(integers)),
        ("too_few_inputs", inputs[1..].to_vec()),
        ("too_many_inputs", [inputs, &inputs[..1]].concat()),
    ]
}

fn refuses_inputs(session: &mut dyn Session, inputs: &[Tensor]) -> Result<(), String> {
    match session.run(inputs) {
        Err(BackendError::Input { .. }) => Ok(()),
        Err(error) => Err(format!("refused, but not as BackendError::Input: {error}")),
        Ok(_) => Err("ran all the same".to_owned()),
    }
}

fn missing_weights(backend: &dyn Backend, graph: &Graph, options: &CompileOptions) -> Result<(), String> {
    let none = Weights::new(std::collections::BTreeMap::new());
    match backend.compile(graph, &none, options) {
        Err(BackendError::Weights(_)) => Ok(()),
        Err(error) => Err(format!("refused, but not as BackendError::Weights: {error}")),
        Ok(_) => Err("compiled without any weight".to_owned()),
    }
}

fn refused(backend: &dyn Backend, graph: &Graph, weights: &Weights, options: &CompileOptions) -> Result<(), String> {
    match backend.compile(graph, weights, options) {
        Err(BackendError::Unsupported { .. } | BackendError::Unavailable { .. }) => Ok(()),
        Err(error) => Err(format!("refused, but neither as Unsupported nor as Unavailable: {error}")),
        Ok(_) => Err("compiled all the same: a silent fall-back".to_owned()),
    }
}

/// Every scope of a profile is a node of the graph, and at least one node is named.
fn profile_names(session: &mut dyn Session, graph: &Graph, inputs: &[Tensor]) -> Result<(), String> {
    let profile = match session.profile(inputs) {
        Ok(profile) => profile,
        Err(BackendError::Unsupported { .. } | BackendError::Unavailable { .. }) => return Ok(()),
        Err(error) => return Err(error.to_string()),
    };
    let scopes: Vec<&str> = profile.nodes.iter().filter_map(|node| node.scope.as_deref()).collect();
    if scopes.is_empty() {
        return Err(format!("none of its {} entries names a node of the graph", profile.nodes.len()));
    }
    match scopes.iter().find(|&&scope| !graph.nodes.iter().any(|node| node.name == scope)) {
        Some(scope) => Err(format!("\"{scope}\" is no node of the graph")),
        None => Ok(()),
    }
}
