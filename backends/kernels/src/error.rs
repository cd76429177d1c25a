//! What can be wrong with a call: a shape, or an instruction set that this machine lacks.

use thiserror::Error;

use crate::Isa;

/// Why a kernel refused its arguments. Nothing was written to the output.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KernelError {
    /// A slice does not hold as many elements as the shape says.
    #[error("{kernel}: `{argument}` has {found} elements, expected {expected}; pass a slice of the shape in the docs")]
    Length {
        /// The function.
        kernel: &'static str,
        /// Which of its arguments.
        argument: &'static str,
        /// Elements that the shape asks for.
        expected: usize,
        /// Elements that were passed.
        found: usize,
    },
    /// The sizes do not fit each other.
    #[error("{kernel}: {problem}")]
    Shape {
        /// The function.
        kernel: &'static str,
        /// What does not fit, with the sizes.
        problem: String,
    },
    /// A pool of threads could not be started.
    #[error("cannot start {threads} threads: {reason}; ask for at least 1 and no more than the system allows")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// Why not.
        reason: String,
    },
    /// The instruction set has no f16 arithmetic.
    #[error("instruction set {} has no f16 arithmetic; ask Isa::computes_f16 first", isa.name())]
    NoF16 {
        /// What was asked for.
        isa: Isa,
    },
    /// This machine cannot run the instruction set that was asked for.
    #[error("instruction set {} is not available on this machine; use Isa::best() or one of Isa::available()", isa.name())]
    Isa {
        /// What was asked for.
        isa: Isa,
    },
}

/// `Err` unless `found == expected`.
pub(crate) fn check_len(
    kernel: &'static str,
    argument: &'static str,
    found: usize,
    expected: usize,
) -> Result<(), KernelError> {
    if found == expected { Ok(()) } else { Err(KernelError::Length { kernel, argument, expected, found }) }
}

/// `Err` with the text of `problem` unless `ok`.
pub(crate) fn check(kernel: &'static str, ok: bool, problem: impl FnOnce() -> String) -> Result<(), KernelError> {
    if ok { Ok(()) } else { Err(KernelError::Shape { kernel, problem: problem() }) }
}

impl Isa {
    /// `Err` if this machine lacks it: the check that makes the `unsafe` dispatch below sound.
    pub(crate) fn require(self) -> Result<(), KernelError> {
        if self.is_available() { Ok(()) } else { Err(KernelError::Isa { isa: self }) }
    }

    /// The same for f16 arithmetic. [`Isa::Scalar`] is let through: up to the epilogue it computes the same bits, one number at a time, for tests.
    pub(crate) fn require_f16(self) -> Result<(), KernelError> {
        self.require()?;
        if self.computes_f16() || self == Self::Scalar { Ok(()) } else { Err(KernelError::NoF16 { isa: self }) }
    }
}
