//! What a table says of pictures that were judged.

use crate::metric::{Figure, Metric};
use crate::pictures::{FidelityRow, JudgedRow};
use crate::record::{Bounded, CellKey, Reading};
use crate::text::minus;

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
    use crate::record::{Judged, PromptFidelity};

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
