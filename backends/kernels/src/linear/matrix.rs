//! A packed weight of any format, with what its products are computed in.

use super::{
    Epilogue, PackedF16, PackedF32, PackedQ4, PackedQ8, Products, linear_f16, linear_f32, linear_q4_f16, linear_q4_f32,
    linear_q4_int8, linear_q8_f16, linear_q8_f32, linear_q8_int8,
};
use crate::{Isa, KernelError};

/// A packed matrix `[N, K]`, and in what it is multiplied.
#[derive(Clone, Debug)]
pub enum Matrix {
    /// 32-bit floats.
    F32(PackedF32),
    /// 16-bit floats, multiplied as such on these instructions.
    F16(PackedF16, Isa),
    /// 4 bits.
    Q4(PackedQ4, Products),
    /// 8 bits.
    Q8(PackedQ8, Products),
}

impl Matrix {
    /// Number of outputs N.
    pub fn n(&self) -> usize {
        match self {
            Self::F32(weight) => weight.n(),
            Self::F16(weight, _) => weight.n(),
            Self::Q4(weight, _) => weight.n(),
            Self::Q8(weight, _) => weight.n(),
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        match self {
            Self::F32(weight) => weight.bytes(),
            Self::F16(weight, _) => weight.bytes(),
            Self::Q4(weight, _) => weight.bytes(),
            Self::Q8(weight, _) => weight.bytes(),
        }
    }

    /// y = epilogue(x·Wᵀ + bias), in f32 and 8-bit integers on `isa`, in f16 on the instructions that the matrix names.
    /// x `[M, K]`, bias `[N]`, y `[M, N]`.
    ///
    /// # Errors
    /// As those of the function that it calls, for example [`linear_f32`].
    pub fn apply(
        &self,
        isa: Isa,
        x: &[f32],
        bias: Option<&[f32]>,
        epilogue: Epilogue,
        y: &mut [f32],
    ) -> Result<(), KernelError> {
        match self {
            Self::F32(weight) => linear_f32(isa, x, weight, bias, epilogue, y),
            Self::F16(weight, isa) => linear_f16(*isa, x, weight, bias, epilogue, y),
            Self::Q4(weight, Products::F32) => linear_q4_f32(isa, x, weight, bias, epilogue, y),
            Self::Q4(weight, Products::Int8) => linear_q4_int8(isa, x, weight, bias, epilogue, y),
            Self::Q4(weight, Products::F16(isa)) => linear_q4_f16(*isa, x, weight, bias, epilogue, y),
            Self::Q8(weight, Products::F32) => linear_q8_f32(isa, x, weight, bias, epilogue, y),
            Self::Q8(weight, Products::Int8) => linear_q8_int8(isa, x, weight, bias, epilogue, y),
            Self::Q8(weight, Products::F16(isa)) => linear_q8_f16(*isa, x, weight, bias, epilogue, y),
        }
    }
}
