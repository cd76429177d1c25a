//! Made-up records for verdicts: a cell whose launches take scripted times. Nothing in them was measured.

#![allow(dead_code)]

use ditbench_record::{
    Build, Calibration, Cell, CellKey, CellStage, ImageQuality, Launch, Machine, MemoryMark, MemoryPass,
    PlacementShare, Quality, Reading, Role, Run, RunInfo, Sample, StageCompile, StagePlacement, StageSeconds, Status,
    Steady, SteadyState, StepDivergence,
};
use ditbench_reports::stats::random::Random;

/// Factors on a launch of about two seconds, 2 % of noise from launch to launch.
pub fn factors(count: usize, noise: f64, seed: u64) -> Vec<f64> {
    let mut random = Random::new(seed);
    (0..count).map(|_| (noise * random.normal()).exp()).collect()
}

pub fn key(backend: &str, precision: &str) -> CellKey {
    CellKey {
        model: "nano".into(),
        height: 64,
        width: 64,
        backend: backend.into(),
        variant: "stock".into(),
        device: "cpu".into(),
        precision: precision.into(),
        threads: 2,
        batch: 1,
        steps: 2,
        memory: "fast".into(),
        ..CellKey::default()
    }
    .with("text_tokens", 16)
    .with("sampler", "euler")
}

/// One launch whose every time is multiplied by `factor`: a first image, then four steady ones of 2.0 s.
pub fn launch(index: u32, factor: f64) -> Launch {
    let image = |image: u32, slow: f64| {
        let at = |seconds: f64| seconds * factor * slow;
        Sample {
            image,
            total_s: at(2.0),
            stages: [("text_encoder", vec![at(0.1)]), ("denoiser", vec![at(0.6); 2]), ("decoder", vec![at(0.69)])]
                .map(|(stage, seconds)| StageSeconds { stage: stage.into(), seconds })
                .to_vec(),
            harness_s: at(0.01),
            removed: None,
            counts: Default::default(),
            ended_s: None,
        }
    };
    Launch {
        index,
        order: index,
        status: Status::Ok,
        compile: vec![StageCompile { stage: "denoiser".into(), load_s: 0.5 * factor, ..StageCompile::default() }],
        samples: (0..5).map(|number| image(number, if number == 0 { 1.4 } else { 1.0 })).collect(),
        steady: SteadyState { state: Steady::Steady, from: Some(1), said: String::new() },
        // Pages come and go by a few.
        max_rss_bytes: Some((1000 << 20) + (factor.to_bits() % 97) * 4096),
        calibration: Calibration { before_s: Reading::Ok(0.2), after_s: Reading::Ok(0.201) },
        ..Launch::default()
    }
}

/// A cell that works, of these launches.
pub fn cell(key: CellKey, factors: &[f64]) -> Cell {
    Cell {
        status: Status::Ok,
        stages: [("text_encoder", Role::Encoder, 1), ("denoiser", Role::Denoiser, 2), ("decoder", Role::Decoder, 1)]
            .map(|(id, role, passes)| CellStage { id: id.into(), role, passes })
            .to_vec(),
        launches: (0..).zip(factors).map(|(index, factor)| launch(index, *factor)).collect(),
        placement: vec![StagePlacement {
            stage: "denoiser".into(),
            asked: "cpu".into(),
            entries: vec![PlacementShare { device: "cpu".into(), nodes: 100, time_share: None }],
            source: String::new(),
        }],
        memory_pass: Reading::Ok(MemoryPass {
            marks: vec![MemoryMark { high_water: Some(1010 << 20), ..MemoryMark::default() }],
            ..MemoryPass::default()
        }),
        quality: Reading::Ok(Quality {
            reference: "the reference".into(),
            latents: vec![
                StepDivergence { step: 0, relative_l2: 1e-7, cosine: 1.0 },
                StepDivergence { step: 1, relative_l2: 6e-7, cosine: 1.0 },
            ],
            image: Reading::Ok(ImageQuality {
                psnr_db: Some(90.0),
                ssim: Reading::Ok(0.9999),
                ..ImageQuality::default()
            }),
            ..Quality::default()
        }),
        key,
        ..Cell::default()
    }
}

pub fn run(id: &str, cells: Vec<Cell>) -> Run {
    let machine = Machine {
        cpu_model: Reading::Ok("A made-up processor".into()),
        architecture: "x86_64".into(),
        logical_cores: Reading::Ok(2),
        ..Machine::default()
    };
    let info = RunInfo {
        id: id.into(),
        created: "2026-11-23T20:00:00Z".into(),
        finished: Some("2026-11-23T20:10:00Z".into()),
        tool_version: "0.1.0".into(),
        prompt: "a red apple".into(),
        build: Build { profile: "release".into(), ..Build::default() },
        ..RunInfo::default()
    };
    Run { cells, ..Run::new(info, machine) }
}

/// A run of one cell, `ort` in f32.
pub fn one_cell(id: &str, factors: &[f64]) -> Run {
    run(id, vec![cell(key("ort", "f32"), factors)])
}
