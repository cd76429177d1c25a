//! How a graph is written for tract, by way of running.

use ditbench_graph::onnx::Dialect;
use ditbench_kernels::linear::Products;

use crate::Way;

/// For tract alone. Without the barrier tract 0.23.9 gives wrong numbers and no error: it folds a change of shape into
/// `MatMulNBits` but cannot move the axes of the packed weight (`tests/barrier.rs` says when that is over).
pub fn stock() -> Dialect {
    Dialect { nbits_barrier: true, ..Dialect::standard() }
}

/// One node of domain `ditbench` for each call of our kernels ([`Dialect::ditbench`]).
pub fn tuned() -> Dialect {
    Dialect { ditbench: true, ..stock() }
}

/// That of a way of running.
pub(crate) fn of(way: Way) -> Dialect {
    match way {
        Way::Stock => stock(),
        Way::Tuned(Products::F16(_)) => Dialect { ditbench_f16: true, ..tuned() },
        Way::Tuned(_) => tuned(),
    }
}
