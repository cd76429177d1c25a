//! 2-D convolution (cross-correlation) on NCHW images, zero padding, groups.
//!
//! Three kernels, chosen by the weight's shape; each keeps the lanes along a row of pixels, and each output is one f32 sum in
//! the order (input channel, row, column of the window), whichever computes it:
//!
//! | kernel | for | roof |
//! |---|---|---|
//! | `depthwise` | one input and one output channel a group | memory: 18 FLOPs an element read and written for a 3 × 3 window |
//! | `pointwise` | 1 × 1 over all channels, stride 1, no padding | arithmetic: a product of matrices, pixels as columns |
//! | `dense` | everything else | arithmetic: the same product, of windows packed as they are needed |

mod cut;
mod dense;
mod depthwise;
mod panel;
mod pointwise;

use crate::error::{check, check_len};
use crate::simd::Simd;
use crate::tile::accumulate;
use crate::{Isa, KernelError};

/// Output channels that a register tile has at most: the packed weights are made of so many.
const TILE: usize = 12;

/// Output channels whose weights are side by side: what the smaller register tiles have at most.
const HALF: usize = 6;

/// What a convolution's weight and geometry are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvSpec {
    /// I: channels of the input.
    pub in_channels: usize,
    /// O: channels of the output.
    pub out_channels: usize,
    /// kh, kw.
    pub kernel: [usize; 2],
    /// Step, the same along rows and columns.
    pub stride: usize,
    /// Rows and columns of zeros added on each of the four sides.
    pub padding: usize,
    /// Channels are cut into this many independent groups; divides I and O.
    pub groups: usize,
}

impl ConvSpec {
    /// Rows and columns of the output for an image of `height` rows and `width` columns:
    /// ⌊(size + 2·padding − kernel)/stride⌋ + 1, or 0 where the kernel does not fit.
    pub fn output(&self, height: usize, width: usize) -> [usize; 2] {
        let one = |size: usize, kernel: usize| {
            (size + 2 * self.padding).checked_sub(kernel).map_or(0, |room| room / self.stride + 1)
        };
        [one(height, self.kernel[0]), one(width, self.kernel[1])]
    }

    fn form(&self) -> Form {
        let one_each = self.in_channels == self.groups && self.out_channels == self.groups;
        match *self {
            Self { groups: 1, kernel: [1, 1], stride: 1, padding: 0, .. } => Form::Pointwise,
            _ if one_each => Form::Depthwise,
            _ => Form::Dense,
        }
    }
}

/// Which kernel a convolution is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Depthwise,
    Pointwise,
    Dense,
}

/// A convolution's weight `[O, I/groups, kh, kw]` in the layout of [`conv2d`], the same for every instruction set: as given for a
/// depthwise convolution; else for each group tiles of 12 output channels (the last one filled with zeros), `[tile][half][i][u][v][6]`.
#[derive(Clone, Debug)]
pub struct PackedConv {
    spec: ConvSpec,
    data: Vec<f32>,
}

impl PackedConv {
    /// Packs a weight `[O, I/groups, kh, kw]`.
    ///
    /// # Errors
    /// If a size is 0, groups does not divide I and O, or the length does not fit.
    pub fn pack(weight: &[f32], spec: ConvSpec) -> Result<Self, KernelError> {
        const NAME: &str = "PackedConv::pack";
        let ConvSpec { in_channels: i, out_channels: o, kernel: [kh, kw], stride, groups, .. } = spec;
        check(NAME, [i, o, kh, kw, stride, groups].iter().all(|v| *v > 0), || format!("a size is 0 in {spec:?}"))?;
        check(NAME, i % groups == 0 && o % groups == 0, || {
            format!("{groups} groups do not divide {i} and {o} channels")
        })?;
        check_len(NAME, "weight", weight.len(), o * (i / groups) * kh * kw)?;
        if spec.form() == Form::Depthwise {
            return Ok(Self { spec, data: weight.to_vec() });
        }
        let (depth, per_group) = (i / groups * kh * kw, o / groups);
        let halves = per_group.div_ceil(TILE) * (TILE / HALF);
        let mut data = vec![0.0; groups * halves * depth * HALF];
        for (channel, row) in weight.chunks_exact(depth).enumerate() {
            let (group, c) = (channel / per_group, channel % per_group);
            let half = &mut data[(group * halves + c / HALF) * depth * HALF..][..depth * HALF];
            for (out, v) in half.chunks_exact_mut(HALF).zip(row) {
                out[c % HALF] = *v;
            }
        }
        Ok(Self { spec, data })
    }

    /// The geometry.
    pub fn spec(&self) -> &ConvSpec {
        &self.spec
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        std::mem::size_of_val(self.data.as_slice())
    }
}

/// A call whose lengths fit: what every kernel here is given.
struct Call<'a> {
    isa: Isa,
    /// `[B, I, h, w]`.
    x: &'a [f32],
    /// h, w: neither is 0.
    image: [usize; 2],
    weight: &'a PackedConv,
    /// `[O]`.
    bias: Option<&'a [f32]>,
    relu: bool,
    /// Rows and columns of y: neither is 0.
    output: [usize; 2],
}

/// y = conv(x) + bias, then max(y, 0) if `relu`. x `[B, I, h, w]` with `image` = \[h, w\], bias `[O]`,
/// y `[B, O, h', w']` with h', w' from [`ConvSpec::output`]. B is what is left of x.
///
/// # Errors
/// If a length does not fit, or this machine lacks `isa`.
pub fn conv2d(
    isa: Isa,
    x: &[f32],
    image: [usize; 2],
    weight: &PackedConv,
    bias: Option<&[f32]>,
    relu: bool,
    y: &mut [f32],
) -> Result<(), KernelError> {
    const NAME: &str = "conv2d";
    isa.require()?;
    let ConvSpec { in_channels, out_channels, .. } = weight.spec;
    let [h, w] = image;
    let output = weight.spec.output(h, w);
    let [oh, ow] = output;
    check(NAME, h > 0 && w > 0 && oh > 0 && ow > 0, || format!("an image of {h} x {w} is smaller than the kernel"))?;
    let batch = x.len() / (in_channels * h * w);
    check_len(NAME, "x", x.len(), batch * in_channels * h * w)?;
    check_len(NAME, "y", y.len(), batch * out_channels * oh * ow)?;
    if let Some(b) = bias {
        check_len(NAME, "bias", b.len(), out_channels)?;
    }
    if batch == 0 {
        return Ok(());
    }
    let call = Call { isa, x, image, weight, bias, relu, output };
    match weight.spec.form() {
        Form::Depthwise => depthwise::run(&call, y),
        Form::Pointwise => pointwise::run(&call, y),
        Form::Dense => dense::run(&call, y),
    }
    Ok(())
}

/// Output channels whose weights register tiles take side by side. A tile of more than [`HALF`] rows has to begin at a whole [`TILE`].
#[inline(always)]
fn unit<S: Simd>() -> usize {
    const { assert!(S::MR <= HALF || S::MR == TILE) };
    if S::MR > HALF { TILE } else { HALF }
}

/// Sums of a register tile before its first operand: the bias of its channels from `channel` on, of which `left` exist.
///
/// # Safety
/// As [`crate::simd::Kernel::run`].
#[inline(always)]
unsafe fn start<S: Simd, const H: usize, const NV: usize>(
    bias: Option<&[f32]>,
    channel: usize,
    left: usize,
) -> [[S::V; NV]; H] {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[S::splat(0.0); NV]; H];
        if let Some(bias) = bias {
            for (r, sums) in sums.iter_mut().enumerate() {
                *sums = [S::splat(bias[channel + r.min(left - 1)]); NV];
            }
        }
        sums
    }
}

/// Adds to a register tile the products of `k` operands `[k][2·W]` with the weights of its channels: `weight` is the first one's, in halves of
/// `depth` operands each.
///
/// # Safety
/// As [`crate::simd::Kernel::run`]; both are readable so far.
#[inline(always)]
unsafe fn multiply<S: Simd, const H: usize, const NV: usize>(
    sums: &mut [[S::V; NV]; H],
    k: usize,
    weight: *const f32,
    depth: usize,
    operands: *const f32,
) {
    let half = depth * HALF;
    // SAFETY: the caller's.
    unsafe {
        accumulate::<S, H, NV>(
            sums,
            k,
            |k, r| weight.wrapping_add(r / HALF * half + k * HALF + r % HALF),
            |k, v| operands.wrapping_add((2 * k + v) * S::W),
        );
    }
}

/// Where each tap of a window is, from its first row and column, in rows of `stride` phases of `phase` floats.
fn taps([kh, kw]: [usize; 2], stride: usize, phase: usize) -> Vec<usize> {
    (0..kh * kw).map(|t| (t / kw * stride + t % kw % stride) * phase + t % kw / stride).collect()
}

/// Writes `left` pixels, max(v, 0) of each if `relu`.
///
/// # Safety
/// As [`crate::simd::Kernel::run`]; `to` is writable for `left` ≤ NV·W.
#[inline(always)]
unsafe fn store<S: Simd, const NV: usize>(values: [S::V; NV], relu: bool, to: *mut f32, left: usize) {
    // SAFETY: the caller's.
    unsafe {
        for (n, v) in values.into_iter().enumerate() {
            let v = if relu { S::max(S::splat(0.0), v) } else { v };
            let to = to.wrapping_add(n * S::W);
            match left.saturating_sub(n * S::W) {
                0 => {}
                left if left >= S::W => S::store(to, v),
                left => S::store_n(to, v, left),
            }
        }
    }
}

/// Writes to `out` the columns first, first + step, … of a row with `padding` zeros on either side, zeros too for a row that the image does not have.
fn copy_padded(row: Option<&[f32]>, first: usize, padding: usize, step: usize, out: &mut [f32]) {
    let Some(row) = row else { return out.fill(0.0) };
    // The first element of `out` that is inside the row.
    let skip = padding.saturating_sub(first).div_ceil(step).min(out.len());
    let from = (first + skip * step).saturating_sub(padding);
    let (before, rest) = out.split_at_mut(skip);
    before.fill(0.0);
    let inside = row.get(from..).unwrap_or_default();
    let count = inside.len().div_ceil(step).min(rest.len());
    let (copied, after) = rest.split_at_mut(count);
    if step == 1 {
        copied.copy_from_slice(&inside[..count]);
    } else {
        for (out, x) in copied.iter_mut().zip(inside.iter().step_by(step)) {
            *out = *x;
        }
    }
    after.fill(0.0);
}
