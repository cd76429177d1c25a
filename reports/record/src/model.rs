//! A model at one size: its config, its counts, its weight files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Cell, CellKey, CellStage};

/// A model at one image size and text length.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelEntry {
    /// [`CellKey::name`]: `nano`, `nano-w0.5`.
    pub name: String,
    /// Image height in pixels.
    pub height: u32,
    /// Image width in pixels.
    pub width: u32,
    /// Text tokens that the denoiser attends to; `None` where the model reads no text.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "super::reading::not_zero")]
    pub text_tokens: Option<u32>,
    /// Every size and choice of the model, as its config says them.
    #[serde(default)]
    pub config: serde_json::Value,
    /// The graphs of its stages; counts are for batch 1.
    #[serde(default)]
    pub stages: Vec<Stage>,
    /// What the paper prints of the denoiser, where it does.
    #[serde(default)]
    pub paper: Option<PaperCounts>,
    /// What our own formula gives for the denoiser; in older records under the paper's name ([`PaperCounts::parameters`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formula: Option<FormulaCounts>,
    /// The weights, one entry for each scheme that was used.
    #[serde(default)]
    pub weights: Vec<WeightFile>,
}

impl ModelEntry {
    /// The stage of that name.
    pub fn stage(&self, name: &str) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.name == name)
    }

    /// Whether it is one that a user brought: its config says which files it is.
    pub fn is_own(&self) -> bool {
        self.config.get("files").is_some()
    }

    /// Whether a cell ran it: same model, size and text length.
    pub fn is_of(&self, key: &CellKey) -> bool {
        (self.height, self.width, self.text_tokens) == (key.height, key.width, key.text_tokens())
            && self.name == key.name()
    }

    /// FLOPs of one image of a cell (batch 1): each stage as often as it runs. `None` if the counts of one are missing.
    pub fn flops_per_image(&self, cell: &Cell) -> Option<u64> {
        self.per_image(cell, |stage| Some(stage.flops))
    }

    /// Those of them that are products with weights which the few-bit schemes quantize. `None` in older records.
    pub fn few_bit_flops_per_image(&self, cell: &Cell) -> Option<u64> {
        self.per_image(cell, |stage| stage.few_bit_flops)
    }

    fn per_image(&self, cell: &Cell, of: impl Fn(&Stage) -> Option<u64>) -> Option<u64> {
        let count = |stage: &CellStage| u64::from(stage.passes).checked_mul(self.stage(&stage.id).and_then(&of)?);
        let mut stages = cell.stages.iter();
        let first = count(stages.next()?)?;
        stages.try_fold(first, |all, stage| all.checked_add(count(stage)?))
    }

    /// Parameters of all stages.
    pub fn parameters(&self) -> u64 {
        self.stages.iter().map(|stage| stage.parameters).sum()
    }
}

/// The graph of a stage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// The stage's id: `denoiser`.
    pub name: String,
    /// SHA-256 of the graph's description.
    #[serde(default)]
    pub graph_sha256: String,
    /// Nodes of the graph.
    #[serde(default)]
    pub nodes: u64,
    /// Parameters.
    pub parameters: u64,
    /// Multiply-adds of one forward pass.
    pub macs: u64,
    /// Floating-point operations of one forward pass, everything counted.
    pub flops: u64,
    /// Those of `flops` that are products with weights which the few-bit schemes quantize: where activations are rounded to 8 bits,
    /// these are done in integers and the rest is not.
    #[serde(default)]
    pub few_bit_flops: Option<u64>,
    /// `flops` by what the work is: `linear`, `convolution`, `dense attention`, `pooled attention`, `blockwise attention`,
    /// `cross-attention`, `other`. Empty in older records.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub work: BTreeMap<String, u64>,
    /// The most bytes of f32 activations alive at once.
    #[serde(default)]
    pub peak_activation_bytes: Option<u64>,
}

/// What the paper prints of the denoiser.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PaperCounts {
    /// As it prints it: `parameters: 0.4 B`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub printed: Option<String>,
    /// Parameters, where the paper counts them; in older records of SnapGen++ our formula's ([`FormulaCounts`]), which it does not
    /// print.
    #[serde(default)]
    pub parameters: Option<u64>,
    /// Multiply-adds, likewise.
    #[serde(default)]
    pub macs: Option<u64>,
    /// Where this is from, and of what: `EdgeDiT, arXiv 2603.28405: one forward pass at 256×256`.
    #[serde(default)]
    pub source: String,
    /// Times that it gives, on other hardware.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub times: Vec<PaperTime>,
}

/// Times that a paper gives, on other hardware and at another size: never to be ranked with ours.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PaperTime {
    /// On what.
    pub hardware: String,
    /// By what; `None` where the paper does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// Image height and width in pixels.
    pub size: u32,
    /// Seconds of one denoiser step.
    pub step_s: f64,
    /// Seconds of the decoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder_s: Option<f64>,
    /// Denoiser steps of the whole image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// Seconds of all steps and the decoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_s: Option<f64>,
}

/// Counts by our own formula, worked out by hand from the paper's text, to hold the graph's against.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormulaCounts {
    /// Parameters.
    pub parameters: u64,
    /// Multiply-adds.
    pub macs: u64,
    /// Of what, under which conditions.
    #[serde(default)]
    pub of: String,
}

/// The weights of a model in one scheme.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WeightFile {
    /// `f32`, `q4`, `q8`, `mixed`, `palette4`.
    pub scheme: String,
    /// File name, without its folder.
    #[serde(default)]
    pub file: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// Average bits a weight, over the weights that the scheme quantizes.
    #[serde(default)]
    pub bits_per_weight: Option<f64>,
    /// Where they come from: `random, seed 7`, a checkpoint's name.
    #[serde(default)]
    pub origin: String,
}
