//! What papers give for models that a run has, on other hardware: rows to stand beside ours.

use serde::Serialize;

use crate::metric::Metric;
use crate::record::{Cell, ModelEntry, Run};

/// A row of a paper: other hardware, other runtime, other size. Never to be read as a ranking against ours.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Published {
    /// Model.
    pub model: String,
    /// What ran it.
    pub hardware: String,
    /// Runtime; `None` where unpublished, as with all that follows.
    pub runtime: Option<String>,
    /// Storage of the weights.
    pub precision: Option<&'static str>,
    /// Image height and width in pixels.
    pub size: u32,
    /// Denoiser steps of the latency.
    pub steps: Option<u32>,
    /// Seconds of one denoiser step.
    pub step_s: f64,
    /// Seconds of the decoder.
    pub decoder_s: Option<f64>,
    /// Seconds of all steps and the decoder.
    pub image_s: Option<f64>,
    /// DPG score at this step count.
    pub dpg: Option<f64>,
    /// GenEval score at this step count.
    pub geneval: Option<f64>,
    /// Where this is from.
    pub source: String,
}

impl Published {
    /// One of its numbers, if the paper has it.
    pub fn value(&self, metric: Metric) -> Option<f64> {
        let known = [
            (Metric::IMAGE, self.image_s),
            (Metric::DENOISER_STEP, Some(self.step_s)),
            (Metric::DECODER, self.decoder_s),
        ];
        known.into_iter().find(|(known, _)| *known == metric).and_then(|(_, value)| value)
    }

    /// The runtime, or that nobody said.
    pub fn runtime(&self) -> &str {
        self.runtime.as_deref().unwrap_or("runtime not published")
    }
}

/// The rows of these runs' models: SnapGen++'s, where a run has one of its models, and what the records hold.
pub(crate) fn of_runs(runs: &[&Run]) -> Vec<Published> {
    let known = snapgenpp();
    // A user's own model may have any name, and then an entry that says which files it is.
    let is_one = |run: &Run, cell: &Cell| {
        let is_own = run.model(&cell.key).is_some_and(ModelEntry::is_own);
        !is_own && known.iter().any(|row| row.model == cell.key.model)
    };
    let any = runs.iter().any(|run| run.cells.iter().any(|cell| is_one(run, cell)));
    let mut rows = if any { known } else { Vec::new() };
    for model in runs.iter().flat_map(|run| &run.models) {
        for (paper, time) in model.paper.iter().flat_map(|paper| paper.times.iter().map(move |time| (paper, time))) {
            let row = Published {
                model: model.name.clone(),
                hardware: time.hardware.clone(),
                runtime: time.runtime.clone(),
                size: time.size,
                steps: time.steps,
                step_s: time.step_s,
                decoder_s: time.decoder_s,
                image_s: time.image_s,
                source: paper.source.split(": ").next().unwrap_or_default().to_owned(),
                ..Published::default()
            };
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
    }
    rows
}

/// SnapGen++ on a phone, 4 steps throughout: the paper's headline quality is of 28 steps and is left out on purpose. Here and not in records,
/// because those of before have none of it.
pub fn snapgenpp() -> Vec<Published> {
    let row = |model: &str, precision, step_s, image_s, dpg, geneval| Published {
        model: model.to_owned(),
        hardware: "iPhone 16 Pro Max".to_owned(),
        runtime: Some("Core ML".to_owned()),
        precision,
        size: 1024,
        steps: Some(4),
        step_s,
        // 119 to 120 ms.
        decoder_s: Some(0.12),
        image_s: Some(image_s),
        dpg: Some(dpg),
        geneval: Some(geneval),
        source: SNAPGENPP.to_owned(),
    };
    vec![
        row("tiny", None, 0.280, 1.2, 81.6, 0.66),
        row("small", None, 0.360, 1.8, 82.7, 0.69),
        row("full", Some("4.3-bit palette"), 1.580, 6.7, 85.6, 0.76),
    ]
}

/// The paper of [`snapgenpp`].
pub(crate) const SNAPGENPP: &str = "SnapGen++, arXiv 2601.08303v2";
