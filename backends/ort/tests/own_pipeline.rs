//! Models that no one of this project wrote, on ONNX Runtime: what their own tools made of the same inputs comes out.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ditbench_onnx::axes::{FixedInput, fix};
use ditbench_onnx::folder::{Family, Tokenizer};
use ditbench_onnx::model::{Model, prepare};
use ditbench_onnx::npz;
use ditbench_onnx::pipeline::{Inputs, Pipeline, Request, Run, RunError};
use ditbench_onnx::{DType, Data, Value};
use ort::environment::Environment;
use ort::session::{Session, SessionInputValue, builder::GraphOptimizationLevel};
use ort::value::Tensor;
use safetensors::SafeTensors;

const LEVELS: [fn() -> GraphOptimizationLevel; 2] =
    [|| GraphOptimizationLevel::Disable, || GraphOptimizationLevel::All];

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../workloads/onnx/tests/data").join(name)
}

/// A session on a file with its sizes written into it.
fn session(path: &Path, inputs: &[FixedInput], level: GraphOptimizationLevel) -> Session {
    static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
    let environment =
        ENVIRONMENT.get_or_init(|| ort::init_from(common::library()).unwrap().with_telemetry(false).build().unwrap());
    let prepared = prepare(&std::fs::read(path).unwrap(), inputs).unwrap();
    let mut builder =
        Session::builder(environment).unwrap().with_intra_threads(1).unwrap().with_optimization_level(level).unwrap();
    builder.commit_from_memory(&prepared).unwrap()
}

/// A session for each component.
struct Sessions(BTreeMap<String, Session>);

impl Run for Sessions {
    fn run(&mut self, component: &str, inputs: &[(&str, &Value)]) -> Result<Vec<Value>, RunError> {
        run(self.0.get_mut(component).ok_or("no such component")?, inputs)
    }
}

fn run(session: &mut Session, inputs: &[(&str, &Value)]) -> Result<Vec<Value>, RunError> {
    let mut fed: Vec<(String, SessionInputValue<'_>)> = Vec::new();
    for &(name, value) in inputs {
        let shape = value.shape().to_vec();
        let tensor = match value.data() {
            Data::F32(values) => Tensor::from_array((shape, values.clone()))?.into_dyn(),
            Data::I64(values) => Tensor::from_array((shape, values.clone()))?.into_dyn(),
            Data::I32(values) => Tensor::from_array((shape, values.clone()))?.into_dyn(),
            Data::Bool(values) => Tensor::from_array((shape, values.clone()))?.into_dyn(),
            other => return Err(format!("inputs of {} are not tested", other.dtype()).into()),
        };
        fed.push((name.to_owned(), tensor.into()));
    }
    let outputs = session.run(fed)?;
    let mut values = Vec::new();
    for index in 0..outputs.len() {
        let (shape, numbers) = outputs[index].try_extract_tensor::<f32>()?;
        let shape = shape.iter().map(|&extent| usize::try_from(extent)).collect::<Result<Vec<_>, _>>()?;
        values.push(Value::new(shape, numbers.to_vec())?);
    }
    Ok(values)
}

/// How far values are from those wanted, relative to their length.
fn distance(found: &[f64], wanted: &[f64]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let squares: f64 = found.iter().zip(wanted).map(|(a, b)| (a - b).powi(2)).sum();
    (squares / wanted.iter().map(|value| value * value).sum::<f64>()).sqrt()
}

#[test]
fn a_real_pipeline_gives_the_latents_and_the_picture_of_diffusers() {
    let file = std::fs::read(data("pixart/reference/s4.safetensors")).unwrap();
    let reference = SafeTensors::deserialize(&file).unwrap();
    let floats = |name: &str| -> Vec<f32> {
        let bytes = reference.tensor(name).unwrap().data().to_vec();
        bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
    };
    let wide = |name: &str| -> Vec<f64> { floats(name).into_iter().map(f64::from).collect() };
    let pipeline = Pipeline::open(&data("pixart"), &BTreeMap::new()).unwrap();
    let plan = pipeline.plan(&Request { steps: 4, size: Some((32, 32)), text_tokens: None, guidance: None }).unwrap();
    let tokens = Tokenizer::open(&pipeline.folder.encoders[0].tokenizer, Family::T5).unwrap();
    let tokens = tokens.encode("a red apple", 64).unwrap();
    let wanted: Vec<i64> = reference
        .tensor("tokens.tokenizer")
        .unwrap()
        .data()
        .chunks_exact(8)
        .map(|eight| i64::from_le_bytes(eight.try_into().unwrap()))
        .collect();
    assert_eq!(tokens.ids, wanted);
    let inputs = Inputs {
        tokens: BTreeMap::from([("text_encoder".to_owned(), tokens)]),
        empty: BTreeMap::new(),
        noise: floats("noise"),
        fresh: Vec::new(),
    };
    for level in LEVELS {
        let sessions = plan.components().map(|component| {
            let graph = data("pixart").join(&component.name).join("model.onnx");
            (component.name.clone(), session(&graph, &component.inputs, level()))
        });
        let image = plan.image(&inputs, &mut Sessions(sessions.collect())).unwrap();
        for (step, latent) in image.latents.iter().enumerate() {
            let found = distance(&latent.to_f64(), &wide(&format!("latent.{step:04}")));
            assert!(found < 1e-5, "step {step}'s latent is {found:.1e} off");
        }
        let found = distance(&image.picture.to_f64(), &wide("image"));
        assert!(found < 1e-5, "the picture is {found:.1e} off");
        let passes: Vec<(&str, usize)> =
            image.stages.iter().map(|stage| (stage.component.as_str(), stage.seconds.len())).collect();
        assert_eq!(passes, [("text_encoder", 1), ("transformer", 4), ("vae_decoder", 1)]);
        assert!(image.stages.iter().all(|stage| stage.seconds.iter().all(|&seconds| seconds > 0.0)));
        assert_eq!(image.not_finite, None);
    }
}

#[test]
fn a_single_graph_gives_its_expected_outputs() {
    let bundle = npz::read(&data("tagger/io.npz")).unwrap();
    let path = data("tagger/model.onnx");
    let model = Model::open(&path).unwrap();
    let given: Vec<_> = ["ids=1x12", "mask=1x12:bool"].map(|word| word.parse().unwrap()).to_vec();
    let fixed = fix("model.onnx", &model.inputs, &given, &|_, _| None).unwrap();
    assert_eq!(fixed.iter().map(|input| input.dtype).collect::<Vec<_>>(), [DType::I32, DType::Bool]);
    for level in LEVELS {
        let mut session = session(&path, &fixed, level());
        let inputs: Vec<(&str, &Value)> =
            fixed.iter().map(|input| (input.name.as_str(), &bundle[&input.name])).collect();
        let outputs = run(&mut session, &inputs).unwrap();
        let found = distance(&outputs[0].to_f64(), &bundle[&model.outputs[0].name].to_f64());
        assert!(found < 1e-5, "{found:.1e} off");
    }
}
