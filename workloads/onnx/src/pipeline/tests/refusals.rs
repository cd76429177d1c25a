//! What does not fit, fails or is missing says where and why.

use serde_json::json;

use super::kinds::flow;
use super::*;
use crate::folder::tests::clip;

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
