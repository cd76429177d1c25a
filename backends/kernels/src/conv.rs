//! 2-D convolution (cross-correlation) on NCHW images, zero padding, groups.

use rayon::prelude::*;

use crate::error::{check, check_len};
use crate::{Isa, KernelError};

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
}

/// A convolution's weight `[O, I/groups, kh, kw]` in the layout of [`conv2d`].
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
        Ok(Self { spec, data: weight.to_vec() })
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
    let ConvSpec { in_channels: ic, out_channels: oc, kernel: [kh, kw], stride, padding, groups } = weight.spec;
    let [h, w] = image;
    let [oh, ow] = weight.spec.output(h, w);
    check(NAME, h > 0 && w > 0 && oh > 0 && ow > 0, || format!("an image of {h} x {w} is smaller than the kernel"))?;
    let batch = x.len() / (ic * h * w);
    check_len(NAME, "x", x.len(), batch * ic * h * w)?;
    check_len(NAME, "y", y.len(), batch * oc * oh * ow)?;
    if let Some(b) = bias {
        check_len(NAME, "bias", b.len(), oc)?;
    }
    let (icg, ocg) = (ic / groups, oc / groups);
    y.par_chunks_mut(oh * ow).enumerate().for_each(|(plane, out)| {
        let (b, o) = (plane / oc, plane % oc);
        for (at, out) in out.iter_mut().enumerate() {
            let (r, c) = (at / ow, at % ow);
            let mut s = bias.map_or(0.0, |b| b[o]);
            for i in 0..icg {
                let src = &x[(b * ic + o / ocg * icg + i) * h * w..][..h * w];
                for u in 0..kh {
                    let Some(y) = (r * stride + u).checked_sub(padding).filter(|y| *y < h) else { continue };
                    for v in 0..kw {
                        let Some(x) = (c * stride + v).checked_sub(padding).filter(|x| *x < w) else { continue };
                        s += src[y * w + x] * weight.data[((o * icg + i) * kh + u) * kw + v];
                    }
                }
            }
            *out = if relu { s.max(0.0) } else { s };
        }
    });
    Ok(())
}
