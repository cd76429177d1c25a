//! What cautions say: in a few words for a narrow column, and in full with what to do.

use super::{Caution, FEW_LAUNCHES, Weight};
use crate::record::disturbed::{self, several};
use crate::text;

impl Caution {
    /// A few words for a narrow column.
    pub fn short(&self) -> String {
        match self {
            Self::NotSteady { launches, of, .. } if launches < of => format!("{launches} of {of} not steady"),
            Self::NotSteady { .. } => "not steady".into(),
            Self::NotSettled { launches, of, .. } if launches < of => format!("{launches} of {of} not settled"),
            Self::NotSettled { .. } => "not settled".into(),
            Self::FewLaunches { launches: 1 } => "1 launch".into(),
            Self::FewLaunches { launches } => format!("{launches} launches"),
            Self::Bimodal { .. } => "two modes".into(),
            Self::HeldBack { .. } => "held back".into(),
            Self::Busy { launches, of, .. } if launches < of => format!("busy machine in {launches} of {of}"),
            Self::Busy { .. } => "busy machine".into(),
            Self::Stolen { launches, of, .. } if launches < of => format!("CPUs stolen in {launches} of {of}"),
            Self::Stolen { .. } => "CPUs stolen".into(),
            Self::LoadUnknown { .. } => "other load unknown".into(),
            Self::MoreThreads { threads, cpus } => format!("{threads} threads on {}", several(*cpus, "CPU")),
            Self::ShortOfMemory { .. } => "short of memory".into(),
            Self::DoubtfulPeak { .. } => "doubtful peak".into(),
            Self::Unreal { nature, .. } => nature.clone(),
            Self::FallBack { .. } => "falls back".into(),
            Self::FailedLaunches { .. } => "failed launches".into(),
            Self::Removed { samples, .. } => format!("{samples} removed"),
            Self::Outliers { samples: 1, .. } => "1 outlier".into(),
            Self::Outliers { samples, .. } => format!("{samples} outliers"),
            Self::Expanded { .. } => "weights expanded".into(),
            Self::WrongResult { .. } => "wrong result".into(),
            Self::DisputedResult { .. } => "disputed result".into(),
            Self::NotRepeatable => "not repeatable".into(),
            Self::Said { .. } => "note".into(),
        }
    }

    /// What is the matter, and what to do.
    pub fn long(&self) -> String {
        match self {
            Self::NotSteady { state, .. } => format!(
                "Launches never became steady ({state}): their times cover every image but the first. Allow more \
                 --images or a larger --budget."
            ),
            Self::NotSettled { change, .. } => format!(
                "Images still became {} in the last third of a launch, by {}: \"settled\" is what they had come to. Give a longer --sustained.",
                if *change > 0.0 { "slower" } else { "faster" },
                text::percent(change.abs())
            ),
            Self::FewLaunches { .. } => format!(
                "Few launches: the launch is the independent sample, and a 95 % interval needs {FEW_LAUNCHES}. Give \
                 --launches {FEW_LAUNCHES} or more."
            ),
            Self::Bimodal { fast_s, slow_s } => format!(
                "Launches fall into two groups, around {} and {}: their common median describes neither. See the plot \
                 of samples.",
                text::seconds(*fast_s),
                text::seconds(*slow_s)
            ),
            Self::HeldBack { what, sustained: true, .. } => {
                format!("The machine was held back during the measurement ({what}), which is part of a sustained run.")
            }
            Self::HeldBack { what, .. } => format!(
                "The machine was held back during the measurement: {what}. Let it cool, stop other work, and measure \
                 again."
            ),
            Self::Busy { launches, load, .. } => format!(
                "The machine was busy during the measurement: {}{}. Times are too long. {}",
                if *launches > 1 { "in the busiest launch " } else { "" },
                disturbed::foreign_words(load),
                disturbed::CURE
            ),
            Self::Stolen { launches, share, .. } => format!(
                "The hypervisor gave {} of the CPUs to other machines during the measurement, so times are too long. \
                 Measure again when those are quiet.",
                up_to(*share, *launches)
            ),
            Self::LoadUnknown { why } => {
                format!("It is not known whether other programs ran on the same CPUs: {why}.")
            }
            Self::MoreThreads { threads, cpus } => format!(
                "{} on {}: they take turns and wait for each other, which can make times several times as long. Give \
                 --threads {cpus} or fewer.",
                several(*threads, "thread"),
                several(*cpus, "CPU")
            ),
            Self::ShortOfMemory { percent } => format!(
                "Memory was short: tasks waited for it up to {percent:.0} % of the time, so times include swapping or \
                 rereading files. Choose a smaller model, size or precision, or stop other work."
            ),
            Self::DoubtfulPeak { why } => format!("No share of the peak is shown: {why}. {}", disturbed::CURE),
            Self::Unreal { why, .. } => {
                format!("No time is shown: {why}. What it shows is where nodes ran, and what came out.")
            }
            Self::FallBack { stage, share, asked } => format!(
                "Only {} of the nodes of the {} ran on {asked}: the rest fell back to another device.",
                text::percent(*share),
                stage.replace('_', " ")
            ),
            Self::FailedLaunches { launches, of, reason } => format!("{launches} of {of} launches failed: {reason}"),
            Self::Removed { samples, causes } => {
                format!("{samples} images are left out for a known cause: {}.", text::list(causes))
            }
            // Counts are in the short form, so that the same words serve several cells.
            Self::Outliers { .. } => {
                "Some timed images are far from the rest of their launch (beyond Tukey's fences); they still count."
                    .into()
            }
            Self::Expanded { what } => format!("Weights: {what}."),
            Self::WrongResult { why } => {
                format!("The result is wrong: {why}. It is left out of rankings.")
            }
            Self::DisputedResult { why } => format!(
                "Either this result or the reference's is wrong: {why}. To find out which, add the backend called reference, which computes in 64 bits; \
                 for a model of your own, give --expect FILE."
            ),
            Self::NotRepeatable => {
                "Running the same cell again gave different bytes: the backend is not deterministic, or something is \
                 wrong."
                    .into()
            }
            Self::Said { what } => what.clone(),
        }
    }

    /// How much it matters.
    pub fn weight(&self) -> Weight {
        match self {
            Self::HeldBack { sustained: true, .. } => Weight::Note,
            Self::HeldBack { .. }
            | Self::Busy { .. }
            | Self::Stolen { .. }
            | Self::MoreThreads { .. }
            | Self::ShortOfMemory { .. }
            | Self::FallBack { .. }
            | Self::FailedLaunches { .. }
            | Self::WrongResult { .. }
            | Self::DisputedResult { .. }
            | Self::NotRepeatable => Weight::Grave,
            Self::FewLaunches { launches } if *launches >= 3 => Weight::Note,
            Self::Outliers { .. } | Self::Said { .. } | Self::LoadUnknown { .. } => Weight::Note,
            Self::NotSteady { .. }
            | Self::NotSettled { .. }
            | Self::FewLaunches { .. }
            | Self::Bimodal { .. }
            | Self::DoubtfulPeak { .. }
            | Self::Unreal { .. }
            | Self::Removed { .. }
            | Self::Expanded { .. } => Weight::Uncertain,
        }
    }

    /// Whether it is said in full where there is room for a few lines only: below the table of a terminal.
    pub fn cannot_wait(&self) -> bool {
        // What held a sustained launch back is an answer that was asked for.
        self.weight() == Weight::Grave || matches!(self, Self::DoubtfulPeak { .. } | Self::HeldBack { .. })
    }
}

/// A share in words, of one launch or the largest of several.
fn up_to(share: f64, launches: usize) -> String {
    let share = text::percent(share);
    if launches > 1 { format!("up to {share}") } else { share }
}
