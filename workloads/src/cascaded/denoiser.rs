//! A denoiser of a cascade: a U-Net of residual blocks and self-attention over pixels, after ADM and CDM.
//!
//! Inputs: `image [1, 3, h, w]` with noise; `smaller [1, 3, h, w]`, the image that a later stage enlarges, already of this size;
//! `time_features [1, F]`; `class [1, 1]`; `level_features [1, F]` of the noise on the smaller image, where the net reads it. Output:
//! `prediction [1, 3, h, w]`, the noise. Time, class and level scale and shift every residual block's second norm. The last layer of each
//! branch is small, so that activations stay bounded under seeded weights.

use ditbench_graph::{
    Activation, AttentionPattern, ConvShape, DType, Graph, GraphBuilder, GraphError, Init, Op, ValueId, WeightRole,
};

use super::config::{Heads, Resampling, UnetConfig};

/// Gain of the last layer of a branch.
const BRANCH: f32 = 0.3;
/// Colours of an image.
const COLOURS: usize = 3;

/// What a net reads besides the noisy image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reads {
    /// A smaller image.
    pub(super) smaller: bool,
    /// The level of the noise on it.
    pub(super) level: bool,
}

/// How a residual block changes the size.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Resize {
    No,
    Halve,
    Double,
}

/// What all blocks share.
struct Net<'a> {
    unet: &'a UnetConfig,
    /// SiLU of time, class and level together, `[1, 4·F]`.
    embedding: ValueId,
    /// `[1]`: a scale of 0 is to leave things as they are.
    one: ValueId,
}

/// Builds the denoiser of images of this many rows and columns.
pub(super) fn build(unet: &UnetConfig, name: &str, [h, w]: [usize; 2], reads: Reads) -> Result<Graph, GraphError> {
    let mut b = GraphBuilder::new(name);
    let image = b.input("image", &[1, COLOURS, h, w], DType::F32);
    let smaller = reads.smaller.then(|| b.input("smaller", &[1, COLOURS, h, w], DType::F32));
    let time = b.input("time_features", &[1, unet.channels], DType::F32);
    let class = b.input("class", &[1, 1], DType::I64);
    let level = reads.level.then(|| b.input("level_features", &[1, unet.channels], DType::F32));
    let embedding = embedding(&mut b, unet, time, class, level);
    let one = b.scope("scale", |b| {
        let weight = b.weight("one", &[1], Init::Ones, WeightRole::Small);
        b.node("one", Op::Parameter { weight }, &[])
    });
    let net = Net { unet, embedding, one };
    let x = b.scope("in", |b| {
        let x = smaller.map_or(image, |smaller| b.node("join", Op::Concat { axis: 1 }, &[image, smaller]));
        b.conv3x3("conv", x, unet.channels, 0.7)
    });
    let x = net.down_and_up(&mut b, x);
    let prediction = b.scope("out", |b| {
        let h = b.group_norm("norm", x, unet.groups, unet.eps);
        let h = b.activation("silu", h, Activation::Silu);
        if unet.variance {
            let both = b.conv3x3("conv", h, 2 * COLOURS, BRANCH);
            b.slice("noise", both, 1, 0, COLOURS)
        } else {
            b.conv3x3("conv", h, COLOURS, BRANCH)
        }
    });
    b.output("prediction", prediction);
    b.finish()
}

fn embedding(
    b: &mut GraphBuilder,
    unet: &UnetConfig,
    time: ValueId,
    class: ValueId,
    level: Option<ValueId>,
) -> ValueId {
    let width = 4 * unet.channels;
    b.scope("embedding", |b| {
        let of = |b: &mut GraphBuilder, name: &str, x: ValueId| {
            let x = b.linear_as(&format!("{name}_up"), x, width, WeightRole::SensitiveLinear, 1.0);
            let x = b.activation(&format!("{name}_silu"), x, Activation::Silu);
            b.linear_as(&format!("{name}_down"), x, width, WeightRole::SensitiveLinear, 1.0)
        };
        let mut sum = of(b, "time", time);
        if let Some(level) = level {
            let level = of(b, "level", level);
            sum = b.node("add_level", Op::Add, &[sum, level]);
        }
        let table = b.weight("class_embedding", &[unet.classes, width], Init::Normal(0.5), WeightRole::Embedding);
        let row = b.node("class_row", Op::Embedding { weight: table }, &[class]);
        let row = b.reshape("class", row, &[1, width]);
        let sum = b.node("add_class", Op::Add, &[sum, row]);
        b.activation("silu", sum, Activation::Silu)
    })
}

impl Net<'_> {
    fn down_and_up(&self, b: &mut GraphBuilder, x: ValueId) -> ValueId {
        let unet = self.unet;
        let levels = unet.multipliers.len();
        let mut x = x;
        let mut skips = vec![x];
        for (level, &multiplier) in unet.multipliers.iter().enumerate() {
            let channels = multiplier * unet.channels;
            for i in 0..unet.residuals {
                x = b.scope(format!("down.{level}.{i}"), |b| self.block(b, x, channels, level));
                skips.push(x);
            }
            if level + 1 < levels {
                x = b.scope(format!("down.{level}"), |b| match unet.resampling {
                    Resampling::Residual => self.residual(b, "halve", x, channels, Resize::Halve),
                    Resampling::Convolution => {
                        let half = ConvShape { kernel: 3, stride: 2, padding: 1, groups: 1, bias: true };
                        b.conv("halve", x, channels, half, 1.0)
                    }
                });
                skips.push(x);
            }
        }
        x = b.scope("middle", |b| {
            let channels = b.shape(x)[1];
            let x = self.residual(b, "res0", x, channels, Resize::No);
            let x = self.attention(b, x);
            self.residual(b, "res1", x, channels, Resize::No)
        });
        for (step, (level, &multiplier)) in unet.multipliers.iter().enumerate().rev().enumerate() {
            let channels = multiplier * unet.channels;
            for i in 0..=unet.residuals {
                let Some(skip) = skips.pop() else { return x };
                x = b.scope(format!("up.{step}.{i}"), |b| {
                    let both = b.node("skip", Op::Concat { axis: 1 }, &[x, skip]);
                    self.block(b, both, channels, level)
                });
            }
            if level > 0 {
                x = b.scope(format!("up.{step}"), |b| match unet.resampling {
                    Resampling::Residual => self.residual(b, "double", x, channels, Resize::Double),
                    Resampling::Convolution => {
                        let x = b.node("double", Op::Upsample2x, &[x]);
                        b.conv3x3("double_conv", x, channels, 0.7)
                    }
                });
            }
        }
        x
    }

    fn block(&self, b: &mut GraphBuilder, x: ValueId, channels: usize, level: usize) -> ValueId {
        let x = self.residual(b, "res", x, channels, Resize::No);
        if self.unet.attention.contains(&level) { self.attention(b, x) } else { x }
    }

    /// x + conv(SiLU(GN(conv(SiLU(GN x)))·(1 + scale) + shift)), x by a 1×1 convolution where the channels change, both of another size where
    /// that is asked for.
    fn residual(&self, b: &mut GraphBuilder, leaf: &str, x: ValueId, out: usize, resize: Resize) -> ValueId {
        let unet = self.unet;
        b.scope(leaf, |b| {
            let h = b.group_norm("norm0", x, unet.groups, unet.eps);
            let h = b.activation("silu0", h, Activation::Silu);
            let (h, x) = match resize {
                Resize::No => (h, x),
                Resize::Halve => (b.node("pool", Op::AveragePool2x, &[h]), b.node("pool_x", Op::AveragePool2x, &[x])),
                Resize::Double => (b.node("repeat", Op::Upsample2x, &[h]), b.node("repeat_x", Op::Upsample2x, &[x])),
            };
            let h = b.conv3x3("conv0", h, out, 1.0);
            let rows = b.linear_as("embed", self.embedding, 2 * out, WeightRole::Linear, 0.5);
            let rows = b.reshape("embed_channels", rows, &[1, 2 * out, 1, 1]);
            let scale = b.slice("scale", rows, 1, 0, out);
            let shift = b.slice("shift", rows, 1, out, 2 * out);
            let scale = b.node("one_plus", Op::Add, &[scale, self.one]);
            let h = b.group_norm("norm1", h, unet.groups, unet.eps);
            let h = b.node("scaled", Op::Mul, &[h, scale]);
            let h = b.node("shifted", Op::Add, &[h, shift]);
            let h = b.activation("silu1", h, Activation::Silu);
            let h = b.conv3x3("conv1", h, out, BRANCH);
            let x = if b.shape(x)[1] == out {
                x
            } else {
                let shape = ConvShape { kernel: 1, stride: 1, padding: 0, groups: 1, bias: true };
                b.conv("shortcut", x, out, shape, 1.0)
            };
            b.node("add", Op::Add, &[x, h])
        })
    }

    /// x + SA(GN x), over the pixels as tokens.
    fn attention(&self, b: &mut GraphBuilder, x: ValueId) -> ValueId {
        let &[batch, width, rows, cols] = b.shape(x) else { return x };
        let heads = match self.unet.heads {
            Heads::Count(heads) => heads,
            Heads::Width(each) => width / each,
        };
        b.scope("attn", |b| {
            let h = b.group_norm("norm", x, self.unet.groups, self.unet.eps);
            let h = b.transpose("channels_last", h, &[0, 2, 3, 1]);
            let h = b.reshape("tokens", h, &[batch, rows * cols, width]);
            let [q, k, v] = ["q", "k", "v"].map(|name| {
                let y = b.linear(name, h, width);
                b.reshape(&format!("{name}_heads"), y, &[batch, rows * cols, heads, width / heads])
            });
            let y = b.attention("attend", q, k, v, AttentionPattern::Full);
            let y = b.reshape("join_heads", y, &[batch, rows * cols, width]);
            let y = b.linear_as("out", y, width, WeightRole::Linear, BRANCH);
            let y = b.reshape("pixels", y, &[batch, rows, cols, width]);
            let y = b.transpose("channels_first", y, &[0, 3, 1, 2]);
            b.node("add", Op::Add, &[x, y])
        })
    }
}
