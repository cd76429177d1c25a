//! A plan of tract's, run on threads of its own.

use std::sync::Arc;
use std::time::Instant;

use ditbench_backend_api::{
    BackendError, CompileReport, MemoryReport, NodeTime, Numerics, Placement, Profile, Session,
};
use ditbench_graph::tensor::TensorData;
use ditbench_graph::{Graph, Tensor};
use rayon::ThreadPool;
use tract_core::plan;
use tract_core::prelude::{IntoTValue, TValue, TVec, Tensor as TractTensor, TractResult, TypedSimplePlan};

use crate::NAME;
use crate::device::Place;

/// A graph made ready for tract.
pub(crate) struct TractSession {
    graph: Graph,
    plan: Arc<TypedSimplePlan>,
    /// Everything runs inside it, so that kernels of ours and products of tract's share its threads.
    pool: Arc<ThreadPool>,
    place: Place,
    report: CompileReport,
    numerics: Numerics,
}

impl TractSession {
    pub(crate) fn new(
        graph: Graph,
        plan: Arc<TypedSimplePlan>,
        pool: Arc<ThreadPool>,
        place: Place,
        report: CompileReport,
        numerics: Numerics,
    ) -> Self {
        Self { graph, plan, pool, place, report, numerics }
    }

    fn run_with(
        &self,
        inputs: &[Tensor],
        run: impl FnOnce(&Arc<TypedSimplePlan>, TVec<TValue>) -> TractResult<TVec<TValue>> + Send,
    ) -> Result<Vec<Tensor>, BackendError> {
        BackendError::check_inputs(&self.graph, inputs)?;
        let outputs = self
            .pool
            .install(|| -> TractResult<Vec<(Vec<usize>, TensorData)>> {
                let values = inputs.iter().map(to_tract).collect::<TractResult<_>>()?;
                run(&self.plan, values)?.iter().map(|value| from_tract(value)).collect()
            })
            .map_err(|error| {
                BackendError::runtime(NAME, format!("running {}", self.graph.name), format!("{error:#}"))
            })?;
        outputs
            .into_iter()
            .map(|(shape, data)| match data {
                TensorData::F32(data) => Ok(Tensor::f32(shape, data)?),
                TensorData::I64(data) => Ok(Tensor::i64(shape, data)?),
            })
            .collect()
    }
}

/// A tensor as tract's.
pub(crate) fn to_tract(tensor: &Tensor) -> TractResult<TValue> {
    Ok(match tensor.data() {
        TensorData::F32(data) => TractTensor::from_shape(tensor.shape(), data)?.into_tvalue(),
        TensorData::I64(data) => TractTensor::from_shape(tensor.shape(), data)?.into_tvalue(),
    })
}

/// A tensor of tract's. One that a GPU still has is copied here.
fn from_tract(value: &TractTensor) -> TractResult<(Vec<usize>, TensorData)> {
    let view = value.try_as_plain_ram()?;
    let data = if value.datum_type() == tract_core::prelude::DatumType::I64 {
        TensorData::I64(view.as_slice::<i64>()?.to_vec())
    } else {
        TensorData::F32(view.as_slice::<f32>()?.to_vec())
    };
    Ok((value.shape().to_vec(), data))
}

impl Session for TractSession {
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, BackendError> {
        self.run_with(inputs, |plan, values| plan.run(values))
    }

    fn compile_report(&self) -> CompileReport {
        self.report
    }

    fn numerics(&self) -> Numerics {
        self.numerics
    }

    fn placement(&mut self) -> Placement {
        self.place.placement()
    }

    /// tract takes its memory from the process's allocator and does not count it.
    fn memory(&self) -> MemoryReport {
        MemoryReport::default()
    }

    fn profile(&mut self, inputs: &[Tensor]) -> Result<Profile, BackendError> {
        let names: std::collections::HashSet<&str> = self.graph.nodes.iter().map(|node| node.name.as_str()).collect();
        let mut profile = Profile::default();
        self.run_with(inputs, |plan, values| {
            timed(plan, &self.place, values, |node| scope(node, |name| names.contains(name)), &mut profile)
        })?;
        Ok(profile)
    }
}

/// Runs a plan with a clock around each node that computes something. `scope` names the block that a node is of.
pub(crate) fn timed(
    plan: &Arc<TypedSimplePlan>,
    place: &Place,
    values: TVec<TValue>,
    scope: impl Fn(&str) -> Option<String>,
    profile: &mut Profile,
) -> TractResult<TVec<TValue>> {
    let mut state = plan.spawn()?;
    let start = Instant::now();
    let outputs = state.run_plan_with_eval(values, |context, state, node, inputs| {
        let begin = Instant::now();
        let result = plan::eval(context, state, node, inputs)?;
        place.wait()?;
        let op = node.op().name().into_owned();
        if op != "Const" && op != "Source" {
            profile.nodes.push(NodeTime {
                scope: scope(&node.name),
                op,
                device: place.of_node(node).to_owned(),
                start_s: begin.duration_since(start).as_secs_f64(),
                duration_s: begin.elapsed().as_secs_f64(),
            });
        }
        TractResult::Ok(result)
    });
    profile.total_s = start.elapsed().as_secs_f64();
    outputs
}

/// The graph's node that a node of tract's comes from. The writer appends `/…` to names; tract appends `.…`, `_…` or
/// `#…`, and puts words before it when it joins nodes, so the longest known beginning counts.
fn scope(name: &str, known: impl Fn(&str) -> bool) -> Option<String> {
    let name = name.split('/').next().unwrap_or(name);
    let mut end = name.len();
    loop {
        let candidate = &name[..end];
        if known(candidate) {
            return Some(candidate.to_owned());
        }
        end = candidate.rfind(['.', '_', '#', '-'])?;
    }
}

#[cfg(test)]
mod tests {
    use super::scope;

    #[test]
    fn names_of_tract_lead_back_to_the_graph() {
        let known = |name: &str| ["down.0.attn.q", "down.0.attn.q_norm", "merge.project"].contains(&name);
        let scope = |name| scope(name, known);
        assert_eq!(scope("down.0.attn.q/product"), Some("down.0.attn.q".to_owned()));
        assert_eq!(scope("down.0.attn.q/product.pack_a"), Some("down.0.attn.q".to_owned()));
        assert_eq!(scope("down.0.attn.q_norm.mean_1"), Some("down.0.attn.q_norm".to_owned()));
        assert_eq!(scope("merge.project#3"), Some("merge.project".to_owned()));
        assert_eq!(scope("elsewhere.q"), None);
    }
}
