//! How a graph is written for ONNX Runtime, by way of running.

use ditbench_graph::onnx::{Dialect, QuantizedLinear};

/// With ONNX Runtime's own operators where they are faster on a CPU; linears of 4 and 8 bits compute in f32.
pub fn exact() -> Dialect {
    let packed = QuantizedLinear::MatMulNBits { accuracy_level: 1 };
    Dialect {
        q4: packed,
        q8: packed,
        nbits_bias: true,
        // It reads the packed weight right whatever comes before.
        nbits_barrier: false,
        quick_gelu: true,
        rotary: true,
        ..Dialect::standard()
    }
}

/// As [`exact`], with activations of those linears rounded to 8 bits.
pub fn int8() -> Dialect {
    exact().with_accuracy_level(4)
}

/// As [`exact`], with those linears left to our kernel.
pub fn tuned() -> Dialect {
    Dialect { q4: QuantizedLinear::DitLinear, q8: QuantizedLinear::DitLinear, ..exact() }
}

/// As [`exact`], with every weight in f32.
pub fn unpacked() -> Dialect {
    Dialect { q4: QuantizedLinear::Unpacked, q8: QuantizedLinear::Unpacked, ..exact() }
}

/// That of a variant; `None` if there is no such variant.
pub(crate) fn of(variant: &str) -> Option<Dialect> {
    match variant {
        "stock" => Some(unpacked()),
        "int8" => Some(int8()),
        "tuned-int8" => Some(tuned()),
        "exact" => Some(exact()),
        _ => None,
    }
}
