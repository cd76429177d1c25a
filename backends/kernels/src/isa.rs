//! Instruction sets: what the kernels can use, found at run time, and named for the record.

use std::fmt;
use std::sync::OnceLock;

/// An instruction set that the kernels are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Isa {
    /// Portable code, compiled for the target's baseline.
    Scalar,
    /// x86-64: AVX2, FMA, F16C.
    Avx2,
    /// x86-64: AVX-512 F, BW, DQ, VL and VNNI (Intel since Ice Lake, AMD since Zen 4). Processors with AVX-512 but no
    /// VNNI use [`Isa::Avx2`].
    Avx512,
    /// The same with f16 arithmetic (Intel's server processors since Sapphire Rapids).
    Avx512Fp16,
    /// aarch64: NEON.
    Neon,
    /// aarch64: NEON with the dot-product instructions (most cores since 2018).
    NeonDotprod,
    /// The same with f16 arithmetic (nearly all cores with dot products).
    NeonFp16,
}

impl Isa {
    /// Every instruction set, worst first.
    const ALL: [Self; 7] =
        [Self::Scalar, Self::Avx2, Self::Avx512, Self::Avx512Fp16, Self::Neon, Self::NeonDotprod, Self::NeonFp16];

    /// The name to record beside a result: `scalar`, `avx2+fma`, `avx512+vnni`, `avx512+vnni+fp16`, `neon`,
    /// `neon+dotprod`, `neon+dotprod+fp16`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2+fma",
            Self::Avx512 => "avx512+vnni",
            Self::Avx512Fp16 => "avx512+vnni+fp16",
            Self::Neon => "neon",
            Self::NeonDotprod => "neon+dotprod",
            Self::NeonFp16 => "neon+dotprod+fp16",
        }
    }

    /// The best that this machine has. Found once per process.
    pub fn best() -> Self {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| Self::ALL.into_iter().rev().find(|isa| isa.is_available()).unwrap_or(Self::Scalar))
    }

    /// All that this machine has, worst first; [`Isa::Scalar`] is always there.
    pub fn available() -> Vec<Self> {
        Self::ALL.into_iter().filter(|isa| isa.is_available()).collect()
    }

    /// Whether this machine has it.
    pub fn is_available(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                Self::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vnni")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Fp16 => Self::Avx512.is_available() && is_x86_feature_detected!("avx512fp16"),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            #[cfg(target_arch = "aarch64")]
            Self::NeonDotprod => Self::Neon.is_available() && std::arch::is_aarch64_feature_detected!("dotprod"),
            #[cfg(target_arch = "aarch64")]
            Self::NeonFp16 => Self::NeonDotprod.is_available() && std::arch::is_aarch64_feature_detected!("fp16"),
            _ => false,
        }
    }

    /// Whether it has f16 arithmetic, which [`linear_f16`](crate::linear::linear_f16) and its like need.
    pub fn computes_f16(self) -> bool {
        matches!(self, Self::Avx512Fp16 | Self::NeonFp16)
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
