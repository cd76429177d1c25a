//! The pipeline against runners made up for the purpose: what it feeds, what it refuses, what it writes.

use ditbench_graph::tensor::TensorError;

use super::*;
use crate::snapgenpp::{ImageSize, Prediction, TextSource, Variant};
use crate::{Inputs, trace};

fn config() -> ModelConfig {
    Variant::Nano.config(ImageSize { height: 64, width: 64 })
}

fn inputs(config: &ModelConfig, rule: Rule) -> Feed {
    Feed::make(config, "red apple", 7, 4, rule).unwrap()
}

/// Gives each stage's output: the denoiser predicts `predict(x, text)`, the text encoder the ids' sum everywhere.
struct Toy<F> {
    config: ModelConfig,
    predict: F,
    calls: Vec<String>,
}

impl<F: FnMut(&[f32], f32) -> Vec<f32>> StageRunner for Toy<F> {
    type Error = TensorError;

    fn run(&mut self, stage: &str, inputs: &[Tensor]) -> Result<Vec<Tensor>, TensorError> {
        self.calls.push(stage.to_owned());
        let d = &self.config.denoiser;
        let filled = |shape: &[usize], value: f32| Tensor::f32(shape, vec![value; shape.iter().product()]);
        Ok(vec![match stage {
            TEXT_ENCODER => {
                let sum = inputs[0].as_i64()?.iter().sum::<i64>();
                filled(&[d.batch, d.text.clip.tokens, d.text.clip.width], sum as f32)?
            }
            DENOISER => {
                let predicted = (self.predict)(inputs[0].as_f32()?, inputs[2].as_f32()?[0]);
                Tensor::f32(self.config.latent_shape(d.batch), predicted)?
            }
            _ => filled(&[1, 3, self.config.image.height, self.config.image.width], 0.5)?,
        }])
    }
}

#[test]
fn a_perfect_model_ends_at_its_image_by_either_rule_and_prediction() {
    for rule in [Rule::Euler, Rule::Renoise] {
        let config = config();
        assert_eq!(config.denoiser.prediction, Prediction::X0);
        let inputs = inputs(&config, rule);
        let clean: Vec<f32> = (0..1024).map(|i| (i as f32 * 0.37).sin()).collect();
        let mut toy = Toy { config: config.clone(), predict: |_: &[f32], _| clean.clone(), calls: Vec::new() };
        let trace = generate(&config, &inputs, &mut toy).unwrap();
        assert_eq!(trace.latents.len(), 4);
        assert!(trace.latents[3].iter().zip(&clean).all(|(a, b)| (a - b).abs() < 1e-5), "{rule:?}");
        assert_ne!(trace.latents[0], trace.latents[3]);
        assert_eq!(trace.image.len(), 3 * 64 * 64);
        assert_eq!(toy.calls.len(), 6);
        assert_eq!(trace.times.of(DENOISER).len(), 4);
        let stages: Duration = trace.times.stages.iter().flat_map(|stage| &stage.times).sum();
        assert_eq!(stages + trace.times.outside_stages(), trace.times.total);
        let names: Vec<&str> = trace.times.stages.iter().map(|stage| stage.stage.as_str()).collect();
        assert_eq!(names, [TEXT_ENCODER, DENOISER, DECODER]);
    }
}

#[test]
fn guidance_goes_from_the_empty_prompt_through_the_full_one() {
    let config = config();
    let plain = inputs(&config, Rule::Euler);
    let guided = plain.clone().with_guidance(&config, 4.0).unwrap();
    let sum = |tokens: &Tensor| tokens.as_i64().unwrap().iter().sum::<i64>() as f32;
    let (with, without) = (sum(&plain.tokens), sum(&guided.guidance.as_ref().unwrap().tokens));
    assert_ne!(with, without);
    // A prediction of the clean latent that is the text: at σ = 0 the latent is what guidance makes of the two.
    let mut toy = Toy { config: config.clone(), predict: |x: &[f32], text| vec![text; x.len()], calls: Vec::new() };
    let trace = generate(&config, &guided, &mut toy).unwrap();
    let wanted = without + 4.0 * (with - without);
    assert!(
        trace.latents[3].iter().all(|v| (v - wanted).abs() < wanted.abs() * 1e-5),
        "{} {wanted}",
        trace.latents[3][0]
    );
    assert_eq!(toy.calls.iter().filter(|stage| *stage == DENOISER).count(), 8);
    assert_ne!(Inputs::from(&plain).sha256(), Inputs::from(&guided).sha256());
}

/// Gives whatever it was told to.
struct Wrong(&'static str, Vec<Tensor>);

impl StageRunner for Wrong {
    type Error = TensorError;

    fn run(&mut self, stage: &str, inputs: &[Tensor]) -> Result<Vec<Tensor>, TensorError> {
        if stage == self.0 {
            return Ok(self.1.clone());
        }
        Toy { config: config(), predict: |x: &[f32], _| x.to_vec(), calls: Vec::new() }.run(stage, inputs)
    }
}

#[test]
fn a_stage_that_gives_nothing_or_something_else_is_named() {
    let config = config();
    let inputs = inputs(&config, Rule::Euler);
    for stage in [TEXT_ENCODER, DENOISER, DECODER] {
        for outputs in [vec![], vec![Tensor::zeros([1, 2])], vec![Tensor::zeros([1]), Tensor::zeros([1])]] {
            let error = generate(&config, &inputs, &mut Wrong(stage, outputs)).unwrap_err().to_string();
            assert!(error.starts_with(stage) && error.contains("but gave ["), "{error}");
        }
    }
}

#[test]
fn inputs_are_known_bytes_and_come_back_from_their_file() {
    let mut config = config();
    config.denoiser.text.gemma = Some(TextSource { tokens: 3, width: 5 });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inputs.safetensors");
    for made in [
        inputs(&config, Rule::Euler),
        inputs(&config, Rule::Renoise),
        inputs(&config, Rule::Euler).with_guidance(&config, 4.0).unwrap(),
    ] {
        let stored = Inputs::from(&made);
        stored.save(&path).unwrap();
        let read = Inputs::load(&path).unwrap();
        assert_eq!(Feed::try_from(&read).unwrap(), made);
        assert_eq!(Inputs::from(&Feed::try_from(&read).unwrap()).sha256(), stored.sha256());
        assert_eq!(stored.noise_sha256(), NOISE);
    }
    let other = Feed::make(&config, "red apple", 8, 4, Rule::Euler).unwrap();
    assert_ne!(Inputs::from(&other).noise_sha256(), NOISE);
}

/// SHA-256 of nano's first latent for seed 7: the same on every machine.
const NOISE: &str = "dc4681546f9528e8d093a586d966c300a8f3a49e848cbdb089af20ee5d27aba4";

#[test]
fn inputs_that_do_not_fit_together_are_refused() {
    let mut cut = inputs(&config(), Rule::Renoise);
    cut.fresh.pop();
    let refused = |cut: &Feed| Feed::try_from(&Inputs::from(cut)).unwrap_err().to_string();
    assert!(refused(&cut).contains("3 fresh noises do not fit"));
    let mut cut = inputs(&config(), Rule::Euler);
    cut.time_features.pop();
    assert!(refused(&cut).contains("of 3 steps"));
}

#[test]
fn a_trace_is_written_and_read() {
    let config = config();
    let mut toy = Toy { config: config.clone(), predict: |x: &[f32], _| x.to_vec(), calls: Vec::new() };
    let trace = generate(&config, &inputs(&config, Rule::Euler), &mut toy).unwrap();
    let folder = tempfile::tempdir().unwrap();
    trace.save_latents(&folder.path().join("latents")).unwrap();
    assert_eq!(trace::load_latents(&folder.path().join("latents")).unwrap(), trace.latents);
    trace.save_image(&folder.path().join("image.png")).unwrap();
    let image = ::image::open(folder.path().join("image.png")).unwrap().to_rgb8();
    assert_eq!((image.dimensions(), image.get_pixel(63, 63).0), ((64, 64), [128, 128, 128]));
}
