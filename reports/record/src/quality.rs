//! Nearness of a cell's results to those of the reference cell of the same prompt, seed and noise.

use serde::{Deserialize, Serialize};

use super::Reading;

/// Nearness to the reference cell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// [`super::CellKey::id`] of the reference cell; or [`Self::EXPECTED`] and the name of a user's file.
    pub reference: String,
    /// The latent after each step.
    #[serde(default)]
    pub latents: Vec<StepDivergence>,
    /// The final image.
    #[serde(default)]
    pub image: Reading<ImageQuality>,
    /// Whether the same cell run again gave equal bytes: a check of the harness as much as of the backend.
    #[serde(default)]
    pub rerun_equal_bytes: Reading<bool>,
}

impl Quality {
    /// How the name of a reference begins that is a user's own file, and no cell.
    pub const EXPECTED: &str = "the expected results in ";
}

/// How far a latent is from the reference's after the same step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepDivergence {
    /// 0 is the first step.
    pub step: u32,
    /// ‖ours − reference‖₂ ÷ ‖reference‖₂.
    pub relative_l2: f64,
    /// Cosine of the angle between them.
    pub cosine: f64,
}

/// How far an image is from the reference's. Pixels as 8-bit sRGB.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageQuality {
    /// Every pixel equal.
    pub identical: bool,
    /// ‖ours − reference‖₂ ÷ ‖reference‖₂ over all channels.
    pub relative_l2: f64,
    /// Cosine of the angle between them.
    pub cosine: f64,
    /// Peak signal-to-noise ratio against 255; `None` if identical (infinite).
    #[serde(default)]
    pub psnr_db: Option<f64>,
    /// Structural similarity of luma: Gaussian window 11×11, σ = 1.5, K₁ = 0.01, K₂ = 0.03 (Wang et al. 2004).
    #[serde(default)]
    pub ssim: Reading<f64>,
    /// SSIMULACRA2: 100 identical, 90 hard to tell apart, 70 visible, 50 and less plainly worse.
    #[serde(default)]
    pub ssimulacra2: Reading<f64>,
    /// How the perceptual metrics were fed: `upscaled 4× by nearest neighbour`. Empty: as they are.
    #[serde(default)]
    pub note: String,
}
