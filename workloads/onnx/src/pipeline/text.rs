//! What the denoiser reads of the text encoders' outputs.

use super::error::DriveError;
use super::plan::Plan;
use super::source::Source;
use crate::folder::{Kind, Tokens};
use crate::value::Value;

/// The text as the denoiser reads it.
pub(super) struct Text {
    pub(super) sequence: Value,
    pub(super) pooled: Option<Value>,
    pub(super) mask: Vec<i64>,
}

/// 1 for each token that attention reads, 0 for the others.
pub(super) fn mask(tokens: &Tokens) -> Vec<i64> {
    (0..tokens.ids.len()).map(|index| i64::from(index < tokens.attended)).collect()
}

impl Source {
    /// The text as the denoiser reads it, from the outputs of the encoders.
    pub(super) fn gather(
        &self,
        plan: &Plan,
        outputs: &[Vec<Value>],
        first: Option<&Tokens>,
    ) -> Result<Text, DriveError> {
        let pick = |chosen: &[Option<usize>]| -> Vec<(usize, &Value)> {
            let value = |(index, output): (usize, &Option<usize>)| Some((index, outputs.get(index)?.get((*output)?)?));
            chosen.iter().enumerate().filter_map(value).collect()
        };
        let (sequences, pooled) = (pick(&self.sequence), pick(&self.pooled));
        let rows = |&(index, value): &(usize, &Value)| {
            let tokens = plan.encoders[index].tokens;
            match value.shape() {
                [1, rows, width] if *rows == tokens => Ok(Rows { rows: *rows, width: *width, numbers: value.to_f64() }),
                shape => Err(DriveError::Output {
                    component: plan.encoders[index].component.name.clone(),
                    found: format!("{shape:?}"),
                    wanted: format!("a text of shape [1, {tokens}, width]"),
                }),
            }
        };
        let rows = sequences.iter().map(rows).collect::<Result<Vec<_>, _>>()?;
        let text = match (plan.kind, rows) {
            (Kind::Sd3, rows) => {
                let mut rows = rows.into_iter();
                let (Some(one), Some(two), Some(t5)) = (rows.next(), rows.next(), rows.next()) else {
                    return Err(DriveError::Inputs("three text encoders are needed".to_owned()));
                };
                one.beside(&two).widened(t5.width).above(t5)
            }
            (_, rows) => rows.into_iter().reduce(|left, right| left.beside(&right)).unwrap_or_default(),
        };
        let as_f32 = |numbers: &[f64]| numbers.iter().map(|&number| number as f32).collect::<Vec<f32>>();
        let fail = |error: crate::ShapeMismatch| DriveError::Inputs(error.to_string());
        let sequence = Value::new([1, text.rows, text.width], as_f32(&text.numbers)).map_err(fail)?;
        let numbers: Vec<f64> = pooled.iter().flat_map(|(_, value)| value.to_f64()).collect();
        let pooled = match numbers.len() {
            0 => None,
            width => Some(Value::new([1, width], as_f32(&numbers)).map_err(fail)?),
        };
        Ok(Text { sequence, pooled, mask: first.map(mask).unwrap_or_default() })
    }
}

/// Text, a row a token.
#[derive(Default)]
struct Rows {
    rows: usize,
    width: usize,
    numbers: Vec<f64>,
}

impl Rows {
    /// Each row followed by the other's.
    fn beside(self, other: &Self) -> Self {
        let row = |text: &Self, row: usize| text.numbers[row * text.width..(row + 1) * text.width].to_vec();
        let rows = self.rows.min(other.rows);
        let numbers = (0..rows).flat_map(|index| [row(&self, index), row(other, index)].concat()).collect();
        Self { rows, width: self.width + other.width, numbers }
    }

    /// Each row filled with zeros.
    fn widened(self, width: usize) -> Self {
        let zeros = Self { rows: self.rows, width: width.saturating_sub(self.width), numbers: Vec::new() };
        let numbers = vec![0.0; zeros.rows * zeros.width];
        self.beside(&Self { numbers, ..zeros })
    }

    /// The other's rows behind these.
    fn above(mut self, other: Self) -> Self {
        self.numbers.extend(other.numbers);
        Self { rows: self.rows + other.rows, width: other.width, numbers: self.numbers }
    }
}
