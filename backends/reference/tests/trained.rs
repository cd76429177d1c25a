//! Two independent writings of the architecture give the same numbers: the reference on the Rust graphs, and the training
//! code (`workloads/train`), whose outputs in 64-bit floats on the published weights are stored beside them.

use std::path::PathBuf;

use ditbench_graph::weights::file::WeightFile;
use ditbench_graph::weights::{WeightStore, Weights};
use ditbench_graph::{Graph, Tensor};
use ditbench_reference::ReferenceSession;
use ditbench_workloads::snapgenpp::{ImageSize, Model, Variant};

/// The vectors are stored in 32 bits: 6e-8 of error.
const TOLERANCE: f64 = 1e-5;

fn folder() -> PathBuf {
    // Another folder that `export.py` wrote, for whoever trains a model of their own.
    std::env::var_os("DITBENCH_CHECKPOINT")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/nano")), PathBuf::from)
}

fn model(share: f64) -> Model {
    let config = Variant::Nano.config(ImageSize { height: 64, width: 64 });
    Model::build(&config.narrowed(share).unwrap()).unwrap()
}

fn stored(name: &str) -> Tensor {
    let file = WeightFile::open(&folder().join("check.safetensors")).unwrap();
    let tensor = file.get(name).unwrap_or_else(|| panic!("no vector {name}"));
    Tensor::f32(tensor.shape.clone(), tensor.to_f32().into_owned()).unwrap()
}

fn check(what: &str, graph: &Graph, weights: &Weights, inputs: &[Tensor], wanted: &str) {
    let outputs = ReferenceSession::new(graph, weights, 1).unwrap().run_f64(inputs).unwrap();
    let wanted = stored(wanted);
    assert_eq!(outputs[0].shape, wanted.shape(), "{what}");
    let wanted = wanted.as_f32().unwrap();
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let apart = norm(&mut outputs[0].data.iter().zip(wanted).map(|(a, &b)| a - f64::from(b)));
    let error = apart / norm(&mut wanted.iter().map(|&v| f64::from(v)));
    println!("{what}: relative L2 {error:.1e}");
    assert!(error <= TOLERANCE, "{what}: relative L2 {error:.3e}");
}

#[test]
fn training_code_and_reference_agree_on_every_graph_and_width() {
    let path = folder().join("nano.safetensors");
    let whole = model(1.0);
    let weights = Weights::open_for(&path, &whole).unwrap();
    let tokens = stored("tokens");
    let ids = tokens.as_f32().unwrap().iter().map(|&id| id as i64).collect();
    let tokens = Tensor::i64(tokens.shape().to_vec(), ids).unwrap();
    check("text encoder", &whole.text_encoder, &weights, &[tokens], "text");
    check("decoder", &whole.decoder, &weights, &[stored("latent")], "image");
    for share in [1.0, 0.5, 0.375] {
        let model = model(share);
        let weights = Weights::open_for(&path, &model).unwrap();
        let inputs = ["latent", "time_features", "text"].map(stored);
        let wanted = format!("prediction.{}", model.config.denoiser.width);
        check(&model.config.name, &model.denoiser, &weights, &inputs, &wanted);
    }
}

#[test]
fn a_width_that_the_file_lacks_is_told() {
    let error = Weights::open_for(&folder().join("nano.safetensors"), &model(0.25)).unwrap_err().to_string();
    assert!(error.contains("widths 256, 128, 96, but none of 64"), "{error}");
}
