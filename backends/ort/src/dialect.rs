//! How a graph is written for ONNX Runtime, by way of running.

use std::collections::BTreeMap;

use ditbench_graph::onnx::{Dialect, QuantizedLinear};
use ditbench_graph::weights::Scheme;

use crate::name::DeviceName;
use crate::provider::{CUDA, OPENVINO, QNN, WEBGPU};

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

/// As [`unpacked`], with weights and activations in 16-bit floats.
pub fn half() -> Dialect {
    Dialect { half: true, ..unpacked() }
}

/// The way that runs weights of 16 bits as they are.
pub(crate) const HALF: &str = "half";

/// That of a variant; `None` if there is no such variant.
pub(crate) fn of(variant: &str) -> Option<Dialect> {
    match variant {
        "stock" => Some(unpacked()),
        "int8" => Some(int8()),
        "tuned-int8" => Some(tuned()),
        "exact" => Some(exact()),
        HALF => Some(half()),
        _ => None,
    }
}

/// The ways in which a provider's devices run precisions where the user names none. Not every GPU of WebGPU's has shaders of 16 bits:
/// `lacks_half` says that this one has none.
pub(crate) fn ways(provider: &str, lacks_half: bool) -> BTreeMap<String, String> {
    let has_half = [QNN, CUDA].contains(&provider) || (provider == WEBGPU && !lacks_half);
    has_half.then(|| (Scheme::F16.name().to_owned(), HALF.to_owned())).into_iter().collect()
}

/// The same for a device, by its name: without what the device's provider refuses.
pub(crate) fn on_device(dialect: Dialect, device: &str) -> Dialect {
    match DeviceName::parse(device).provider {
        // QNN 2.7 takes neither ONNX Runtime's rotary embedding nor a product of packed weights that adds a bias.
        QNN => Dialect { rotary: false, nbits_bias: false, ..dialect },
        // OpenVINO 1.8.1 claims the rotary embedding and then fails to convert it.
        OPENVINO => Dialect { rotary: false, ..dialect },
        _ => dialect,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_of_16_bits_run_16_bit_weights_as_they_are() {
        for name in [WEBGPU, QNN, CUDA] {
            assert_eq!(ways(name, false).get("f16").map(String::as_str), Some(HALF), "{name}");
        }
        assert!(ways(OPENVINO, false).is_empty() && ways("xnnpack", false).is_empty());
        assert!(ways(WEBGPU, true).is_empty(), "it would be refused where the shaders are made");
        assert!(of(HALF).unwrap().half);
    }

    #[test]
    fn a_device_gets_the_ways_dialect_without_what_it_refuses() {
        for variant in ["stock", "int8", "exact"] {
            let dialect = of(variant).unwrap();
            assert!(!dialect.half);
            for same in ["cpu", "webgpu", "webgpu:1", "cuda"] {
                assert_eq!(on_device(dialect.clone(), same), dialect);
            }
            assert!(!on_device(dialect.clone(), "cpu:openvino").rotary);
            for device in ["npu:qnn", "qnn", "qnn:0"] {
                let on = on_device(dialect.clone(), device);
                assert!(!on.rotary && !on.nbits_bias, "{device}");
                assert_eq!((on.q4, on.q8), (dialect.q4, dialect.q8), "weights stay as they are");
            }
        }
    }
}
