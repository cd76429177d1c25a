//! What fails a cell whatever its speed: a fall-back, a wrong latent, a cell that no longer works.

use serde::{Deserialize, Serialize};

use crate::record::Cell;
use crate::text;
use crate::tolerance::{self, Judged};

use super::gate::Gate;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Nodes ran elsewhere than asked.
    FallBack,
    /// The latent is further from the reference's, or from base's, than its tolerance.
    Latent,
    /// The latent is near enough to base's, the image is not.
    Image,
    /// In base, not in head.
    Missing,
    /// Ended well in base, not in head.
    Failed,
}

impl Fault {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::FallBack => "fall-back",
            Self::Latent => "wrong latent",
            Self::Image => "wrong image",
            Self::Missing => "missing",
            Self::Failed => "failed",
        }
    }
}

/// A fault of a cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What kind.
    pub fault: Fault,
    /// What was found and what was allowed, in a sentence.
    pub says: String,
}

/// How far a cell's results in head are from those in base. Same cell, weights and noise: but for rounding they are the same.
#[derive(Clone, Debug, PartialEq)]
pub enum Apart {
    /// They could be held against each other.
    By {
        /// Relative L2 of the latent after each step.
        latents: Vec<f64>,
        /// Relative L2 of the image's pixels; `None` where a side kept none.
        image: Option<f64>,
    },
    /// Head's are no results at all: not numbers, all zero, of another shape. Why, in words.
    Unusable(String),
    /// A side kept none, so they were held against nothing. Which, and where they were looked for.
    NotKept(String),
}

/// The largest distance between two builds whatever the precision: the error of few bits is in both, what is left is rounding, and
/// conformance allows 3e-2 of that a component where activations are in 8 bits.
const SAME_WEIGHTS: f64 = 0.05;
/// Pixels are whole numbers up to 255: half of one is rounding.
const OF_PIXELS: f64 = 0.01;

/// What is wrong with head's results in the light of base's.
pub(super) fn against_base(apart: &Apart, precision: &str, gate: &Gate) -> Option<Finding> {
    let (latents, image) = match apart {
        Apart::By { latents, image } => (latents, image),
        Apart::Unusable(why) => {
            return Some(Finding { fault: Fault::Latent, says: format!("the result is unusable: {why}") });
        }
        Apart::NotKept(_) => return None,
    };
    let limit = gate.latent.get(precision).copied().unwrap_or(SAME_WEIGHTS).min(SAME_WEIGHTS);
    let beyond = |distance: f64, limit: f64| distance.is_nan() || distance > limit;
    if let Some(&last) = latents.last().filter(|last| beyond(**last, limit)) {
        let from = latents.iter().position(|distance| beyond(*distance, limit)).unwrap_or_default();
        return Some(Finding {
            fault: Fault::Latent,
            says: format!(
                "the last latent differs from base's by {} (relative L2); the tolerance between builds is {} for \
                 {precision}, first exceeded after step {}",
                text::scientific(last),
                text::scientific(limit),
                from + 1
            ),
        });
    }
    let limit = limit.max(OF_PIXELS);
    image.filter(|distance| beyond(*distance, limit)).map(|distance| Finding {
        fault: Fault::Image,
        says: format!(
            "the image differs from base's by {} (relative L2); the tolerance between builds is {}; the latent is \
             within it, so look at the decoder",
            text::scientific(distance),
            text::scientific(limit)
        ),
    })
}

/// The faults of one cell by itself, and what could not be checked.
pub(crate) fn faults(cell: &Cell, gate: &Gate) -> (Vec<Finding>, Vec<String>) {
    of_cell(&[(0, cell)], None, gate)
}

/// The faults of a cell of head that ended well, each kind and stage once, and what could not be checked. `apart` is how far its
/// results are from base's, where that is known.
pub(super) fn of_cell(cells: &[(usize, &Cell)], apart: Option<&Apart>, gate: &Gate) -> (Vec<Finding>, Vec<String>) {
    let (mut findings, mut unchecked): (Vec<Finding>, Vec<String>) = (Vec::new(), Vec::new());
    let mut find = |fault, says: String| {
        if !findings.iter().any(|known| known.says == says) {
            findings.push(Finding { fault, says });
        }
    };
    let mut note = |says: String| {
        if !unchecked.contains(&says) {
            unchecked.push(says);
        }
    };
    for (_, cell) in cells {
        if cell.placement.is_empty() {
            note("it was not recorded where its nodes ran, so a fall-back would go unnoticed".into());
        }
        for stage in &cell.placement {
            let name = stage.stage.replace('_', " ");
            match stage.share_on_asked() {
                Some(share) if share < gate.placement.min_share => {
                    let elsewhere: Vec<String> = stage
                        .entries
                        .iter()
                        .filter(|entry| entry.device != stage.asked && entry.nodes > 0)
                        .map(|entry| format!("{} on {}", entry.nodes, entry.device))
                        .collect();
                    find(
                        Fault::FallBack,
                        format!(
                            "{} of the nodes of the {name} ran on {}; at least {} must ({})",
                            text::percent(share),
                            stage.asked,
                            text::percent(gate.placement.min_share),
                            text::list(&elsewhere)
                        ),
                    );
                }
                Some(_) => {}
                None => note(format!(
                    "it is not known where the nodes of the {name} ran, so a fall-back would go \
                                      unnoticed"
                )),
            }
        }
        match tolerance::judge(cell, &gate.latent) {
            Judged::Right => {}
            Judged::Wrong(says) => find(Fault::Latent, says),
            Judged::NoLimit { distance } => note(format!(
                "the gate has no [latent] tolerance for {}: the latent's distance of {} is not judged",
                cell.key.precision,
                text::scientific(distance)
            )),
            Judged::Unknown => {
                let not_kept = match apart {
                    // The reference is what others are held against; a brief run does not say which cell that is.
                    None if cell.is_reference || cell.is_in_64_bits() => None,
                    None => Some("there are no latents to compare"),
                    Some(Apart::NotKept(why)) => Some(why.as_str()),
                    Some(Apart::By { .. } | Apart::Unusable(_)) => None,
                };
                if let Some(not_kept) = not_kept {
                    let reference = cell.quality.why().unwrap_or("no latents were kept");
                    note(format!(
                        "its result had nothing to be compared with, so a wrong one would go unnoticed: {not_kept}; in its \
                         own run: {reference}"
                    ));
                }
            }
        }
    }
    if let Some((apart, (_, cell))) = apart.zip(cells.first()) {
        findings.extend(against_base(apart, &cell.key.precision, gate));
    }
    (findings, unchecked)
}

/// The fault of a cell that ended well in base and not in head.
pub(super) fn broken(head: &[(usize, &Cell)]) -> Finding {
    match head.iter().find(|(_, cell)| !cell.is_good()) {
        None => Finding { fault: Fault::Missing, says: "it is in base but not in head".into() },
        Some((_, cell)) => Finding {
            fault: Fault::Failed,
            says: format!(
                "it worked in base; in head: {}{}",
                cell.status.name(),
                cell.reason.as_ref().map(|reason| format!(", {reason}")).unwrap_or_default()
            ),
        },
    }
}
