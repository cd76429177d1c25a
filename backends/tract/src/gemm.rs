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
        if !(2..=3).contains(&inputs.len()) {
            bail!("Gemm takes 2 or 3 inputs, this one has {}", inputs.len());
        }
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

#[cfg(test)]
mod tests {
    use tract_onnx::pb::attribute_proto::AttributeType;
    use tract_onnx::pb::tensor_proto::DataType;
    use tract_onnx::pb::{
        AttributeProto, GraphProto, ModelProto, TensorShapeProto, TypeProto, ValueInfoProto, tensor_shape_proto,
        type_proto,
    };
    use tract_onnx::prelude::*;

    use super::*;

    fn port(name: usize, shape: &[usize]) -> ValueInfoProto {
        let extent = |&extent: &usize| tensor_shape_proto::Dimension {
            value: Some(tensor_shape_proto::dimension::Value::DimValue(extent as i64)),
            ..Default::default()
        };
        let shape = Some(TensorShapeProto { dim: shape.iter().map(extent).collect() });
        let tensor = type_proto::Tensor { elem_type: DataType::Float16 as i32, shape };
        let r#type = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() };
        ValueInfoProto { name: name.to_string(), r#type: Some(r#type), ..Default::default() }
    }

    fn float(name: &str, f: f32) -> AttributeProto {
        AttributeProto { name: name.to_owned(), r#type: AttributeType::Float as i32, f, ..Default::default() }
    }

    fn int(name: &str, i: i64) -> AttributeProto {
        AttributeProto { name: name.to_owned(), r#type: AttributeType::Int as i32, i, ..Default::default() }
    }

    /// A file of one Gemm in f16, read and made ready.
    fn read(shapes: &[&[usize]], attribute: Vec<AttributeProto>) -> TractResult<TypedModel> {
        let node = NodeProto {
            input: (0..shapes.len()).map(|input| input.to_string()).collect(),
            output: vec!["y".to_owned()],
            name: "gemm".to_owned(),
            op_type: "Gemm".to_owned(),
            attribute,
            ..Default::default()
        };
        let graph = GraphProto {
            node: vec![node],
            input: shapes.iter().enumerate().map(|(input, shape)| port(input, shape)).collect(),
            output: vec![ValueInfoProto { name: "y".to_owned(), ..Default::default() }],
            ..Default::default()
        };
        let mut reader = tract_onnx::onnx();
        register(&mut reader);
        reader.model_for_proto_model(&ModelProto { graph: Some(graph), ..Default::default() })?.into_optimized()
    }

    /// Small integers, which f16 holds as they are.
    fn values(shape: &[usize], seed: usize) -> Vec<f32> {
        (0..shape.iter().product()).map(|i| ((i * 7 + seed) % 5) as f32 - 2.0).collect()
    }

    #[test]
    fn sixteen_bits_with_either_matrix_turned_and_both_factors() {
        let (m, k, n) = (2, 3, 4);
        for [turn_a, turn_b] in [[false, false], [true, false], [false, true], [true, true]] {
            for c_shape in [None, Some(&[4][..]), Some(&[2, 1]), Some(&[2, 4])] {
                let shapes = [if turn_a { [k, m] } else { [m, k] }, if turn_b { [n, k] } else { [k, n] }];
                let shapes: Vec<&[usize]> = shapes.iter().map(|shape| &shape[..]).chain(c_shape).collect();
                let attributes = vec![
                    float("alpha", 0.5),
                    float("beta", -2.0),
                    int("transA", turn_a.into()),
                    int("transB", turn_b.into()),
                ];
                let plan = TypedSimplePlan::new(read(&shapes, attributes).unwrap()).unwrap();
                let inputs: Vec<Vec<f32>> = shapes.iter().enumerate().map(|(i, shape)| values(shape, i)).collect();
                let given = inputs.iter().zip(&shapes).map(|(values, shape)| {
                    let values: Vec<f16> = values.iter().map(|value| f16::from_f32(*value)).collect();
                    Tensor::from_shape(shape, &values).unwrap().into_tvalue()
                });
                let y = plan.run(given.collect()).unwrap().remove(0);
                assert_eq!((y.datum_type(), y.shape()), (f16::datum_type(), &[m, n][..]));
                let view = y.try_as_plain_ram().unwrap();
                for (at, found) in view.as_slice::<f16>().unwrap().iter().enumerate() {
                    let (row, column) = (at / n, at % n);
                    let a = |i: usize| inputs[0][if turn_a { i * m + row } else { row * k + i }];
                    let b = |i: usize| inputs[1][if turn_b { column * k + i } else { i * n + column }];
                    let c = match c_shape {
                        None => 0.0,
                        Some([_]) => inputs[2][column],
                        Some([_, 1]) => inputs[2][row],
                        Some(_) => inputs[2][at],
                    };
                    let wanted = 0.5 * (0..k).map(|i| a(i) * b(i)).sum::<f32>() - 2.0 * c;
                    assert_eq!(found.to_f32(), wanted, "{turn_a} {turn_b} {c_shape:?} at {at}");
                }
            }
        }
    }

    #[test]
    fn a_malformed_node_is_an_error() {
        for shapes in [&[][..], &[&[2, 3][..]], &[&[2, 3], &[3, 4], &[4], &[4]], &[&[2, 3], &[4, 4]], &[&[2, 3], &[3]]]
        {
            assert!(read(shapes, Vec::new()).is_err(), "{shapes:?}");
        }
    }
}
