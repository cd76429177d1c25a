//! The reference against tables that `golden/generate.py` made with ONNX's reference evaluator and ONNX Runtime.

use std::collections::BTreeMap;

use ditbench_graph::Tensor;
use ditbench_graph::weights::{WeightData, WeightTensor, Weights};
use ditbench_graph::{Activation, AttentionPattern, DType, GraphBuilder, Init, Op, WeightId, WeightRole};
use ditbench_reference::ReferenceSession;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    name: String,
    parameters: BTreeMap<String, serde_json::Value>,
    inputs: Vec<Array>,
    output: Array,
}

#[derive(Deserialize)]
struct Array {
    shape: Vec<usize>,
    data: Vec<f64>,
}

impl Golden {
    fn number(&self, name: &str) -> f64 {
        self.parameters[name].as_f64().unwrap()
    }

    fn size(&self, name: &str) -> usize {
        self.number(name) as usize
    }

    fn sizes(&self, name: &str) -> Vec<usize> {
        serde_json::from_value(self.parameters[name].clone()).unwrap()
    }

    /// How many of the inputs flow along edges; the others are weights.
    fn edges(&self) -> usize {
        match self.name.as_str() {
            "linear" | "conv2d" | "layer_norm" | "embedding" => 1,
            _ => self.inputs.len(),
        }
    }

    fn op(&self, weights: &[WeightId]) -> Op {
        let attention = |pattern| Op::Attention { pattern, scale: self.number("scale") as f32 };
        let bias = weights.get(1).copied();
        match self.name.as_str() {
            "linear" => Op::Linear { weight: weights[0], bias },
            "conv2d" => {
                let (stride, padding, groups) = (self.size("stride"), self.size("padding"), self.size("groups"));
                Op::Conv2d { weight: weights[0], bias, stride, padding, groups }
            }
            "embedding" => Op::Embedding { weight: weights[0] },
            "layer_norm" => Op::LayerNorm { eps: self.number("eps") as f32, weight: Some(weights[0]), bias },
            "gelu_tanh" => Op::Activation(Activation::GeluTanh),
            "gelu_erf" => Op::Activation(Activation::GeluErf),
            "quick_gelu" => Op::Activation(Activation::QuickGelu),
            "silu" => Op::Activation(Activation::Silu),
            "relu" => Op::Activation(Activation::Relu),
            "relu6" => Op::Activation(Activation::Relu6),
            "sigmoid" => Op::Activation(Activation::Sigmoid),
            "tanh" => Op::Activation(Activation::Tanh),
            "full" => attention(AttentionPattern::Full),
            "causal" => attention(AttentionPattern::Causal),
            "blockwise" => {
                attention(AttentionPattern::Blockwise { blocks: self.size("blocks"), radius: self.size("radius") })
            }
            "rope" => Op::Rope { rows: self.size("rows"), cols: self.size("cols"), theta: self.number("theta") as f32 },
            "upsample" => Op::Upsample2x,
            "add" => Op::Add,
            "mul" => Op::Mul,
            "modulate" => Op::Modulate,
            "gated_add" => Op::GatedAdd,
            "lerp" => Op::Lerp,
            "transpose" => Op::Transpose { perm: self.sizes("perm") },
            "concat" => Op::Concat { axis: self.size("axis") },
            "slice" => Op::Slice { axis: self.size("axis"), start: self.size("start"), end: self.size("end") },
            other => panic!("golden.json has an unknown operation {other}"),
        }
    }

    /// The one operation as a graph, run by the reference.
    fn run(&self) -> Vec<f64> {
        let mut b = GraphBuilder::new(&self.name);
        let (edges, held) = self.inputs.split_at(self.edges());
        let dtype = if self.name == "embedding" { DType::I64 } else { DType::F32 };
        let values: Vec<_> = edges.iter().enumerate().map(|(i, x)| b.input(&i.to_string(), &x.shape, dtype)).collect();
        let ids: Vec<_> = held
            .iter()
            .enumerate()
            .map(|(i, w)| b.weight(&format!("w{i}"), &w.shape, Init::Zeros, WeightRole::Small))
            .collect();
        let y = b.node("op", self.op(&ids), &values);
        b.output("y", y);
        let graph = b.finish().unwrap();
        let narrow = |data: &[f64]| data.iter().map(|&v| v as f32).collect::<Vec<f32>>();
        let store: BTreeMap<String, WeightTensor<'static>> = held
            .iter()
            .enumerate()
            .map(|(i, w)| {
                let data = WeightData::F32(narrow(&w.data).into());
                (format!("w{i}"), WeightTensor { shape: w.shape.clone(), data })
            })
            .collect();
        let inputs: Vec<Tensor> = edges
            .iter()
            .map(|x| match dtype {
                DType::F32 => Tensor::f32(x.shape.clone(), narrow(&x.data)).unwrap(),
                DType::I64 => Tensor::i64(x.shape.clone(), x.data.iter().map(|&v| v as i64).collect()).unwrap(),
            })
            .collect();
        let outputs = ReferenceSession::new(&graph, &Weights::new(store), 1).unwrap().run_f64(&inputs).unwrap();
        assert_eq!(outputs[0].shape, self.output.shape, "{}", self.name);
        outputs.into_iter().next().unwrap().data
    }
}

#[test]
fn every_operation_agrees_with_onnx() {
    let tables: Vec<Golden> = serde_json::from_str(include_str!("golden/golden.json")).unwrap();
    assert_eq!(tables.len(), 31);
    for (index, golden) in tables.iter().enumerate() {
        let found = golden.run();
        let norm = golden.output.data.iter().map(|v| v * v).sum::<f64>().sqrt();
        let error = found.iter().zip(&golden.output.data).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt() / norm;
        println!("{index:2} {:12} {error:.1e}", golden.name);
        assert!(error <= 1e-12, "table {index}, {}: relative L2 {error:e}", golden.name);
    }
}
