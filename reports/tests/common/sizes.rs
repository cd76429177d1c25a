//! Made-up runs whose times follow planted laws. Nothing in them was measured.

#![allow(dead_code)]

use std::collections::BTreeMap;

use ditbench_record::{Cell, CellKey, ModelEntry, Run, Stage};
use ditbench_reports::stats::random::Random;

use crate::launches::{cell, key, run};

/// The sizes of [`grown`].
pub const SIDES: [u32; 5] = [64, 96, 128, 192, 256];

/// Factor on a launch's times at a size, against one of 64×64: the law.
pub fn law(side: u32, exponent: f64) -> f64 {
    (f64::from(side) / 64.0).powf(2.0 * exponent)
}

pub fn sized(backend: &str, side: u32) -> CellKey {
    CellKey { width: side, height: side, ..key(backend, "f32") }
}

/// A cell of a size whose launches take `factor` times as long as one of 64×64, give or take 1 %.
pub fn at(key: CellKey, factor: f64, launches: usize, seed: u64) -> Cell {
    let mut random = Random::new(seed);
    let factors: Vec<f64> = (0..launches).map(|_| factor * (0.01 * random.normal()).exp()).collect();
    cell(key, &factors)
}

/// A run of `ort` over all sizes, whose times grow with this exponent of pixels.
pub fn grown(id: &str, exponent: f64, seed: u64) -> Run {
    let cells = SIDES.iter().zip(0..).map(|(side, n)| at(sized("ort", *side), law(*side, exponent), 6, 100 * seed + n));
    let mut run = run(id, cells.collect());
    run.models = SIDES.iter().map(|side| counted(*side)).collect();
    run
}

/// Counts of a model at a size: half of the denoiser's operations are linear in pixels at 64×64, half are dense attention.
pub fn counted(side: u32) -> ModelEntry {
    let million = |exponent: f64| (1e6 * law(side, exponent)).round() as u64;
    let work = BTreeMap::from([("linear".to_owned(), million(1.0)), ("dense attention".to_owned(), million(2.0))]);
    let stage = |name: &str, work: BTreeMap<String, u64>| Stage {
        name: name.into(),
        parameters: 1000,
        flops: work.values().sum(),
        work,
        ..Stage::default()
    };
    let plain = |exponent: f64| BTreeMap::from([("convolution".to_owned(), million(exponent))]);
    ModelEntry {
        name: "nano".into(),
        height: side,
        width: side,
        text_tokens: Some(16),
        stages: vec![stage("text_encoder", plain(0.0)), stage("denoiser", work), stage("decoder", plain(1.0))],
        ..ModelEntry::default()
    }
}
