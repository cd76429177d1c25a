//! Writes every case as ONNX with its inputs and the reference's outputs, for `scripts/check_onnx.py` to check and run.
//!
//! `export_cases DIR [f32|q4|…] [standard|ort|ort8|multihead]`: one folder a case, tensors as raw little-endian files.

use std::error::Error;
use std::path::Path;

use ditbench_conformance::{cases, weights};
use ditbench_graph::onnx::{self, AttentionForm, Dialect, GeluForm, LinearForm};
use ditbench_graph::tensor::TensorData;
use ditbench_graph::weights::Scheme;
use ditbench_ort::dialect;
use ditbench_reference::ReferenceSession;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [dir, scheme, dialect] = args.as_slice() else {
        return Err("usage: export_cases DIR SCHEME DIALECT".into());
    };
    let scheme = Scheme::ALL.into_iter().find(|s| s.name() == scheme).ok_or("unknown scheme")?;
    let dialect = match dialect.as_str() {
        "standard" => Dialect::standard(),
        "ort" => dialect::exact(),
        "ort8" => dialect::int8(),
        "multihead" => Dialect {
            attention: AttentionForm::MultiHead,
            gelu: GeluForm::FastGelu,
            linear: LinearForm::Gemm,
            ..dialect::exact()
        },
        other => return Err(format!("unknown dialect {other}").into()),
    };
    for case in cases() {
        let dir = Path::new(dir).join(&case.name);
        std::fs::create_dir_all(&dir)?;
        let weights = weights(&case.graph, scheme, case.seed);
        onnx::write(&case.graph, &weights, &dialect, &dir)?;
        for (i, input) in case.inputs.iter().enumerate() {
            let bytes: Vec<u8> = match input.data() {
                TensorData::F32(v) => v.iter().flat_map(|v| v.to_le_bytes()).collect(),
                TensorData::I64(v) => v.iter().flat_map(|v| v.to_le_bytes()).collect(),
            };
            std::fs::write(dir.join(format!("input{i}.bin")), bytes)?;
        }
        let truth = ReferenceSession::new(&case.graph, &weights, 1)?.run_f64(&case.inputs)?;
        for (i, output) in truth.iter().enumerate() {
            let bytes: Vec<u8> = output.data.iter().flat_map(|v| v.to_le_bytes()).collect();
            std::fs::write(dir.join(format!("output{i}.bin")), bytes)?;
        }
    }
    Ok(())
}
