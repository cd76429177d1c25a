//! Each kind of pipeline feeds its denoiser what its class in diffusers does.

use serde_json::{Value as Json, json};

use super::*;
use crate::folder::tests::{clip, decoder};
use crate::{DType, Data};

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

pub(super) fn flow() -> Json {
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
