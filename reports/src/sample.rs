//! A made-up run with everything that a report must bear: several cells, failures, a cell with one sample, huge times,
//! long names. For tests and for looking at the report's design; no number in it was measured.

use std::collections::BTreeMap;
use std::io::Cursor;

use image::{ImageFormat, Rgb, RgbImage};

use crate::quality;
use crate::record::{
    Build, Calibration, Cell, CellKey, CellStage, ForeignLoad, FormulaCounts, Git, Inputs, Launch, Machine, MemoryMark,
    MemoryPass, ModelEntry, PaperCounts, Peak, PlacementShare, ProfileRow, Quality, Reading, Role, Run, RunInfo,
    Sample, Stage, StageCompile, StagePlacement, StageSeconds, Status, Steady, SteadyState, StepDivergence, Telemetry,
    Version, WeightFile, WeightsUse,
};

/// Numbers that look random and are the same on every machine (a linear congruential generator).
struct Noise(u64);

impl Noise {
    /// Uniform in 0..1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / (1u64 << 24) as f64
    }
}

/// One made-up cell in short.
struct Recipe {
    model: &'static str,
    size: u32,
    backend: &'static str,
    variant: &'static str,
    precision: &'static str,
    threads: u32,
    numerics: &'static str,
    /// Seconds of text encoder, one denoiser step, decoder.
    stages_s: [f64; 3],
    launches: u32,
    images: u32,
    peak_mib: u64,
    /// Relative L2 of the last latent.
    divergence: f64,
}

/// Model, size, backend, variant, precision, threads, numerics, stage seconds, launches, images, peak MiB, divergence.
#[rustfmt::skip]
const RECIPES: [Recipe; 10] = {
    #[allow(clippy::too_many_arguments)]
    const fn row(model: &'static str, size: u32, backend: &'static str, variant: &'static str, precision: &'static str,
                 threads: u32, numerics: &'static str, stages_s: [f64; 3], launches: u32, images: u32, peak_mib: u64,
                 divergence: f64) -> Recipe {
        Recipe { model, size, backend, variant, precision, threads, numerics, stages_s, launches, images, peak_mib, divergence }
    }
    [
        row("nano", 64, "reference", "plain", "f32", 1, "f64", [0.011, 0.052, 0.020], 1, 1, 61, 0.0),
        row("tiny", 512, "ort", "stock", "f32", 2, "f32", [0.031, 0.812, 0.702], 5, 8, 1531, 0.0),
        row("tiny", 512, "ort", "int8", "q4", 2, "int8_activations", [0.029, 0.611, 0.699], 5, 8, 655, 2.2e-2),
        row("tiny", 512, "ort", "exact", "q4", 2, "weight_only", [0.034, 0.983, 0.701], 5, 8, 690, 1.9e-2),
        row("tiny", 512, "candle", "stock", "f32", 2, "f32", [0.047, 1.402, 1.911], 5, 6, 1689, 4.0e-6),
        row("tiny", 512, "candle", "tuned", "q4", 2, "int8_activations", [0.041, 1.010, 1.950], 3, 6, 702, 2.4e-2),
        row("tiny", 512, "tract", "stock", "f32", 2, "f32", [0.066, 1.730, 1.402], 3, 3, 2214, 5.3e-6),
        row("tiny", 512, "tract", "block-quantized-with-repacking", "q4", 2, "weight_only", [0.069, 1.951, 1.399], 1, 2, 803, 2.0e-2),
        row("full", 1024, "ort", "stock", "palette4", 1, "weight_only", [0.71, 310.4, 41.2], 1, 2, 9811, 4.1e-2),
        row("small", 512, "ort", "stock", "f32", 2, "f32", [0.030, 1.214, 0.703], 5, 6, 2410, 0.0),
    ]
};

/// The run.
pub fn run() -> Run {
    let mut run = Run::new(info(), machine());
    run.models = vec![
        model("nano", 64, 1.6e6, 0.09e9),
        model("tiny", 512, 257.7e6, 0.07e12),
        model("full", 1024, 1595.7e6, 5.28e12),
        model("small", 512, 428.5e6, 0.1e12),
    ];
    run.inputs = vec![Inputs {
        height: 512,
        width: 512,
        batch: 1,
        text_tokens: Some(77),
        noise_sha256: "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef".into(),
        ..Inputs::default()
    }];
    let mut noise = Noise(7);
    for (place, recipe) in RECIPES.iter().enumerate() {
        run.cells.push(cell(recipe, place, &mut noise));
    }
    let key = |backend: &str, precision: &str, model: &'static str, size| CellKey {
        backend: backend.into(),
        precision: precision.into(),
        ..key(&Recipe { model, size, ..RECIPES[1] })
    };
    run.cells.extend([
        Cell::failed(
            key("tract", "mixed", "tiny", 512),
            Status::Unsupported,
            "tract cannot run this: weights of 4 and of 8 bits in one model. Use q4 or q8, or the ort backend",
        ),
        Cell::failed(
            key("candle", "f32", "full", 1024),
            Status::Oom,
            "killed by the kernel for want of memory after 41 s, at 14.9 GiB resident of 15.6 GiB. Use --precision q4, a smaller --size, or --memory small",
        ),
        Cell::failed(
            key("candle", "q8", "tiny", 512),
            Status::Error,
            "candle, node \"down.3.assa.local/attention-with-a-rather-long-scope-name-that-must-wrap-somewhere\": shape mismatch in matmul, lhs: [1, 12, 1024, 64], rhs: [1, 12, 64, 768]",
        ),
        Cell::failed(key("tract", "q8", "tiny", 512), Status::Timeout, "no image within 600 s (--timeout)"),
        Cell::failed(key("ort", "q8", "tiny", 512), Status::Interrupted, "Ctrl-C; continue with --resume"),
    ]);
    run.warnings = vec!["Another process used 0.6 of the 2 cores while cell 4 was measured.".into()];
    run
}

fn info() -> RunInfo {
    RunInfo {
        id: "20261123T161500Z-5f3a".into(),
        created: "2026-11-23T16:15:00Z".into(),
        finished: Some("2026-11-23T16:18:12Z".into()),
        tool_version: "0.1.0".into(),
        git: Reading::Ok(Git { revision: "8b82be9c5e0d1a7f3c2b4d6e8f90a1b2c3d4e5f6".into(), dirty: true }),
        build: Build {
            rustc: "rustc 1.95.0".into(),
            target: "x86_64-unknown-linux-gnu".into(),
            profile: "release".into(),
            ..Build::default()
        },
        command_line: ["ditbench", "run", "--model", "tiny", "--size", "512", "--precision", "f32,q4"]
            .map(str::to_owned)
            .to_vec(),
        plan: serde_json::json!({"model": ["tiny"], "size": [512], "precision": ["f32", "q4"]}),
        prompt: "a red apple on a wooden table, <soft> light & long \"shadows\"".into(),
        seed: 7,
        weights_seed: Some(1),
        steps: 4,
        sampler: "euler".into(),
        sigmas: vec![1.0, 0.9, 0.75, 0.5, 0.0],
        ..RunInfo::default()
    }
}

fn machine() -> Machine {
    let peak = |kind: &str, threads, value: f64, unit: &str| Peak {
        kind: kind.into(),
        threads,
        cpus: String::new(),
        value,
        unit: unit.into(),
        samples: [0.97, 0.99, 1.0, 1.005, 1.01].map(|share| share * value).to_vec(),
        method: "a register-blocked loop of fused multiply-adds".into(),
        foreign: Reading::Ok(quiet(0.3)),
    };
    Machine {
        cpu_model: Reading::Ok("Intel(R) Xeon(R) Processor @ 2.90GHz".into()),
        architecture: "x86_64".into(),
        physical_cores: Reading::Ok(1),
        usable_cores: Reading::Ok(1),
        logical_cores: Reading::Ok(2),
        cpu_features: ["avx2", "fma", "avx512f", "avx512_vnni", "amx_int8"].map(str::to_owned).to_vec(),
        memory_bytes: Reading::Ok(16_742_219_776),
        memory_available_bytes: Reading::Ok(14_998_765_568),
        swap_bytes: Reading::Ok(0),
        os: Reading::Ok("Debian GNU/Linux 12 (bookworm)".into()),
        kernel: Reading::Ok("6.1.0".into()),
        governor: Reading::absent("no cpufreq in this virtual machine"),
        hypervisor: Reading::Ok("KVM".into()),
        memory_limit_bytes: Reading::absent("no limit is set"),
        cpu_quota: Reading::denied("/sys/fs/cgroup/cpu.max is not readable; run as the owner of the control group"),
        cpus_allowed: Reading::Ok("0-1".into()),
        readings: BTreeMap::from([("load_1min".to_owned(), Reading::Ok(0.31))]),
        peaks: vec![
            peak("f32", 1, 86.0, "GFLOP/s"),
            peak("f32", 2, 163.0, "GFLOP/s"),
            peak("q4", 1, 211.0, "GOP/s"),
            peak("q4", 2, 402.0, "GOP/s"),
            peak("int8", 1, 290.0, "GOP/s"),
            peak("int8", 2, 551.0, "GOP/s"),
            peak("bandwidth", 2, 18.2, "GB/s"),
        ],
        phone: None,
        calibration: Calibration { before_s: Reading::Ok(0.2031), after_s: Reading::Ok(0.2049) },
    }
}

fn model(name: &str, size: u32, parameters: f64, macs: f64) -> ModelEntry {
    let stage = |stage: &str, parameters: f64, macs: f64| Stage {
        name: stage.into(),
        graph_sha256: "c0ffee".repeat(10) + "abcd",
        nodes: 700,
        parameters: parameters as u64,
        macs: macs as u64,
        flops: (2.03 * macs) as u64,
        few_bit_flops: Some(if stage == "decoder" { 0 } else { (1.6 * macs) as u64 }),
        work: BTreeMap::new(),
        peak_activation_bytes: Some(64 << 20),
    };
    ModelEntry {
        name: name.into(),
        height: size,
        width: size,
        text_tokens: Some(77),
        config: serde_json::json!({"width": 768, "heads": 12, "layout": [8, 10, 10]}),
        stages: vec![
            stage("text_encoder", 0.0774 * parameters, 1.5e9 * macs / 1.9e11),
            stage("denoiser", parameters, macs),
            stage("decoder", 1.23e6, macs * 0.37),
        ],
        paper: Some(PaperCounts {
            printed: Some("parameters: 0.4 B".into()),
            source: "SnapGen++ (arXiv 2601.08303)".into(),
            ..PaperCounts::default()
        }),
        formula: Some(FormulaCounts {
            parameters: parameters as u64,
            macs: macs as u64,
            of: "the denoiser, one forward pass".into(),
        }),
        weights: [("f32", 4.0), ("q4", 0.5625), ("palette4", 0.5)]
            .map(|(scheme, bytes)| WeightFile {
                scheme: scheme.into(),
                file: format!("{name}-{scheme}.safetensors"),
                sha256: "deadbeef".repeat(8),
                bytes: (parameters * bytes) as u64,
                bits_per_weight: Some(bytes * 8.0),
                origin: "random, seed 1".into(),
            })
            .to_vec(),
    }
}

fn key(recipe: &Recipe) -> CellKey {
    CellKey {
        model: recipe.model.into(),
        height: recipe.size,
        width: recipe.size,
        backend: recipe.backend.into(),
        variant: recipe.variant.into(),
        device: "cpu".into(),
        precision: recipe.precision.into(),
        threads: recipe.threads,
        batch: 1,
        steps: 4,
        memory: "fast".into(),
        ..CellKey::default()
    }
    .with("text_tokens", 77)
    .with("sampler", "euler")
}

/// The stages of every cell here.
fn stages() -> Vec<CellStage> {
    [("text_encoder", Role::Encoder, 1), ("denoiser", Role::Denoiser, 4), ("decoder", Role::Decoder, 1)]
        .map(|(id, role, passes)| CellStage { id: id.into(), role, passes })
        .to_vec()
}

fn cell(recipe: &Recipe, place: usize, noise: &mut Noise) -> Cell {
    let mut cell = Cell {
        key: key(recipe),
        status: Status::Ok,
        numerics: Reading::Ok(recipe.numerics.into()),
        variant_about: "as its users get it".into(),
        stages: stages(),
        versions: vec![Version {
            name: recipe.backend.into(),
            version: "1.31.1".into(),
            details: vec!["AVX-512 kernels".into()],
        }],
        placement: vec![StagePlacement {
            stage: "denoiser".into(),
            asked: "cpu".into(),
            entries: vec![PlacementShare { device: "cpu".into(), nodes: 1843, time_share: Some(1.0) }],
            source: "the backend has one device".into(),
        }],
        ..Cell::default()
    };
    cell.weights = Some(WeightsUse {
        sha256: "deadbeef".repeat(8),
        disk_bytes: Some((recipe.peak_mib << 20) / 2),
        resident_bytes: (recipe.backend != "tract").then_some((recipe.peak_mib << 20) / 2),
        expanded: if recipe.precision == "palette4" { vec!["palette4 unpacked to f32 at load".into()] } else { vec![] },
    });
    // The same launches interleaved over the cells, as a run does it.
    cell.launches = (0..recipe.launches).map(|index| launch(recipe, index, index * 8 + place as u32, noise)).collect();
    cell.memory_pass = Reading::Ok(MemoryPass { pid: Some(4242), ..memory(recipe.peak_mib << 20) });
    cell.quality = match recipe {
        Recipe { model: "full", .. } => {
            Reading::absent("no reference: full in f32 does not fit in this machine's memory")
        }
        Recipe { divergence: 0.0, .. } => Reading::absent("this is the reference cell"),
        _ => Reading::Ok(quality(recipe, noise)),
    };
    cell.is_reference = recipe.divergence == 0.0;
    cell.image = Some(format!("{}.png", cell.key.id()));
    cell.profile = Reading::Ok(
        [("assa.local", 0.31), ("assa.global", 0.22), ("ffn", 0.40), ("(added by the runtime)", 0.07)]
            .map(|(scope, share)| ProfileRow {
                stage: "denoiser".into(),
                scope: Some(scope.into()),
                op: "MatMul".into(),
                nodes: 28,
                seconds: share * recipe.stages_s[1],
                flops: None,
                bytes: None,
            })
            .to_vec(),
    );
    if recipe.precision == "palette4" {
        cell.warnings.push("palette4 was unpacked to f32 at load: this backend has no kernel for it".into());
    }
    cell
}

fn launch(recipe: &Recipe, index: u32, order: u32, noise: &mut Noise) -> Launch {
    let [text, step, decoder] = recipe.stages_s;
    // The level of a launch: layout and clocks differ from process to process. One candle cell has two modes.
    let bimodal = recipe.backend == "candle" && recipe.precision == "f32" && index % 2 == 1;
    let level = 1.0 + 0.02 * noise.next() + if bimodal { 0.17 } else { 0.0 };
    let samples: Vec<Sample> = (0..recipe.images)
        .map(|image| {
            let warm = if image == 0 { 1.45 } else { 1.0 + 0.02 * noise.next() };
            let mut time = |seconds: f64| seconds * level * warm * (1.0 + 0.01 * noise.next());
            let mut sample = Sample {
                image,
                stages: [("text_encoder", vec![text]), ("denoiser", vec![step; 4]), ("decoder", vec![decoder])]
                    .map(|(stage, seconds)| StageSeconds {
                        stage: stage.into(),
                        seconds: seconds.into_iter().map(&mut time).collect(),
                    })
                    .to_vec(),
                harness_s: 0.0011,
                ..Sample::default()
            };
            if image == 4 && index == 1 {
                sample.stages[2].seconds[0] *= 1.6;
            }
            let sums = sample.stages.iter().map(|stage| stage.seconds.iter().sum::<f64>());
            sample.total_s = sums.sum::<f64>() + sample.harness_s;
            sample
        })
        .collect();
    let steady = match recipe.images {
        0..=2 => {
            SteadyState { said: format!("{} images, 3 are needed to tell", recipe.images), ..SteadyState::default() }
        }
        3 => SteadyState {
            state: Steady::Warming,
            from: None,
            said: "the last image is 6 % faster than the one before".into(),
        },
        _ => SteadyState {
            state: Steady::Steady,
            from: Some(1),
            said: "fast and slow means within 4 % from image 1 on".into(),
        },
    };
    let part = |stage: &str, share: f64| StageCompile {
        stage: stage.into(),
        export_s: if recipe.backend == "candle" { 0.0 } else { 0.2 * share },
        export_cached: (recipe.backend != "candle").then_some(index > 0),
        load_s: 2.1 * share * level,
        weight_file_bytes: Some((f64::from(u32::MAX) * share * 0.1) as u64),
        weight_resident_bytes: None,
    };
    let pass = memory(recipe.peak_mib << 20);
    Launch {
        index,
        order,
        pid: Some(4000 + order),
        started: "2026-11-23T16:15:31Z".into(),
        status: Status::Ok,
        compile: vec![part("text_encoder", 0.1), part("denoiser", 0.85), part("decoder", 0.05)],
        samples,
        steady,
        memory: pass.marks,
        max_rss_bytes: pass.max_rss_bytes,
        telemetry: vec![Telemetry {
            at_s: 0.0,
            moment: "before".into(),
            readings: BTreeMap::from([
                ("cpu_mhz".to_owned(), Reading::Ok(2900.0)),
                ("cpu_temperature_c".to_owned(), Reading::absent("no thermal zone in this virtual machine")),
            ]),
        }],
        calibration: Calibration {
            before_s: Reading::Ok(0.203),
            after_s: Reading::Ok(if recipe.precision == "palette4" { 0.241 } else { 0.204 }),
        },
        foreign: Reading::Ok(quiet(20.0)),
        ..Launch::default()
    }
}

/// Two CPUs for so many seconds, of which others took a hundredth.
fn quiet(wall_s: f64) -> ForeignLoad {
    let (busy_s, own_s) = (1.72 * wall_s, 1.70 * wall_s);
    ForeignLoad { cpus: 2, wall_s, busy_s, own_s, stolen_s: 0.0, waited_s: Reading::Ok(0.004 * wall_s) }
}

fn memory(peak: u64) -> MemoryPass {
    let mark = |name: &str, anon: f64, file: f64, high: f64| {
        let bytes = |share: f64| Some((share * peak as f64) as u64);
        MemoryMark {
            name: name.into(),
            rss: bytes(anon + file),
            rss_anon: bytes(anon),
            rss_file: bytes(file),
            swap: Some(0),
            pss: bytes(anon + file * 0.9),
            high_water: bytes(high),
        }
    };
    let marks = vec![
        mark("started", 0.004, 0.012, 0.016),
        mark("compiled", 0.36, 0.20, 0.71),
        mark("first_image", 0.55, 0.24, 0.95),
        mark("steady", 0.57, 0.24, 1.0),
    ];
    MemoryPass { marks, max_rss_bytes: Some(peak), ..MemoryPass::default() }
}

fn quality(recipe: &Recipe, noise: &mut Noise) -> Quality {
    let latents = (0..4)
        .map(|step| {
            let relative_l2 = recipe.divergence * 4f64.powi(step - 3) * (0.9 + 0.2 * noise.next());
            StepDivergence { step: step as u32, relative_l2, cosine: 1.0 - relative_l2 * relative_l2 / 2.0 }
        })
        .collect();
    let (reference, ours) = (picture(0.0), picture(recipe.divergence));
    // Both pictures are this module's own, of one size and not black.
    let image = quality::compare_images(&ours, &reference).map_or_else(|e| Reading::absent(e.to_string()), Reading::Ok);
    let reference = key(&RECIPES[1]);
    Quality { reference: reference.id(), latents, image, rerun_equal_bytes: Reading::Ok(recipe.backend != "candle") }
}

/// A made-up 64×64 picture, further from the reference the larger `error` is.
fn picture(error: f64) -> RgbImage {
    RgbImage::from_fn(64, 64, |x, y| {
        let (dx, dy) = (f64::from(x) - 32.0, f64::from(y) - 30.0);
        let apple = (1.0 - (dx * dx + dy * dy).sqrt() / 24.0).clamp(0.0, 1.0).sqrt();
        let wobble = error * 60.0 * ((f64::from(x) * 0.7).sin() + (f64::from(y) * 0.9).cos());
        let colour = [60.0 + 150.0 * apple, 70.0 - 40.0 * apple + f64::from(y), 50.0 + f64::from(y) * (1.0 - apple)];
        Rgb(colour.map(|value| (value + wobble).clamp(0.0, 255.0) as u8))
    })
}

/// The PNG files that the run's cells name: file name and bytes.
pub fn images() -> Vec<(String, Vec<u8>)> {
    let png = |error: f64| {
        let mut bytes = Cursor::new(Vec::new());
        // Writing a small picture to memory has nothing to fail.
        picture(error).write_to(&mut bytes, ImageFormat::Png).expect("a PNG in memory");
        bytes.into_inner()
    };
    RECIPES.iter().map(|recipe| (format!("{}.png", key(recipe).id()), png(recipe.divergence))).collect()
}
