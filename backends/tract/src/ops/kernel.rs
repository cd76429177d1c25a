//! One operator of tract's that calls one of our kernels.

use std::sync::Arc;

use ditbench_kernels::attention::{AttentionShape, Pattern, attention};
use ditbench_kernels::conv::{PackedConv, conv2d};
use ditbench_kernels::elementwise;
use ditbench_kernels::linear::{Epilogue, Matrix, Products};
use ditbench_kernels::{Isa, KernelError, huge_pages};
use tract_core::internal::*;

/// An element-wise kernel.
type Pointwise = fn(Isa, &[f32], &mut [f32]) -> Result<(), KernelError>;

/// A kernel and its constants.
#[derive(Debug)]
pub(super) enum Kernel {
    Linear { matrix: Matrix, bias: Option<Vec<f32>>, epilogue: Epilogue },
    Conv2d { weight: PackedConv, bias: Option<Vec<f32>>, relu: bool },
    LayerNorm { eps: f32, weight: Option<Vec<f32>>, bias: Option<Vec<f32>> },
    LayerNormModulate { eps: f32 },
    GroupNorm { groups: usize, eps: f32, weight: Vec<f32>, bias: Vec<f32>, silu: bool },
    Geglu,
    RmsNorm { eps: f32, weight: Vec<f32> },
    Modulate,
    GatedAdd,
    Lerp,
    Rope { cos: Vec<f32>, sin: Vec<f32> },
    Attention { pattern: Pattern, scale: f32 },
    Activation { function: Pointwise },
    Upsample2x,
    AveragePool2x,
}

impl Kernel {
    fn name(&self) -> &'static str {
        match self {
            Self::Linear { matrix: Matrix::F32(_), .. } => "DitLinear.f32",
            Self::Linear { matrix: Matrix::F16(..), .. } => "DitLinear.f16",
            Self::Linear { matrix: Matrix::Q4(_, Products::F32), .. } => "DitLinear.q4",
            Self::Linear { matrix: Matrix::Q4(_, Products::Int8), .. } => "DitLinear.q4.int8",
            Self::Linear { matrix: Matrix::Q4(_, Products::F16(_)), .. } => "DitLinear.q4.f16",
            Self::Linear { matrix: Matrix::Q8(_, Products::F32), .. } => "DitLinear.q8",
            Self::Linear { matrix: Matrix::Q8(_, Products::Int8), .. } => "DitLinear.q8.int8",
            Self::Linear { matrix: Matrix::Q8(_, Products::F16(_)), .. } => "DitLinear.q8.f16",
            Self::Conv2d { .. } => "DitConv2d",
            Self::LayerNorm { .. } => "DitLayerNorm",
            Self::LayerNormModulate { .. } => "DitLayerNormModulate",
            Self::GroupNorm { .. } => "DitGroupNorm",
            Self::Geglu => "DitGeglu",
            Self::RmsNorm { .. } => "DitRmsNorm",
            Self::Modulate => "DitModulate",
            Self::GatedAdd => "DitGatedAdd",
            Self::Lerp => "DitLerp",
            Self::Rope { .. } => "DitRope",
            Self::Attention { .. } => "DitAttention",
            Self::Activation { .. } => "DitActivation",
            Self::Upsample2x => "DitUpsample2x",
            Self::AveragePool2x => "DitAveragePool2x",
        }
    }

    /// Computes `y` from the inputs; shapes are those of the first and second.
    fn run(&self, isa: Isa, x: &[&[f32]], shapes: &[&[usize]], y: &mut [f32]) -> Result<(), KernelError> {
        let shape = shapes[0];
        let dim = shape.last().copied().unwrap_or(1);
        let tokens = shape.get(1).copied().unwrap_or(1);
        match self {
            Self::Linear { matrix, bias, epilogue } => matrix.apply(isa, x[0], bias.as_deref(), *epilogue, y),
            Self::Conv2d { weight, bias, relu } => {
                conv2d(isa, x[0], [shape[2], shape[3]], weight, bias.as_deref(), *relu, y)
            }
            Self::LayerNorm { eps, weight, bias } => {
                elementwise::layer_norm(isa, x[0], dim, weight.as_deref(), bias.as_deref(), *eps, y)
            }
            Self::LayerNormModulate { eps } => {
                elementwise::layer_norm_modulate(isa, x[0], tokens, dim, x[1], x[2], *eps, y)
            }
            Self::GroupNorm { groups, eps, weight, bias, silu } => {
                elementwise::group_norm(isa, x[0], shape[2] * shape[3], *groups, weight, bias, *eps, *silu, y)
            }
            Self::Geglu => elementwise::geglu(isa, x[0], dim / 2, y),
            Self::RmsNorm { eps, weight } => elementwise::rms_norm(isa, x[0], dim, weight, *eps, y),
            Self::Modulate => elementwise::modulate(isa, x[0], tokens, dim, x[1], x[2], y),
            Self::GatedAdd => elementwise::gated_add(isa, x[0], x[1], x[2], tokens, dim, y),
            Self::Lerp => elementwise::lerp(isa, x[0], x[1], x[2], dim, y),
            Self::Rope { cos, sin } => elementwise::rope(isa, x[0], tokens, shape[2], dim, cos, sin, y),
            Self::Attention { pattern, scale } => {
                let keys = shapes[1];
                let sizes = AttentionShape {
                    batch: shape[0],
                    queries: shape[1],
                    keys: keys[1],
                    heads: shape[2],
                    kv_heads: keys[2],
                    head_dim: dim,
                };
                attention(isa, x[0], x[1], x[2], sizes, *pattern, *scale, y)
            }
            Self::Activation { function } => function(isa, x[0], y),
            Self::Upsample2x => elementwise::upsample_nearest2x(isa, x[0], [shape[2], shape[3]], y),
            Self::AveragePool2x => elementwise::average_pool2x(isa, x[0], [shape[2] / 2, shape[3] / 2], y),
        }
    }
}

/// A kernel in a plan.
#[derive(Clone, Debug)]
pub(super) struct KernelOp {
    pub(super) kernel: Arc<Kernel>,
    pub(super) isa: Isa,
    /// Shape of the result.
    pub(super) output: TVec<usize>,
}

/// Two operators are the same if they hold the same constants.
impl PartialEq for KernelOp {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.kernel, &other.kernel)
    }
}

impl Eq for KernelOp {}

impl Op for KernelOp {
    fn name(&self) -> StaticName {
        self.kernel.name().into()
    }

    op_as_typed_op!();
}

impl EvalOp for KernelOp {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        // Not `Tensor::zero`, which writes the zeros, and so takes the memory's pages, on this thread alone while the others wait.
        // SAFETY: every kernel writes each element of y and reads none before, which their tests check by filling y with NaN.
        let mut output = unsafe { Tensor::uninitialized::<f32>(&self.output)? };
        {
            let views = inputs.iter().map(|input| input.try_as_plain_ram()).collect::<TractResult<TVec<_>>>()?;
            let slices = views.iter().map(|view| view.as_slice::<f32>()).collect::<TractResult<TVec<_>>>()?;
            let shapes: TVec<&[usize]> = inputs.iter().map(|input| input.shape()).collect();
            let mut view = output.try_as_plain_ram_mut()?;
            let y = view.as_slice_mut::<f32>()?;
            huge_pages(y);
            self.kernel.run(self.isa, &slices, &shapes, y)?;
        }
        Ok(tvec![output.into_tvalue()])
    }
}

impl TypedOp for KernelOp {
    as_op!();

    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![f32::fact(self.output.iter())])
    }
}
