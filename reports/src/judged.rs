//! What a table says of pictures that were judged: the record's figures, and its lists summed up.

use serde::Serialize;

use crate::metric::{Figure, Metric};
use crate::record::{Bounded, CellKey, Judged, Reading};
use crate::stats::{median, quantile, sorted};
use crate::text::minus;

/// A judged cell, summed up.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct JudgedRow {
    /// Share of names whose own data picture is the nearest.
    pub retrieval_at_1: Bounded,
    /// Share of names whose own data picture is among the five nearest.
    pub retrieval_at_5: Bounded,
    /// Kernel distance to the data pictures of the same names, times 1000.
    pub kernel_distance_x1000: Reading<Bounded>,
    /// Mean PSNR to the data pictures.
    pub psnr_to_data_db: Option<f64>,
    /// Nearness to the reference cell's pictures.
    pub fidelity: Reading<FidelityRow>,
}

/// Nearness to the reference cell's pictures, over all prompts.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FidelityRow {
    /// Prompts.
    pub prompts: usize,
    /// Pictures equal to the reference's in every pixel.
    pub identical: usize,
    /// Median of the PSNR; `None` where the middle picture is identical.
    pub psnr_db: Option<f64>,
    /// A tenth of the pictures are below it; `None` where those are identical.
    pub low_psnr_db: Option<f64>,
    /// Median of the structural similarity.
    pub ssim: Option<f64>,
    /// Median of the last latent's relative L2 distance.
    pub latent_relative_l2: Option<f64>,
}

impl JudgedRow {
    /// Of a record's entry.
    pub fn of(judged: &Judged) -> Self {
        let fidelity = match &judged.fidelity {
            Reading::Ok(fidelity) => {
                let psnr: Vec<f64> = fidelity.psnr_db.iter().map(|db| db.unwrap_or(f64::INFINITY)).collect();
                let psnr = sorted(&psnr);
                // An identical picture has no PSNR, and none stands between it and a number.
                let at = |share: f64| {
                    let place = (share * psnr.len().saturating_sub(1) as f64).floor() as usize;
                    psnr.get(place).copied().filter(|db| db.is_finite())
                };
                Reading::Ok(FidelityRow {
                    prompts: psnr.len(),
                    identical: psnr.iter().filter(|db| db.is_infinite()).count(),
                    psnr_db: at(0.5),
                    low_psnr_db: at(0.1),
                    ssim: median(&fidelity.ssim),
                    latent_relative_l2: quantile(&sorted(&fidelity.latent_relative_l2), 0.5),
                })
            }
            Reading::Denied { why } | Reading::Absent { why } => Reading::absent(why.clone()),
        };
        Self {
            retrieval_at_1: judged.retrieval_at_1,
            retrieval_at_5: judged.retrieval_at_5,
            kernel_distance_x1000: judged.kernel_distance_x1000.clone(),
            psnr_to_data_db: judged.psnr_to_data_db,
            fidelity,
        }
    }
}

impl FidelityRow {
    /// What stands beside the median PSNR: `a tenth below 30.1`, `3 of 30 identical`.
    fn beside(&self) -> String {
        match (self.low_psnr_db, self.identical) {
            (Some(low), 0) => format!("a tenth below {low:.1}"),
            (_, identical) => format!("{identical} of {} identical", self.prompts),
        }
    }
}

/// What makes a judged cell different: `nano-w0.5 · q4 · 4 steps`.
pub fn what(key: &CellKey) -> String {
    let steps = if key.steps == 1 { "1\u{a0}step".to_owned() } else { format!("{}\u{a0}steps", key.steps) };
    let sampler = key.unusual_sampler().map(|sampler| format!(" · {sampler}")).unwrap_or_default();
    format!("{} · {} · {steps}{sampler}", key.name(), key.precision)
}

/// What a column has to say of a number of pictures, and in small print: its interval, how many pictures are identical, or why
/// there is none.
pub fn says(figure: &Reading<Figure>, metric: Metric, row: Option<&JudgedRow>, is_reference: bool) -> (String, String) {
    let fidelity = row.and_then(|row| row.fidelity.value()).filter(|_| metric == Metric::PROMPTS_PSNR);
    match figure {
        Reading::Ok(Figure { value, low, high }) => {
            let ends = low.zip(*high).map(|(low, high)| format!("{} to {}", metric.show(low), metric.show(high)));
            let small = ends.or_else(|| fidelity.map(FidelityRow::beside));
            (metric.show(*value), small.unwrap_or_default())
        }
        // What a reference lacks because it is held against nothing.
        missing if is_reference && row.is_some_and(|row| row.fidelity.why() == missing.why()) => {
            ("reference".to_owned(), String::new())
        }
        Reading::Denied { why } | Reading::Absent { why } => ("–".to_owned(), why.clone()),
    }
}

/// A difference of shares or distances, with its sign.
pub fn difference(figure: &Bounded, digits: usize) -> (String, String) {
    (
        minus(format!("{:+.digits$}", figure.value)),
        minus(format!("{:+.digits$} to {:+.digits$}", figure.low, figure.high)),
    )
}

/// Names in words: `200 names`.
pub fn names(count: usize) -> String {
    if count == 1 { "1 name".to_owned() } else { format!("{count} names") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::PromptFidelity;

    fn row(psnr_db: Vec<Option<f64>>) -> FidelityRow {
        let fidelity = PromptFidelity {
            ssim: vec![0.9; psnr_db.len()],
            latent_relative_l2: vec![0.1; psnr_db.len()],
            psnr_db,
            ..PromptFidelity::default()
        };
        let judged = Judged { fidelity: Reading::Ok(fidelity), ..Judged::default() };
        JudgedRow::of(&judged).fidelity.value().unwrap().clone()
    }

    #[test]
    fn identical_pictures_have_no_psnr_and_count_as_the_nearest() {
        assert_eq!((row(vec![None; 5]).psnr_db, row(vec![None; 5]).beside()), (None, "5 of 5 identical".to_owned()));
        let mixed = row(vec![None, None, Some(30.0), None]);
        assert_eq!((mixed.identical, mixed.psnr_db, mixed.low_psnr_db), (3, None, Some(30.0)));
        assert_eq!(row(vec![Some(30.0), Some(40.0), Some(50.0)]).beside(), "a tenth below 30.0");
    }

    #[test]
    fn figures_have_their_signs() {
        let figure = Bounded { value: -5.04, low: -6.4, high: 0.26 };
        let distance = Metric::named("kernel_distance_x1000").unwrap();
        let says = says(&Reading::Ok(figure.into()), distance, None, false);
        assert_eq!(says, ("−5.0".to_owned(), "−6.4 to 0.3".to_owned()));
        assert_eq!(difference(&Bounded { value: 0.01, low: -0.02, high: 0.04 }, 3).1, "−0.020 to +0.040");
    }
}
