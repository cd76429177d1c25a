//! Whole images on a runner that computes next to nothing, so that every number that it is fed can be foretold.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::folder::Tokens;
use crate::folder::tests::{Made, sd};
use crate::{DType, Value};

mod kinds;
mod refusals;

/// What a component was fed, by name.
type Fed = BTreeMap<String, Value>;

/// A runner that notes what it is fed and answers by a function.
struct Noted<F> {
    fed: Vec<(String, Fed)>,
    answer: F,
}

impl<F: FnMut(&str, &Fed) -> Result<Vec<Value>, RunError>> Run for Noted<F> {
    fn run(&mut self, component: &str, inputs: &[(&str, &Value)]) -> Result<Vec<Value>, RunError> {
        let fed: Fed = inputs.iter().map(|&(name, value)| (name.to_owned(), value.clone())).collect();
        let answer = (self.answer)(component, &fed);
        self.fed.push((component.to_owned(), fed));
        answer
    }
}

impl<F> Noted<F> {
    fn of(&self, component: &str) -> Vec<&Fed> {
        self.fed.iter().filter(|(name, _)| name == component).map(|(_, fed)| fed).collect()
    }
}

fn noted<F: FnMut(&str, &Fed) -> Result<Vec<Value>, RunError>>(answer: F) -> Noted<F> {
    Noted { fed: Vec::new(), answer }
}

fn filled(shape: &[usize], number: f32) -> Value {
    Value::new(shape, vec![number; shape.iter().product()]).unwrap()
}

fn request(steps: usize) -> Request {
    Request { steps, size: None, text_tokens: None, guidance: None }
}

fn open(made: &Made) -> Pipeline {
    Pipeline::open(made.path(), &BTreeMap::new()).unwrap()
}

fn inputs(plan: &Plan) -> Inputs {
    let tokens = |first: i64| {
        let tokens = |(name, count): (&str, usize)| {
            let ids = (0..count as i64).map(|index| first + index).collect();
            (name.to_owned(), Tokens { ids, attended: 3 })
        };
        plan.text_tokens().map(tokens).collect()
    };
    let elements: usize = plan.noise_shape().iter().product();
    let noise: Vec<f32> = (0..elements).map(|index| index as f32 / elements as f32 - 0.5).collect();
    let fresh = (0..plan.fresh_noises()).map(|index| vec![index as f32 + 1.0; elements]).collect();
    Inputs { tokens: tokens(100), empty: tokens(200), noise, fresh }
}

fn numbers(value: &Value) -> Vec<f64> {
    value.to_f64()
}

fn assert_near(found: &[f64], wanted: &[f64]) {
    assert_eq!(found.len(), wanted.len());
    for (found, wanted) in found.iter().zip(wanted) {
        assert!((found - wanted).abs() <= 1e-5 * wanted.abs().max(1.0), "{found} is not {wanted}");
    }
}

/// CLIP gives its first token as text; the U-Net predicts a tenth of what it reads; the decoder gives mid grey.
fn sd_answer(component: &str, fed: &Fed) -> Result<Vec<Value>, RunError> {
    Ok(match component {
        "text_encoder" => {
            let first = numbers(&fed["input_ids"])[0] as f32;
            vec![filled(&[1, 77, 32], first), filled(&[1, 32], 0.0)]
        }
        "unet" => vec![filled(fed["sample"].shape(), numbers(&fed["encoder_hidden_states"])[0] as f32 / 100.0)],
        _ => vec![filled(&[1, 3, 8, 8], 0.0)],
    })
}

#[test]
fn components_run_in_turn_and_each_pass_is_timed() {
    let made = sd();
    let plan = open(&made).plan(&request(4)).unwrap();
    assert_eq!((plan.noise_shape(), plan.fresh_noises(), plan.reads_empty_prompt()), (vec![1, 4, 4, 4], 0, false));
    let mut runner = noted(sd_answer);
    let inputs = inputs(&plan);
    let image = plan.image(&inputs, &mut runner).unwrap();
    let stages: Vec<(&str, usize)> =
        image.stages.iter().map(|stage| (stage.component.as_str(), stage.seconds.len())).collect();
    assert_eq!(stages, [("text_encoder", 1), ("unet", 4), ("vae_decoder", 1)]);
    assert!(image.stages.iter().flat_map(|stage| &stage.seconds).all(|&seconds| seconds >= 0.0));
    assert!(image.rest_s >= 0.0 && image.not_finite.is_none() && image.latents.len() == 4);
    // A scalar stays one, and is told the scheduler's timesteps.
    let times: Vec<&Value> = runner.of("unet").iter().map(|fed| &fed["timestep"]).collect();
    assert!(times.iter().all(|time| time.shape().is_empty() && time.dtype() == DType::F32));
    assert_eq!(times.iter().map(|time| numbers(time)[0]).collect::<Vec<_>>(), [999.0, 749.0, 499.0, 249.0]);
    // The noise comes in divided by what the first level makes of it; the prediction of 1 moves it by the levels' sum.
    let sigma = plan.schedule.sigmas[0];
    let first: Vec<f64> = inputs.noise.iter().map(|&noise| f64::from(noise) * sigma).collect();
    let divided: Vec<f64> = first.iter().map(|x| x / (sigma * sigma + 1.0).sqrt()).collect();
    assert_near(&numbers(&runner.of("unet")[0]["sample"]), &divided);
    let last: Vec<f64> = first.iter().map(|x| x - sigma).collect();
    assert_near(&numbers(&image.latents[3]), &last);
    let decoded: Vec<f64> = last.iter().map(|x| x / 0.18215).collect();
    assert_near(&numbers(&runner.of("vae_decoder")[0]["latent_sample"]), &decoded);
    assert_eq!(image.picture, filled(&[3, 8, 8], 0.5));
}

#[test]
fn guidance_takes_two_passes_a_step_and_goes_beyond_the_prompt() {
    let made = sd();
    let guided = Request { guidance: Some(4.0), ..request(2) };
    let plan = open(&made).plan(&guided).unwrap();
    assert!(plan.reads_empty_prompt());
    let mut runner = noted(sd_answer);
    let inputs = inputs(&plan);
    let image = plan.image(&inputs, &mut runner).unwrap();
    let stages: Vec<usize> = image.stages.iter().map(|stage| stage.seconds.len()).collect();
    assert_eq!(stages, [2, 4, 1]);
    // 1 with the prompt and 2 without: 2 + 4·(1 − 2) = −2.
    let sigma = plan.schedule.sigmas[0];
    let wanted: Vec<f64> = inputs.noise.iter().map(|&noise| f64::from(noise) * sigma + 2.0 * sigma).collect();
    assert_near(&numbers(&image.latents[1]), &wanted);
    // Up to 1 there is nothing to guide, as in diffusers.
    let weak = open(&made).plan(&Request { guidance: Some(1.0), ..request(2) }).unwrap();
    assert!(!weak.reads_empty_prompt());
    for scale in [f64::NAN, -1.0, f64::INFINITY] {
        assert!(open(&made).plan(&Request { guidance: Some(scale), ..request(2) }).is_err());
    }
}

#[test]
fn a_graph_is_fed_the_types_that_it_asks_for() {
    let made = sd();
    let made = made.component(
        "unet",
        "UNet2DConditionModel",
        &json!({"sample_size": 4, "block_out_channels": [16, 32]}),
        &[
            ("sample", DType::F16, &["batch", "4", "s30", "s91"]),
            ("timestep", DType::I64, &["1", "1"]),
            ("encoder_hidden_states", DType::F16, &["batch", "77", "32"]),
        ],
        &[("out_sample", DType::F16, &["batch", "4", "h", "w"])],
    );
    let plan = open(&made).plan(&request(1)).unwrap();
    let mut runner = noted(|component: &str, fed: &Fed| match component {
        "unet" => Ok(vec![filled(&[1, 4, 4, 4], 0.0).cast(DType::F16)?]),
        _ => sd_answer(component, fed),
    });
    plan.image(&inputs(&plan), &mut runner).unwrap();
    let fed = runner.of("unet")[0];
    let types: Vec<DType> = ["sample", "timestep", "encoder_hidden_states"].map(|name| fed[name].dtype()).to_vec();
    assert_eq!(types, [DType::F16, DType::I64, DType::F16]);
    assert_eq!((fed["timestep"].shape(), numbers(&fed["timestep"])[0]), (&[1, 1][..], 999.0));
}
