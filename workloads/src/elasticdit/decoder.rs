//! The decoder: latent `[1, C, h, w]` → image `[1, 3, s·h, s·w]`. Residual blocks make the bands of a wavelet at half the image's size; one
//! Haar synthesis, which has no weights to be trained, makes the pixels.

use ditbench_graph::{Activation, ConvShape, DType, Graph, GraphBuilder, GraphError, Init, Op, ValueId, WeightRole};

use super::config::DecoderConfig;

/// Builds the decoder of latents of this shape.
pub(super) fn build(config: &DecoderConfig, latent: &[usize]) -> Result<Graph, GraphError> {
    let mut b = GraphBuilder::new("decoder");
    let latent = b.input("latent", latent, DType::F32);
    let image = b.scope("decoder", |b| {
        let first = config.channels.first().copied().unwrap_or(1);
        let x = b.conv3x3("in", latent, first, 0.7);
        let mut x = b.scope("first", |b| residual(b, config, x, first));
        for (level, (&width, &blocks)) in config.channels.iter().zip(&config.blocks).enumerate() {
            x = b.scope(level.to_string(), |b| {
                if level > 0 {
                    let channels = b.shape(x)[1];
                    x = b.node("upsample", Op::Upsample2x, &[x]);
                    x = b.conv3x3("conv", x, channels, 0.7);
                }
                (0..blocks).fold(x, |x, block| b.scope(block.to_string(), |b| residual(b, config, x, width)))
            });
        }
        let h = b.group_norm("norm", x, config.groups, config.eps);
        let h = b.activation("silu", h, Activation::Silu);
        let bands = b.conv3x3("bands", h, 12, 0.3);
        haar(b, bands)
    });
    b.output("image", image);
    b.finish()
}

/// x + conv(SiLU(GN(conv(SiLU(GN x))))), x by a 1×1 convolution where the channels change.
fn residual(b: &mut GraphBuilder, config: &DecoderConfig, x: ValueId, out: usize) -> ValueId {
    let h = b.group_norm("norm0", x, config.groups, config.eps);
    let h = b.activation("silu0", h, Activation::Silu);
    let h = b.conv3x3("conv0", h, out, 1.0);
    let h = b.group_norm("norm1", h, config.groups, config.eps);
    let h = b.activation("silu1", h, Activation::Silu);
    let h = b.conv3x3("conv1", h, out, 0.3);
    let x = if b.shape(x)[1] == out {
        x
    } else {
        let shape = ConvShape { kernel: 1, stride: 1, padding: 0, groups: 1, bias: true };
        b.conv("shortcut", x, out, shape, 1.0)
    };
    b.node("add", Op::Add, &[x, h])
}

/// Bands LL, LH, HL, HH of three colours `[1, 12, h, w]` → pixels `[1, 3, 2h, 2w]`.
fn haar(b: &mut GraphBuilder, bands: ValueId) -> ValueId {
    let &[batch, _, h, w] = b.shape(bands) else { return bands };
    b.scope("haar", |b| {
        // Nothing that is trained, so nothing that a scheme may round.
        let weight = b.weight("weight", &[12, 12, 1, 1], Init::Haar, WeightRole::Small);
        let op = Op::Conv2d { weight, bias: None, stride: 1, padding: 0, groups: 1 };
        let x = b.node("squares", op, &[bands]);
        let x = b.reshape("pixels", x, &[3 * batch, 2, 2, h, w]);
        let x = b.transpose("interleave", x, &[0, 3, 1, 4, 2]);
        b.reshape("image", x, &[batch, 3, 2 * h, 2 * w])
    })
}
