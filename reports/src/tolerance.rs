//! When a result is wrong: the last latent is further from the reference's than the precision explains.
//!
//! Contract: the gate and the advice hold a result to limits, which a gate's file may change. What a report calls wrong without being
//! asked is off by so much more that no rounding explains it, and is so by a reference that is certain.

use std::collections::BTreeMap;

use crate::record::{Cell, Quality, Role, Run, StepDivergence};
use crate::text;

/// How many times the limit a result must be off for a report to call it wrong: deep models and many steps add their roundings up.
const GROSS: f64 = 10.0;
/// A result of nothing but zeros is off by 1: whatever the limit, what is this far off is wrong.
const SURELY: f64 = 0.9;

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
        /// Its distance, relative L2.
        distance: f64,
    },
    /// Within the limit.
    Right,
    /// Beyond it, in a sentence without an end.
    Wrong(String),
}

/// What a report says of a result that no rounding explains, in a sentence without an end.
#[derive(Clone, Debug, PartialEq)]
pub enum Suspicion {
    /// The reference computes in 64 bits, or is the user's own.
    Wrong(String),
    /// The reference is another backend: one of the two is wrong.
    Disputed(String),
}

/// Judges a cell's latents, as its record has them, by limits for storage schemes.
pub fn judge(cell: &Cell, limits: &BTreeMap<String, f64>) -> Judged {
    let Some((latents, counts)) = latents(cell) else { return Judged::Unknown };
    let distance = counts.relative_l2;
    let Some((limit, of)) = limit(cell, limits) else { return Judged::NoLimit { distance } };
    if !is_beyond(distance, limit) {
        return Judged::Right;
    }
    let (what, place) = if is_of_steps(cell) {
        let first = latents.iter().find(|step| is_beyond(step.relative_l2, limit)).unwrap_or(counts);
        ("the last latent", format!("first exceeded after step {}", first.step + 1))
    } else {
        ("a result", format!("in output {}", counts.step + 1))
    };
    Judged::Wrong(format!(
        "{what} differs from the reference's by {} (relative L2); the tolerance is {} for {of}, {place}",
        text::scientific(distance),
        text::scientific(limit),
    ))
}

/// What is grossly off, by the usual limits.
pub fn suspect(run: &Run, cell: &Cell) -> Option<Suspicion> {
    let (_, counts) = latents(cell)?;
    let (usual, of) = limit(cell, &usual())?;
    if !is_beyond(counts.relative_l2, (GROSS * usual).min(SURELY)) {
        return None;
    }
    let distance = text::scientific(counts.relative_l2);
    let says =
        format!("it differs from the reference's by {distance} (relative L2), which no rounding of {of} explains");
    let name = &cell.quality.value()?.reference;
    let reference = run.cells.iter().find(|other| other.key.id() == *name);
    let is_certain = reference.map_or(name.starts_with(Quality::EXPECTED), Cell::is_in_64_bits);
    Some(if is_certain { Suspicion::Wrong(says) } else { Suspicion::Disputed(says) })
}

/// The distances, and the one that counts: the last step's, or the worst of a single graph's outputs.
fn latents(cell: &Cell) -> Option<(&[StepDivergence], &StepDivergence)> {
    let latents = &cell.quality.value()?.latents;
    let distance = |step: &&StepDivergence| if step.relative_l2.is_nan() { f64::INFINITY } else { step.relative_l2 };
    let counts = if is_of_steps(cell) {
        latents.last()
    } else {
        latents.iter().max_by(|a, b| distance(a).total_cmp(&distance(b)))
    };
    Some((latents, counts?))
}

fn is_of_steps(cell: &Cell) -> bool {
    cell.stages.is_empty() || cell.has_role(Role::Denoiser)
}

/// The limit, and of what it is. A device may compute in fewer bits than the file has, and says so.
fn limit(cell: &Cell, limits: &BTreeMap<String, f64>) -> Option<(f64, String)> {
    let scheme = &cell.key.precision;
    let limit = *limits.get(scheme)?;
    let computes_in = cell.numerics.value().and_then(|numerics| Some((numerics, *limits.get(numerics)?)));
    Some(match computes_in {
        Some((numerics, more)) if more > limit => (more, format!("{scheme} computed in {numerics}")),
        _ => (limit, scheme.clone()),
    })
}

/// A distance that is no number is one too far.
fn is_beyond(distance: f64, limit: f64) -> bool {
    distance.is_nan() || distance > limit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{CellKey, CellStage, Reading};

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

    #[test]
    fn of_a_single_graph_the_worst_output_counts() {
        let mut graph = cell("f32", "f32", &[0.5, 1e-7]);
        assert_eq!(judge(&graph, &usual()), Judged::Right);
        graph.stages = vec![CellStage { id: "graph".into(), role: Role::Other, passes: 1 }];
        let Judged::Wrong(says) = judge(&graph, &usual()) else { panic!("the first output is right?") };
        assert!(says.ends_with("for f32, in output 1"), "{says}");
    }

    #[test]
    fn a_report_accuses_only_what_no_rounding_explains_and_by_what_is_certain() {
        let mut exact = cell("f32", "f64", &[]);
        let other = cell("f32", "f32", &[]);
        let run = |reference: &Cell| Run { cells: vec![reference.clone()], ..Run::default() };
        let against = |reference: &Cell, scheme: &str, distance: f64| {
            let mut cell = cell(scheme, "f32", &[distance]);
            if let Reading::Ok(quality) = &mut cell.quality {
                quality.reference = reference.key.id();
            }
            suspect(&run(reference), &cell)
        };
        exact.key.backend = "reference".into();
        for (scheme, rounding, more) in [("f32", 9e-4, 2e-3), ("q8", 0.4, 0.6), ("q4", 0.8, 1.0)] {
            assert_eq!(against(&exact, scheme, rounding), None, "{scheme}");
            assert!(matches!(against(&exact, scheme, more), Some(Suspicion::Wrong(_))), "{scheme}");
            assert!(matches!(against(&other, scheme, more), Some(Suspicion::Disputed(_))), "{scheme}");
        }
        assert!(matches!(against(&exact, "q4", f64::NAN), Some(Suspicion::Wrong(_))));
        // A user's own file is certain, a reference that is not there is not.
        let mut far = cell("f32", "f32", &[1.0]);
        for (name, certain) in [(format!("{}io.npz", Quality::EXPECTED), true), ("another".to_owned(), false)] {
            let Reading::Ok(quality) = &mut far.quality else { panic!("it has latents") };
            quality.reference = name.clone();
            assert_eq!(matches!(suspect(&Run::default(), &far), Some(Suspicion::Wrong(_))), certain, "{name}");
        }
    }
}
