//! EfficientNet-Lite0 as a graph: image `[1, 3, 224, 224]` → 1280 pooled features and the scores of 1000 ImageNet classes.
//!
//! After the TensorFlow release, as `efficientnet_lite_pytorch` 0.1.0 writes it: batch norms are folded into the
//! convolutions when the weights are read ([`super::weights`]).

use ditbench_graph::{Activation, DType, Graph, GraphBuilder, GraphError, Init, Op, ValueId, WeightRole};

use super::{CLASSES, FEATURES, SIDE};

/// Channels after the stem.
const STEM: usize = 32;

/// A row of inverted residual blocks. The first one changes channels and size, the others are residual.
pub(super) struct Stage {
    /// Blocks.
    pub repeat: usize,
    /// Side of the depthwise window.
    pub kernel: usize,
    /// Step of the first block's.
    pub stride: usize,
    /// Channels inside a block, as a multiple of those that it is fed.
    pub expand: usize,
    /// Channels that a block gives.
    pub channels: usize,
}

/// Lite0's stages.
pub(super) const STAGES: [Stage; 7] = [
    Stage { repeat: 1, kernel: 3, stride: 1, expand: 1, channels: 16 },
    Stage { repeat: 2, kernel: 3, stride: 2, expand: 6, channels: 24 },
    Stage { repeat: 2, kernel: 5, stride: 2, expand: 6, channels: 40 },
    Stage { repeat: 3, kernel: 3, stride: 2, expand: 6, channels: 80 },
    Stage { repeat: 3, kernel: 5, stride: 1, expand: 6, channels: 112 },
    Stage { repeat: 4, kernel: 5, stride: 2, expand: 6, channels: 192 },
    Stage { repeat: 1, kernel: 3, stride: 1, expand: 6, channels: 320 },
];

/// The graph. Input `image` as [`super::picture::to_input`] makes it; outputs `features` `[1, 1280]`, `classes` `[1, 1000]`.
///
/// # Errors
/// A fault of this file.
pub fn graph() -> Result<Graph, GraphError> {
    let mut b = GraphBuilder::new("judge");
    let image = b.input("image", &[1, 3, SIDE, SIDE], DType::F32);
    let mut x = conv(&mut b, "stem", image, Window { channels: STEM, kernel: 3, stride: 2, depthwise: false });
    x = b.activation("stem_relu6", x, Activation::Relu6);
    let mut number = 0;
    for stage in &STAGES {
        for repeat in 0..stage.repeat {
            let stride = if repeat == 0 { stage.stride } else { 1 };
            x = b.scope(format!("blocks.{number}"), |b| block(b, x, stage, stride));
            number += 1;
        }
    }
    x = pointwise(&mut b, "head", x, FEATURES);
    x = b.activation("head_relu6", x, Activation::Relu6);
    let (side, pixels) = (b.shape(x)[2], b.shape(x)[2] * b.shape(x)[3]);
    // The mean over the pixels: a linear layer along them whose weights are all 1/pixels.
    let pool = b.weight(
        "pool",
        &[1, side * side],
        Init::NormalAround { mean: 1.0 / pixels as f32, std: 0.0 },
        WeightRole::Small,
    );
    x = b.reshape("pixels", x, &[1, FEATURES, pixels]);
    x = b.node("mean", Op::Linear { weight: pool, bias: None }, &[x]);
    x = b.reshape("features", x, &[1, FEATURES]);
    b.output("features", x);
    let classes = b.linear_as("classes", x, CLASSES, WeightRole::SensitiveLinear, 1.0);
    b.output("classes", classes);
    b.finish()
}

/// Wider by a 1×1 convolution, a depthwise one, narrower by a 1×1; added to its input where size and channels stay.
fn block(b: &mut GraphBuilder, x: ValueId, stage: &Stage, stride: usize) -> ValueId {
    let channels = b.shape(x)[1];
    let inside = channels * stage.expand;
    let mut y = x;
    if stage.expand > 1 {
        y = pointwise(b, "expand", y, inside);
        y = b.activation("expand_relu6", y, Activation::Relu6);
    }
    y = conv(b, "depthwise", y, Window { channels: inside, kernel: stage.kernel, stride, depthwise: true });
    y = b.activation("depthwise_relu6", y, Activation::Relu6);
    y = pointwise(b, "project", y, stage.channels);
    if stride == 1 && channels == stage.channels { b.node("add", Op::Add, &[x, y]) } else { y }
}

fn pointwise(b: &mut GraphBuilder, leaf: &str, x: ValueId, channels: usize) -> ValueId {
    conv(b, leaf, x, Window { channels, kernel: 1, stride: 1, depthwise: false })
}

struct Window {
    channels: usize,
    kernel: usize,
    stride: usize,
    depthwise: bool,
}

/// A convolution with TensorFlow's "same" padding. With stride 2 on an even size that is one row and column more at the end
/// than at the beginning; our convolution pads all sides alike, so the window gets one row and column of zeros in front
/// (see [`stored_kernel`]), which comes to the same.
fn conv(b: &mut GraphBuilder, leaf: &str, x: ValueId, window: Window) -> ValueId {
    let Window { channels, kernel, stride, depthwise } = window;
    let inputs = b.shape(x)[1];
    let groups = if depthwise { inputs } else { 1 };
    let side = stored_kernel(kernel, stride);
    let fan_in = (inputs / groups * kernel * kernel) as f32;
    let (weight, bias) = b.scope(leaf, |b| {
        let shape = [channels, inputs / groups, side, side];
        let weight = b.weight("weight", &shape, Init::Normal((2.0 / fan_in).sqrt()), WeightRole::Conv);
        (weight, b.weight("bias", &[channels], Init::Normal(0.02), WeightRole::Small))
    });
    b.node(leaf, Op::Conv2d { weight, bias: Some(bias), stride, padding: kernel / 2, groups }, &[x])
}

/// Rows of a window as the graph wants it: one of zeros in front where the stride is 2.
pub(super) fn stored_kernel(kernel: usize, stride: usize) -> usize {
    if stride == 2 { kernel + 1 } else { kernel }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ditbench_graph::cost;

    #[test]
    fn it_has_the_published_size() {
        let graph = graph().unwrap();
        let shapes: Vec<&[usize]> = graph.outputs.iter().map(|port| graph.shape(port.value)).collect();
        assert_eq!(shapes, [&[1, FEATURES][..], &[1, CLASSES]]);
        // 4.65 M parameters and 407 M multiply-adds are published; rows of zeros and the mean add a little to ours.
        let (parameters, macs) = (graph.parameters() as f64, cost::total(&graph).macs as f64);
        assert!((parameters / 4.65e6 - 1.0).abs() < 0.01, "{parameters}");
        assert!((macs / 407e6 - 1.0).abs() < 0.06, "{macs}");
    }
}
