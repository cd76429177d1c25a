//! The denoiser: a U-Net of residual blocks and transformer blocks. (latent, time features, text) → velocity.
//!
//! Inputs: `latent [1, C, h, w]`; `time_features [1, F]`; `size_features [1, S]` where the net reads the image's size; `text [1, T, D]`. Output:
//! `prediction [1, C, h, w]`. The last layer of each residual branch is small, so that activations stay bounded under seeded weights.

use ditbench_graph::{
    Activation, AttentionPattern, ConvShape, DType, Graph, GraphBuilder, GraphError, Op, ValueId, WeightRole,
};

use super::config::{Convolution, DenoiserConfig, ModelConfig};

/// Gain of the last layer of a residual branch.
const BRANCH: f32 = 0.3;

/// What all blocks read.
struct Net<'a> {
    d: &'a DenoiserConfig,
    text: ValueId,
    /// SiLU of the time embedding, `[1, time width]`.
    time: ValueId,
}

/// Builds the denoiser of a config.
pub(super) fn build(config: &ModelConfig) -> Result<Graph, GraphError> {
    let d = &config.denoiser;
    let mut b = GraphBuilder::new("denoiser");
    let latent = b.input("latent", &config.latent_shape(), DType::F32);
    let features = b.input("time_features", &[1, d.time_features], DType::F32);
    let size = d.size_features.map(|width| b.input("size_features", &[1, width], DType::F32));
    let text = b.input("text", &[1, d.text.tokens, d.text.width], DType::F32);
    let text = b.scope("text_in", |b| {
        let x = b.linear_as("project", text, d.context, WeightRole::SensitiveLinear, 1.0);
        b.rms_norm("norm", x, d.eps)
    });
    let time = b.scope("time", |b| {
        let x = embedding(b, d, "time", features);
        let x = size.map_or(x, |size| {
            let size = embedding(b, d, "size", size);
            b.node("add_size", Op::Add, &[x, size])
        });
        b.activation("silu", x, Activation::Silu)
    });
    let net = Net { d, text, time };
    let x = b.scope("in", |b| b.conv3x3("conv", latent, d.channels[0], 1.0));
    let x = net.down_and_up(&mut b, x);
    let prediction = b.scope("out", |b| {
        let h = b.group_norm("norm", x, d.groups, d.eps);
        let h = b.activation("silu", h, Activation::Silu);
        b.conv3x3("conv", h, config.latent_channels, BRANCH)
    });
    b.output("prediction", prediction);
    b.finish()
}

fn embedding(b: &mut GraphBuilder, d: &DenoiserConfig, name: &str, x: ValueId) -> ValueId {
    let x = b.linear_as(&format!("{name}_up"), x, d.time_width, WeightRole::SensitiveLinear, 1.0);
    let x = b.activation(&format!("{name}_silu"), x, Activation::Silu);
    b.linear_as(&format!("{name}_down"), x, d.time_width, WeightRole::SensitiveLinear, 1.0)
}

impl Net<'_> {
    fn down_and_up(&self, b: &mut GraphBuilder, x: ValueId) -> ValueId {
        let d = self.d;
        let levels = d.channels.len();
        let mut x = x;
        let mut skips = vec![x];
        for (level, (&channels, &blocks)) in d.channels.iter().zip(&d.down_blocks).enumerate() {
            for pair in 0..2 {
                x = b.scope(format!("down.{level}.{pair}"), |b| self.pair(b, x, channels, blocks, level));
                skips.push(x);
            }
            if level + 1 < levels {
                let half = ConvShape { kernel: 3, stride: 2, padding: 1, groups: 1, bias: true };
                x = b.scope(format!("down.{level}"), |b| b.conv("halve", x, channels, half, 1.0));
                skips.push(x);
            }
        }
        x = b.scope("middle", |b| {
            let channels = b.shape(x)[1];
            let x = self.residual(b, "res0", x, channels);
            let x = self.stack(b, x, d.middle_blocks, levels - 1);
            (1..d.middle_residuals).fold(x, |x, i| self.residual(b, &format!("res{i}"), x, channels))
        });
        for (step, &blocks) in d.up_blocks.iter().enumerate() {
            let level = levels - 1 - step;
            for pair in 0..3 {
                let Some(skip) = skips.pop() else { return x };
                x = b.scope(format!("up.{step}.{pair}"), |b| {
                    let both = b.node("skip", Op::Concat { axis: 1 }, &[x, skip]);
                    self.pair(b, both, d.channels[level], blocks, level)
                });
            }
            if level > 0 {
                x = b.scope(format!("up.{step}"), |b| {
                    let x = b.node("double", Op::Upsample2x, &[x]);
                    b.conv3x3("double_conv", x, d.channels[level], 0.7)
                });
            }
        }
        x
    }

    fn pair(&self, b: &mut GraphBuilder, x: ValueId, channels: usize, blocks: usize, level: usize) -> ValueId {
        let x = self.residual(b, "res", x, channels);
        self.stack(b, x, blocks, level)
    }

    /// x + conv(SiLU(GN(conv(SiLU(GN x)) + time))), x by a 1×1 convolution where the channels change.
    fn residual(&self, b: &mut GraphBuilder, leaf: &str, x: ValueId, out: usize) -> ValueId {
        let d = self.d;
        let inside = match d.convolution {
            Convolution::Dense => out,
            Convolution::Separable { expansion } => expansion * out,
        };
        b.scope(leaf, |b| {
            let h = b.group_norm("norm0", x, d.groups, d.eps);
            let h = b.activation("silu0", h, Activation::Silu);
            let h = self.convolve(b, "conv0", h, inside, 1.0);
            let time = b.linear_as("time", self.time, inside, WeightRole::Linear, 1.0);
            let time = b.reshape("time_channels", time, &[1, inside, 1, 1]);
            let h = b.node("add_time", Op::Add, &[h, time]);
            let h = b.group_norm("norm1", h, d.groups, d.eps);
            let h = b.activation("silu1", h, Activation::Silu);
            let h = self.convolve(b, "conv1", h, out, BRANCH);
            let x = if b.shape(x)[1] == out {
                x
            } else {
                let shape = ConvShape { kernel: 1, stride: 1, padding: 0, groups: 1, bias: true };
                b.conv("shortcut", x, out, shape, 1.0)
            };
            b.node("add", Op::Add, &[x, h])
        })
    }

    fn convolve(&self, b: &mut GraphBuilder, leaf: &str, x: ValueId, out: usize, gain: f32) -> ValueId {
        match self.d.convolution {
            Convolution::Dense => b.conv3x3(leaf, x, out, gain),
            Convolution::Separable { .. } => {
                let groups = b.shape(x)[1];
                let each = ConvShape { kernel: 3, stride: 1, padding: 1, groups, bias: false };
                let x = b.conv(&format!("{leaf}_each"), x, groups, each, 1.4);
                let all = ConvShape { kernel: 1, stride: 1, padding: 0, groups: 1, bias: false };
                b.conv(&format!("{leaf}_all"), x, out, all, 1.4 * gain)
            }
        }
    }

    /// x + Linear(blocks(Linear(GN x))), over the pixels as tokens.
    fn stack(&self, b: &mut GraphBuilder, x: ValueId, blocks: usize, level: usize) -> ValueId {
        let d = self.d;
        let &[batch, width, rows, cols] = b.shape(x) else { return x };
        if blocks == 0 {
            return x;
        }
        b.scope("stack", |b| {
            let h = b.group_norm("norm", x, d.groups, d.stack_eps);
            let h = b.transpose("channels_last", h, &[0, 2, 3, 1]);
            let h = b.reshape("tokens", h, &[batch, rows * cols, width]);
            let mut h = b.linear("project_in", h, width);
            for i in 0..blocks {
                h = b.scope(i.to_string(), |b| self.block(b, h, level, (rows, cols)));
            }
            let h = b.linear_as("project_out", h, width, WeightRole::Linear, BRANCH);
            let h = b.reshape("pixels", h, &[batch, rows, cols, width]);
            let h = b.transpose("channels_first", h, &[0, 3, 1, 2]);
            b.node("add", Op::Add, &[x, h])
        })
    }

    /// With self-attention: x += SA(LN x), x += CA(LN x, text), x += FFN(LN x). Without: x = LN x in its place, as DreamLite's code has it.
    fn block(&self, b: &mut GraphBuilder, x: ValueId, level: usize, grid: (usize, usize)) -> ValueId {
        let d = self.d;
        let x = b.scope("attn", |b| {
            let h = b.affine_norm("norm", x, d.eps);
            if level < d.self_attention_from {
                return h;
            }
            let y = self.attention(b, h, h, d.rope.then_some(grid));
            b.node("add", Op::Add, &[x, y])
        });
        let x = b.scope("cross", |b| {
            let h = b.affine_norm("norm", x, d.eps);
            let y = self.attention(b, h, self.text, None);
            b.node("add", Op::Add, &[x, y])
        });
        b.scope("ffn", |b| {
            let width = b.shape(x)[2];
            let inside = d.ffn_ratio * width;
            let h = b.affine_norm("norm", x, d.eps);
            let h = b.linear("up", h, 2 * inside);
            let value = b.slice("value", h, 2, 0, inside);
            let gate = b.slice("gate", h, 2, inside, 2 * inside);
            let gate = b.activation("gelu", gate, Activation::GeluErf);
            let h = b.node("gated", Op::Mul, &[value, gate]);
            let h = b.linear_as("down", h, width, WeightRole::Linear, BRANCH);
            b.node("add", Op::Add, &[x, h])
        })
    }

    fn attention(&self, b: &mut GraphBuilder, x: ValueId, from: ValueId, grid: Option<(usize, usize)>) -> ValueId {
        let d = self.d;
        let &[batch, _, width] = b.shape(x) else { return x };
        let heads = width / d.head_dim;
        let shared = if d.multi_query { 1 } else { heads };
        let [q, k, v] = [("q", x, heads), ("k", from, shared), ("v", from, shared)].map(|(name, x, heads)| {
            let tokens = b.shape(x)[1];
            let y = b.linear_plain(name, x, heads * d.head_dim);
            let y = b.reshape(&format!("{name}_heads"), y, &[batch, tokens, heads, d.head_dim]);
            if name == "v" {
                return y;
            }
            let y = if d.qk_norm { b.rms_norm(&format!("{name}_norm"), y, d.eps) } else { y };
            match grid {
                Some((rows, cols)) => {
                    b.node(&format!("{name}_rope"), Op::Rope { rows, cols, theta: d.rope_theta }, &[y])
                }
                None => y,
            }
        });
        let y = b.attention("attend", q, k, v, AttentionPattern::Full);
        let tokens = b.shape(x)[1];
        let y = b.reshape("join_heads", y, &[batch, tokens, width]);
        b.linear_as("out", y, width, WeightRole::Linear, BRANCH)
    }
}
