//! Gemm in 16-bit floats. tract 0.23.9 reads the operator with its factors as f32, whatever the matrices are, and then refuses its own
//! result ("expected F16 got F32"). So in files with 16-bit floats Gemm is read here: the same operations of tract's, the factors of the
//! matrices' type.

use tract_core::internal::*;
use tract_core::ops::einsum::EinSum;
use tract_core::ops::math;
use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::infer::InferenceOp;
use tract_onnx::tract_hir::internal::{Expansion, InferenceResult, Solver, TensorProxy, check_output_arity, expand};
use tract_onnx::tract_hir::ops::logic::wire_with_rank_broadcast;

/// Makes a reader take it.
pub(crate) fn register(reader: &mut tract_onnx::Onnx) {
    reader.op_register.insert("Gemm", gemm);
}

fn gemm(_: &ParsingContext, node: &NodeProto) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let read = Gemm {
        alpha: node.get_attr_opt("alpha")?.unwrap_or(1.0),
        beta: node.get_attr_opt("beta")?.unwrap_or(1.0),
        turned: [node.get_attr_opt("transA")?.unwrap_or(false), node.get_attr_opt("transB")?.unwrap_or(false)],
    };
    Ok((expand(read), vec![]))
}

/// alpha·A·B + beta·C, A and B turned where that is said.
#[derive(Clone, Debug)]
struct Gemm {
    alpha: f32,
    beta: f32,
    turned: [bool; 2],
}

impl Expansion for Gemm {
    fn name(&self) -> StaticName {
        "Gemm".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_output_arity(outputs, 1)?;
        for input in inputs {
            s.equals(&input.datum_type, &outputs[0].datum_type)?;
        }
        for matrix in [&inputs[0], &inputs[1], &outputs[0]] {
            s.equals(&matrix.rank, 2)?;
        }
        // Where a matrix has its own axis, and the one that is summed over.
        let [a, b] = [usize::from(self.turned[0]), usize::from(!self.turned[1])];
        s.equals(&inputs[0].shape[a], &outputs[0].shape[0])?;
        s.equals(&inputs[1].shape[b], &outputs[0].shape[1])?;
        s.equals(&inputs[0].shape[1 - a], &inputs[1].shape[1 - b])
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let datum = model.outlet_fact(inputs[0])?.datum_type;
        let times = |model: &mut TypedModel, name: &str, x: OutletId, factor: f32| -> TractResult<OutletId> {
            if factor == 1.0 {
                return Ok(x);
            }
            let factor = tensor0(factor).cast_to_dt(datum)?.into_owned();
            let factor = model.add_const(format!("{prefix}.{name}.factor"), factor)?;
            Ok(wire_with_rank_broadcast(format!("{prefix}.{name}"), model, math::mul(), &[x, factor])?[0])
        };
        let axes = AxesMapping::for_numpy_matmul(2, self.turned[0], self.turned[1], false)?;
        let product = model.wire_node(format!("{prefix}.product"), EinSum::new(axes, datum), &inputs[..2])?[0];
        let product = times(model, "alpha", product, self.alpha)?;
        let Some(&c) = inputs.get(2).filter(|_| self.beta != 0.0) else { return Ok(tvec![product]) };
        let c = times(model, "beta", c, self.beta)?;
        wire_with_rank_broadcast(prefix, model, math::add(), &[product, c])
    }
}
