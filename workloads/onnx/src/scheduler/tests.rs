//! Schedulers beside diffusers' own numbers, and what is refused.
//!
//! `schedulers.json`: diffusers 0.39.0's scheduler classes on seeded predictions. `images.json`: whole images by its
//! pipelines over ONNX Runtime, twelve elements of each tensor; the predictions are those of the exported graphs.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::*;

#[derive(Deserialize)]
struct Case {
    pipeline: String,
    steps: usize,
    tokens: usize,
    scheduler: Map<String, Value>,
    timesteps: Vec<f64>,
    sigmas: Option<Vec<f64>>,
    scale: Option<f64>,
    noise: Vec<f64>,
    fed: Option<Vec<Vec<f64>>>,
    fresh: Vec<Vec<f64>>,
    predictions: Vec<Vec<f64>>,
    latents: Vec<Vec<f64>>,
}

fn cases() -> Vec<Case> {
    [include_str!("../../tests/data/schedulers.json"), include_str!("../../tests/data/images.json")]
        .iter()
        .flat_map(|file| serde_json::from_str::<Vec<Case>>(file).unwrap())
        .collect()
}

/// Relative distance of two vectors.
fn distance(found: &[f64], wanted: &[f64]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    norm(&mut found.iter().zip(wanted).map(|(a, b)| a - b)) / norm(&mut wanted.iter().copied()).max(1e-30)
}

fn rounded(values: impl Iterator<Item = f64>) -> Vec<f64> {
    values.map(|value| f64::from(value as f32)).collect()
}

#[test]
fn every_step_is_diffusers_own() {
    let cases = cases();
    assert_eq!(cases.len(), 38);
    for case in &cases {
        let scheduler = Scheduler::parse(&case.scheduler).unwrap();
        let plan = if case.pipeline == "FluxPipeline" { Plan::Even { tokens: case.tokens } } else { Plan::Own };
        let schedule = scheduler.schedule(plan, case.steps).unwrap();
        let name = format!("{} {} {:?}", case.pipeline, case.steps, case.scheduler);
        let near = |found: &[f64], wanted: &[f64], what: &str| {
            let distance = distance(found, wanted);
            assert!(distance < 2e-6, "{name}: {what} is {distance:.1e} off: {found:?}, not {wanted:?}");
        };
        near(&schedule.timesteps, &case.timesteps, "the timesteps");
        if let Some(sigmas) = &case.sigmas {
            near(&schedule.sigmas, sigmas, "the noise levels");
        }
        if let Some(scale) = case.scale {
            near(&[schedule.first_scale], &[scale], "the first scale");
        }
        let mut x = rounded(case.noise.iter().map(|noise| noise * schedule.first_scale));
        let mut fresh = case.fresh.iter();
        for step in 0..case.steps {
            if let Some(fed) = &case.fed {
                let divisor = schedule.input_divisor(step);
                near(&rounded(x.iter().map(|x| x / divisor)), &fed[step], &format!("step {step}'s input"));
            }
            let nothing = vec![f64::NAN; x.len()];
            let noise = if schedule.is_noisy(step) { fresh.next().expect("noise was drawn") } else { &nothing };
            let prediction = &case.predictions[step];
            x = rounded((0..x.len()).map(|i| schedule.step(step, x[i], prediction[i], noise[i])));
            near(&x, &case.latents[step], &format!("step {step}'s latent"));
            // The next step starts from diffusers' latent, so that each is judged by itself.
            x.clone_from(&case.latents[step]);
        }
        assert_eq!(fresh.count(), 0, "{name}: as much noise as diffusers draws");
    }
}

#[test]
fn one_schedulers_file_gives_two_pipelines_other_levels() {
    let config = json!({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0});
    let scheduler = Scheduler::parse(config.as_object().unwrap()).unwrap();
    let sd3 = scheduler.schedule(Plan::Own, 4).unwrap();
    let flux = scheduler.schedule(Plan::Even { tokens: 4096 }, 4).unwrap();
    assert!(distance(&sd3.sigmas, &[1.0, 0.857_692_3, 0.602_150_56, 0.008_928_571_8, 0.0]) < 1e-6, "{:?}", sd3.sigmas);
    assert!(distance(&flux.sigmas, &[1.0, 0.9, 0.75, 0.5, 0.0]) < 1e-6, "{:?}", flux.sigmas);
}

fn refused(config: Value) -> String {
    Scheduler::parse(config.as_object().unwrap()).unwrap_err().to_string()
}

#[test]
fn an_unknown_scheduler_is_told_what_is_known_and_what_to_do() {
    let message = refused(json!({"_class_name": "PNDMScheduler"}));
    for part in ["PNDMScheduler is a scheduler that ditbench does not run", "DDIMScheduler", "to time the same passes"]
    {
        assert!(message.contains(part), "{message}");
    }
    assert!(refused(json!({})).starts_with("a scheduler without a _class_name"));
}

#[test]
fn a_field_without_a_rule_is_named_with_its_value() {
    for (class, field, value) in [
        ("EulerDiscreteScheduler", "use_karras_sigmas", json!(true)),
        ("EulerDiscreteScheduler", "prediction_type", json!("flow_prediction")),
        ("EulerAncestralDiscreteScheduler", "prediction_type", json!("sample")),
        ("EulerDiscreteScheduler", "rescale_betas_zero_snr", json!(true)),
        ("EulerDiscreteScheduler", "timestep_type", json!("continuous")),
        ("EulerDiscreteScheduler", "interpolation_type", json!("log_linear")),
        ("EulerDiscreteScheduler", "trained_betas", json!([0.1, 0.2])),
        ("EulerDiscreteScheduler", "beta_schedule", json!("squaredcos_cap_v2")),
        ("EulerDiscreteScheduler", "beta_end", json!(2)),
        ("EulerDiscreteScheduler", "beta_start", json!("0.1")),
        ("EulerDiscreteScheduler", "num_train_timesteps", json!(1)),
        ("EulerDiscreteScheduler", "num_train_timesteps", json!(1e18)),
        ("EulerDiscreteScheduler", "num_train_timesteps", json!(10_000_000_000u64)),
        ("EulerDiscreteScheduler", "steps_offset", json!(-1)),
        ("EulerDiscreteScheduler", "a_field_of_next_year", json!(0.5)),
        ("DDIMScheduler", "thresholding", json!(true)),
        ("DDIMScheduler", "clip_sample", json!("yes")),
        ("DDIMScheduler", "clip_sample_range", json!(0)),
        ("LCMScheduler", "original_inference_steps", json!(2000)),
        ("FlowMatchEulerDiscreteScheduler", "shift", json!(0)),
        ("FlowMatchEulerDiscreteScheduler", "shift_terminal", json!(0.1)),
        ("FlowMatchEulerDiscreteScheduler", "stochastic_sampling", json!(true)),
        ("FlowMatchEulerDiscreteScheduler", "use_flow_sigmas", json!(true)),
    ] {
        let message = refused(json!({"_class_name": class, field: value}));
        assert!(message.starts_with(&format!("{class}: {field} = {value} is not supported")), "{message}");
    }
}

#[test]
fn fields_of_other_schedulers_are_ignored_and_said() {
    let config = json!({"_class_name": "EulerAncestralDiscreteScheduler", "skip_prk_steps": true, "clip_sample": false,
        "next_year": null, "_a_note": "x"});
    let scheduler = Scheduler::parse(config.as_object().unwrap()).unwrap();
    assert_eq!(scheduler.ignored, ["skip_prk_steps", "clip_sample"]);
}

#[test]
fn a_file_that_was_another_schedulers_keeps_its_fields_and_runs() {
    // Stable Diffusion 1.5's PNDM file with the class changed, as its users do.
    let config = json!({"_class_name": "EulerDiscreteScheduler", "_diffusers_version": "0.6.0", "beta_end": 0.012,
        "beta_schedule": "scaled_linear", "beta_start": 0.00085, "num_train_timesteps": 1000, "set_alpha_to_one": false,
        "skip_prk_steps": true, "steps_offset": 1, "trained_betas": null, "clip_sample": false});
    let scheduler = Scheduler::parse(config.as_object().unwrap()).unwrap();
    assert_eq!(scheduler.ignored, ["set_alpha_to_one", "skip_prk_steps", "clip_sample"]);
    assert_eq!(scheduler.schedule(Plan::Own, 4).unwrap().timesteps, [999.0, 666.0, 333.0, 0.0]);
}

#[test]
fn impossible_numbers_of_steps_are_errors() {
    for (config, steps, why) in [
        (json!({"_class_name": "DDIMScheduler"}), 0, "use 1 to 1000"),
        (json!({"_class_name": "DDIMScheduler"}), 1001, "use 1 to 1000"),
        (json!({"_class_name": "LCMScheduler"}), 51, "use 1 to 50"),
        (json!({"_class_name": "DDIMScheduler", "steps_offset": 1}), 1000, "the first timestep would be 1000"),
        (
            json!({"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "leading", "steps_offset": 900}),
            2,
            "1400",
        ),
    ] {
        let error = Scheduler::parse(config.as_object().unwrap()).unwrap().schedule(Plan::Own, steps).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn a_scheduler_in_the_wrong_pipeline_is_an_error() {
    let euler = Scheduler::parse(json!({"_class_name": "EulerDiscreteScheduler"}).as_object().unwrap()).unwrap();
    let error = euler.schedule(Plan::Even { tokens: 64 }, 4).unwrap_err().to_string();
    assert!(error.contains("EulerDiscreteScheduler in a FluxPipeline"), "{error}");
    let config = json!({"_class_name": "FlowMatchEulerDiscreteScheduler", "use_dynamic_shifting": true});
    let error = Scheduler::parse(config.as_object().unwrap()).unwrap().schedule(Plan::Own, 4).unwrap_err().to_string();
    assert!(error.contains("use_dynamic_shifting is known for FluxPipeline alone"), "{error}");
}
