//! What a function of the program's symbols is called, and which operation it computes.
//!
//! Contract: the same name in every build: without the hashes that a compiler appends. A kernel that was inlined into a dispatcher is
//! told by the file that most of its instructions are from, which the program's line tables know. What neither says is not guessed: a
//! copy or an allocation belongs to no operation, nor does a file of several, such as `elementwise/norm.rs`. Operations are called as in
//! profiles ([`ditbench_graph::Op::kind`]).

use std::collections::BTreeMap;

/// Files that tell nothing of what is computed: the standard library's, packages', and what all kernels share.
const SHARED: [&str; 5] = ["/rustc/", "/registry/", "/simd/", "/tile.rs", "/lib.rs"];

/// Parts of names, and the operation that they tell of. The first that is found counts.
const TELLING: [(&str, &str); 29] = [
    ("layer_norm", "LayerNorm"),
    ("LayerNorm", "LayerNorm"),
    ("group_norm", "GroupNorm"),
    ("GroupNorm", "GroupNorm"),
    ("rms_norm", "RmsNorm"),
    ("attention", "Attention"),
    ("softmax", "Attention"),
    ("Softmax", "Attention"),
    ("conv2d", "Conv2d"),
    ("::conv::", "Conv2d"),
    ("conv/", "Conv2d"),
    ("conv.rs", "Conv2d"),
    ("MlasConv", "Conv2d"),
    ("::linear::", "Linear"),
    ("linear/", "Linear"),
    ("MlasGemm", "Linear"),
    ("MlasSgemm", "Linear"),
    ("QNBit", "Linear"),
    ("vec_dot", "Linear"),
    ("gelu", "Gelu"),
    ("silu", "Silu"),
    ("::rope", "Rope"),
    ("rope.rs", "Rope"),
    ("upsample", "Upsample"),
    ("gated_add", "GatedAdd"),
    ("modulate", "Modulate"),
    ("average_pool", "AveragePool"),
    ("pool.rs", "AveragePool"),
    ("transpose", "Transpose"),
];

/// The operation that a function's name tells of.
pub fn operation(function: &str) -> Option<&'static str> {
    TELLING.iter().find(|(part, _)| function.contains(part)).map(|(_, operation)| *operation)
}

/// A function's name, from its symbol and from what its instructions were written in, file by file.
pub fn of(symbol: &str, files: &BTreeMap<&str, u64>) -> String {
    let name = plain(symbol);
    let telling =
        files.iter().filter(|(file, _)| file.contains("/src/") && !SHARED.iter().any(|part| file.contains(part)));
    let Some((file, _)) = telling.max_by_key(|(_, count)| **count) else { return name };
    let file = file.rsplit_once("/src/").map_or(*file, |(_, file)| file);
    // `linear/int8.rs` says no more than `linear::int8::…`.
    let module = file.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::");
    if name.contains(&module) { name } else { format!("{name}, {file}") }
}

/// A symbol as it was written, without the hash that Rust appends and the depth of a recursion (`'2`) that callgrind does.
fn plain(symbol: &str) -> String {
    let is_depth = |depth: &str| !depth.is_empty() && depth.bytes().all(|byte| byte.is_ascii_digit());
    let symbol = match symbol.rsplit_once('\'') {
        Some((symbol, depth)) if is_depth(depth) => symbol,
        _ => symbol,
    };
    // Without the hash.
    format!("{:#}", rustc_demangle::demangle(symbol))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{of, operation};

    #[test]
    fn a_kernel_inlined_into_a_dispatcher_is_told_by_its_file() {
        let symbol = "_ZN16ditbench_kernels4simd8dispatch9with_avx217h0123456789abcdefE";
        let files = |files: &[(&'static str, u64)]| files.iter().copied().collect::<BTreeMap<_, _>>();
        let name = of(
            symbol,
            &files(&[
                ("/rustc/5980/library/core/src/cmp.rs", 900),
                ("/x/backends/kernels/src/simd/avx2.rs", 500),
                ("/x/backends/kernels/src/linear/int8.rs", 100),
                ("/x/backends/kernels/src/linear/mod.rs", 10),
            ]),
        );
        assert_eq!(name, "ditbench_kernels::simd::dispatch::with_avx2, linear/int8.rs");
        assert_eq!(operation(&name), Some("Linear"));
        assert_eq!(of(symbol, &files(&[("???", 5)])), "ditbench_kernels::simd::dispatch::with_avx2");
        let own = "_ZN16ditbench_kernels6linear4int85apply17h0123456789abcdefE";
        let name = of(own, &files(&[("/x/backends/kernels/src/linear/int8.rs", 100)]));
        assert_eq!(name, "ditbench_kernels::linear::int8::apply", "the file says no more");
    }

    #[test]
    fn only_a_hash_and_a_depth_are_taken_off_a_name() {
        for (symbol, want) in [
            ("_ZN1a1b17h0123456789abcdefE'3", "a::b"),
            ("MlasGemm'2", "MlasGemm"),
            ("0x0000000000012340", "0x0000000000012340"),
            ("__memcpy_avx_unaligned_erms", "__memcpy_avx_unaligned_erms"),
        ] {
            assert_eq!(of(symbol, &BTreeMap::new()), want);
        }
    }

    #[test]
    fn a_name_tells_its_operation_or_none() {
        for (function, want) in [
            ("ditbench_kernels::linear::quantized::linear_q4_int8", Some("Linear")),
            ("ditbench_kernels::attention::attention", Some("Attention")),
            ("ditbench_kernels::elementwise::norm::layer_norm_modulate", Some("LayerNorm")),
            ("ditbench_kernels::conv::conv2d", Some("Conv2d")),
            ("ditbench_kernels::simd::dispatch::with_avx2, conv/dense.rs", Some("Conv2d")),
            ("ditbench_kernels::simd::dispatch::with_avx2, conv/depthwise.rs", Some("Conv2d")),
            ("ditbench_kernels::simd::dispatch::with_avx2, elementwise/pool.rs", Some("AveragePool")),
            ("ditbench_kernels::simd::dispatch::with_avx2, elementwise/transpose.rs", Some("Transpose")),
            ("ditbench_kernels::simd::dispatch::with_avx2, elementwise/norm.rs", None),
            ("MlasSgemmTransposePackB", Some("Linear")),
            ("__memcpy_avx_unaligned_erms", None),
            ("malloc", None),
        ] {
            assert_eq!(operation(function), want, "{function}");
        }
    }
}
