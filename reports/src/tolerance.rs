//! When a result is wrong: the last latent is further from the reference's than the precision explains.
//!
//! Contract: one judgement for the caution of a row, the headline, the advice and the gate; a gate's file may set other limits.

use std::collections::BTreeMap;

use crate::record::Cell;
use crate::text;

/// Largest relative L2 of the last latent from the reference's, by storage scheme of the weights.
pub fn usual() -> BTreeMap<String, f64> {
    [("f32", 0.0001), ("f16", 0.02), ("q8", 0.05), ("q4", 0.5), ("mixed", 0.5), ("palette4", 0.5)]
        .map(|(scheme, limit)| (scheme.to_owned(), limit))
        .into()
}

/// What is known of a cell's result.
#[derive(Clone, Debug, PartialEq)]
pub enum Judged {
    /// Nothing to compare with.
    Unknown,
    /// There is no limit for its scheme.
    NoLimit {
        /// Distance of the last latent, relative L2.
        distance: f64,
    },
    /// Within the limit.
    Right,
    /// Beyond it, in a sentence without an end.
    Wrong(String),
}

/// Judges a cell's latents, as its record has them, by limits for storage schemes.
pub fn judge(cell: &Cell, limits: &BTreeMap<String, f64>) -> Judged {
    let Some((quality, last)) = cell.quality.value().and_then(|quality| Some((quality, quality.latents.last()?)))
    else {
        return Judged::Unknown;
    };
    let scheme = &cell.key.precision;
    let Some(&limit) = limits.get(scheme) else {
        return Judged::NoLimit { distance: last.relative_l2 };
    };
    // A device may compute in fewer bits than the file has, and says so.
    let computes_in = cell.numerics.value().and_then(|numerics| Some((numerics, *limits.get(numerics)?)));
    let (of, limit) = match computes_in {
        Some((numerics, more)) if more > limit => (format!("{scheme} computed in {numerics}"), more),
        _ => (scheme.clone(), limit),
    };
    // A distance that is no number is a wrong latent too.
    let beyond = |distance: f64| distance.is_nan() || distance > limit;
    if !beyond(last.relative_l2) {
        return Judged::Right;
    }
    let first = quality.latents.iter().find(|step| beyond(step.relative_l2)).unwrap_or(last);
    Judged::Wrong(format!(
        "the last latent differs from the reference's by {} (relative L2); the tolerance is {} for {of}, first exceeded after step {}",
        text::scientific(last.relative_l2),
        text::scientific(limit),
        first.step + 1
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{CellKey, Quality, Reading, StepDivergence};

    fn cell(scheme: &str, numerics: &str, distances: &[f64]) -> Cell {
        let latents = distances.iter().enumerate();
        let latents =
            latents.map(|(step, &relative_l2)| StepDivergence { step: step as u32, relative_l2, cosine: 1.0 });
        Cell {
            key: CellKey { precision: scheme.into(), ..CellKey::default() },
            numerics: Reading::Ok(numerics.into()),
            quality: Reading::Ok(Quality { latents: latents.collect(), ..Quality::default() }),
            ..Cell::default()
        }
    }

    #[test]
    fn a_result_is_wrong_beyond_what_its_precision_explains() {
        let of = |scheme: &str, numerics: &str, distances: &[f64]| judge(&cell(scheme, numerics, distances), &usual());
        assert_eq!(of("f32", "f32", &[1e-7, 1e-6]), Judged::Right);
        assert_eq!(of("q4", "int8_activations", &[0.1, 0.2]), Judged::Right);
        assert_eq!(of("q2", "weight_only", &[0.3]), Judged::NoLimit { distance: 0.3 });
        assert_eq!(judge(&Cell::default(), &usual()), Judged::Unknown);
        for (distances, step) in [([1e-7, 1.0], 2), ([f64::NAN, f64::NAN], 1)] {
            let Judged::Wrong(says) = of("f32", "f32", &distances) else { panic!("{distances:?} is right?") };
            assert!(says.ends_with(&format!("for f32, first exceeded after step {step}")), "{says}");
        }
        // An NPU that computes an f32 file in f16.
        assert_eq!(of("f32", "f16", &[1e-3, 2e-3]), Judged::Right);
        let Judged::Wrong(says) = of("f32", "f16", &[0.5]) else { panic!("half of it is right?") };
        assert!(says.contains("for f32 computed in f16"), "{says}");
    }
}
