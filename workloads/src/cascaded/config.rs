//! Every size and choice of cascades as a named field. Sources: Cascaded Diffusion Models (CDM), arXiv 2106.15282; ADM, arXiv 2105.05233, and its
//! public code, whose nets are of the same kind and whose sizes are public. The sizes of `cdm-*` are recalled and not verified.

use ditbench_graph::GraphError;
use serde::{Deserialize, Serialize};

use crate::ImageSize;
use crate::blocks::schedule::{Betas, Schedule};

/// Heads of the self-attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Heads {
    /// So many at every level.
    Count(usize),
    /// Each of so many channels.
    Width(usize),
}

/// How the levels of a net are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resampling {
    /// A convolution of stride 2; nearest neighbours, then a convolution.
    Convolution,
    /// A residual block that averages, or repeats, the pixels of both its branches.
    Residual,
}

/// A denoiser: a U-Net.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnetConfig {
    /// Channels of the first level, and width of the time features.
    pub channels: usize,
    /// Channels of each level over the first's, the image's resolution first.
    pub multipliers: Vec<usize>,
    /// Residual blocks of each level on the way down; one more on the way up.
    pub residuals: usize,
    /// Levels with self-attention after each residual block, the image's resolution being 0.
    pub attention: Vec<usize>,
    /// Heads of the self-attention.
    pub heads: Heads,
    /// How the levels are joined.
    pub resampling: Resampling,
    /// Classes.
    pub classes: usize,
    /// Whether it predicts the variance beside the noise: six channels, of which the variance's are computed and cut off.
    pub variance: bool,
    /// Groups of the group norms.
    pub groups: usize,
    /// Epsilon of the group norms.
    pub eps: f32,
    /// Noise levels of its training.
    pub schedule: Schedule,
}

/// A stage of a cascade.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageConfig {
    /// Its name in events, records and tables.
    pub id: String,
    /// Pixels of the cascade's image for one of this stage's, along a side.
    pub scale: usize,
    /// Noise level, of the timesteps of its own schedule, that is put on the smaller image which it enlarges (conditioning augmentation);
    /// `None` for nets that read no such level.
    pub augmentation: Option<usize>,
    /// Its denoiser.
    pub unet: UnetConfig,
}

/// A cascade.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// Name shown in tables: `adm-64-256`, …
    pub name: String,
    /// Size of the image that the last stage makes.
    pub image: ImageSize,
    /// Its stages, the smallest first.
    pub stages: Vec<StageConfig>,
}

/// Ids of stages, in order.
pub const DENOISERS: [&str; 3] = ["denoiser", "denoiser_2", "denoiser_3"];

/// CDM's level of conditioning augmentation was chosen by search; ours is a tenth of the timesteps, which is the axis's default.
const AUGMENTATION: usize = 100;

/// ADM's nets: variances learned, levels joined by residual blocks.
fn adm(channels: usize, multipliers: &[usize], residuals: usize, attention: &[usize], heads: Heads) -> UnetConfig {
    UnetConfig {
        channels,
        multipliers: multipliers.to_vec(),
        residuals,
        attention: attention.to_vec(),
        heads,
        resampling: Resampling::Residual,
        classes: 1000,
        variance: true,
        groups: 32,
        eps: 1e-5,
        schedule: Schedule { timesteps: 1000, betas: Betas::LINEAR },
    }
}

fn cosine(unet: UnetConfig, timesteps: usize) -> UnetConfig {
    UnetConfig { schedule: Schedule { timesteps, betas: Betas::COSINE }, ..unet }
}

/// CDM's nets: levels joined by convolutions.
fn cdm(channels: usize, multipliers: &[usize], residuals: usize, attention: &[usize], heads: usize) -> UnetConfig {
    let unet = adm(channels, multipliers, residuals, attention, Heads::Count(heads));
    UnetConfig { resampling: Resampling::Convolution, ..unet }
}

/// Stages by scale, level of augmentation and net.
fn stages_of(name: &str) -> Option<Vec<(usize, Option<usize>, UnetConfig)>> {
    let adm_64 = || cosine(adm(192, &[1, 2, 3, 4], 3, &[1, 2, 3], Heads::Width(64)), 1000);
    let cdm_32 = || cosine(cdm(256, &[1, 2, 3, 4], 6, &[1, 2], 4), 4000);
    let cdm_64 = || cosine(cdm(256, &[1, 2, 3, 4], 5, &[2, 3], 4), 4000);
    Some(match name {
        "cdm-nano" => {
            // One of each kind of joint.
            let nano = UnetConfig { classes: 10, ..cosine(cdm(32, &[1, 2], 1, &[1], 2), 1000) };
            let second = UnetConfig { resampling: Resampling::Residual, ..nano.clone() };
            vec![(2, None, nano), (1, Some(AUGMENTATION), second)]
        }
        "adm-64" => vec![(1, None, adm_64())],
        "adm-128" => vec![(1, None, adm(256, &[1, 1, 2, 3, 4], 2, &[2, 3, 4], Heads::Count(4)))],
        "adm-256" => vec![(1, None, adm(256, &[1, 1, 2, 2, 4, 4], 2, &[3, 4, 5], Heads::Width(64)))],
        "adm-64-256" => {
            let upsampler = adm(192, &[1, 1, 2, 2, 4, 4], 2, &[3, 4, 5], Heads::Count(4));
            vec![(4, None, adm_64()), (1, None, upsampler)]
        }
        "cdm-32" => vec![(1, None, cdm_32())],
        "cdm-32-64" => vec![(2, None, cdm_32()), (1, Some(4 * AUGMENTATION), cdm_64())],
        "cdm-32-64-256" => {
            let schedule = Schedule { timesteps: 2000, betas: Betas::Linear { first: 5e-5, last: 0.01 } };
            let last = UnetConfig { variance: false, schedule, ..cdm(128, &[1, 2, 4, 4, 8, 8], 3, &[4], 1) };
            vec![(8, None, cdm_32()), (4, Some(4 * AUGMENTATION), cdm_64()), (1, None, last)]
        }
        _ => return None,
    })
}

impl ModelConfig {
    /// The config of a model by its name; `None` if there is no such model.
    pub fn of(name: &str, image: ImageSize) -> Option<Self> {
        let stages = stages_of(name)?.into_iter().zip(DENOISERS).map(|((scale, augmentation, unet), id)| StageConfig {
            id: id.to_owned(),
            scale,
            augmentation,
            unet,
        });
        Some(Self { name: name.to_owned(), image, stages: stages.collect() })
    }

    /// Rows and columns of a stage's image.
    pub fn size(&self, stage: &StageConfig) -> [usize; 2] {
        [self.image.height / stage.scale, self.image.width / stage.scale]
    }

    /// Says what in the config cannot be built.
    ///
    /// # Errors
    /// [`GraphError::Config`] naming what is wrong and what it may be.
    pub fn check(&self) -> Result<(), GraphError> {
        let ImageSize { height, width } = self.image;
        // Powers of two throughout: the largest is a multiple of the others.
        let halvings = |stage: &StageConfig| stage.scale << stage.unet.multipliers.len().saturating_sub(1);
        let multiple = self.stages.iter().map(halvings).max().unwrap_or(1);
        if height == 0 || width == 0 || !height.is_multiple_of(multiple) || !width.is_multiple_of(multiple) {
            let nearest = |x: usize| ((x + multiple / 2) / multiple).max(1) * multiple;
            return Err(GraphError::Config(format!(
                "model {}: an image of {width}×{height} pixels cannot be halved often enough: width and height must be \
                 multiples of {multiple}; try {}×{}",
                self.name,
                nearest(width),
                nearest(height)
            )));
        }
        Ok(())
    }
}
