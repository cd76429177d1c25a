//! On the exports of other tools that `ditbench-onnx` is tested with.

use std::path::{Path, PathBuf};

use ditbench_graph::Tensor;
use ditbench_onnx::axes::Origin;

use super::*;
use crate::pipeline::Source;
use crate::{RunError, StageRunner};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("onnx/tests/data").join(name)
}

fn given(name: &str, path: PathBuf) -> Given {
    Given { name: name.to_owned(), path }
}

fn tagger(options: &Options) -> Result<Choice, String> {
    choice(&given("tagger", data("tagger/model.onnx")), options, None, None).map_err(|error| error.to_string())
}

fn sizes(words: &[&str]) -> Options {
    Options { sizes: words.iter().map(|word| word.parse().unwrap()).collect(), ..Options::default() }
}

/// Gives tensors of zeros, and remembers what each stage was fed.
struct Zeros {
    shapes: Vec<(&'static str, Vec<Vec<usize>>)>,
    fed: Vec<(String, Vec<Tensor>)>,
}

impl StageRunner for Zeros {
    type Error = RunError;

    fn run(&mut self, stage: &str, inputs: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
        self.fed.push((stage.to_owned(), inputs.to_vec()));
        let shapes = self.shapes.iter().find(|(name, _)| *name == stage).ok_or("no such stage")?;
        Ok(shapes.1.iter().map(|shape| Tensor::zeros(shape.clone())).collect())
    }
}

#[test]
fn a_pipeline_has_its_usual_size_and_its_stages_their_roles() {
    let options = Options::default();
    let choice = choice(&given("pixart", data("pixart")), &options, None, None).unwrap();
    assert_eq!((choice.size.height, choice.size.width, choice.steps), (32, 32, USUAL_STEPS));
    assert_eq!(choice.to_string(), "pixart 32×32");
    let pipeline = Own.build(&choice).unwrap();
    let stages: Vec<_> = pipeline.stages.iter().map(|stage| (stage.id.as_str(), stage.role, stage.passes)).collect();
    assert_eq!(
        stages,
        [("text_encoder", Role::Encoder, 1), ("transformer", Role::Denoiser, 4), ("vae_decoder", Role::Decoder, 1)]
    );
    assert_eq!(pipeline.files_precision().as_deref(), Some("f32"));
    let own: BTreeMap<_, _> = pipeline.own.iter().cloned().collect();
    assert_eq!((own["sampler"].as_str(), own["text_tokens"].as_str()), ("DDIMScheduler", "64"));
    assert_eq!(pipeline.config["files"]["transformer"]["opset"], 17);
    let names: Vec<_> = files(&pipeline).into_iter().map(|(_, place)| place.display().to_string()).collect();
    assert!(names.contains(&"model_index.json".to_owned()) && names.contains(&"transformer/model.onnx".to_owned()));
    assert!(!names.iter().any(|name| name.contains("reference")), "what nobody reads is not sent: {names:?}");
    let again = Options { inputs: Some(data("tagger/io.npz")), ..options };
    let choice = super::choice(&given("pixart", data("pixart")), &again, None, Some(2)).unwrap();
    assert_eq!(options_of(&choice), again);
    assert_eq!(options_of(&moved(&choice, "/there")), Options::default());
}

#[test]
fn guidance_is_two_passes_a_step_and_one_entry_of_times() {
    let choice = choice(&given("pixart", data("pixart")), &Options::default(), None, Some(2)).unwrap();
    let pipeline = Own.build(&choice.clone().with("guidance", "4.5").with("t5-tokens", "32")).unwrap();
    let passes: Vec<usize> = pipeline.stages.iter().map(|stage| stage.passes).collect();
    assert_eq!((passes, pipeline.passes_per_step(&pipeline.stages[1].id)), (vec![2, 4, 1], 2));
    assert_eq!(pipeline.own[0].1, "DDIMScheduler+cfg4.5");
    let inputs = pipeline.drive.inputs("a red apple", 7).unwrap();
    assert_eq!(inputs, pipeline.drive.inputs("a red apple", 7).unwrap());
    assert_ne!(inputs.sha256(), pipeline.drive.inputs("a red apple", 8).unwrap().sha256());
    assert_ne!(inputs.tokens_sha256(), pipeline.drive.inputs("a green apple", 7).unwrap().tokens_sha256());
    let mut runner = Zeros {
        shapes: vec![
            ("text_encoder", vec![vec![1, 32, 32]]),
            ("transformer", vec![vec![1, 8, 16, 16]]),
            ("vae_decoder", vec![vec![1, 3, 32, 32]]),
        ],
        fed: Vec::new(),
    };
    let trace = pipeline.drive.image(&inputs, &mut runner).unwrap();
    let entries: Vec<usize> = trace.times.stages.iter().map(|stage| stage.times.len()).collect();
    assert_eq!((entries, runner.fed.len(), trace.latents.len()), (vec![1, 2, 1], 7, 2));
    assert_eq!(trace.image, vec![0.5; 3 * 32 * 32]);
    let error = Own.build(&choice.clone().with("guidance", "4-batch")).unwrap_err().to_string();
    assert!(error.contains("no guidance \"4-batch\""), "{error}");
}

#[test]
fn noise_and_tokens_may_be_a_users_own() {
    let options = Options { inputs: Some(data("pixart/reference/s4.safetensors")), ..Options::default() };
    let choice = choice(&given("pixart", data("pixart")), &options, None, None).unwrap();
    let pipeline = Own.build(&choice).unwrap();
    let arrays = ditbench_onnx::arrays::read(&data("pixart/reference/s4.safetensors")).unwrap();
    let inputs = pipeline.drive.inputs("something else", 7).unwrap();
    let numbers: Vec<f32> = arrays["noise"].to_f64().into_iter().map(|number| number as f32).collect();
    assert_eq!(inputs.tensor("noise").unwrap().as_f32().unwrap(), numbers);
    let apple = Own
        .build(&Choice { own: BTreeMap::from([("path".to_owned(), data("pixart").display().to_string())]), ..choice });
    let apple = apple.unwrap().drive.inputs("a red apple", 7).unwrap();
    assert_eq!(inputs.tensor("tokens.text_encoder"), apple.tensor("tokens.text_encoder"));
    assert_eq!(inputs.tensor("tokens_attended.text_encoder"), apple.tensor("tokens_attended.text_encoder"));
}

#[test]
fn a_single_graph_takes_its_sizes_from_flags_arrays_and_names() {
    let error = tagger(&Options::default()).unwrap_err();
    assert!(error.contains("input ids [batch, words] i32, axis 1 (words)") && error.contains("--input"), "{error}");
    let by_flag = tagger(&sizes(&["ids=1x12"])).unwrap();
    assert_eq!(by_flag.to_string(), "tagger ids=1x12:i32 mask=1x12:bool");
    let io = data("tagger/io.npz");
    let by_array = tagger(&Options { inputs: Some(io.clone()), ..Options::default() }).unwrap();
    assert_eq!(shown_sizes(&by_array), shown_sizes(&by_flag));
    // The array of the other input has the same axis.
    let error = tagger(&Options { inputs: Some(io.clone()), ..sizes(&["ids=1x7"]) }).unwrap_err();
    assert!(error.contains("words is 7 in another input and 12 here"), "{error}");
    let other = tagger(&Options { inputs: Some(io.clone()), ..sizes(&["ids=1x7", "mask=1x7"]) }).unwrap();
    let error = Own.build(&other).unwrap().drive.inputs("", 7).unwrap_err().to_string();
    assert!(error.contains("\"ids\" [1, 7] i32: the array given is [1, 12]"), "{error}");
    let error = Own.build(&by_flag).unwrap().drive.inputs("", 7).unwrap_err().to_string();
    assert!(error.contains("\"ids\" [1, 12] i32") && error.contains("--inputs FILE.npz"), "{error}");
    // Only what nothing else says was given, although the choice carries all of it.
    let Source::Onnx(file) = &Own.build(&by_flag).unwrap().stages[0].source else { panic!("it is a file") };
    let origins: Vec<&[Origin]> = file.inputs.iter().map(|input| input.origins.as_slice()).collect();
    assert_eq!(origins, [&[Origin::Implied, Origin::Given], &[Origin::Implied, Origin::Implied]]);
    let pipeline = Own.build(&by_array).unwrap();
    assert_eq!((pipeline.stages[0].role, pipeline.files_precision().as_deref()), (Role::Other, Some("f32")));
    let mut runner = Zeros { shapes: vec![("model", vec![vec![1, 12, 5]])], fed: Vec::new() };
    let trace = pipeline.drive.image(&pipeline.drive.inputs("", 7).unwrap(), &mut runner).unwrap();
    assert_eq!((trace.size, trace.latents.len(), trace.image.len()), (None, 1, 60));
    let (_, fed) = &runner.fed[0];
    assert!(fed[0].as_i64().is_ok() && fed[1].as_i64().unwrap().iter().all(|&bit| bit == 0 || bit == 1));
}

#[test]
fn what_belongs_to_the_other_kind_is_refused() {
    let pixart =
        |options: &Options| choice(&given("pixart", data("pixart")), options, None, None).unwrap_err().to_string();
    assert!(pixart(&sizes(&["sample=1x4x16x16"])).contains("--input sample=1x4x16x16 is for single graphs"));
    let size = Some(ImageSize { height: 64, width: 64 });
    let single = given("tagger", data("tagger/model.onnx"));
    let options = sizes(&["ids=1x12"]);
    assert!(choice(&single, &options, size, None).unwrap_err().to_string().contains("--size is for pipelines"));
    assert!(choice(&single, &options, None, Some(4)).unwrap_err().to_string().contains("--steps is for pipelines"));
    let files = Options { files: vec![("unet".to_owned(), "a.onnx".to_owned())], ..options };
    assert!(choice(&single, &files, None, None).unwrap_err().to_string().contains("--file is for pipelines"));
    let guided = Own.build(&tagger(&sizes(&["ids=1x12"])).unwrap().with("guidance", "4")).unwrap_err().to_string();
    assert!(guided.contains("--guidance is for pipelines"), "{guided}");
    let gone = Options { expect: Some(data("none.npz")), ..sizes(&["ids=1x12"]) };
    assert!(tagger(&gone).unwrap_err().contains("none.npz: there is no such file"));
    let nothing = Options { inputs: Some(data("pixart/reference/s4.safetensors")), ..sizes(&["ids=1x12"]) };
    assert!(tagger(&nothing).unwrap_err().contains("holds none of the inputs"));
}
