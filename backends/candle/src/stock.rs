//! Operations as candle's own users write them: matmul, softmax, `QMatMul`, conv2d, the fused norms and rotations of
//! `candle-nn`. No kernel of ditbench's.

use candle_core::{D, Module, Result, Tensor};
use candle_nn::GroupNorm;
use ditbench_graph::{Activation, AttentionPattern, Op};

use crate::load::Loaded;

/// Computes one node. What is the same in both ways (shapes, sums) is in [`crate::session`].
pub fn compute(op: &Op, loaded: &Loaded, x: &[Tensor]) -> Result<Tensor> {
    match (op, loaded) {
        (Op::Linear { .. }, Loaded::StockLinear(weight, bias)) => add(linear(&x[0], weight)?, bias.as_ref()),
        (Op::Linear { .. }, Loaded::StockQuantized(weight, bias)) => {
            add(weight.forward(&x[0].contiguous()?)?, bias.as_ref())
        }
        (Op::Conv2d { stride, padding, groups, .. }, Loaded::StockConv(weight, bias)) => {
            add(x[0].contiguous()?.conv2d(weight, *padding, *stride, 1, *groups)?, bias.as_ref())
        }
        (Op::LayerNorm { eps, .. }, Loaded::StockNorm(weight, bias)) => {
            candle_nn::ops::layer_norm(&x[0].contiguous()?, weight, bias, *eps)
        }
        (Op::GroupNorm { groups, eps, .. }, Loaded::StockNorm(weight, bias)) => {
            let channels = x[0].dim(1)?;
            GroupNorm::new(weight.clone(), bias.clone(), channels, *groups, f64::from(*eps))?
                .forward(&x[0].contiguous()?)
        }
        (Op::RmsNorm { eps, .. }, Loaded::Table(weight)) => candle_nn::ops::rms_norm(&x[0].contiguous()?, weight, *eps),
        (Op::Modulate, _) => x[0].broadcast_mul(&(&x[2] + 1.0)?)?.broadcast_add(&x[1]),
        (Op::GatedAdd, _) => &x[0] + x[1].broadcast_mul(&x[2])?,
        (Op::Lerp, _) => &x[0] + (&x[1] - &x[0])?.broadcast_mul(&x[2])?,
        (Op::Activation(activation), _) => activate(*activation, &x[0]),
        (Op::Rope { .. }, Loaded::StockAngles(cos, sin)) => {
            candle_nn::rotary_emb::rope_thd(&x[0].contiguous()?, cos, sin)
        }
        (Op::Attention { pattern, scale }, _) => attention(*pattern, *scale, loaded, x),
        (Op::Upsample2x, _) => {
            let (_, _, h, w) = x[0].dims4()?;
            x[0].upsample_nearest2d(2 * h, 2 * w)
        }
        (Op::AveragePool2x, _) => x[0].contiguous()?.avg_pool2d(2),
        _ => candle_core::bail!("{} was loaded for another way of running", op.kind()),
    }
}

fn add(y: Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    bias.map_or(Ok(y.clone()), |bias| y.broadcast_add(bias))
}

/// x·Wᵀ, all leading axes as rows of one product.
fn linear(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let (n, k) = weight.dims2()?;
    let mut shape = x.dims().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = n;
    }
    x.contiguous()?.reshape(((), k))?.matmul(&weight.t()?)?.reshape(shape)
}

fn activate(activation: Activation, x: &Tensor) -> Result<Tensor> {
    match activation {
        Activation::GeluTanh => x.gelu(),
        Activation::GeluErf => x.gelu_erf(),
        Activation::QuickGelu => x * candle_nn::ops::sigmoid(&(x * 1.702)?)?,
        Activation::Silu => x.silu(),
        Activation::Relu => x.relu(),
        Activation::Relu6 => x.clamp(0f32, 6f32),
        Activation::Sigmoid => candle_nn::ops::sigmoid(x),
        Activation::Tanh => x.tanh(),
    }
}

/// q `[B, Tq, H, hd]`, k and v `[B, Tk, K, hd]`.
fn attention(pattern: AttentionPattern, scale: f32, loaded: &Loaded, x: &[Tensor]) -> Result<Tensor> {
    let q = (&x[0] * f64::from(scale))?;
    match pattern {
        AttentionPattern::Full => dense(&q, &x[1], &x[2], None),
        AttentionPattern::Causal => match loaded {
            Loaded::Mask(mask) => dense(&q, &x[1], &x[2], Some(mask)),
            _ => candle_core::bail!("a causal attention without its mask"),
        },
        AttentionPattern::Blockwise { blocks, .. } => {
            let tokens = q.dim(1)?;
            let size = tokens / blocks;
            let parts = (0..blocks).map(|block| {
                let keys = pattern.keys_of(block * size, tokens, tokens);
                let near = |t: &Tensor| t.narrow(1, keys.start, keys.len());
                dense(&q.narrow(1, block * size, size)?, &near(&x[1])?, &near(&x[2])?, None)
            });
            Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 1)
        }
    }
}

/// softmax(q·kᵀ + mask)·v. The query heads that share a key/value head are rows of one product, so nothing is repeated.
fn dense(q: &Tensor, k: &Tensor, v: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    let (b, tq, heads, hd) = q.dims4()?;
    let (_, tk, kv, _) = k.dims4()?;
    let share = heads / kv;
    let q = q.transpose(1, 2)?.contiguous()?.reshape((b, kv, share * tq, hd))?;
    let k = k.transpose(1, 2)?.contiguous()?;
    let v = v.transpose(1, 2)?.contiguous()?;
    let mut scores = q.matmul(&k.transpose(D::Minus2, D::Minus1)?)?;
    if let Some(mask) = mask {
        scores = scores.reshape((b, heads, tq, tk))?.broadcast_add(mask)?.reshape((b, kv, share * tq, tk))?;
    }
    let y = candle_nn::ops::softmax_last_dim(&scores)?.matmul(&v)?;
    y.reshape((b, heads, tq, hd))?.transpose(1, 2)?.contiguous()
}
