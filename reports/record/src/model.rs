//! A model at one size: its config, its counts, its weight files.

use serde::{Deserialize, Serialize};

use super::CellKey;

/// A model at one image size and text length.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelEntry {
    /// `nano`, `tiny`, `small`, `full`, or a rung of the architecture ladder.
    pub name: String,
    /// The same model at its full width, by [`ModelEntry::name`]; `None` for one that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_width: Option<String>,
    /// Image height in pixels.
    pub height: u32,
    /// Image width in pixels.
    pub width: u32,
    /// Text tokens that the denoiser attends to.
    pub text_tokens: u32,
    /// Every size and choice of the model, as its config says them.
    #[serde(default)]
    pub config: serde_json::Value,
    /// Text encoder, denoiser, decoder; counts are for batch 1.
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

    /// FLOPs of one image (batch 1): text encoder once, denoiser at every step, decoder once; with guidance the first two
    /// twice. A model without text has no text encoder; `None` if another stage is missing.
    pub fn flops_per_image(&self, key: &CellKey) -> Option<u64> {
        self.per_image(key, |stage| Some(stage.flops))
    }

    /// Those of them that are products with weights which the few-bit schemes quantize. `None` in older records.
    pub fn few_bit_flops_per_image(&self, key: &CellKey) -> Option<u64> {
        self.per_image(key, |stage| stage.few_bit_flops)
    }

    fn per_image(&self, key: &CellKey, of: impl Fn(&Stage) -> Option<u64>) -> Option<u64> {
        let count = |name| self.stage(name).and_then(&of);
        let each = count("text_encoder").unwrap_or(0) + u64::from(key.steps) * count("denoiser")?;
        Some(key.passes_per_step() * each + count("decoder")?)
    }

    /// Parameters of all stages.
    pub fn parameters(&self) -> u64 {
        self.stages.iter().map(|stage| stage.parameters).sum()
    }
}

/// One of the three graphs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// `text_encoder`, `denoiser`, `decoder`.
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
    /// Where this is from.
    #[serde(default)]
    pub source: String,
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
