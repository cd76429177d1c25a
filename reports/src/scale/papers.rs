//! What papers print of their ladders, as steps from one rung to another. Here and not in records, as with
//! [`crate::published::snapgenpp`]: a record holds what was measured and what its own model's paper says of that model.

/// A ladder of one paper, by the axis of a plan that goes through it.
pub(super) struct PaperLadder {
    /// What it is called.
    pub title: &'static str,
    /// The axis, as keys name it.
    pub axis: &'static str,
    /// Its rungs in order; the last is a model without a value on the axis.
    pub rungs: &'static [&'static str],
    /// Where the steps are from.
    pub source: &'static str,
    /// What was timed on.
    pub hardware: &'static str,
    /// Height and width of the images in pixels.
    pub size: u32,
    /// The steps.
    pub steps: &'static [PaperStep],
}

/// A rung as a ratio to another: less than 1 is less. `None` where the paper does not say.
pub(super) struct PaperStep {
    pub rung: &'static str,
    pub against: &'static str,
    pub time: Option<f64>,
    pub parameters: Option<f64>,
    pub operations: Option<f64>,
}

/// Models of one paper that stand beside each other; their times are the record's.
pub(super) struct Family {
    /// What it is called.
    pub title: &'static str,
    /// The models, the first the one that others are held against.
    pub models: &'static [&'static str],
}

const fn step(
    rung: &'static str,
    against: &'static str,
    time: Option<f64>,
    parameters: Option<f64>,
    operations: Option<f64>,
) -> PaperStep {
    PaperStep { rung, against, time, parameters, operations }
}

pub(super) static LADDERS: [PaperLadder; 2] = [
    PaperLadder {
        title: "SnapGen's ladder",
        axis: "ladder",
        rungs: &["thin", "no-high-sa", "sep1", "sep2", "ffn3", "mqa", "final"],
        source: "SnapGen, arXiv 2412.09619, by a digest of it",
        hardware: "iPhone 15 Pro",
        size: 1024,
        steps: &[
            step("no-high-sa", "thin", Some(0.76), None, Some(0.83)),
            step("sep1", "no-high-sa", Some(0.38), Some(0.76), None),
            // 2.4 times as fast.
            step("sep2", "no-high-sa", Some(1.0 / 2.4), Some(0.85), Some(0.73)),
            step("ffn3", "sep2", None, Some(0.88), Some(0.88)),
            step("mqa", "ffn3", Some(0.91), Some(0.84), Some(0.94)),
        ],
    },
    PaperLadder {
        title: "SnapGen++'s ladder",
        axis: "rung",
        rungs: &["pixart-mqa", "three-stage", "assa", "final"],
        source: "SnapGen++, arXiv 2601.08303v2",
        hardware: "iPhone 16 Pro Max",
        size: 1024,
        // 2000, 550, 293 and 360 ms a forward pass.
        steps: &[
            step("three-stage", "pixart-mqa", Some(550.0 / 2000.0), None, None),
            step("assa", "three-stage", Some(293.0 / 550.0), None, None),
            step("final", "assa", Some(360.0 / 293.0), None, None),
        ],
    },
];

pub(super) static FAMILIES: [Family; 3] = [
    Family { title: "SnapGen++'s sizes", models: &["tiny", "small", "full"] },
    Family { title: "EdgeDiT's models", models: &["dit-xl-2", "edgedit-1", "edgedit-6"] },
    Family {
        title: "ElasticDiT's variants",
        models: &["elastic-full", "elastic-full-half", "elastic-lite", "elastic-lite-half"],
    },
];

impl PaperLadder {
    /// What the paper says of a rung as a ratio to another: its own step, or steps one after the other.
    pub(super) fn printed(&self, rung: &str, against: &str, of: fn(&PaperStep) -> Option<f64>) -> Option<f64> {
        let direct = self.steps.iter().find(|step| step.rung == rung && step.against == against);
        match direct {
            Some(step) => of(step),
            None => Some(self.over_the_first(rung, of)? / self.over_the_first(against, of)?),
        }
    }

    fn over_the_first(&self, rung: &str, of: fn(&PaperStep) -> Option<f64>) -> Option<f64> {
        let (mut at, mut product) = (rung, 1.0);
        while at != self.rungs[0] {
            let step = self.steps.iter().find(|step| step.rung == at)?;
            product *= of(step)?;
            at = step.against;
        }
        Some(product)
    }

    /// The rung that a rung's own step is from.
    pub(super) fn base_of(&self, rung: &str) -> Option<&'static str> {
        self.steps.iter().find(|step| step.rung == rung).map(|step| step.against)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_lead_from_known_rungs_to_known_rungs_and_are_put_together() {
        for ladder in &LADDERS {
            for step in ladder.steps {
                let place = |rung: &str| ladder.rungs.iter().position(|known| *known == rung).unwrap();
                assert!(place(step.against) < place(step.rung), "{}", step.rung);
            }
        }
        let [snapgen, snapgenpp] = &LADDERS;
        let time = |ladder: &PaperLadder, rung, against| ladder.printed(rung, against, |step| step.time);
        assert!((time(snapgenpp, "final", "pixart-mqa").unwrap() - 0.18).abs() < 1e-9);
        assert!((time(snapgen, "sep2", "thin").unwrap() - 0.76 / 2.4).abs() < 1e-9);
        assert!((time(snapgen, "sep2", "sep1").unwrap() - 1.0 / 2.4 / 0.38).abs() < 1e-9);
        assert_eq!((time(snapgen, "mqa", "ffn3"), time(snapgen, "mqa", "thin")), (Some(0.91), None), "no time of ffn3");
        assert_eq!(time(snapgen, "final", "mqa"), None);
    }
}
