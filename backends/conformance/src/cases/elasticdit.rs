//! Components of the net after ElasticDiT at a small size.

use ditbench_workloads::ImageSize;
use ditbench_workloads::elasticdit::{ModelConfig, decoder, denoiser};

use super::Cases;
use super::cut::cut;

/// The smallest model that has everything: 4 heads, a grid of 4 rows and 6 columns in 4 blocks, widths of quantized linears multiples of 32.
fn small(model: &str) -> ModelConfig {
    let size = ImageSize { height: 64, width: 96 };
    let mut config = ModelConfig::of(model, size).expect("elastic-nano and its part are models of ElasticDiT's");
    config.decoder.channels = vec![16, 8, 8];
    config.decoder.groups = 4;
    let d = &mut config.denoiser;
    (d.text.tokens, d.text.width, d.context) = (5, 32, 64);
    if d.patch == 4 {
        d.sparse.blocks = 3;
    }
    config
}

pub(super) fn add(all: &mut Cases) {
    let whole = |config: &ModelConfig| denoiser(config).unwrap_or_else(|error| panic!("a small model: {error}"));
    let plain = whole(&small("elastic-nano"));
    for (name, prefix) in
        [("patch.two", "patch."), ("block.alone", "blocks.0."), ("block.shifted", "blocks.1."), ("final.two", "final.")]
    {
        all.push(&format!("elasticdit.{name}"), cut(&plain, &[prefix]));
    }
    all.push("elasticdit.denoiser", plain);
    let part = whole(&small("elastic-nano-lite-half"));
    for (name, prefix) in [("patch.four", "patch."), ("block.shifted_by_one", "blocks.2."), ("final.four", "final.")] {
        all.push(&format!("elasticdit.{name}"), cut(&part, &[prefix]));
    }
    all.push("elasticdit.denoiser.part", part);
    let mut config = small("elastic-nano");
    config.image = ImageSize { height: 32, width: 64 };
    let decoder = decoder(&config).unwrap_or_else(|error| panic!("a small decoder: {error}"));
    all.push("elasticdit.haar", cut(&decoder, &["decoder.haar."]));
    all.push("elasticdit.decoder", decoder);
}
