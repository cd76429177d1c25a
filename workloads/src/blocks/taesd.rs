//! The tiny decoder: latent `[1, C, h, w]` → image `[1, 3, s·h, s·w]` in 0..1, after TAESD (convolutions, ReLU,
//! residual blocks, nearest-neighbour upsampling). With 64 channels and blocks 3, 3, 3, 1 it has 1.23 M parameters.

use ditbench_graph::{Activation, DType, Graph, GraphBuilder, GraphError, Op, ValueId};
use serde::{Deserialize, Serialize};

/// The tiny decoder's size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecoderConfig {
    /// Channels of every convolution.
    pub channels: usize,
    /// Residual blocks at each resolution, the latent's first; between two of them an upsampling by 2.
    pub blocks: Vec<usize>,
}

impl DecoderConfig {
    /// Image pixels per latent pixel along a side.
    pub(crate) fn upscale(&self) -> usize {
        1 << self.blocks.len().saturating_sub(1)
    }
}

/// Builds the decoder of latents of this shape.
pub(crate) fn build(config: &DecoderConfig, latent: &[usize]) -> Result<Graph, GraphError> {
    let channels = config.channels;
    let mut b = GraphBuilder::new("decoder");
    let latent = b.input("latent", latent, DType::F32);
    let image = b.scope("decoder", |b| {
        // TAESD bounds the latent softly: 3·tanh(x/3).
        let x = b.node("shrink", Op::Scale { factor: 1.0 / 3.0 }, &[latent]);
        let x = b.activation("bound", x, Activation::Tanh);
        let x = b.node("grow", Op::Scale { factor: 3.0 }, &[x]);
        let x = b.conv3x3("in", x, channels, 1.0);
        let mut x = b.activation("in_relu", x, Activation::Relu);
        for (level, &blocks) in config.blocks.iter().enumerate() {
            x = b.scope(level.to_string(), |b| {
                if level > 0 {
                    x = b.node("upsample", Op::Upsample2x, &[x]);
                    x = b.conv3x3("conv", x, channels, 1.0);
                }
                (0..blocks).fold(x, |x, block| b.scope(block.to_string(), |b| residual(b, x)))
            });
        }
        b.conv3x3("out", x, 3, 0.3)
    });
    b.output("image", image);
    b.finish()
}

/// x → relu(x + conv(relu(conv(relu(conv x))))).
fn residual(b: &mut GraphBuilder, x: ValueId) -> ValueId {
    let channels = b.shape(x)[1];
    let mut y = x;
    for i in 0..3 {
        // A small last convolution keeps a deep stack of residuals bounded under random weights.
        y = b.conv3x3(&format!("conv{i}"), y, channels, if i < 2 { 1.0 } else { 0.3 });
        if i < 2 {
            y = b.activation(&format!("relu{i}"), y, Activation::Relu);
        }
    }
    let y = b.node("add", Op::Add, &[x, y]);
    b.activation("relu", y, Activation::Relu)
}
