//! Counts to the last parameter, and the way from a class to an image against runners made up for the purpose.

use ditbench_graph::{Tensor, WeightRole};

use super::*;
use crate::{RunError, StageRunner, workload};

#[test]
fn counts_are_known_to_the_last_parameter_and_agree_with_the_papers() {
    for (model, parameters, giga) in
        [("dit-xl-2", 675_129_632, 118.62), ("edgedit-1", 470_646_176, 71.94), ("edgedit-6", 529_638_176, 84.94)]
    {
        let paper = EdgeDit.paper(model).unwrap();
        assert_eq!(paper.ours.parameters, parameters, "{model}");
        let close = |ours: f64, theirs: f64, within: f64| (ours / theirs - 1.0).abs() <= within;
        assert!(close(paper.ours.macs as f64 / 1e9, giga, 0.0005), "{model}: {} MACs", paper.ours.macs);
        assert!(close(paper.ours.macs as f64, paper.macs.unwrap() as f64, 0.001), "{model}: {paper:?}");
        assert!(close(paper.ours.parameters as f64, paper.parameters.unwrap() as f64, 0.001), "{model}: {paper:?}");
    }
    let nano = denoiser(&ModelConfig::of("edgedit-nano", square(128)).unwrap()).unwrap();
    assert_eq!(nano.parameters(), 335_648);
    assert!(EdgeDit.paper("edgedit-nano").is_none());
    let large = denoiser(&ModelConfig::of("dit-xl-2", square(512)).unwrap()).unwrap();
    assert_eq!(large.parameters(), 676_014_368);
    let taesd = decoder(&ModelConfig::of("dit-xl-2", square(256)).unwrap()).unwrap();
    assert_eq!(taesd.parameters(), 1_222_723);
    assert_eq!((cost::total(&taesd).macs as f64 / 1e7).round() / 1e2, 17.67);
}

#[test]
fn few_bits_reach_the_modulation_which_is_a_third_of_the_net() {
    let graph = denoiser(&ModelConfig::of("dit-xl-2", square(256)).unwrap()).unwrap();
    let of = |part: &str| {
        let found = graph.weights.iter().filter(|w| w.role == WeightRole::Linear && w.name.contains(part));
        found.map(|w| w.len()).sum::<usize>()
    };
    assert_eq!(of(".adaln."), 28 * 6 * 1152 * 1152);
    assert!(of("") as f64 / graph.parameters() as f64 > 0.98);
}

/// Predicts the noise that was put in, plus 0.5 for a class and nothing without one.
struct Perfect {
    noise: Vec<f32>,
    calls: Vec<(String, Vec<i64>)>,
}

impl StageRunner for Perfect {
    type Error = RunError;

    fn run(&mut self, stage: &str, inputs: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
        if stage == DECODER {
            self.calls.push((stage.to_owned(), Vec::new()));
            return Ok(vec![Tensor::f32([1, 3, 128, 128], vec![0.5; 3 * 128 * 128])?]);
        }
        let classes = inputs[2].as_i64()?.to_vec();
        let of = |class: &i64| self.noise.iter().map(|v| v + if *class == 10 { 0.0 } else { 0.5 }).collect::<Vec<_>>();
        let predicted = classes.iter().flat_map(of).collect();
        self.calls.push((stage.to_owned(), classes));
        Ok(vec![Tensor::f32(inputs[0].shape(), predicted)?])
    }
}

/// Stages that were run, each with what it was told of the class.
type Calls = Vec<(String, Vec<i64>)>;

/// The latents, and how the stages were called.
fn run(guidance: &str) -> (Vec<Vec<f32>>, Calls) {
    let choice = Choice::new(NAME, "edgedit-nano", square(128), 3).with("guidance", guidance).with("class", "4");
    let pipeline = workload::build(&choice).unwrap();
    let inputs = pipeline.drive.inputs("not read", 7).unwrap();
    let noise = inputs.tensor("noise").unwrap().as_f32().unwrap().to_vec();
    let mut runner = Perfect { noise, calls: Vec::new() };
    let trace = pipeline.drive.image(&inputs, &mut runner).unwrap();
    assert_eq!((trace.latents.len(), trace.times.of(DENOISER).len()), (3, 3));
    let passes = runner.calls.iter().filter(|(stage, _)| stage == DENOISER).count();
    assert_eq!(pipeline.stage(DENOISER).unwrap().passes, passes, "{guidance}");
    (trace.latents, runner.calls)
}

#[test]
fn guidance_is_one_pass_two_passes_or_one_batch() {
    let classes = |guidance: &str| run(guidance).1[0].1.clone();
    assert_eq!(classes("none"), [4]);
    assert_eq!(classes("4-batch"), [4, 10]);
    let (two, calls) = run("4");
    assert_eq!((calls[0].1.as_slice(), calls[1].1.as_slice()), ([4].as_slice(), [10].as_slice()));
    assert_eq!(two, run("4-batch").0, "both ways of guidance are one computation");
    // Guidance moves three of the four channels.
    let plain = run("none").0;
    let channel = 16 * 16;
    assert!(two[0][..3 * channel].iter().zip(&plain[0]).all(|(a, b)| a != b));
    assert_eq!(two[0][3 * channel..], plain[0][3 * channel..]);
}

#[test]
fn what_tells_two_results_apart_is_in_name_or_sampler() {
    let build = |choice: &Choice| workload::build(choice).unwrap();
    let plain = Choice::new(NAME, "edgedit-nano", square(128), 4);
    assert_eq!(build(&plain).name, "edgedit-nano");
    let other = build(&plain.clone().with("class", "3").with("guidance", "4-batch"));
    assert_eq!(
        (other.name.as_str(), other.batch, other.passes_per_step(DENOISER)),
        ("edgedit-nano-class3-batched", 1, 1)
    );
    assert_eq!(other.own[0], ("sampler".to_owned(), "ddim+batched-cfg4".to_owned()));
    assert_eq!(other.choice.to_string(), "edgedit-nano 128×128 class 3 guidance 4-batch");
    let error = |choice: Choice| workload::build(&choice).map(|_| ()).unwrap_err().to_string();
    assert_eq!(error(plain.clone().with("class", "10")), "edgedit-nano has no class 10: choose one from 0 to 9");
    assert!(error(plain.clone().with("rung", "final")).contains("no axis \"rung\""));
    assert!(error(Choice { size: square(100), ..plain }).contains("try 96×96"));
}

#[test]
fn inputs_of_another_workload_are_refused() {
    let choice = Choice::new(NAME, "edgedit-nano", square(128), 4);
    let pipeline = workload::build(&choice).unwrap();
    let mut inputs = pipeline.drive.inputs("", 7).unwrap();
    inputs.tensors.retain(|(name, _)| name != "time_features.0003");
    let mut runner = Perfect { noise: vec![0.0; 1024], calls: Vec::new() };
    let error = pipeline.drive.image(&inputs, &mut runner).unwrap_err().to_string();
    assert!(error.contains("there is no tensor \"time_features.0003\""), "{error}");
}
