//! Components of EdgeDiT at a small size.

use ditbench_workloads::ImageSize;
use ditbench_workloads::edgedit::{ModelConfig, decoder, denoiser};

use super::Cases;
use super::cut::cut;

/// The smallest model that has everything: 2 heads, a grid of 4 rows and 3 columns, widths of quantized linears multiples of 32.
fn small(attention_width: usize, mlp_ratio: usize, batch: usize) -> ModelConfig {
    let size = ImageSize { height: 64, width: 48 };
    let mut config = ModelConfig::of("edgedit-nano", size).expect("edgedit-nano is a model of EdgeDiT's");
    config.decoder.channels = 8;
    config.decoder.blocks = vec![1, 1, 1, 1];
    let d = &mut config.denoiser;
    (d.width, d.blocks, d.heads, d.attention_width) = (64, 2, 2, attention_width);
    (d.mlp_ratio, d.time_features, d.batch) = (mlp_ratio, 32, batch);
    config
}

pub(super) fn add(all: &mut Cases) {
    let whole = |config: &ModelConfig| denoiser(config).unwrap_or_else(|error| panic!("a small model: {error}"));
    for (batch, config) in [("batch_1", small(64, 4, 1)), ("batch_2", small(64, 4, 2))] {
        let denoiser = whole(&config);
        for (name, prefixes) in
            [("patch", ["patch."]), ("condition", ["condition."]), ("block", ["blocks.1."]), ("final", ["final."])]
        {
            all.push(&format!("edgedit.{name}.{batch}"), cut(&denoiser, &prefixes));
        }
        all.push(&format!("edgedit.denoiser.{batch}"), denoiser);
    }
    all.push("edgedit.block.narrow_mlp", cut(&whole(&small(64, 2, 2)), &["blocks.1."]));
    all.push("edgedit.block.narrow_attention", cut(&whole(&small(32, 4, 2)), &["blocks.1."]));
    // Heads of the true width, 72: no power of two.
    all.push("edgedit.block.odd_heads", cut(&whole(&small(144, 4, 1)), &["blocks.1."]));
    let decoder = decoder(&small(64, 4, 1)).unwrap_or_else(|error| panic!("a small decoder: {error}"));
    all.push("edgedit.decoder", decoder);
}
