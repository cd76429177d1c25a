//! Folders as exporters write them, with graphs of a few bytes; and every way in which one can be broken.

use serde_json::{Value, json};

use super::*;
use crate::DType;
use crate::model::tests as graph;

/// Ports of a graph: name, type, axes.
pub(crate) type Ports<'a> = &'a [(&'a str, DType, &'a [&'a str])];

/// A pipeline's folder that goes away.
pub(crate) struct Made {
    pub(crate) folder: tempfile::TempDir,
    index: Map<String, Value>,
}

impl Made {
    pub(crate) fn new(class: &str, scheduler: &Value) -> Self {
        let mut made = Self { folder: tempfile::tempdir().unwrap(), index: Map::new() };
        made.index.insert("_class_name".to_owned(), json!(class));
        made.json("scheduler/scheduler_config.json", scheduler);
        made
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub(crate) fn json(&self, name: &str, value: &Value) {
        self.write(name, value.to_string());
    }

    /// A component: its class in the index, its settings, and a graph with an interface and nothing else.
    pub(crate) fn component(
        mut self,
        name: &str,
        class: &str,
        config: &Value,
        inputs: Ports<'_>,
        outputs: Ports<'_>,
    ) -> Self {
        let ports = |number: u32, ports: Ports<'_>| -> Vec<u8> {
            ports
                .iter()
                .flat_map(|(name, dtype, dims)| graph::bytes(number, &graph::info(name, *dtype, dims)))
                .collect()
        };
        self.write(&format!("{name}/model.onnx"), graph::model(&[ports(11, inputs), ports(12, outputs)]));
        self.json(&format!("{name}/config.json"), config);
        // The index calls the decoder's model "vae".
        let index = if name == "vae_decoder" { "vae" } else { name };
        self.index.insert(index.to_owned(), json!(["diffusers", class]));
        self.save();
        self
    }

    pub(crate) fn save(&self) {
        self.json(INDEX, &Value::Object(self.index.clone()));
    }

    pub(crate) fn open(&self) -> Result<Folder, String> {
        Folder::open(self.path(), &BTreeMap::new()).map_err(|error| error.to_string())
    }

    fn refused(&self, why: &str) {
        let message = self.open().unwrap_err();
        assert!(message.contains(why), "{message}");
    }
}

pub(crate) fn clip(made: Made, name: &str, outputs: Ports<'_>) -> Made {
    made.component(
        name,
        "CLIPTextModel",
        &json!({}),
        &[("input_ids", DType::I64, &["batch_size", "sequence_length"])],
        outputs,
    )
}

pub(crate) fn decoder(made: Made, channels: usize, scaling: f64, shift: &Value) -> Made {
    let config = json!({"latent_channels": channels, "scaling_factor": scaling, "shift_factor": shift,
        "block_out_channels": [16, 32]});
    let channels = channels.to_string();
    made.component(
        "vae_decoder",
        "AutoencoderKL",
        &config,
        &[("latent_sample", DType::F32, &["batch_size", &channels, "latent_height", "latent_width"])],
        &[("sample", DType::F32, &["batch_size", "3", "latent_height * 2", "latent_width * 2"])],
    )
}

/// SD-Turbo's folder.
pub(crate) fn sd() -> Made {
    let scheduler = json!({"_class_name": "EulerDiscreteScheduler", "beta_start": 0.00085, "beta_end": 0.012,
        "beta_schedule": "scaled_linear", "timestep_spacing": "trailing"});
    let made = Made::new("StableDiffusionPipeline", &scheduler);
    let made = clip(
        made,
        "text_encoder",
        &[
            ("last_hidden_state", DType::F32, &["batch_size", "sequence_length", "32"]),
            ("pooler_output", DType::F32, &["batch_size", "32"]),
        ],
    );
    let made = made.component(
        "unet",
        "UNet2DConditionModel",
        &json!({"sample_size": 4, "block_out_channels": [16, 32]}),
        &[
            ("sample", DType::F32, &["batch_size", "4", "height", "width"]),
            ("timestep", DType::F32, &[]),
            ("encoder_hidden_states", DType::F32, &["batch_size", "sequence_length", "32"]),
        ],
        &[("out_sample", DType::F32, &["batch_size", "4", "height", "width"])],
    );
    decoder(made, 4, 0.18215, &Value::Null)
}

#[test]
fn a_folder_is_read_with_its_defaults() {
    let mut made = sd();
    made.index.insert("safety_checker".to_owned(), json!(["diffusers", "StableDiffusionSafetyChecker"]));
    made.index.insert("image_encoder".to_owned(), json!([null, null]));
    made.index.insert("requires_safety_checker".to_owned(), json!(true));
    made.save();
    let folder = made.open().unwrap();
    assert_eq!((folder.class.as_str(), folder.kind), ("StableDiffusionPipeline", Kind::Sd));
    let names: Vec<&str> = folder.components().map(|component| component.name.as_str()).collect();
    assert_eq!(names, ["text_encoder", "unet", "vae_decoder"]);
    assert_eq!(folder.ignored, ["safety_checker"]);
    assert_eq!(folder.scheduler.class(), "EulerDiscreteScheduler");
    let wanted = Defaults {
        factor: 2,
        channels: 4,
        multiple: 2,
        sample: 4,
        scaling: 0.18215,
        shift: 0.0,
        guidance_inside: false,
    };
    assert_eq!(folder.defaults, wanted);
}

#[test]
fn classes_of_other_exporters_are_the_same_pipelines() {
    assert_eq!(Kind::of("ORTStableDiffusionXLPipeline"), Some(Kind::Sdxl));
    assert_eq!(Kind::of("OnnxStableDiffusionPipeline"), Some(Kind::Sd));
    assert_eq!(Kind::of("StableDiffusionInpaintPipeline"), None);
}

#[test]
fn a_layout_that_is_not_understood_says_what_is_and_how_its_graphs_run_alone() {
    let made = sd();
    std::fs::remove_file(made.path().join(INDEX)).unwrap();
    made.refused("there is no model_index.json in it");
    made.refused("Each graph runs alone: --model ");
    made.refused("text_encoder/model.onnx");
    let mut made = sd();
    made.index.insert("_class_name".to_owned(), json!("SanaPipeline"));
    made.save();
    made.refused(
        "SanaPipeline is a pipeline that ditbench does not run. It runs StableDiffusionPipeline, LatentConsistency",
    );
    made.refused("Each graph runs alone");
    let empty = tempfile::tempdir().unwrap();
    let message = Folder::open(empty.path(), &BTreeMap::new()).unwrap_err().to_string();
    assert!(message.contains("There is no .onnx file in it"), "{message}");
}

#[test]
fn components_that_are_missing_or_ambiguous_are_named() {
    let made = sd();
    made.write("unet/other.onnx", "x");
    assert!(made.open().is_ok(), "model.onnx is the usual name");
    std::fs::rename(made.path().join("unet/model.onnx"), made.path().join("unet/third.onnx")).unwrap();
    made.refused("unet: it has several graphs (other.onnx, third.onnx): name one with --file unet=NAME");
    let files = BTreeMap::from([("unet".to_owned(), "third.onnx".to_owned())]);
    assert!(Folder::open(made.path(), &files).unwrap().denoiser.graph.ends_with("unet/third.onnx"));
    let files = BTreeMap::from([("unet".to_owned(), "fourth.onnx".to_owned())]);
    assert!(Folder::open(made.path(), &files).unwrap_err().to_string().contains("there is no fourth.onnx"));
    std::fs::remove_dir_all(made.path().join("unet")).unwrap();
    made.refused("unet: this component has no .onnx file");
    let mut made = sd();
    made.index.remove("text_encoder");
    made.save();
    made.refused("model_index.json names no text_encoder");
    made.index.insert("text_encoder".to_owned(), json!(["transformers", "Gemma2Model"]));
    made.save();
    made.refused("Gemma2Model is a text encoder that ditbench does not run. It runs CLIP and T5");
}

#[test]
fn json_files_that_cannot_be_read_are_named() {
    let made = sd();
    for (bytes, why) in [
        ("", "is not JSON"),
        ("[1]", "not an object"),
        ("version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        ("{\"scaling_factor\": 1", "is not JSON"),
    ] {
        made.write("vae_decoder/config.json", bytes);
        made.refused("vae_decoder/config.json: ");
        made.refused(why);
    }
    std::fs::remove_file(made.path().join("vae_decoder/config.json")).unwrap();
    made.refused("config.json: cannot be read");
    made.write(INDEX, "{");
    made.refused("model_index.json: is not JSON");
}

#[test]
fn what_is_never_guessed_must_be_said() {
    let whole = json!({"latent_channels": 4, "scaling_factor": 0.18215, "block_out_channels": [1, 2]});
    for (field, value, why) in [
        ("scaling_factor", Value::Null, "it does not say scaling_factor, which is never guessed"),
        ("scaling_factor", json!(0), "scaling_factor is 0"),
        ("scaling_factor", json!("x"), "scaling_factor is \"x\", not a number"),
        ("latent_channels", Value::Null, "it does not say latent_channels"),
        ("latent_channels", json!(4.5), "latent_channels is 4.5"),
        ("latent_channels", json!(-4), "from 1 to 65536"),
        ("block_out_channels", Value::Null, "it does not say block_out_channels"),
        ("block_out_channels", json!([]), "0 levels"),
        ("block_out_channels", json!(vec![1; 99]), "99 levels"),
        ("latents_mean", json!([0.1]), "latents_mean is not supported"),
    ] {
        let mut config = whole.clone();
        config[field] = value;
        let made = sd();
        made.json("vae_decoder/config.json", &config);
        made.refused(why);
    }
    let made = sd();
    made.json("unet/config.json", &json!({"block_out_channels": [1, 2]}));
    made.refused("it does not say sample_size");
}

#[test]
fn a_schedulers_error_names_its_file() {
    let made = sd();
    made.json("scheduler/scheduler_config.json", &json!({"_class_name": "UniPCMultistepScheduler"}));
    made.refused("scheduler_config.json: UniPCMultistepScheduler is a scheduler that ditbench does not run");
}

#[test]
fn a_tokenizers_length_is_read_unless_it_means_no_limit() {
    let made = sd();
    assert_eq!(made.open().unwrap().encoders[0].longest, None);
    made.json("tokenizer/tokenizer_config.json", &json!({"model_max_length": 77}));
    assert_eq!(made.open().unwrap().encoders[0].longest, Some(77));
    made.write("tokenizer/tokenizer_config.json", r#"{"model_max_length": 1000000000000000019884624838656}"#);
    assert_eq!(made.open().unwrap().encoders[0].longest, None);
    made.write("tokenizer/tokenizer_config.json", "{");
    made.refused("tokenizer_config.json: is not JSON");
}

/// The folders of real exports.
fn exported(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

#[test]
fn clips_tokens_are_those_of_transformers() {
    let tokenizer = Tokenizer::open(&exported("tokenizers/clip"), Family::Clip).unwrap();
    // "a red apple", by transformers 4.57.6 with the same files.
    let tokens = tokenizer.encode("a red apple", 77).unwrap();
    assert_eq!(tokens.ids[..12], [512, 320, 81, 68, 323, 64, 79, 79, 75, 324, 513, 513]);
    assert_eq!((tokens.ids.len(), tokens.attended), (77, 77));
    let empty = tokenizer.encode("", 77).unwrap();
    assert!(empty.ids[0] == 512 && empty.ids[1..].iter().all(|&id| id == 513));
    let long = tokenizer.encode(&"apple ".repeat(100), 77).unwrap();
    assert_eq!((long.ids.len(), long.ids[76]), (77, 513), "cut, with its end");
    assert!(tokenizer.encode("a", 1).is_err() && tokenizer.encode("a", usize::MAX).is_err());
}

/// Stable Diffusion 2's export is of the older layout: its padding stands in `special_tokens_map.json`.
#[test]
fn what_clip_pads_with_stands_where_transformers_looks() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["vocab.json", "merges.txt"] {
        std::fs::copy(exported("tokenizers/clip").join(name), folder.path().join(name)).unwrap();
    }
    let padded = |config: &Value| {
        std::fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).unwrap();
        std::fs::write(folder.path().join("special_tokens_map.json"), r#"{"pad_token": "!"}"#).unwrap();
        Tokenizer::open(folder.path(), Family::Clip).unwrap().encode("", 77).unwrap().ids
    };
    let older = padded(&json!({"pad_token": "<|endoftext|>", "model_max_length": 77}));
    assert_eq!((&older[..2], &older[2..]), (&[512, 513][..], &[0; 75][..]), "\"!\" is the first of CLIP's vocabulary");
    let newer = padded(&json!({"pad_token": "<|endoftext|>", "added_tokens_decoder": {}}));
    assert_eq!((newer[0], &newer[1..]), (512, &[513; 76][..]));
}

#[test]
fn t5s_tokens_are_those_of_transformers() {
    let tokenizer = Tokenizer::open(&exported("pixart/tokenizer"), Family::T5).unwrap();
    let tokens = tokenizer.encode("a red apple", 64).unwrap();
    assert_eq!(tokens.ids[..14], [3, 68, 3, 85, 72, 71, 3, 68, 83, 83, 79, 72, 1, 0]);
    assert_eq!((tokens.ids.len(), tokens.attended), (64, 13));
    assert_eq!(tokenizer.encode("", 64).unwrap().ids[..2], [1, 0]);
    let long = tokenizer.encode(&"apple ".repeat(100), 64).unwrap();
    assert_eq!((long.ids[63], long.attended), (1, 64), "cut, with its end");
}

#[test]
fn a_tokenizer_that_is_not_whole_says_what_to_do() {
    let made = sd();
    let refused = |family: Family, why: &str| {
        let message = Tokenizer::open(&made.path().join("tokenizer"), family).unwrap_err().to_string();
        assert!(message.contains(why), "{message}");
    };
    refused(Family::Clip, "it has neither tokenizer.json nor vocab.json and merges.txt");
    made.write("tokenizer/spiece.model", "x");
    refused(Family::T5, "Write tokenizer.json once: python3 -c");
    made.write("tokenizer/vocab.json", "{\"a\": 0}");
    made.write("tokenizer/merges.txt", "#version: 0.2\n");
    refused(Family::Clip, "its pad_token, <|endoftext|>, is not in its vocabulary");
    refused(Family::T5, "Write tokenizer.json once");
    made.write("tokenizer/vocab.json", "[");
    refused(Family::Clip, "vocab.json and merges.txt: ");
    made.write("tokenizer/tokenizer.json", "{}");
    refused(Family::T5, "tokenizer.json cannot be read");
}
