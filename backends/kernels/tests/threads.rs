//! What the crate promises of every kernel in its table: the number of threads does not change a bit, on any instruction set.

mod common;

use common::{computing_f16, values};
use ditbench_kernels::attention::{AttentionShape, Pattern, attention};
use ditbench_kernels::conv::{ConvSpec, PackedConv, conv2d};
use ditbench_kernels::linear::*;
use ditbench_kernels::{Isa, KernelError, elementwise as e};
use half::f16;

/// Runs `kernel` on each instruction set in pools of several sizes.
fn same(isas: &[Isa], name: &str, len: usize, kernel: impl Fn(Isa, &mut [f32]) -> Result<(), KernelError> + Sync) {
    for &isa in isas {
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut y = vec![f32::NAN; len];
            pool.install(|| kernel(isa, &mut y)).unwrap();
            y.iter().map(|y| y.to_bits()).collect::<Vec<_>>()
        };
        let one = with(1);
        assert!(one.iter().all(|y| f32::from_bits(*y).is_finite()), "{name} {isa}");
        for threads in [2, 3, 7] {
            assert!(with(threads) == one, "{name} {isa}, {threads} threads");
        }
    }
}

/// Groups of so many bytes with their scales.
fn groups(count: usize, bytes: usize) -> Vec<u8> {
    let scales = values(count, 5);
    let group = |i: usize| {
        let scale = f16::from_f32(0.1 * scales[i]).to_le_bytes();
        scale.into_iter().chain((0..bytes).map(move |b| (b * 31 + i * 7) as u8))
    };
    (0..count).flat_map(group).collect()
}

// Enough to be shared out among seven, and tails at every end; K is more than one block of either product.
#[test]
fn linears() {
    let (m, n, k) = (133, 200, 544);
    let (x, bias) = (values(m * k, 1), values(n, 2));
    let (bias, gelu) = (Some(&bias[..]), Epilogue::GeluTanh);
    let (all, f16s) = (Isa::available(), computing_f16());
    let w = PackedF32::pack(&values(n * k, 3), n, k).unwrap();
    let halves: Vec<f16> = values(n * k, 3).into_iter().map(f16::from_f32).collect();
    let half = PackedF16::pack(&halves, n, k).unwrap();
    let q4 = PackedQ4::pack(&groups(n * k / GROUP, 16), n, k).unwrap();
    let q8 = PackedQ8::pack(&groups(n * k / GROUP, 32), n, k).unwrap();
    same(&all, "linear_f32", m * n, |isa, y| linear_f32(isa, &x, &w, bias, gelu, y));
    same(&all, "linear_q4_f32", m * n, |isa, y| linear_q4_f32(isa, &x, &q4, bias, gelu, y));
    same(&all, "linear_q8_f32", m * n, |isa, y| linear_q8_f32(isa, &x, &q8, bias, gelu, y));
    same(&all, "linear_q4_int8", m * n, |isa, y| linear_q4_int8(isa, &x, &q4, bias, gelu, y));
    same(&all, "linear_q8_int8", m * n, |isa, y| linear_q8_int8(isa, &x, &q8, bias, gelu, y));
    same(&f16s, "linear_f16", m * n, |isa, y| linear_f16(isa, &x, &half, bias, gelu, y));
    same(&f16s, "linear_q4_f16", m * n, |isa, y| linear_q4_f16(isa, &x, &q4, bias, gelu, y));
    same(&f16s, "linear_q8_f16", m * n, |isa, y| linear_q8_f16(isa, &x, &q8, bias, gelu, y));
}

#[test]
fn attentions() {
    let all = Isa::available();
    let shape = AttentionShape { batch: 2, queries: 120, keys: 120, heads: 4, kv_heads: 2, head_dim: 24 };
    let (q, k, v) = (values(2 * 120 * 4 * 24, 1), values(2 * 120 * 2 * 24, 2), values(2 * 120 * 2 * 24, 3));
    for pattern in [Pattern::Full, Pattern::Causal, Pattern::Blockwise { blocks: 5, radius: 1 }] {
        same(&all, "attention", q.len(), |isa, y| attention(isa, &q, &k, &v, shape, pattern, 0.3, y));
    }
    // Sums near 0, where it shows which queries share a task.
    let shape = AttentionShape { batch: 2, queries: 100, keys: 100, heads: 6, kv_heads: 2, head_dim: 40 };
    let periodic = |len: usize| (0..len).map(|i| ((i * 37 % 101) as f32 - 50.0) / 49.7).collect::<Vec<_>>();
    let (q, kv) = (periodic(2 * 100 * 6 * 40), periodic(2 * 100 * 2 * 40 + 1));
    same(&all, "causal attention", q.len(), |isa, y| {
        attention(isa, &q, &kv[..kv.len() - 1], &kv[1..], shape, Pattern::Causal, 0.125, y)
    });
}

#[test]
fn convolutions() {
    let all = Isa::available();
    for (i, o, kernel, stride, groups) in [
        // Each channel alone, in strips and padded.
        (24, 24, 3, 1, 24),
        (24, 24, 3, 2, 24),
        // Single pixels, of a large image and of one smaller than a block.
        (48, 40, 1, 1, 1),
        (300, 200, 1, 1, 1),
        // Anything else, with and without a stride.
        (20, 24, 3, 1, 1),
        (20, 24, 3, 2, 2),
        // More operands than are multiplied at a time.
        (70, 30, 3, 1, 1),
    ] {
        let spec =
            ConvSpec { in_channels: i, out_channels: o, kernel: [kernel; 2], stride, padding: kernel / 2, groups };
        let image = if i == 300 { [9, 7] } else { [60, 50] };
        let [oh, ow] = spec.output(image[0], image[1]);
        let x = values(2 * i * image[0] * image[1], 1);
        let weight = PackedConv::pack(&values(o * i / groups * kernel * kernel, 2), spec).unwrap();
        same(&all, &format!("{spec:?}"), 2 * o * oh * ow, |isa, y| conv2d(isa, &x, image, &weight, None, true, y));
    }
}

#[test]
fn element_wise_kernels() {
    let all = Isa::available();
    let (batch, tokens, dim) = (2, 500, 48);
    let len = batch * tokens * dim;
    let (x, other, row) = (values(len, 1), values(len, 2), values(batch * tokens, 3));
    let (shift, scale, weight) = (values(batch * dim, 4), values(batch * dim, 5), values(dim, 6));
    type Unary = fn(Isa, &[f32], &mut [f32]) -> Result<(), KernelError>;
    let activations: [(&str, Unary); 8] = [
        ("gelu_tanh", e::gelu_tanh),
        ("gelu_erf", e::gelu_erf),
        ("quick_gelu", e::quick_gelu),
        ("silu", e::silu),
        ("relu", e::relu),
        ("relu6", e::relu6),
        ("sigmoid", e::sigmoid),
        ("tanh", e::tanh),
    ];
    for (name, activation) in activations {
        same(&all, name, len, |isa, y| activation(isa, &x, y));
    }
    same(&all, "add", len, |isa, y| e::add(isa, &x, &other, y));
    same(&all, "mul", len, |isa, y| e::mul(isa, &x, &other, y));
    same(&all, "add_rows", len, |isa, y| e::add_rows(isa, &x, &row, dim, y));
    same(&all, "mul_rows", len, |isa, y| e::mul_rows(isa, &x, &row, dim, y));
    same(&all, "lerp", len, |isa, y| e::lerp(isa, &x, &other, &row, dim, y));
    same(&all, "modulate", len, |isa, y| e::modulate(isa, &x, tokens, dim, &shift, &scale, y));
    same(&all, "gated_add", len, |isa, y| e::gated_add(isa, &x, &other, &scale, tokens, dim, y));
    same(&all, "layer_norm", len, |isa, y| e::layer_norm(isa, &x, dim, Some(&weight), Some(&weight), 1e-5, y));
    same(&all, "layer_norm_modulate", len, |isa, y| {
        e::layer_norm_modulate(isa, &x, tokens, dim, &shift, &scale, 1e-5, y)
    });
    same(&all, "rms_norm", len, |isa, y| e::rms_norm(isa, &x, dim, &weight, 1e-5, y));
    same(&all, "group_norm", len, |isa, y| e::group_norm(isa, &x, tokens, 12, &weight, &weight, 1e-5, true, y));
    same(&all, "geglu", len / 2, |isa, y| e::geglu(isa, &x, dim / 2, y));
    same(&all, "transpose", len, |isa, y| e::transpose(isa, &x, tokens, dim, y));
    let angles = values(tokens * 6, 7);
    same(&all, "rope", len, |isa, y| e::rope(isa, &x, tokens, 4, 12, &angles, &angles, y));
    same(&all, "upsample_nearest2x", 4 * len, |isa, y| e::upsample_nearest2x(isa, &x, [tokens / 2, 2], y));
    same(&all, "average_pool2x", len / 4, |isa, y| e::average_pool2x(isa, &x, [tokens / 2, 1], y));
}
