//! What is compared: each number of a cell, its unit, which way is better, and what its samples are.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text;

/// A number of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Metric {
    /// Seconds of one image in the steady state: each launch's median.
    Image,
    /// Seconds of each launch's first image.
    FirstImage,
    /// Seconds of the text encoder: each launch's median.
    TextEncoder,
    /// Seconds of one denoiser step, all steps together: each launch's median.
    DenoiserStep,
    /// Seconds of one denoiser step by its number, 0 the first: each launch's median.
    Step(u32),
    /// Seconds of the decoder: each launch's median.
    Decoder,
    /// Seconds of the rest of an image (sampler arithmetic, copies): each launch's median.
    Rest,
    /// Seconds in which the runtime loaded and prepared all sessions. Files written for it are not counted: only the first
    /// launch writes them.
    Compile,
    /// The most bytes resident at once in each timed launch.
    PeakRss,
    /// The most bytes resident at once in the process in which only memory was measured.
    MemoryPass,
    /// The most bytes resident and anonymous at a mark of that process: what cannot be dropped and read again.
    Anonymous,
    /// The most bytes that the runtime accounts for as in use.
    RuntimePeak,
    /// Bytes of weights as the sessions hold them.
    WeightsResident,
    /// Relative L2 distance of the last latent from the reference's.
    Latent,
    /// Peak signal-to-noise ratio of the image against the reference's, in decibels; 60 and more count as 60.
    Psnr,
    /// Structural similarity of the image to the reference's.
    Ssim,
    /// SSIMULACRA2 of the image against the reference's.
    Ssimulacra2,
    /// Share of the prompt list's names whose own data picture is nearest to the picture made, where pictures were judged.
    Retrieval,
    /// Share of the nodes of all stages that ran on the device asked for.
    Placement,
    /// Seconds of one iteration of a criterion benchmark.
    Iteration,
}

/// Decibels beyond which 8-bit images look the same and a difference is a handful of pixels.
pub const PSNR_CAP_DB: f64 = 60.0;

/// Every metric but the numbered steps, in the order in which a verdict shows them.
pub const ALL: [Metric; 19] = [
    Metric::Image,
    Metric::FirstImage,
    Metric::TextEncoder,
    Metric::DenoiserStep,
    Metric::Decoder,
    Metric::Rest,
    Metric::Compile,
    Metric::PeakRss,
    Metric::MemoryPass,
    Metric::Anonymous,
    Metric::RuntimePeak,
    Metric::WeightsResident,
    Metric::Latent,
    Metric::Psnr,
    Metric::Ssim,
    Metric::Ssimulacra2,
    Metric::Retrieval,
    Metric::Placement,
    Metric::Iteration,
];

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Less is better.
    Lower,
    /// More is better.
    Higher,
}

/// How a change is expressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// As a share of the base: 0.05 is 5 % more.
    Relative,
    /// In the metric's own unit.
    Absolute,
}

/// What the samples are, and so what may be said of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// One number of each launch: independent samples, judged by their interval.
    Launches,
    /// Iterations of one process: not independent of each other (layout, caches and clocks are shared), so the interval is
    /// narrower than the truth, and the threshold must leave room for what differs from process to process.
    Iterations,
    /// One number of each record, the same whenever it is measured again: judged by its value.
    Value,
}

impl Metric {
    /// Its name in `gate.toml`, in JSON and on command lines, with the unit in it.
    pub fn name(self) -> String {
        match self {
            Self::Step(step) => format!("denoiser_step_{step}_s"),
            other => other.family().to_owned(),
        }
    }

    /// The name under which `gate.toml` has its threshold: numbered steps share that of `denoiser_step_s`.
    pub fn family(self) -> &'static str {
        match self {
            Self::Image => "image_s",
            Self::FirstImage => "first_image_s",
            Self::TextEncoder => "text_encoder_s",
            Self::DenoiserStep | Self::Step(_) => "denoiser_step_s",
            Self::Decoder => "decoder_s",
            Self::Rest => "rest_s",
            Self::Compile => "compile_s",
            Self::PeakRss => "peak_rss_bytes",
            Self::MemoryPass => "memory_pass_bytes",
            Self::Anonymous => "anonymous_bytes",
            Self::RuntimePeak => "runtime_peak_bytes",
            Self::WeightsResident => "weights_resident_bytes",
            Self::Latent => "latent_relative_l2",
            Self::Psnr => "psnr_db",
            Self::Ssim => "ssim",
            Self::Ssimulacra2 => "ssimulacra2",
            Self::Retrieval => "retrieval_at_1",
            Self::Placement => "placement_share",
            Self::Iteration => "iteration_s",
        }
    }

    /// In words: `steady image`, `denoiser step 2`.
    pub fn title(self) -> String {
        let words = match self {
            Self::Step(step) => return format!("denoiser step {}", step + 1),
            Self::Image => "steady image",
            Self::FirstImage => "first image",
            Self::TextEncoder => "text encoder",
            Self::DenoiserStep => "denoiser steps",
            Self::Decoder => "decoder",
            Self::Rest => "rest of an image",
            Self::Compile => "compile",
            Self::PeakRss => "peak memory, timed launches",
            Self::MemoryPass => "peak memory, memory pass",
            Self::Anonymous => "anonymous memory",
            Self::RuntimePeak => "runtime's own peak",
            Self::WeightsResident => "weights in memory",
            Self::Latent => "latent off the reference",
            Self::Psnr => "PSNR",
            Self::Ssim => "SSIM",
            Self::Ssimulacra2 => "SSIMULACRA2",
            Self::Retrieval => "retrieval@1",
            Self::Placement => "on the device asked for",
            Self::Iteration => "iteration",
        };
        words.to_owned()
    }

    /// Which way is better.
    pub fn better(self) -> Better {
        match self {
            Self::Psnr | Self::Ssim | Self::Ssimulacra2 | Self::Retrieval | Self::Placement => Better::Higher,
            _ => Better::Lower,
        }
    }

    /// How its changes are expressed.
    pub fn scale(self) -> Scale {
        match self.better() {
            Better::Higher => Scale::Absolute,
            Better::Lower => Scale::Relative,
        }
    }

    /// What its samples are.
    pub fn basis(self) -> Basis {
        match self {
            Self::Iteration => Basis::Iterations,
            _ if self.is_time() || self == Self::PeakRss => Basis::Launches,
            _ => Basis::Value,
        }
    }

    /// Whether it is a time of a launch, which a slower machine moves too.
    pub fn is_time(self) -> bool {
        matches!(
            self,
            Self::Image
                | Self::FirstImage
                | Self::TextEncoder
                | Self::DenoiserStep
                | Self::Step(_)
                | Self::Decoder
                | Self::Rest
                | Self::Compile
        )
    }

    /// A value with its unit.
    pub fn show(self, value: f64) -> String {
        match self {
            _ if self.is_time() || self == Self::Iteration => text::seconds(value),
            Self::Latent => text::scientific(value),
            Self::Psnr => format!("{}\u{a0}dB", text::significant(value, 4)),
            Self::Ssim | Self::Ssimulacra2 => text::significant(value, 4),
            Self::Retrieval => format!("{value:.3}"),
            Self::Placement => text::percent(value),
            _ => text::bytes(value.max(0.0) as u64),
        }
    }

    /// A change with its sign: `+5.1 %`, `−0.42 dB`.
    pub fn show_change(self, change: f64) -> String {
        let sign = if change < 0.0 {
            "−"
        } else if change > 0.0 {
            "+"
        } else {
            ""
        };
        let size = change.abs();
        let words = match (self.scale(), self) {
            (Scale::Relative, _) => percent(size),
            (Scale::Absolute, Self::Placement) => percent(size),
            (Scale::Absolute, Self::Psnr) => format!("{}\u{a0}dB", text::significant(size, 3)),
            (Scale::Absolute, _) => text::significant(size, 3),
        };
        format!("{sign}{words}")
    }
}

/// Per cent to a tenth, two digits of what is below 1 %: `5.1 %`, `0.031 %`.
fn percent(share: f64) -> String {
    let per_cent = 100.0 * share;
    if per_cent >= 1.0 { format!("{per_cent:.1}\u{a0}%") } else { format!("{}\u{a0}%", text::significant(per_cent, 2)) }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl From<Metric> for String {
    fn from(metric: Metric) -> Self {
        metric.name()
    }
}

/// A name that no metric has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no metric \"{0}\"")]
pub struct UnknownMetric(pub String);

impl TryFrom<String> for Metric {
    type Error = UnknownMetric;

    fn try_from(name: String) -> Result<Self, UnknownMetric> {
        let step = || name.strip_prefix("denoiser_step_")?.strip_suffix("_s")?.parse().ok();
        let known = ALL.into_iter().find(|metric| metric.family() == name);
        known.or_else(|| step().map(Metric::Step)).ok_or(UnknownMetric(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for metric in ALL.into_iter().chain([Metric::Step(0), Metric::Step(3)]) {
            assert_eq!(Metric::try_from(metric.name()), Ok(metric));
        }
        assert!(Metric::try_from("speed".to_owned()).unwrap_err().to_string().contains("speed"));
        assert_eq!(Metric::Step(1).show_change(-0.0514).replace('\u{a0}', " "), "−5.1 %");
    }
}
