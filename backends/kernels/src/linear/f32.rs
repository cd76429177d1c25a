//! The f32 linear.

use super::Epilogue;
use crate::error::check_len;
use crate::{Isa, KernelError};

/// An f32 weight `[N, K]` in the layout of [`linear_f32`].
#[derive(Clone, Debug)]
pub struct PackedF32 {
    n: usize,
    k: usize,
    data: Vec<f32>,
}

impl PackedF32 {
    /// Packs W `[n, k]`.
    ///
    /// # Errors
    /// If `weight` does not have n·k elements.
    pub fn pack(weight: &[f32], n: usize, k: usize) -> Result<Self, KernelError> {
        check_len("PackedF32::pack", "weight", weight.len(), n * k)?;
        Ok(Self { n, k, data: weight.to_vec() })
    }

    /// Number of outputs N.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Number of inputs K.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        std::mem::size_of_val(self.data.as_slice())
    }
}

/// y = epilogue(x·Wᵀ + bias). x `[M, K]`, bias `[N]`, y `[M, N]`.
///
/// # Errors
/// If a length does not fit, or this machine lacks `isa`.
pub fn linear_f32(
    isa: Isa,
    x: &[f32],
    weight: &PackedF32,
    bias: Option<&[f32]>,
    epilogue: Epilogue,
    y: &mut [f32],
) -> Result<(), KernelError> {
    isa.require()?;
    let (n, k) = (weight.n, weight.k);
    let m = super::quantized::rows("linear_f32", x, n, k, bias, y)?;
    super::quantized::naive(x, m, n, k, bias, epilogue, y, |j| weight.data[j * k..][..k].to_vec());
    Ok(())
}
