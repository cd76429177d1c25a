//! Components of SnapGen at a small size.

use ditbench_workloads::ImageSize;
use ditbench_workloads::snapgen::{Convolution, DecoderConfig, ModelConfig, decoder, denoiser};

use super::Cases;
use super::cut::cut;

/// The smallest model that has everything: three levels of 32, 32 and 64 channels, the deepest a grid of 3 rows and 2 columns.
fn small() -> ModelConfig {
    let size = ImageSize { height: 96, width: 64 };
    let mut config = ModelConfig::of("snapgen-nano", size).expect("snapgen-nano is a model of SnapGen's");
    config.latent_channels = 4;
    config.decoder = DecoderConfig::Separable { channels: vec![32, 16, 8, 8], blocks: vec![1, 1, 1, 1] };
    let d = &mut config.denoiser;
    d.channels = vec![32, 32, 64];
    (d.down_blocks, d.middle_blocks, d.up_blocks) = (vec![1, 0, 1], 1, vec![1, 1, 0]);
    (d.groups, d.head_dim, d.time_features, d.time_width) = (8, 16, 32, 64);
    (d.text.tokens, d.text.width, d.context) = (5, 32, 64);
    config
}

pub(super) fn add(all: &mut Cases) {
    let whole = |change: fn(&mut ModelConfig)| {
        let mut config = small();
        change(&mut config);
        denoiser(&config).unwrap_or_else(|error| panic!("a small model: {error}"))
    };
    let plain = whole(|_| {});
    for (name, prefix) in [
        ("text_in", "text_in."),
        ("time", "time."),
        ("residual", "down.2.0.res."),
        ("stack.cross_alone", "down.0.0.stack."),
        ("stack.self_attention", "down.2.0.stack."),
        ("halve", "down.0.halve"),
        ("up", "up.1.0."),
        ("double", "up.0.double"),
        ("out", "out."),
    ] {
        all.push(&format!("snapgen.{name}"), cut(&plain, &[prefix]));
    }
    all.push("snapgen.denoiser", plain);
    let dense = whole(|c| {
        c.denoiser.convolution = Convolution::Dense;
        (c.denoiser.multi_query, c.denoiser.qk_norm, c.denoiser.rope) = (false, false, false);
    });
    all.push("snapgen.residual.dense", cut(&dense, &["down.2.0.res."]));
    all.push("snapgen.stack.many_heads", cut(&dense, &["down.2.0.stack."]));
    let sized = whole(|c| c.denoiser.size_features = Some(32));
    all.push("snapgen.time.size", cut(&sized, &["time."]));
    let decoder = decoder(&small()).unwrap_or_else(|error| panic!("a small decoder: {error}"));
    all.push("snapgen.decoder", decoder);
}
