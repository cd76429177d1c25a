//! Reading nodes of the domain `ditbench`: their attributes, their shapes, their constants.

use std::sync::Arc;

use ditbench_kernels::Isa;
use ditbench_kernels::attention::Pattern;
use ditbench_kernels::conv::{ConvSpec, PackedConv};
use ditbench_kernels::elementwise;
use ditbench_kernels::linear::{Epilogue, Matrix, PackedF16, PackedF32, PackedQ4, PackedQ8, Products};
use tract_core::internal::*;
use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::infer::InferenceOp;
use tract_onnx::tract_hir::internal::{Expansion, InferenceResult, Solver, TensorProxy, check_output_arity, expand};

use super::kernel::{Kernel, KernelOp};

type Built = TractResult<(Box<dyn InferenceOp>, Vec<String>)>;

/// Makes tract read our operators.
pub(crate) fn register(reader: &mut tract_onnx::Onnx, products: Products) {
    let operators = &mut reader.op_register;
    // The registry takes plain functions, so each choice is one.
    let linear: fn(&ParsingContext, &NodeProto) -> Built = match products {
        Products::F32 => |_, node| linear(node, Products::F32),
        Products::Int8 => |_, node| linear(node, Products::Int8),
        // The scalar code, which tests run on any machine.
        Products::F16(Isa::Scalar) => |_, node| linear(node, Products::F16(Isa::Scalar)),
        Products::F16(_) => |_, node| linear(node, Products::F16(Isa::best())),
    };
    operators.insert("DitLinear", linear);
    for name in [
        "DitConv2d",
        "DitLayerNorm",
        "DitLayerNormModulate",
        "DitGroupNorm",
        "DitGeglu",
        "DitRmsNorm",
        "DitModulate",
        "DitGatedAdd",
        "DitLerp",
        "DitRope",
        "DitAttention",
        "DitActivation",
        "DitUpsample2x",
        "DitAveragePool2x",
    ] {
        operators.insert(name, other);
    }
}

/// A node as written.
#[derive(Clone, Debug)]
enum Node {
    Linear { format: String, n: usize, k: usize, gelu: bool, products: Products },
    Conv2d { stride: usize, padding: usize, groups: usize, relu: bool },
    LayerNorm { eps: f32, weight: bool, bias: bool },
    LayerNormModulate { eps: f32 },
    GroupNorm { groups: usize, eps: f32, silu: bool },
    Geglu,
    RmsNorm { eps: f32 },
    Modulate,
    GatedAdd,
    Lerp,
    Rope,
    Attention { pattern: Pattern, scale: f32 },
    Activation { function: String },
    Upsample2x,
    AveragePool2x,
}

fn linear(node: &NodeProto, products: Products) -> Built {
    let (format, n, k, gelu) =
        (node.get_attr("format")?, node.get_attr("n")?, node.get_attr("k")?, node.get_attr("gelu")?);
    Ok((expand(Node::Linear { format, n, k, gelu, products }), vec![]))
}

fn other(_: &ParsingContext, node: &NodeProto) -> Built {
    let read = match node.op_type.as_str() {
        "DitConv2d" => Node::Conv2d {
            stride: node.get_attr("stride")?,
            padding: node.get_attr("padding")?,
            groups: node.get_attr("groups")?,
            relu: node.get_attr("relu")?,
        },
        "DitLayerNorm" => Node::LayerNorm {
            eps: node.get_attr("epsilon")?,
            weight: node.get_attr("weight")?,
            bias: node.get_attr("bias")?,
        },
        "DitLayerNormModulate" => Node::LayerNormModulate { eps: node.get_attr("epsilon")? },
        "DitGroupNorm" => Node::GroupNorm {
            groups: node.get_attr("groups")?,
            eps: node.get_attr("epsilon")?,
            silu: node.get_attr("silu")?,
        },
        "DitGeglu" => Node::Geglu,
        "DitRmsNorm" => Node::RmsNorm { eps: node.get_attr("epsilon")? },
        "DitModulate" => Node::Modulate,
        "DitGatedAdd" => Node::GatedAdd,
        "DitLerp" => Node::Lerp,
        "DitRope" => Node::Rope,
        "DitAttention" => {
            let pattern: String = node.get_attr("pattern")?;
            let pattern = match pattern.as_str() {
                "full" => Pattern::Full,
                "causal" => Pattern::Causal,
                "blockwise" => {
                    Pattern::Blockwise { blocks: node.get_attr("blocks")?, radius: node.get_attr("radius")? }
                }
                other => bail!("unknown pattern {other}"),
            };
            Node::Attention { pattern, scale: node.get_attr("scale")? }
        }
        "DitActivation" => Node::Activation { function: node.get_attr("function")? },
        "DitUpsample2x" => Node::Upsample2x,
        "DitAveragePool2x" => Node::AveragePool2x,
        other => bail!("no operator {other}"),
    };
    Ok((expand(read), vec![]))
}

impl Expansion for Node {
    fn name(&self) -> StaticName {
        "Ditbench".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_output_arity(outputs, 1)?;
        s.equals(&outputs[0].datum_type, f32::datum_type())?;
        s.equals(&outputs[0].rank, &inputs[0].rank)?;
        match self {
            Self::Linear { n, .. } => s.given(&inputs[0].shape, move |s, mut shape| {
                let last = shape.len() - 1;
                shape[last] = n.to_dim();
                s.equals(&outputs[0].shape, shape)
            }),
            Self::Geglu => s.given(&inputs[0].shape, move |s, mut shape| {
                let last = shape.len() - 1;
                shape[last] = shape[last].clone() / 2;
                s.equals(&outputs[0].shape, shape)
            }),
            Self::Conv2d { stride, padding, .. } => {
                s.given_2(&inputs[0].shape, &inputs[1].shape, move |s, mut shape, kernel| {
                    shape[1] = kernel[0].clone();
                    for axis in [2, 3] {
                        let room = shape[axis].clone() + 2 * padding - kernel[axis].clone();
                        shape[axis] = room / *stride + 1;
                    }
                    s.equals(&outputs[0].shape, shape)
                })
            }
            Self::Upsample2x => s.given(&inputs[0].shape, move |s, mut shape| {
                for axis in [2, 3] {
                    shape[axis] = shape[axis].clone() * 2;
                }
                s.equals(&outputs[0].shape, shape)
            }),
            Self::AveragePool2x => s.given(&inputs[0].shape, move |s, mut shape| {
                for axis in [2, 3] {
                    shape[axis] = shape[axis].clone() / 2;
                }
                s.equals(&outputs[0].shape, shape)
            }),
            _ => s.equals(&outputs[0].shape, &inputs[0].shape),
        }
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let (kernel, live) = self.prepare(model, inputs).with_context(|| format!("preparing {prefix}"))?;
        let shape = |outlet: OutletId| -> TractResult<TVec<usize>> {
            let fact = model.outlet_fact(outlet)?;
            Ok(fact.shape.as_concrete().context("shapes must be concrete")?.into())
        };
        let mut output = shape(inputs[0])?;
        let last = output.len() - 1;
        match &kernel {
            Kernel::Linear { matrix, .. } => output[last] = matrix.n(),
            Kernel::Conv2d { weight, .. } => {
                let [h, w] = weight.spec().output(output[2], output[3]);
                output = tvec![output[0], weight.spec().out_channels, h, w];
            }
            Kernel::Geglu => output[last] /= 2,
            Kernel::Upsample2x => output = tvec![output[0], output[1], 2 * output[2], 2 * output[3]],
            Kernel::AveragePool2x => output = tvec![output[0], output[1], output[2] / 2, output[3] / 2],
            _ => {}
        }
        let op = KernelOp { kernel: Arc::new(kernel), isa: Isa::best(), output };
        model.wire_node(prefix, op, &inputs[..live])
    }
}

/// The floats of a constant.
fn floats(model: &TypedModel, outlet: OutletId) -> TractResult<Vec<f32>> {
    let konst = model.outlet_fact(outlet)?.konst.clone().context("a weight must be a constant")?;
    Ok(konst.try_as_plain_ram()?.as_slice::<f32>()?.to_vec())
}

impl Node {
    /// The kernel with its constants packed, and how many inputs are left.
    fn prepare(&self, model: &TypedModel, inputs: &[OutletId]) -> TractResult<(Kernel, usize)> {
        let constant = |index: usize| floats(model, inputs[index]);
        Ok(match self {
            Self::Linear { format, n, k, gelu, products } => {
                let konst = model.outlet_fact(inputs[1])?.konst.clone().context("a weight must be a constant")?;
                let view = konst.try_as_plain_ram()?;
                let matrix = match (format.as_str(), products) {
                    ("f16", Products::F16(isa)) => {
                        let bytes = view.as_slice::<u8>()?.chunks_exact(2);
                        let values: Vec<f16> = bytes.map(|b| f16::from_le_bytes([b[0], b[1]])).collect();
                        Matrix::F16(PackedF16::pack(&values, *n, *k)?, *isa)
                    }
                    ("f32", _) => Matrix::F32(PackedF32::pack(view.as_slice::<f32>()?, *n, *k)?),
                    ("q4", products) => Matrix::Q4(PackedQ4::pack(view.as_slice::<u8>()?, *n, *k)?, *products),
                    ("q8", products) => Matrix::Q8(PackedQ8::pack(view.as_slice::<u8>()?, *n, *k)?, *products),
                    (other, products) => bail!("no product of {other} weights in {products:?}"),
                };
                let bias = if inputs.len() > 2 { Some(constant(2)?) } else { None };
                let epilogue = if *gelu { Epilogue::GeluTanh } else { Epilogue::None };
                (Kernel::Linear { matrix, bias, epilogue }, 1)
            }
            Self::Conv2d { stride, padding, groups, relu } => {
                let fact = model.outlet_fact(inputs[1])?;
                let &[out_channels, of_group, kh, kw] = fact.shape.as_concrete().context("shapes must be concrete")?
                else {
                    bail!("a convolution's weight has four axes");
                };
                let spec = ConvSpec {
                    in_channels: of_group * groups,
                    out_channels,
                    kernel: [kh, kw],
                    stride: *stride,
                    padding: *padding,
                    groups: *groups,
                };
                let weight = PackedConv::pack(&constant(1)?, spec)?;
                let bias = if inputs.len() > 2 { Some(constant(2)?) } else { None };
                (Kernel::Conv2d { weight, bias, relu: *relu }, 1)
            }
            Self::LayerNorm { eps, weight, bias } => {
                let at = 1 + usize::from(*weight);
                let weight = if *weight { Some(constant(1)?) } else { None };
                let bias = if *bias { Some(constant(at)?) } else { None };
                (Kernel::LayerNorm { eps: *eps, weight, bias }, 1)
            }
            Self::LayerNormModulate { eps } => (Kernel::LayerNormModulate { eps: *eps }, 3),
            Self::GroupNorm { groups, eps, silu } => {
                let (weight, bias) = (constant(1)?, constant(2)?);
                (Kernel::GroupNorm { groups: *groups, eps: *eps, weight, bias, silu: *silu }, 1)
            }
            Self::Geglu => (Kernel::Geglu, 1),
            Self::RmsNorm { eps } => (Kernel::RmsNorm { eps: *eps, weight: constant(1)? }, 1),
            Self::Modulate => (Kernel::Modulate, 3),
            Self::GatedAdd => (Kernel::GatedAdd, 3),
            Self::Lerp => (Kernel::Lerp, 3),
            Self::Rope => (Kernel::Rope { cos: constant(1)?, sin: constant(2)? }, 1),
            Self::Attention { pattern, scale } => (Kernel::Attention { pattern: *pattern, scale: *scale }, 3),
            Self::Activation { function } => {
                let function = match function.as_str() {
                    "gelu_tanh" => elementwise::gelu_tanh,
                    "gelu_erf" => elementwise::gelu_erf,
                    "quick_gelu" => elementwise::quick_gelu,
                    "silu" => elementwise::silu,
                    "relu" => elementwise::relu,
                    "relu6" => elementwise::relu6,
                    "sigmoid" => elementwise::sigmoid,
                    "tanh" => elementwise::tanh,
                    other => bail!("unknown activation {other}"),
                };
                (Kernel::Activation { function }, 1)
            }
            Self::Upsample2x => (Kernel::Upsample2x, 1),
            Self::AveragePool2x => (Kernel::AveragePool2x, 1),
        })
    }
}
