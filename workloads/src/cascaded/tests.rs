//! Counts to the last parameter, and the way from a class to an image through several stages.

use ditbench_graph::{Op, Tensor};

use super::*;
use crate::{RunError, StageRunner, workload};

fn config(model: &str) -> ModelConfig {
    let size = MODELS.iter().find(|known| known.name == model).unwrap().usual_size;
    ModelConfig::of(model, size).unwrap()
}

fn close(ours: f64, wanted: f64, within: f64, what: &str) {
    assert!((ours / wanted - 1.0).abs() <= within, "{what}: {ours}, wanted {wanted}");
}

#[test]
fn counts_are_known_to_the_last_parameter_and_agree_with_the_papers() {
    for (model, stage, parameters, giga) in [
        ("adm-64", 0, 295_904_454, 109.68),
        ("adm-64-256", 0, 295_904_454, 109.68),
        ("adm-64-256", 1, 311_795_910, 631.64),
        ("adm-128", 0, 421_529_606, 306.93),
        ("adm-256", 0, 553_838_086, 1119.83),
        ("cdm-32", 0, 792_251_910, 70.89),
        ("cdm-32-64", 1, 718_437_126, 233.03),
        ("cdm-32-64-256", 2, 589_032_067, 772.06),
    ] {
        let counts = counts(&denoiser(&config(model), stage).unwrap());
        assert_eq!(counts.parameters, parameters, "{model}, stage {stage}");
        close(counts.macs as f64 / 1e9, giga, 0.0005, model);
    }
    let nano = [0, 1].map(|stage| counts(&denoiser(&config("cdm-nano"), stage).unwrap()).parameters);
    assert_eq!(nano, [758_310, 851_238]);
    for model in ["adm-64", "adm-128", "adm-256", "adm-64-256"] {
        let paper = Cascaded.paper(model).unwrap();
        close(paper.ours.parameters as f64, paper.parameters.unwrap() as f64, 0.0012, model);
    }
    assert!(["cdm-32", "cdm-nano"].into_iter().all(|model| Cascaded.paper(model).is_none()));
}

#[test]
fn stages_are_called_apart_and_so_are_their_weights() {
    let pipeline = workload::build(&Choice::new(NAME, "cdm-32-64-256", square(256), 4)).unwrap();
    let ids: Vec<&str> = pipeline.stages.iter().map(|stage| stage.id.as_str()).collect();
    assert_eq!(ids, ["denoiser", "denoiser_2", "denoiser_3"]);
    let mut names: Vec<&String> =
        pipeline.graphs().into_iter().flat_map(|graph| &graph.weights).map(|weight| &weight.name).collect();
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all, "a name in two stages");
    let sides = pipeline.graphs().into_iter().map(|graph| graph.shape(graph.outputs[0].value)[3]);
    assert_eq!(sides.collect::<Vec<_>>(), [32, 64, 256]);
    assert!(DENOISERS.into_iter().all(|id| pipeline.passes_per_step(id) == 1));
    // Attention is where the paper has it: at 16 and 8 rows, at the end of each level's blocks and in the middle.
    let second = pipeline.stages[1].graph().unwrap();
    let rows = second.nodes.iter().filter(|node| matches!(node.op, Op::Attention { .. }));
    let tokens: Vec<usize> = rows.map(|node| second.shape(node.output)[1]).collect();
    assert_eq!([16 * 16, 8 * 8].map(|size| tokens.iter().filter(|tokens| **tokens == size).count()), [11, 12]);
}

/// Predicts the noise between what it is fed and a flat image, of another grey for each stage.
struct Perfect {
    /// Stages that were run, each with its inputs after the noisy image.
    calls: Vec<(String, Vec<Tensor>)>,
    /// The signal's share at each step, of the stages one after the other.
    signal: Vec<f64>,
}

const FIRST: f64 = 0.25;
const SECOND: f64 = -0.5;

impl StageRunner for Perfect {
    type Error = RunError;

    fn run(&mut self, stage: &str, inputs: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
        let signal = self.signal[self.calls.len()];
        let clean = if stage == DENOISERS[0] { FIRST } else { SECOND };
        let x = inputs[0].as_f32()?.iter();
        let noise = x.map(|x| ((f64::from(*x) - signal.sqrt() * clean) / (1.0 - signal).sqrt()) as f32).collect();
        self.calls.push((stage.to_owned(), inputs[1..].to_vec()));
        Ok(vec![Tensor::f32(inputs[0].shape(), noise)?])
    }
}

fn run(choice: &Choice) -> (Pipeline, crate::Inputs, crate::Trace, Perfect) {
    let pipeline = workload::build(choice).unwrap();
    let inputs = pipeline.drive.inputs("not read", 7).unwrap();
    let schedule = Schedule { timesteps: 1000, betas: Betas::COSINE };
    let signal = schedule.signal(&schedule.timesteps_of(choice.steps));
    let signal = signal[..choice.steps].repeat(2);
    let mut runner = Perfect { calls: Vec::new(), signal };
    let trace = pipeline.drive.image(&inputs, &mut runner).unwrap();
    (pipeline, inputs, trace, runner)
}

#[test]
fn each_stage_goes_from_noise_to_its_image_and_the_next_one_reads_it() {
    let choice = Choice::new(NAME, "cdm-nano", square(32), 3).with("class", "4");
    let (pipeline, inputs, trace, runner) = run(&choice);
    let stages: Vec<&str> = runner.calls.iter().map(|(stage, _)| stage.as_str()).collect();
    assert_eq!(stages, [["denoiser"; 3], ["denoiser_2"; 3]].concat());
    assert_eq!(trace.latents.iter().map(Vec::len).collect::<Vec<_>>(), [[3 * 16 * 16; 3], [3 * 32 * 32; 3]].concat());
    let near = |values: &[f32], wanted: f64| values.iter().all(|v| (f64::from(*v) - wanted).abs() < 1e-4);
    assert!(near(&trace.latents[2], FIRST) && near(&trace.latents[5], SECOND));
    assert!(near(&trace.image, 0.5 * (SECOND + 1.0)) && trace.size == Some(square(32)));
    assert_eq!([0, 1].map(|stage| trace.times.of(DENOISERS[stage]).len()), [3, 3]);
    assert_eq!(pipeline.drive.sigmas().len(), 7);
    // The second stage: the smaller image, its time, the class, the level of the noise on it.
    let (_, second) = &runner.calls[3];
    assert_eq!(
        second.iter().map(Tensor::shape).collect::<Vec<_>>(),
        [&[1, 3, 32, 32][..], &[1, 32], &[1, 1], &[1, 32]]
    );
    assert_eq!(second[2].as_i64().unwrap(), [4]);
    assert_eq!(second[3], *inputs.tensor("denoiser_2.level_features").unwrap());
    assert_eq!(runner.calls[0].1.len(), 2);
    // What is put on it is noise of that level: its mean stays the image's, its spread is the level's before the enlarging.
    let schedule = Schedule { timesteps: 1000, betas: Betas::COSINE };
    let signal = schedule.signal(&[100])[0];
    let noise = inputs.tensor("denoiser_2.augmentation").unwrap().as_f32().unwrap();
    let augmented = |i: usize| signal.sqrt() * FIRST + (1.0 - signal).sqrt() * f64::from(noise[i]);
    // The corner is the smaller image's own.
    assert!((f64::from(second[0].as_f32().unwrap()[0]) - augmented(0)).abs() < 1e-4);
}

#[test]
fn the_level_of_augmentation_can_be_chosen_where_a_net_reads_it() {
    let choice = Choice::new(NAME, "cdm-nano", square(32), 2);
    let image = |choice: &Choice| run(choice).3.calls[2].1.clone();
    let (usual, more) = (image(&choice), image(&choice.clone().with("augmentation", "500")));
    assert!(usual[0] != more[0] && usual[1] == more[1] && usual[3] != more[3]);
    assert_eq!(image(&choice.clone().with("augmentation", axes::AXES[1].default)), usual);
    let named = workload::build(&choice.clone().with("augmentation", "500").with("class", "3")).unwrap();
    assert_eq!(named.name, "cdm-nano-class3-augmentation500");
    let error = |choice: Choice| workload::build(&choice).map(|_| ()).unwrap_err().to_string();
    let adm = Choice::new(NAME, "adm-64-256", square(256), 2);
    assert!(error(adm.clone().with("augmentation", "10")).contains("adm-64-256 reads no level"));
    assert!(error(adm.clone().with("class", "1000")).contains("no class 1000: choose one from 0 to 999"));
    assert!(error(adm.clone().with("rung", "final")).contains("no axis \"rung\""));
    assert!(error(Choice { size: square(100), ..adm }).contains("try 96×96"));
}

#[test]
fn inputs_of_another_workload_are_refused() {
    let choice = Choice::new(NAME, "cdm-nano", square(32), 2);
    let pipeline = workload::build(&choice).unwrap();
    let mut inputs = pipeline.drive.inputs("", 7).unwrap();
    inputs.tensors.retain(|(name, _)| name != "denoiser_2.augmentation");
    let mut runner = Perfect { calls: Vec::new(), signal: vec![0.5; 4] };
    let error = pipeline.drive.image(&inputs, &mut runner).unwrap_err().to_string();
    assert!(error.contains("there is no tensor \"denoiser_2.augmentation\""), "{error}");
}
