//! What fails a cell whatever its speed: a fall-back, a wrong latent, a cell that no longer works.

use serde::{Deserialize, Serialize};

use crate::record::{Cell, Status};
use crate::text;

use super::gate::Gate;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Nodes ran elsewhere than asked.
    FallBack,
    /// The latent is further from the reference's than its tolerance.
    Latent,
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

/// The faults of a cell of head that ended well, each kind and stage once, and what could not be checked.
pub(super) fn of_cell(cells: &[(usize, &Cell)], gate: &Gate) -> (Vec<Finding>, Vec<String>) {
    let (mut findings, mut notes): (Vec<Finding>, Vec<String>) = (Vec::new(), Vec::new());
    let mut find = |fault, says: String| {
        if !findings.iter().any(|known| known.says == says) {
            findings.push(Finding { fault, says });
        }
    };
    let mut note = |says: String| {
        if !notes.contains(&says) {
            notes.push(says);
        }
    };
    for (_, cell) in cells {
        if cell.placement.is_empty() {
            note("where its nodes ran was not recorded, so a fall-back would go unseen".into());
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
                            "{} of the nodes of the {name} ran on {}, {} is the least allowed ({})",
                            text::percent(share),
                            stage.asked,
                            text::percent(gate.placement.min_share),
                            text::list(&elsewhere)
                        ),
                    );
                }
                Some(_) => {}
                None => note(format!("where the nodes of the {name} ran is not known, so a fall-back would go unseen")),
            }
        }
        let Some(quality) = cell.quality.value() else { continue };
        let Some(last) = quality.latents.last() else { continue };
        match gate.latent.get(&cell.key.precision) {
            None => note(format!(
                "the gate has no [latent] tolerance for {}: the latent's distance of {} is not judged",
                cell.key.precision,
                text::scientific(last.relative_l2)
            )),
            // A distance that is no number is a wrong latent too.
            Some(limit) if last.relative_l2.is_nan() || last.relative_l2 > *limit => {
                let first = quality.latents.iter().find(|step| step.relative_l2.is_nan() || step.relative_l2 > *limit);
                let from = first.map_or(last.step, |step| step.step);
                find(
                    Fault::Latent,
                    format!(
                        "the last latent is {} off the reference's (relative L2), {} is the tolerance for {}; first beyond it after step {}",
                        text::scientific(last.relative_l2),
                        text::scientific(*limit),
                        cell.key.precision,
                        from + 1
                    ),
                );
            }
            Some(_) => {}
        }
    }
    (findings, notes)
}

/// The fault of a cell that ended well in base and not in head.
pub(super) fn broken(head: &[(usize, &Cell)]) -> Finding {
    match head.iter().find(|(_, cell)| cell.status != Status::Ok) {
        None => Finding { fault: Fault::Missing, says: "it is in base and not in head".into() },
        Some((_, cell)) => Finding {
            fault: Fault::Failed,
            says: format!(
                "it ended well in base; in head: {}{}",
                cell.status.name(),
                cell.reason.as_ref().map(|reason| format!(", {reason}")).unwrap_or_default()
            ),
        },
    }
}
