//! Counts to the last parameter, the pairs that are left out, one file for all models, and the way from a prompt to an image.

use std::collections::BTreeSet;

use ditbench_graph::weights::Net;
use ditbench_graph::{Init, Op};

use super::*;
use crate::blocks::to_zero::ToZero;
use crate::workload;

fn config(model: &str, side: usize) -> ModelConfig {
    ModelConfig::of(model, square(side)).unwrap()
}

fn close(ours: f64, wanted: f64, within: f64, what: &str) {
    assert!((ours / wanted - 1.0).abs() <= within, "{what}: {ours}, wanted {wanted}");
}

#[test]
fn counts_are_known_to_the_last_parameter() {
    // Worked out by hand from the sizes in the config. Half of the blocks are 14 of which three attend within a block alone, and not a half
    // of the five of 28.
    for (model, giga) in [
        ("elastic-full", 5458.4),
        ("elastic-full-half", 2726.1),
        ("elastic-lite", 1317.0),
        ("elastic-lite-half", 658.8),
    ] {
        let paper = ElasticDit.paper(model).unwrap();
        assert_eq!(paper.ours.parameters, 1_314_214_720, "{model}");
        close(paper.ours.macs as f64 / 1e9, giga, 0.0005, model);
        close(paper.ours.parameters as f64, paper.parameters.unwrap() as f64, 0.015, model);
    }
    let read = |model: &str| denoiser(&config(model, 1024)).unwrap().parameters() as f64;
    close(read("elastic-full-half") / read("elastic-full"), 0.5, 0.03, "half of the blocks");
    assert!(ElasticDit.paper("elastic-nano").is_none());
}

#[test]
fn the_pairs_that_are_left_out_are_the_papers() {
    let graph = denoiser(&config("elastic-full", 1024)).unwrap();
    let mut kept = Vec::new();
    for node in graph.nodes.iter().filter(|node| node.name.ends_with(".attn.attend")) {
        let Op::Attention { pattern, .. } = node.op else { panic!("{} is no attention", node.name) };
        let tokens = graph.shape(node.inputs[0])[1];
        assert_eq!(tokens, 4096);
        kept.push(pattern.pairs(tokens, tokens));
    }
    assert_eq!(kept.len(), 28);
    assert_eq!(kept.iter().filter(|pairs| **pairs == 1_048_576).count(), 5);
    assert_eq!(kept.iter().filter(|pairs| **pairs == 3_014_656).count(), 23);
    let density = kept.iter().sum::<usize>() as f64 / (28.0 * 4096.0 * 4096.0);
    assert!((100.0 * (1.0 - density) - 84.16).abs() < 0.1, "{density}");
}

#[test]
fn the_decoder_does_an_eighth_of_the_work_of_stable_diffusion_3s() {
    let graph = decoder(&config("elastic-full", 1024)).unwrap();
    let trained = graph.weights.iter().filter(|weight| weight.init != Init::Haar).map(|weight| weight.len());
    assert_eq!(trained.sum::<usize>(), 9_090_444);
    let giga = cost::total(&graph).macs as f64 / 1e9;
    close(giga, 631.29, 0.0005, "decoder");
    close(giga, 5236.1 / 8.0, 0.05, "decoder");
}

#[test]
fn all_models_read_one_file_and_run_their_part_of_it() {
    let build = |model: &str| workload::build(&Choice::new(NAME, model, square(512), 4)).unwrap();
    let models = ["elastic-full", "elastic-full-half", "elastic-lite", "elastic-lite-half"].map(build);
    let held = |pipeline: &Pipeline| -> BTreeSet<String> {
        Net::graphs(pipeline).iter().flat_map(|graph| &graph.weights).map(|spec| spec.name.clone()).collect()
    };
    let run = |pipeline: &Pipeline| -> BTreeSet<String> {
        pipeline.graphs().iter().flat_map(|graph| &graph.weights).map(|spec| spec.name.clone()).collect()
    };
    for model in &models {
        assert_eq!((held(model), model.family.as_str()), (held(&models[0]), "elastic"));
        assert!(run(model).is_subset(&held(model)) && run(model) != held(model), "{}", model.name);
        // What the mixed scheme is measured on runs all that it quantizes.
        let whole = workload::build(model.drive.measured_on().unwrap()).unwrap();
        let quantized = |graph: &Graph| {
            let few_bits = |spec: &&ditbench_graph::WeightSpec| ditbench_graph::weights::scheme::is_quantizable(spec);
            graph.weights.iter().filter(few_bits).map(|spec| spec.name.clone()).collect::<Vec<_>>()
        };
        let measured: BTreeSet<String> = whole.graphs().into_iter().flat_map(quantized).collect();
        assert!(Net::graphs(model).into_iter().flat_map(quantized).all(|name| measured.contains(&name)));
    }
    // At whatever size: each model that can be built has the same file.
    let small = workload::build(&Choice::new(NAME, "elastic-nano", square(64), 4)).unwrap();
    let usual = workload::build(&Choice::new(NAME, "elastic-nano-lite-half", square(128), 4)).unwrap();
    assert_eq!(held(&small), held(&usual));
    // Every other block, with and without the shift in turn.
    let half = denoiser(&config("elastic-full-half", 512)).unwrap();
    let shifted: Vec<&str> =
        half.nodes.iter().filter_map(|node| node.name.strip_suffix(".attn.shift_back.join")).collect();
    assert_eq!(shifted, (0..7).map(|i| format!("blocks.{}", 4 * i + 2)).collect::<Vec<_>>());
}

#[test]
fn a_perfect_velocity_ends_at_the_clean_latent() {
    let choice = Choice::new(NAME, "elastic-nano-lite-half", square(128), 3);
    let pipeline = workload::build(&choice).unwrap();
    assert_eq!((pipeline.name.as_str(), pipeline.family.as_str()), ("elastic-nano-lite-half", "elastic-nano"));
    let inputs = pipeline.drive.inputs("a red apple", 7).unwrap();
    let noise = inputs.tensor("noise").unwrap().as_f32().unwrap().to_vec();
    let mut runner = ToZero::new(noise, 128);
    let trace = pipeline.drive.image(&inputs, &mut runner).unwrap();
    assert!(trace.latents[2].iter().all(|v| v.abs() < 1e-5));
    assert_eq!(runner.asked, [TEXT_ENCODER, DENOISER, DENOISER, DENOISER, DECODER]);
    let error = |choice: Choice| workload::build(&choice).map(|_| ()).unwrap_err().to_string();
    assert!(error(Choice { size: square(100), ..choice.clone() }).contains("try 128×128"));
    assert!(error(choice.with("class", "1")).contains("no axis \"class\""));
}
