//! How pictures of many prompts were judged: by a network that never saw them, and against the reference cell's.

use serde::{Deserialize, Serialize};

use super::Reading;

/// By what pictures were judged: the same for all cells of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Judging {
    /// The network whose features are compared, with its package.
    pub network: String,
    /// SHA-256 of its weights' file.
    pub network_sha256: String,
    /// What computed the features: `candle tuned 0.11.1`.
    pub backend: String,
    /// Pixels along each side of a picture.
    pub picture: u32,
    /// Pixels along each side to which a picture is enlarged for the network.
    pub enlarged_to: u32,
    /// SHA-256 of the list that prompts are taken from.
    pub prompts_sha256: String,
    /// Prompts that name a data picture: figures are of these.
    pub names: Vec<String>,
    /// Prompts that no data picture shows: to be looked at.
    pub compositions: Vec<String>,
    /// Data pictures among which a picture's own is looked for.
    pub data_pictures: u32,
    /// SHA-256 of the file of the data's features.
    pub data_sha256: String,
    /// Whether each name's own pair counts in the kernel distances: in older records.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub own_pairs: bool,
    /// What cells were fed, by workload.
    #[serde(default)]
    pub inputs: Vec<SeriesInputs>,
    /// The data themselves, judged like a cell's pictures: what can be reached.
    #[serde(default)]
    pub ceiling: Reading<Judged>,
    /// Pictures of the model with random weights: what costs nothing.
    #[serde(default)]
    pub floor: Reading<Judged>,
}

fn yes() -> bool {
    true
}

fn is_yes(value: &bool) -> bool {
    *value
}

/// What the cells of one workload were fed, over all prompts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeriesInputs {
    /// Model and steps: `nano-w0.5, 28 steps`.
    pub workload: String,
    /// SHA-256 over the hashes of the prompts' noise, in the order of the prompts.
    pub noise_sha256: String,
    /// SHA-256 over the hashes of everything that a session is fed.
    pub inputs_sha256: String,
}

/// Pictures judged. Figures are of the names; compositions are only shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Folder of the pictures below the run's directory: `0000.png` for the first name, compositions behind the names.
    /// Absent where no pictures are kept.
    #[serde(default)]
    pub pictures: Option<String>,
    /// For each name, how many data pictures lie nearer to the picture than the name's own: 0 is a hit.
    pub nearer: Vec<u32>,
    /// For each name, the name of the data picture that lies nearest.
    #[serde(default)]
    pub nearest: Vec<String>,
    /// Share of names whose own data picture is the nearest; interval after Wilson.
    pub retrieval_at_1: Bounded,
    /// Share of names whose own data picture is among the five nearest; interval after Wilson.
    pub retrieval_at_5: Bounded,
    /// Unbiased squared maximum mean discrepancy with the kernel (x·y/1280 + 1)³ to the data pictures of the same names,
    /// times 1000; interval from 1000 draws of half of the pictures.
    #[serde(default)]
    pub kernel_distance_x1000: Reading<Bounded>,
    /// Mean over the names of the peak signal-to-noise ratio to the data picture, in dB.
    #[serde(default)]
    pub psnr_to_data_db: Option<f64>,
    /// Nearness to the reference cell's pictures, prompt by prompt.
    #[serde(default)]
    pub fidelity: Reading<PromptFidelity>,
    /// This cell less others that differ from it in one thing, on the same prompts with the same noise.
    #[serde(default)]
    pub differences: Vec<Difference>,
}

/// A figure with its 95 % interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bounded {
    /// The figure.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Nearness to the reference cell's pictures; an entry for each prompt, names first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PromptFidelity {
    /// [`super::CellKey::id`] of the reference cell.
    pub reference: String,
    /// ‖ours − reference‖₂ ÷ ‖reference‖₂ of the last latent.
    pub latent_relative_l2: Vec<f64>,
    /// Peak signal-to-noise ratio in dB; `None` where the pictures are identical.
    pub psnr_db: Vec<Option<f64>>,
    /// Structural similarity, as in [`super::ImageQuality`].
    pub ssim: Vec<f64>,
}

/// One cell less another; 95 % intervals from paired resampling.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// [`super::CellKey::id`] of the other cell.
    pub from: String,
    /// The one thing in which they differ: `precision`, `width`, `steps`.
    pub in_what: String,
    /// Of retrieval@1; interval from resampling prompts.
    pub retrieval_at_1: Bounded,
    /// Of retrieval@5; interval from resampling prompts.
    pub retrieval_at_5: Bounded,
    /// Of the kernel distance times 1000; interval from drawing the same halves of both.
    #[serde(default)]
    pub kernel_distance_x1000: Reading<Bounded>,
}
