//! Whole images on a runner that computes next to nothing, so that every number that it is fed can be foretold.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::*;
use crate::folder::Tokens;
use crate::folder::tests::{Made, clip, decoder, sd};
use crate::{DType, Data, Value};

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

#[test]
fn sdxl_reads_both_encoders_and_is_told_sizes() {
    let scheduler = json!({"_class_name": "EulerAncestralDiscreteScheduler", "timestep_spacing": "trailing"});
    let made = Made::new("StableDiffusionXLPipeline", &scheduler);
    let hidden: &[(&str, DType, &[&str])] = &[
        ("text_embeds", DType::F32, &["batch_size", "sequence_length"]),
        ("hidden_states.0", DType::F32, &["b", "t", "2"]),
        ("hidden_states.10", DType::F32, &["b", "t", "2"]),
        ("hidden_states.9", DType::F32, &["b", "t", "2"]),
    ];
    let made = clip(clip(made, "text_encoder", &hidden[1..]), "text_encoder_2", hidden);
    let made = made.component(
        "unet",
        "UNet2DConditionModel",
        &json!({"sample_size": 4, "block_out_channels": [16, 32]}),
        &[
            ("sample", DType::F32, &["b", "4", "h", "w"]),
            ("timestep", DType::F32, &["steps"]),
            ("encoder_hidden_states", DType::F32, &["b", "t", "4"]),
            ("text_embeds", DType::F32, &["b", "3"]),
            ("time_ids", DType::F32, &["b", "6"]),
        ],
        &[("out_sample", DType::F32, &["b", "4", "h", "w"])],
    );
    let made = decoder(made, 4, 0.13025, &Json::Null);
    let plan = open(&made).plan(&Request { size: Some((8, 12)), ..request(2) }).unwrap();
    assert_eq!((plan.noise_shape(), plan.fresh_noises()), (vec![1, 4, 4, 6], 2));
    let mut runner = noted(|component: &str, fed: &Fed| {
        Ok(match component {
            "text_encoder" => vec![filled(&[1, 77, 2], 0.0), filled(&[1, 77, 2], 10.0), filled(&[1, 77, 2], 9.0)],
            "text_encoder_2" => vec![
                filled(&[1, 3], 5.0),
                filled(&[1, 77, 2], 0.0),
                filled(&[1, 77, 2], 20.0),
                filled(&[1, 77, 2], 19.0),
            ],
            "unet" => vec![filled(fed["sample"].shape(), 0.0)],
            _ => vec![filled(&[1, 3, 8, 12], 3.0)],
        })
    });
    let inputs = inputs(&plan);
    let image = plan.image(&inputs, &mut runner).unwrap();
    let fed = runner.of("unet")[0];
    assert_eq!(fed["encoder_hidden_states"].shape(), [1, 77, 4]);
    assert_eq!(numbers(&fed["encoder_hidden_states"])[..8], [9.0, 9.0, 19.0, 19.0, 9.0, 9.0, 19.0, 19.0]);
    assert_eq!(numbers(&fed["text_embeds"]), [5.0; 3]);
    assert_eq!(numbers(&fed["time_ids"]), [8.0, 12.0, 0.0, 0.0, 8.0, 12.0]);
    assert_eq!(image.picture, filled(&[3, 8, 12], 1.0), "beyond white is white");
    // The last step's noise is drawn and counts for nothing.
    let change = numbers(&image.latents[1]);
    assert!(change.iter().all(|number| number.is_finite()));
    let guided = open(&made).plan(&Request { guidance: Some(5.0), ..request(2) }).unwrap_err();
    assert!(guided.to_string().contains("not supported for StableDiffusionXLPipeline"), "{guided}");
}

fn flow() -> Json {
    json!({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0})
}

fn t5(made: Made, name: &str, mask: bool) -> Made {
    let ports: &[(&str, DType, &[&str])] =
        &[("input_ids", DType::I64, &["b", "t"]), ("attention_mask", DType::I64, &["b", "t"])];
    let ports = if mask { ports } else { &ports[..1] };
    made.component(name, "T5EncoderModel", &json!({}), ports, &[("last_hidden_state", DType::F32, &["b", "t", "5"])])
}

#[test]
fn sd3_pads_the_clips_to_t5_and_puts_it_behind() {
    let hidden: &[(&str, DType, &[&str])] = &[
        ("text_embeds", DType::F32, &["b", "t"]),
        ("hidden_states.0", DType::F32, &["b", "t", "2"]),
        ("hidden_states.1", DType::F32, &["b", "t", "2"]),
    ];
    let made = Made::new("StableDiffusion3Pipeline", &flow());
    let made = t5(clip(clip(made, "text_encoder", hidden), "text_encoder_2", hidden), "text_encoder_3", false);
    made.json("tokenizer_3/tokenizer_config.json", &json!({"model_max_length": 64}));
    let made = made.component(
        "transformer",
        "SD3Transformer2DModel",
        &json!({"sample_size": 4, "patch_size": 2}),
        &[
            ("hidden_states", DType::F32, &["b", "16", "h", "w"]),
            ("encoder_hidden_states", DType::F32, &["b", "t", "5"]),
            ("pooled_projections", DType::F32, &["b", "6"]),
            ("timestep", DType::F32, &["step"]),
        ],
        &[("out_hidden_states", DType::F32, &["b", "16", "h", "w"])],
    );
    let made = decoder(made, 16, 1.5, &json!(0.25));
    let plan = open(&made).plan(&request(2)).unwrap();
    assert_eq!(plan.text_tokens().map(|(_, count)| count).collect::<Vec<_>>(), [77, 77, 64]);
    let mut runner = noted(|component: &str, fed: &Fed| {
        let clip = |n: f32| vec![filled(&[1, 3], n), filled(&[1, 77, 2], n), filled(&[1, 77, 2], -1.0)];
        Ok(match component {
            "text_encoder" => clip(1.0),
            "text_encoder_2" => clip(2.0),
            "text_encoder_3" => vec![filled(&[1, 64, 5], 3.0)],
            "transformer" => vec![filled(fed["hidden_states"].shape(), 0.5)],
            _ => vec![filled(&[1, 3, 8, 8], 0.0)],
        })
    });
    let inputs = inputs(&plan);
    let image = plan.image(&inputs, &mut runner).unwrap();
    let fed = runner.of("transformer");
    let text = numbers(&fed[0]["encoder_hidden_states"]);
    assert_eq!(fed[0]["encoder_hidden_states"].shape(), [1, 77 + 64, 5]);
    assert_eq!(text[..10], [1.0, 1.0, 2.0, 2.0, 0.0, 1.0, 1.0, 2.0, 2.0, 0.0]);
    assert_eq!(text[77 * 5..], [3.0; 64 * 5]);
    assert_eq!(numbers(&fed[0]["pooled_projections"]), [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
    assert_near(&[numbers(&fed[0]["timestep"])[0], numbers(&fed[1]["timestep"])[0]], &[1000.0, 8.928_571_8]);
    let last: Vec<f64> = inputs.noise.iter().map(|&noise| f64::from(noise) - 0.5).collect();
    assert_near(&numbers(&image.latents[1]), &last);
    let decoded: Vec<f64> = last.iter().map(|x| x / 1.5 + 0.25).collect();
    assert_near(&numbers(&runner.of("vae_decoder")[0]["latent_sample"]), &decoded);
}

fn flux(guidance: bool) -> Made {
    let made = clip(
        Made::new("FluxPipeline", &flow()),
        "text_encoder",
        &[("last_hidden_state", DType::F32, &["b", "t", "2"]), ("pooler_output", DType::F32, &["b", "2"])],
    );
    let made = t5(made, "text_encoder_2", false);
    let ports: &[(&str, DType, &[&str])] = &[
        ("hidden_states", DType::F32, &["b", "packed", "8"]),
        ("encoder_hidden_states", DType::F32, &["b", "t", "5"]),
        ("pooled_projections", DType::F32, &["b", "2"]),
        ("timestep", DType::F32, &["step"]),
        ("img_ids", DType::I64, &["packed", "3"]),
        ("txt_ids", DType::F32, &["b", "t", "3"]),
        ("guidance", DType::F32, &["b"]),
    ];
    let ports = if guidance { ports } else { &ports[..6] };
    let made = made.component(
        "transformer",
        "FluxTransformer2DModel",
        &json!({"guidance_embeds": guidance}),
        ports,
        &[("out_hidden_states", DType::F32, &["b", "packed", "8"])],
    );
    decoder(made, 2, 1.0, &Json::Null)
}

#[test]
fn flux_packs_its_latent_and_knows_where_each_token_is() {
    let plan = open(&flux(true)).plan(&Request { size: Some((8, 12)), text_tokens: Some(7), ..request(1) }).unwrap();
    assert_eq!(plan.noise_shape(), [1, 6, 8]);
    let mut runner = noted(|component: &str, fed: &Fed| {
        Ok(match component {
            "text_encoder" => vec![filled(&[1, 77, 2], 1.0), filled(&[1, 2], 4.0)],
            "text_encoder_2" => vec![filled(&[1, 7, 5], 3.0)],
            "transformer" => vec![filled(fed["hidden_states"].shape(), 0.0)],
            _ => vec![filled(&[1, 3, 8, 12], 0.0)],
        })
    });
    let mut inputs = inputs(&plan);
    inputs.noise = (0..48).map(|index| index as f32).collect();
    plan.image(&inputs, &mut runner).unwrap();
    let fed = runner.of("transformer")[0];
    assert_eq!((numbers(&fed["timestep"]), numbers(&fed["guidance"])), (vec![1.0], vec![3.5]));
    assert_eq!(numbers(&fed["pooled_projections"]), [4.0, 4.0]);
    let positions = [[0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 1, 0], [0, 1, 1], [0, 1, 2]].concat();
    assert_eq!(fed["img_ids"].data(), &Data::I64(positions));
    assert_eq!((fed["txt_ids"].shape(), numbers(&fed["txt_ids"])), (&[1, 7, 3][..], vec![0.0; 21]));
    // By numpy: arange(48).reshape(2, 3, 2, 2, 2).transpose(2, 0, 3, 1, 4).
    let latent = numbers(&runner.of("vae_decoder")[0]["latent_sample"]);
    assert_eq!(latent[..12], [0.0, 1.0, 8.0, 9.0, 16.0, 17.0, 2.0, 3.0, 10.0, 11.0, 18.0, 19.0]);
    assert_eq!(latent[24..30], [4.0, 5.0, 12.0, 13.0, 20.0, 21.0]);
}

#[test]
fn flux_without_a_guidance_input_refuses_a_scale() {
    let pipeline = open(&flux(false));
    assert!(pipeline.plan(&request(1)).is_ok());
    let error = pipeline.plan(&Request { guidance: Some(3.5), ..request(1) }).unwrap_err().to_string();
    assert!(error.contains("takes no guidance scale"), "{error}");
    for tokens in [0, 1, usize::MAX] {
        let error = pipeline.plan(&Request { text_tokens: Some(tokens), ..request(1) }).unwrap_err().to_string();
        assert!(error.starts_with("text_encoder_2: a text of"), "{error}");
    }
    let texts =
        |pipeline: &Pipeline| pipeline.plan(&request(1)).unwrap().text_tokens().map(|(_, n)| n).collect::<Vec<_>>();
    assert_eq!((texts(&pipeline), texts(&open(&flux(true)))), (vec![77, 256], vec![77, 512]));
}

#[test]
fn lcm_is_told_its_scale_as_sinusoids_and_draws_noise_between_steps() {
    let made = Made::new("LatentConsistencyModelPipeline", &json!({"_class_name": "LCMScheduler"}));
    let made = clip(made, "text_encoder", &[("last_hidden_state", DType::F32, &["b", "t", "32"])]);
    let made = made.component(
        "unet",
        "UNet2DConditionModel",
        &json!({"sample_size": 4, "block_out_channels": [16, 32]}),
        &[
            ("sample", DType::F32, &["b", "4", "h", "w"]),
            ("timestep", DType::F32, &[]),
            ("encoder_hidden_states", DType::F32, &["b", "t", "32"]),
            ("timestep_cond", DType::F32, &["b", "6"]),
        ],
        &[("out_sample", DType::F32, &["b", "4", "h", "w"])],
    );
    let made = decoder(made, 4, 0.18215, &Json::Null);
    let plan = open(&made).plan(&Request { guidance: Some(8.0), ..request(3) }).unwrap();
    assert_eq!((plan.fresh_noises(), plan.reads_empty_prompt()), (2, false));
    let mut runner = noted(|component: &str, fed: &Fed| match component {
        "text_encoder" => Ok(vec![filled(&[1, 77, 32], 0.0)]),
        _ => sd_answer(component, fed),
    });
    plan.image(&inputs(&plan), &mut runner).unwrap();
    // By numpy, in f64: w = 7000, 70 and 0.7.
    let wanted = [0.506_885_43, 0.773_890_68, 0.644_217_69, 0.862_013_43, 0.633_319_2, 0.764_842_19];
    assert_near(&numbers(&runner.of("unet")[0]["timestep_cond"]), &wanted);
    let mut short = inputs(&plan);
    short.fresh.pop();
    let error = plan.image(&short, &mut runner).unwrap_err().to_string();
    assert!(error.contains("there are 1 fresh noises, not 2"), "{error}");
}

#[test]
fn pixart_masks_its_text_and_predicts_its_variance_too() {
    let scheduler = json!({"_class_name": "DDIMScheduler", "clip_sample": false});
    let made = t5(Made::new("PixArtSigmaPipeline", &scheduler), "text_encoder", true);
    let made = made.component(
        "transformer",
        "PixArtTransformer2DModel",
        &json!({"sample_size": 4, "patch_size": 2}),
        &[
            ("hidden_states", DType::F32, &["b", "4", "h", "w"]),
            ("encoder_hidden_states", DType::F32, &["b", "t", "5"]),
            ("timestep", DType::F32, &["b"]),
            ("encoder_attention_mask", DType::F32, &["b", "t"]),
        ],
        &[("out_hidden_states", DType::F32, &["b", "8", "h", "w"])],
    );
    let made = decoder(made, 4, 0.13025, &Json::Null);
    let plan = open(&made).plan(&Request { text_tokens: Some(5), ..request(1) }).unwrap();
    let mut runner = noted(|component: &str, _: &Fed| {
        Ok(match component {
            "text_encoder" => vec![filled(&[1, 5, 5], 0.0)],
            "transformer" => vec![Value::new([1, 8, 4, 4], [[0f32; 64], [f32::NAN; 64]].concat()).unwrap()],
            _ => vec![filled(&[1, 3, 8, 8], 0.0)],
        })
    });
    let image = plan.image(&inputs(&plan), &mut runner).unwrap();
    assert_eq!(runner.of("text_encoder")[0]["attention_mask"].data(), &Data::I64(vec![1, 1, 1, 0, 0]));
    assert_eq!(runner.of("transformer")[0]["encoder_attention_mask"].data(), &Data::F32(vec![1.0, 1.0, 1.0, 0.0, 0.0]));
    assert!(numbers(&image.latents[0]).iter().all(|number| number.is_finite()), "the variance is not read");
    assert_eq!(image.not_finite.as_deref(), Some("transformer"));
    assert_eq!(open(&made).plan(&request(1)).unwrap().text_tokens().next(), Some(("text_encoder", 300)));
}

#[test]
fn what_does_not_fit_is_refused_before_anything_runs() {
    let plan = |made: &Made, request: &Request| open(made).plan(request).map(|_| ()).map_err(|error| error.to_string());
    let refused = |made: &Made, request: &Request, why: &str| {
        let message = plan(made, request).unwrap_err();
        assert!(message.contains(why), "{message}");
    };
    let unet = |inputs: &[(&str, DType, &[&str])]| {
        sd().component(
            "unet",
            "UNet2DConditionModel",
            &json!({"sample_size": 4, "block_out_channels": [16, 32]}),
            inputs,
            &[("out_sample", DType::F32, &["b", "4", "h", "w"])],
        )
    };
    refused(
        &sd(),
        &Request { size: Some((10, 8)), ..request(1) },
        "10 x 8 pixels is not possible: height and width must be multiples of 4",
    );
    refused(&sd(), &Request { size: Some((0, 8)), ..request(1) }, "0 x 8 pixels");
    refused(&sd(), &request(0), "0 steps are not possible");
    let latent: (&str, DType, &[&str]) = ("sample", DType::F32, &["1", "4", "4", "4"]);
    let time: (&str, DType, &[&str]) = ("timestep", DType::F32, &[]);
    refused(
        &unet(&[latent, time]),
        &Request { size: Some((16, 16)), ..request(1) },
        "unet: input sample [1, 4, 4, 4] f32: axis 2 is fixed to 4",
    );
    refused(
        &unet(&[("sample", DType::F32, &["2", "4", "h", "w"]), time]),
        &request(1),
        "axis 0 is fixed to 2 in the file, but must be 1",
    );
    refused(&unet(&[latent]), &request(1), "unet: it has no input for the time");
    let more: (&str, DType, &[&str]) = ("controlnet_downblock0", DType::F32, &["1", "320", "64", "64"]);
    refused(
        &unet(&[latent, time, more]),
        &request(1),
        "input controlnet_downblock0 [1, 320, 64, 64] f32 is not one that ditbench fills",
    );
    refused(&unet(&[latent, time, more]), &request(1), "Run this graph alone: --model ");
    let open_width: (&str, DType, &[&str]) = ("timestep_cond", DType::F32, &["b", "width"]);
    refused(
        &unet(&[latent, time, open_width]),
        &request(1),
        "unet: an axis has no size: input timestep_cond [b, width] f32, axis 1 (width)",
    );
    let made = sd();
    made.json("scheduler/scheduler_config.json", &flow());
    refused(&made, &request(1), "FlowMatchEulerDiscreteScheduler in a StableDiffusionPipeline is not supported");
    let made = clip(sd(), "text_encoder", &[("a", DType::F32, &["b", "5"]), ("b", DType::F32, &["b", "5"])]);
    refused(&made, &request(1), "text_encoder: it has no output last_hidden_state; it has a, b");
    let made = clip(sd(), "text_encoder", &[("text_embedding", DType::F32, &["b", "t", "32"])]);
    assert_eq!(plan(&made, &request(1)), Ok(()), "one sequence alone can be no other");
}

#[test]
fn a_component_that_fails_or_gives_something_else_is_named() {
    let made = sd();
    let plan = open(&made).plan(&request(1)).unwrap();
    let fails = |component: &'static str, answer: fn() -> Result<Vec<Value>, RunError>, why: &str| {
        let mut runner = noted(|name: &str, fed: &Fed| if name == component { answer() } else { sd_answer(name, fed) });
        let message = plan.image(&inputs(&plan), &mut runner).unwrap_err().to_string();
        assert!(message.starts_with(component) && message.contains(why), "{message}");
    };
    fails("unet", || Err("out of memory".into()), "unet failed: out of memory");
    fails("unet", || Ok(Vec::new()), "gave 0 tensors, but one for each of out_sample is needed");
    fails("unet", || Ok(vec![filled(&[1, 4, 4, 5], 0.0)]), "gave [1, 4, 4, 5], but a prediction of shape [1, 4, 4, 4]");
    fails(
        "vae_decoder",
        || Ok(vec![filled(&[1, 3, 4, 4], 0.0)]),
        "gave [1, 3, 4, 4], but a picture of shape [1, 3, 8, 8]",
    );
    fails("text_encoder", || Ok(vec![filled(&[1, 76, 32], 0.0), filled(&[1], 0.0)]), "gave [1, 76, 32], but a text of");
    // The U-Net wants 32 numbers a token.
    let mut runner = noted(|name: &str, fed: &Fed| match name {
        "text_encoder" => Ok(vec![filled(&[1, 77, 16], 0.0), filled(&[1, 32], 0.0)]),
        _ => sd_answer(name, fed),
    });
    let message = plan.image(&inputs(&plan), &mut runner).unwrap_err().to_string();
    assert!(message.contains("unet: input \"encoder_hidden_states\" is of shape [1, 77, 32]"), "{message}");
    assert!(runner.of("unet").is_empty(), "checked before it ran");
    let mut wrong = inputs(&plan);
    wrong.noise.pop();
    assert!(matches!(plan.image(&wrong, &mut runner), Err(DriveError::Inputs(_))));
    let mut wrong = inputs(&plan);
    wrong.tokens.clear();
    assert!(matches!(plan.image(&wrong, &mut runner), Err(DriveError::Inputs(_))));
}

#[test]
fn weights_that_are_missing_are_named_when_the_folder_is_opened() {
    let made = sd();
    let message = |made: &Made| Pipeline::open(made.path(), &BTreeMap::new()).unwrap_err().to_string();
    made.write("unet/model.onnx", "version https://git-lfs.github.com/spec/v1\n");
    assert!(message(&made).contains("unet/model.onnx: is a git-lfs pointer"), "{}", message(&made));
}
