//! Components of SnapGen++ at a small size: blocks, resamplers and ends, cut out of whole models, and whole models.

use ditbench_workloads::snapgenpp::{
    Architecture, Compression, ImageSize, Layout, Model, ModelConfig, OuterAttention, TextSource, Variant,
};

use super::Cases;
use super::cut::cut;

/// The smallest model that has everything: 4 query heads on 2 key/value heads, a grid of 8 rows and 6 columns in 4
/// blocks, batch 1, all widths of quantized linears multiples of 32.
fn small() -> ModelConfig {
    let mut config = Variant::Nano.config(ImageSize { height: 64, width: 48 });
    config.latent_channels = 4;
    config.text_encoder.vocabulary = 41;
    config.text_encoder.layers = 1;
    config.text_encoder.heads = 2;
    config.decoder.channels = 8;
    config.decoder.blocks = vec![1, 1, 1, 1];
    let d = &mut config.denoiser;
    (d.width, d.head_dim, d.kv_heads, d.cross_kv_heads) = (64, 16, 2, 1);
    d.layout = Layout { down: 1, middle: 3, up: 1 };
    d.time_features = 32;
    d.text.clip = TextSource { tokens: 7, width: 32 };
    d.text.width = 96;
    config
}

fn changed(change: impl FnOnce(&mut ModelConfig)) -> ModelConfig {
    let mut config = small();
    change(&mut config);
    config
}

fn model(config: &ModelConfig) -> Model {
    Model::build(config).unwrap_or_else(|error| panic!("a small model: {error}"))
}

pub(super) fn add(all: &mut Cases) {
    parts(all);
    whole(all);
}

fn parts(all: &mut Cases) {
    let batch_two = changed(|c| c.denoiser.batch = 2);
    for (batch, config) in [("batch_1", small()), ("batch_2", batch_two.clone())] {
        let denoiser = model(&config).denoiser;
        for (name, prefixes) in [
            ("block.assa", ["down.0."]),
            ("block.middle", ["middle.0."]),
            ("block.middle_with_skip", ["middle.2."]),
            ("patch", ["patch."]),
            ("merge", ["merge."]),
            ("split", ["split."]),
            ("final", ["final."]),
            ("time", ["time."]),
        ] {
            all.push(&format!("component.{name}.{batch}"), cut(&denoiser, &prefixes));
        }
    }
    let block = |change: fn(&mut ModelConfig)| {
        let mut config = batch_two.clone();
        change(&mut config);
        cut(&model(&config).denoiser, &["down.0."])
    };
    all.push("component.block.dense", block(|c| c.denoiser.outer_attention = OuterAttention::Dense));
    all.push("component.block.depthwise", block(|c| c.denoiser.assa.compression = Compression::Depthwise));
    all.push("component.block.one_kv_head", block(|c| c.denoiser.kv_heads = 1));
    all.push("component.block.radius_two", block(|c| c.denoiser.assa.radius = 2));
    all.push("component.block.one_local_block", block(|c| c.denoiser.assa.block_rows = 8));
    let patch_two = changed(|c| {
        c.image = ImageSize { height: 64, width: 96 };
        c.denoiser.patch = 2;
        c.denoiser.batch = 2;
    });
    let denoiser = model(&patch_two).denoiser;
    all.push("component.patch.two", cut(&denoiser, &["patch."]));
    all.push("component.final.two", cut(&denoiser, &["final."]));
    let two_texts = changed(|c| {
        c.denoiser.text.gemma = Some(TextSource { tokens: 5, width: 64 });
        c.denoiser.batch = 2;
    });
    all.push("component.text_in.two", cut(&model(&two_texts).denoiser, &["text_in."]));
}

fn whole(all: &mut Cases) {
    let encoders = changed(|c| {
        c.text_encoder.layers = 2;
        c.denoiser.batch = 2;
    });
    all.push("component.text_encoder", model(&small()).text_encoder);
    all.push("component.text_encoder.two_layers", model(&encoders).text_encoder);
    all.push("component.decoder", model(&changed(|c| c.image = ImageSize { height: 32, width: 48 })).decoder);
    let layout = |c: &mut ModelConfig, down, middle, up| c.denoiser.layout = Layout { down, middle, up };
    let denoisers: [(&str, ModelConfig); 8] = [
        ("plain", small()),
        ("batch_two", changed(|c| c.denoiser.batch = 2)),
        (
            "two_texts",
            changed(|c| {
                c.denoiser.text.gemma = Some(TextSource { tokens: 5, width: 64 });
                c.denoiser.batch = 2;
            }),
        ),
        ("dense", changed(|c| c.denoiser.outer_attention = OuterAttention::Dense)),
        (
            "single_stage",
            changed(|c| {
                c.denoiser.architecture = Architecture::SingleStage;
                c.denoiser.outer_attention = OuterAttention::Dense;
            }),
        ),
        ("four_middle", changed(|c| layout(c, 1, 4, 1))),
        ("two_middle", changed(|c| layout(c, 1, 2, 1))),
        (
            "no_skips",
            changed(|c| {
                layout(c, 1, 2, 1);
                c.denoiser.long_skips = false;
            }),
        ),
    ];
    for (name, config) in denoisers {
        all.push(&format!("component.denoiser.{name}"), model(&config).denoiser);
    }
}

#[cfg(test)]
mod tests {
    use ditbench_workloads::snapgenpp::Prediction;

    use super::*;

    #[test]
    fn what_is_predicted_does_not_change_the_graph() {
        let [velocity, x0] = [Prediction::Velocity, Prediction::X0]
            .map(|kind| model(&changed(|c| c.denoiser.prediction = kind)).denoiser);
        assert_eq!(velocity, x0);
    }

    #[test]
    fn a_part_has_the_nodes_and_weights_of_its_scope() {
        let whole = model(&small()).denoiser;
        let block = cut(&whole, &["down.0."]);
        assert!(block.nodes.iter().all(|node| node.name.starts_with("down.0.")));
        assert!(block.weights.iter().all(|spec| spec.name.starts_with("down.0.")));
        // The tokens, the modulation that all blocks share, the text; out comes the new stream of tokens.
        assert_eq!((block.inputs.len(), block.outputs.len()), (3, 1));
        assert_eq!(cut(&whole, &["middle.2."]).inputs.len(), 4);
    }
}
