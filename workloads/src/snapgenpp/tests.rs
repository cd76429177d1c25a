//! The graph's counts against our formula's (parameters within 0.1 %, MACs within 1 %, attended pairs exactly) and against what the
//! paper prints.

use super::*;
use ditbench_graph::{AttentionPattern, Op, cost};

const SQUARE_1024: ImageSize = ImageSize { height: 1024, width: 1024 };

fn with_gemma(variant: Variant) -> ModelConfig {
    let mut config = variant.config(SQUARE_1024);
    config.denoiser.text.gemma = Some(TextSource { tokens: 256, width: 2560 });
    config
}

fn close(found: f64, wanted: f64, relative: f64, what: &str) {
    assert!((found / wanted - 1.0).abs() <= relative, "{what}: found {found}, the formula gives {wanted}");
}

/// What the formula's MAC counts leave out: time, text projections, patch and final are linears and stay in.
fn counted_macs(graph: &Graph) -> u64 {
    let parts = cost::by(graph, |node| node.name.starts_with("time.") || node.name.starts_with("text_in."));
    parts[&false].macs
}

#[test]
fn parameters_are_the_formulas_and_round_to_the_papers() {
    for (variant, millions) in [(Variant::Tiny, 257.7), (Variant::Small, 428.5), (Variant::Full, 1595.7)] {
        let model = Model::build(&with_gemma(variant)).unwrap();
        close(model.denoiser.parameters() as f64 / 1e6, millions, 0.001, variant.name());
        let printed = format!("{:.1} B", millions / 1e3);
        assert!(variant.published_parameters().unwrap().starts_with(&printed), "{printed}");
    }
}

#[test]
fn macs_are_the_formulas() {
    for (variant, tera) in [(Variant::Tiny, 0.92), (Variant::Small, 1.50), (Variant::Full, 5.28)] {
        let model = Model::build(&with_gemma(variant)).unwrap();
        close(counted_macs(&model.denoiser) as f64 / 1e12, tera, 0.01, variant.name());
    }
}

#[test]
fn small_by_part_is_the_formulas() {
    let model = Model::build(&with_gemma(Variant::Small)).unwrap();
    let outer = |name: &str| name.starts_with("down.") || name.starts_with("up.");
    let parts = cost::by(&model.denoiser, |node| {
        let linear = matches!(node.op, Op::Linear { .. });
        let name = node.name.as_str();
        match () {
            () if name.contains(".assa.global.attend") => "assa global",
            () if name.contains(".assa.local.") => "assa local",
            () if name.contains(".gate.") => "rest",
            () if name.contains(".cross.") => {
                if linear {
                    "ca linears"
                } else {
                    "ca attention"
                }
            }
            () if name.contains(".ffn.") => "ffn",
            () if name.contains(".attn.") && linear => "sa linears",
            () if name.contains(".attn.") && !outer(name) => "middle sa",
            () => "rest",
        }
    });
    let giga = |part: &str| parts[part].macs as f64 / 1e9;
    for (part, wanted) in [
        ("sa linears", 264.0),
        ("ca linears", 186.0),
        ("ca attention", 57.0),
        ("ffn", 683.0),
        ("assa global", 155.0),
        ("assa local", 111.0),
        ("middle sa", 21.0),
    ] {
        // To the whole GMAC.
        assert_eq!(giga(part).round(), wanted, "{part}");
    }
    let mut dense = with_gemma(Variant::Small);
    dense.denoiser.outer_attention = OuterAttention::Dense;
    close(counted_macs(&Model::build(&dense).unwrap().denoiser) as f64 / 1e12, 1.85, 0.01, "dense");
}

#[test]
fn the_decoder_is_of_the_stated_class() {
    let model = Model::build(&Variant::Small.config(SQUARE_1024)).unwrap();
    close(model.decoder.parameters() as f64 / 1e6, 1.23, 0.005, "decoder parameters");
    close(cost::total(&model.decoder).macs as f64 / 1e9, 283.0, 0.005, "decoder MACs");
}

#[test]
fn the_text_encoder_is_tinyclips() {
    let model = Model::build(&Variant::Small.config(SQUARE_1024)).unwrap();
    // TinyCLIP's 19 M count the transformer; the token embedding of 49408 × 512 comes on top.
    let blocks = model.text_encoder.parameters() - 49408 * 512;
    close(blocks as f64 / 1e6, 19.0, 0.02, "text encoder parameters");
}

#[test]
fn attended_pairs_are_exact() {
    let model = Model::build(&Variant::Small.config(SQUARE_1024)).unwrap();
    let pairs = |name: &str| {
        let node = model.denoiser.nodes.iter().find(|node| node.name == name).unwrap();
        let Op::Attention { pattern, .. } = node.op else { panic!("{name} is no attention") };
        (pattern, pattern.pairs(model.denoiser.shape(node.inputs[0])[1], model.denoiser.shape(node.inputs[1])[1]))
    };
    let local = AttentionPattern::Blockwise { blocks: 16, radius: 1 };
    assert_eq!(pairs("down.0.attn.assa.local.attend"), (local, 256 * (14 * 768 + 2 * 512)));
    assert_eq!(pairs("up.9.attn.assa.global.attend"), (AttentionPattern::Full, 4096 * 1024));
    assert_eq!(pairs("middle.3.attn.attend"), (AttentionPattern::Full, 1024 * 1024));
}

#[test]
fn every_size_layout_and_rung_builds_within_rank_five() {
    let sizes = [(256, 256), (512, 512), (1024, 1024), (512, 768), (768, 512), (320, 1024)];
    for variant in Variant::ALL {
        for (height, width) in sizes {
            for rung in Rung::ALL {
                let mut config = variant.config(ImageSize { height, width });
                rung.apply(&mut config);
                let model = Model::build(&config).unwrap();
                assert!(
                    model.graphs().iter().all(|g| g.values.iter().all(|v| v.shape.len() <= ditbench_graph::MAX_RANK))
                );
                assert_eq!(model.decoder.shape(model.decoder.outputs[0].value), [1, 3, height, width]);
            }
        }
    }
    let mut config = Variant::Small.config(SQUARE_1024);
    config.denoiser.layout = Layout { down: 6, middle: 20, up: 10 };
    let model = Model::build(&config).unwrap();
    let skips = model.denoiser.nodes.iter().filter(|node| node.name.ends_with(".skip")).count();
    assert_eq!(skips, 10, "half of the Middle blocks take a long skip");
}

#[test]
fn long_skips_join_block_i_to_block_m_minus_1_minus_i() {
    let model = Model::build(&Variant::Small.config(SQUARE_1024)).unwrap().denoiser;
    let node = |name: &str| model.nodes.iter().find(|node| node.name == name).unwrap();
    for i in 0..5 {
        let join = node(&format!("middle.{}.skip_concat", 9 - i));
        assert_eq!(join.inputs[1], node(&format!("middle.{i}.ffn.add")).output);
    }
}

#[test]
fn a_size_that_is_no_multiple_is_refused_with_one_that_is() {
    let error = Model::build(&Variant::Tiny.config(ImageSize { height: 500, width: 500 })).unwrap_err().to_string();
    assert_eq!(
        error,
        "model tiny: an image of 500×500 pixels cannot be cut into tokens: the width must be a multiple of 32 and the height of 64; try 512×512"
    );
}

#[test]
fn a_narrower_net_has_part_of_the_heads_and_the_same_depth_and_text() {
    let full = Variant::Full.config(SQUARE_1024);
    let half = full.narrowed(0.5).unwrap();
    let small = Variant::Small.config(SQUARE_1024);
    assert_eq!(
        ModelConfig { name: small.name.clone(), ..half.clone() },
        small,
        "the paper's small is half of its full"
    );
    assert_eq!((half.name.as_str(), full.narrowed(1.0).unwrap() == full), ("full@0.5", true));
    let error = full.narrowed(0.3).unwrap_err().to_string();
    assert!(error.contains("0.3 of its 32 query and 16 key/value heads is not a whole number"), "{error}");
    assert!(full.narrowed(0.0).is_err() && full.narrowed(2.0).is_err());
}

#[test]
fn a_time_shift_must_be_a_positive_number() {
    for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let mut config = Variant::Nano.config(ImageSize { height: 64, width: 64 });
        config.denoiser.time_shift = wrong;
        assert!(config.check().unwrap_err().to_string().contains("time_shift"), "{wrong}");
    }
}
