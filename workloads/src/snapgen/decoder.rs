//! SnapGen's kind of decoder: latent `[1, C, h, w]` → image `[1, 3, s·h, s·w]`, by depthwise and pointwise convolutions without attention.

use ditbench_graph::{Activation, ConvShape, DType, Graph, GraphBuilder, GraphError, Op, ValueId};

/// Builds the decoder of latents of this shape.
pub(super) fn build(channels: &[usize], blocks: &[usize], latent: &[usize]) -> Result<Graph, GraphError> {
    let mut b = GraphBuilder::new("decoder");
    let latent = b.input("latent", latent, DType::F32);
    let image = b.scope("decoder", |b| {
        let mut x = b.conv3x3("in", latent, channels.first().copied().unwrap_or(1), 0.7);
        for (level, (&width, &blocks)) in channels.iter().zip(blocks).enumerate() {
            x = b.scope(level.to_string(), |b| {
                if level > 0 {
                    x = b.node("upsample", Op::Upsample2x, &[x]);
                    x = separable(b, "change", x, width, 1.0);
                }
                (0..blocks).fold(x, |x, block| b.scope(block.to_string(), |b| residual(b, x, level == 0)))
            });
        }
        b.conv3x3("out", x, 3, 0.3)
    });
    b.output("image", image);
    b.finish()
}

/// x + sep(SiLU(sep(SiLU x))), x normed in groups first at the latent's resolution.
fn residual(b: &mut GraphBuilder, x: ValueId, normed: bool) -> ValueId {
    let channels = b.shape(x)[1];
    let h = if normed { b.group_norm("norm", x, 32, 1e-5) } else { x };
    let h = b.activation("silu0", h, Activation::Silu);
    let h = separable(b, "conv0", h, channels, 1.4);
    let h = b.activation("silu1", h, Activation::Silu);
    let h = separable(b, "conv1", h, channels, 0.3);
    b.node("add", Op::Add, &[x, h])
}

fn separable(b: &mut GraphBuilder, leaf: &str, x: ValueId, out: usize, gain: f32) -> ValueId {
    let groups = b.shape(x)[1];
    let each = ConvShape { kernel: 3, stride: 1, padding: 1, groups, bias: true };
    let x = b.conv(&format!("{leaf}_each"), x, groups, each, 1.0);
    let all = ConvShape { kernel: 1, stride: 1, padding: 0, groups: 1, bias: true };
    b.conv(&format!("{leaf}_all"), x, out, all, gain)
}
