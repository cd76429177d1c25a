//! Components of a cascade at a small size.

use ditbench_workloads::ImageSize;
use ditbench_workloads::cascaded::{Heads, ModelConfig, Resampling, denoiser};

use super::Cases;
use super::cut::cut;

/// The smallest cascade that has everything: 4 × 6 pixels, then 8 × 12, in two levels of 32 channels, levels joined in this way.
fn small(resampling: Resampling) -> ModelConfig {
    let size = ImageSize { height: 8, width: 12 };
    let mut config = ModelConfig::of("cdm-nano", size).expect("cdm-nano is a cascade");
    for stage in &mut config.stages {
        stage.unet.multipliers = vec![1, 1];
        (stage.unet.groups, stage.unet.resampling) = (8, resampling);
    }
    config
}

pub(super) fn add(all: &mut Cases) {
    let whole = |config: &ModelConfig, stage| {
        denoiser(config, stage).unwrap_or_else(|error| panic!("a small cascade: {error}"))
    };
    let convolution = small(Resampling::Convolution);
    let first = whole(&convolution, 0);
    for (name, prefix) in [("halve.convolution", "down.0.halve"), ("double.convolution", "up.0.double")] {
        all.push(&format!("cascaded.{name}"), cut(&first, &[prefix]));
    }
    all.push("cascaded.denoiser.first", first);
    let mut residual = small(Resampling::Residual);
    residual.stages[1].unet.heads = Heads::Width(16);
    let second = whole(&residual, 1);
    for (name, prefix) in [
        ("embedding", "embedding."),
        ("in", "in."),
        ("residual", "down.1.0.res."),
        ("attention", "down.1.0.attn."),
        ("halve.residual", "down.0.halve."),
        ("double.residual", "up.0.double."),
        ("up", "up.0.0."),
        ("out", "out."),
    ] {
        all.push(&format!("cascaded.{name}"), cut(&second, &[prefix]));
    }
    all.push("cascaded.denoiser.second", second);
    let mut plain = convolution;
    plain.stages[1].unet.variance = false;
    all.push("cascaded.out.noise_alone", cut(&whole(&plain, 1), &["out."]));
}
