//! Counts to the last parameter, the ladder as ratios, and the way from a prompt to an image.

use ditbench_graph::Op;

use super::*;
use crate::blocks::to_zero::ToZero;
use crate::workload;

fn counts(model: &str, side: usize, rung: &str) -> (u64, f64) {
    let mut config = ModelConfig::of(model, square(side)).unwrap();
    Rung::named(rung).unwrap().apply(&mut config.denoiser);
    let graph = denoiser(&config).unwrap();
    let left_out = |name: &str| model != "dreamlite" && name.starts_with("text_in.");
    let kept = graph.weights.iter().filter(|weight| !left_out(&weight.name)).map(|weight| weight.len() as u64);
    (kept.sum(), cost::by(&graph, |node| left_out(&node.name))[&false].macs as f64 / 1e9)
}

fn close(ours: f64, wanted: f64, within: f64, what: &str) {
    assert!((ours / wanted - 1.0).abs() <= within, "{what}: {ours}, wanted {wanted}");
}

#[test]
fn counts_are_known_to_the_last_parameter_and_agree_with_the_papers() {
    for (model, side, parameters, giga) in [
        ("snapgen", 1024, 378_647_952, 655.81),
        ("snapgen", 512, 378_647_952, 156.12),
        ("snapgen-imagenet", 256, 371_570_064, 38.59),
        ("dreamlite", 1024, 389_968_388, 664.60),
    ] {
        let (found, macs) = counts(model, side, "final");
        assert_eq!(found, parameters, "{model}");
        close(macs, giga, 0.0005, model);
    }
    assert_eq!(counts("snapgen-nano", 64, "final").0, 2_980_624);
    for model in ["snapgen", "snapgen-imagenet", "dreamlite"] {
        let paper = SnapGen.paper(model).unwrap();
        close(paper.ours.parameters as f64, paper.parameters.unwrap() as f64, 0.005, model);
    }
}

#[test]
fn the_decoder_has_the_papers_size() {
    let graph = decoder(&ModelConfig::of("snapgen", square(1024)).unwrap()).unwrap();
    assert_eq!(graph.parameters(), 1_378_371);
    close(cost::total(&graph).macs as f64 / 1e9, 93.43, 0.0005, "decoder");
}

#[test]
fn dreamlite_has_the_norms_and_blocks_that_its_code_has() {
    let graph = denoiser(&ModelConfig::of("dreamlite", square(1024)).unwrap()).unwrap();
    let count = |is: &dyn Fn(&ditbench_graph::Node) -> bool| graph.nodes.iter().filter(|node| is(node)).count();
    assert_eq!(count(&|node| matches!(node.op, Op::LayerNorm { .. })), 108);
    assert_eq!(count(&|node| node.name.ends_with(".stack.add")), 13);
    assert_eq!(count(&|node| node.name.ends_with(".add_time")), 17);
}

#[test]
fn the_ladders_steps_are_the_papers() {
    let macs = |rung: &str| counts("snapgen-imagenet", 1024, rung).1;
    let parameters = |rung: &str| counts("snapgen-imagenet", 1024, rung).0 as f64 / 1e6;
    for (from, to, down) in
        [("thin", "no-high-sa", 17.0), ("no-high-sa", "sep2", 27.0), ("sep2", "ffn3", 12.0), ("ffn3", "mqa", 6.0)]
    {
        let found = 100.0 * (1.0 - macs(to) / macs(from));
        assert!((found - down).abs() <= 0.5, "{from} to {to}: {found} % fewer operations, the paper has {down}");
    }
    for (rung, millions) in [("thin", 618.8), ("no-high-sa", 608.3), ("sep1", 483.5), ("mqa", 369.7)] {
        assert_eq!((10.0 * parameters(rung)).round() / 10.0, millions, "{rung}");
    }
}

#[test]
fn a_perfect_velocity_ends_at_the_clean_latent() {
    let choice = Choice::new(NAME, "snapgen-nano", square(64), 3).with("ladder", "mqa");
    let pipeline = workload::build(&choice).unwrap();
    assert_eq!((pipeline.name.as_str(), pipeline.stages.len()), ("snapgen-nano-mqa", 3));
    let inputs = pipeline.drive.inputs("a red apple", 7).unwrap();
    let noise = inputs.tensor("noise").unwrap().as_f32().unwrap().to_vec();
    let mut runner = ToZero::new(noise, 64);
    let trace = pipeline.drive.image(&inputs, &mut runner).unwrap();
    assert!(trace.latents[2].iter().all(|v| v.abs() < 1e-5));
    assert_eq!(runner.asked, [TEXT_ENCODER, DENOISER, DENOISER, DENOISER, DECODER]);
    // What has no text encoder feeds seeded features.
    let dreamlite = workload::build(&Choice::new(NAME, "dreamlite", square(64), 1)).unwrap();
    assert_eq!(dreamlite.stages.len(), 2);
    let inputs = dreamlite.drive.inputs("a red apple", 7).unwrap();
    assert_eq!(inputs.tensor("text").unwrap().shape(), [1, 128, 2048]);
    let error = workload::build(&Choice { size: square(100), ..choice }).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("try 96×96"), "{error}");
}
