//! `ditbench inspect --for DEVICE`: what of a model a device takes, and why not the rest.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use ditbench_backend_api::{Acceptance, Backend, BackendError, CompileOptions, DeviceFacts, MemoryMode, Refused};
use ditbench_graph::weights::{Scheme, Weights};
use ditbench_worker::registry;
use ditbench_workloads::{Pipeline, Source};

use super::Common;
use crate::run::{Progress, WeightsChoice, prepare_weights};
use crate::text::{left_table, show};

/// How many nodes of one operation are named.
const NAMED: usize = 3;

/// Compiles every stage for a device, and prints what it does not take.
///
/// # Errors
/// No backend has that device here; weights that cannot be made; the backend cannot tell.
pub(super) fn inspect(pipeline: &Pipeline, device: &str, scheme: Scheme, common: &Common) -> Result<()> {
    let mut told = None;
    for (backend, device) in find(device, common)? {
        match inspect_on(backend.as_ref(), &device, pipeline, scheme, common) {
            // Another engine with that device may tell.
            Err(error) if error.downcast_ref().is_some_and(|e| matches!(e, BackendError::Unsupported { .. })) => {
                told = told.or(Some(error));
            }
            other => return other,
        }
    }
    told.map_or(Ok(()), Err)
}

/// The same, on one backend.
fn inspect_on(
    backend: &dyn Backend,
    device: &DeviceFacts,
    pipeline: &Pipeline,
    scheme: Scheme,
    common: &Common,
) -> Result<()> {
    let cache = crate::paths::cache(common.cache.as_ref())?;
    let progress = Progress::new(1);
    // A user's own files have their weights in them, in the precision that they have.
    let is_own = pipeline.files_precision().is_some();
    let weights = if is_own {
        Weights::new(BTreeMap::new())
    } else {
        let made = prepare_weights(pipeline, &WeightsChoice::default(), 7, scheme, &cache, &progress)?;
        Weights::open(&made.path)?
    };
    let precision = pipeline.files_precision().unwrap_or_else(|| scheme.name().to_owned());
    let mut variants = if is_own { backend.onnx_variants() } else { backend.variants(scheme) };
    let preferred = device.ways.get(scheme.name()).filter(|_| !is_own);
    let index = variants.iter().position(|variant| Some(&variant.name) == preferred).unwrap_or_default();
    let Some(variant) = (index < variants.len()).then(|| variants.swap_remove(index)) else {
        let what = if is_own { "ONNX files".to_owned() } else { format!("{precision} weights") };
        bail!("{} has no way to run {what}", backend.name());
    };
    let options = CompileOptions {
        device: device.name.clone(),
        threads: 1,
        variant: variant.name,
        memory: MemoryMode::Fast,
        cache,
        allow_fallback: true,
    };
    let mut rows = Vec::new();
    for stage in &pipeline.stages {
        progress.now(format!("compiling {} for {}", stage.id, device.name));
        let (name, Acceptance { nodes, refused }) = match &stage.source {
            Source::Graph(graph) => (graph.name.clone(), backend.acceptance(graph, &weights, &options)?),
            Source::Onnx(file) => {
                let model = ditbench_worker::own::prepare(&stage.id, file, &options.cache)?;
                (stage.id.clone(), backend.acceptance_of_file(&model, &options)?)
            }
        };
        let left: usize = refused.iter().map(|refused| refused.nodes.len()).sum();
        let taken = format!("{} of {nodes}", nodes - left);
        if refused.is_empty() {
            rows.push(vec![name.clone(), taken.clone(), String::new(), String::new()]);
        }
        for (index, one) in refused.iter().enumerate() {
            let first = if index == 0 { (name.clone(), taken.clone()) } else { Default::default() };
            rows.push(vec![first.0, first.1, operation(one), one.why.clone().unwrap_or_else(|| "not said".to_owned())]);
        }
    }
    progress.finish();
    let hardware = device.hardware.as_ref().map(|hardware| format!(" ({hardware})")).unwrap_or_default();
    let Pipeline { choice, .. } = pipeline;
    show(&format!("{choice}, {precision} weights, for {}{hardware}, compiled and not run:\n\n", device.name));
    show(&left_table(&["stage", "nodes taken", "not taken", "why"], rows));
    Ok(())
}

/// An operation and some of its nodes: `Det (2: a, b)`.
fn operation(refused: &Refused) -> String {
    let named: Vec<&str> =
        refused.nodes.iter().map(String::as_str).filter(|name| !name.is_empty()).take(NAMED).collect();
    let more = if refused.nodes.len() > named.len() { ", …" } else { "" };
    format!("{} ({}: {}{more})", refused.op, refused.nodes.len(), named.join(", "))
}

/// The backends that have the device, ready, and what they say of it: one at least.
fn find(name: &str, common: &Common) -> Result<Vec<(Box<dyn Backend>, DeviceFacts)>> {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    let (mut known, mut failed) = (Vec::new(), Vec::new());
    for name_of_backend in registry::listed() {
        let progress = Progress::new(1);
        let ready = common.ready(name_of_backend, &|message| progress.now(message));
        progress.finish();
        let backend = match ready {
            Ok(backend) => backend,
            Err(why) => {
                failed.push(format!("{name_of_backend}: {why}"));
                continue;
            }
        };
        let (called, others): (Vec<_>, Vec<_>) =
            backend.devices().into_iter().partition(|device| device.is_called(name));
        known.extend(others.into_iter().map(|device| device.name));
        match called.into_iter().next() {
            Some(device) if device.state.is_ok() => found.push((backend, device)),
            Some(DeviceFacts { state: Err(why), .. }) => {
                missing.push(format!("{name} on {name_of_backend}: {}. {}", why.why, why.cure));
            }
            _ => {}
        }
    }
    if !found.is_empty() {
        return Ok(found);
    }
    known.sort();
    known.dedup();
    let unasked =
        if failed.is_empty() { String::new() } else { format!(". Could not be asked: {}", failed.join("; ")) };
    let none = || format!("there is no device \"{name}\"; there are {}{unasked}", known.join(", "));
    bail!("{}", if missing.is_empty() { none() } else { missing.join(" ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_named_with_some_of_its_nodes() {
        let refused = |nodes: &[&str]| Refused {
            op: "Det".to_owned(),
            nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
            why: None,
        };
        assert_eq!(operation(&refused(&["a", "b"])), "Det (2: a, b)");
        assert_eq!(operation(&refused(&["a", "b", "c", "d"])), "Det (4: a, b, c, …)");
    }
}
