//! What the denoiser reads of the text encoders' outputs.

use super::image::DriveError;
use super::plan::Plan;
use crate::folder::{Kind, Tokens};
use crate::model::{Dim, Model, Port};
use crate::value::Value;

/// An encoder that lacks an output.
#[derive(Debug)]
pub(super) struct TextError {
    /// Which encoder, from 0.
    pub(super) encoder: usize,
    pub(super) why: String,
}

/// Which outputs of which encoders become the text, and the pooled text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Source {
    kind: Kind,
    /// The output that each encoder gives to the text, by its place; `None` if it gives none.
    pub(super) sequence: Vec<Option<usize>>,
    /// The same for the pooled text.
    pub(super) pooled: Vec<Option<usize>>,
    /// Width of the text, if the files say it.
    pub(super) width: Option<usize>,
    /// Width of the pooled text, if the files say it.
    pub(super) pooled_width: Option<usize>,
}

impl Source {
    /// The outputs of a kind of pipeline.
    pub(super) fn of(kind: Kind, encoders: &[&Model]) -> Result<Self, TextError> {
        let (mut sequence, mut pooled) = (vec![None; encoders.len()], vec![None; encoders.len()]);
        for (index, &model) in encoders.iter().enumerate() {
            let fail = |why: String| TextError { encoder: index, why };
            let (of_text, of_pooled) = match (kind, index) {
                (Kind::Sd | Kind::Lcm | Kind::Pixart, _) => (Some(Wanted::Last), None),
                (Kind::Sdxl, 0) => (Some(Wanted::Penultimate), None),
                (Kind::Sdxl, _) => (Some(Wanted::Penultimate), Some("text_embeds")),
                (Kind::Sd3, 0 | 1) => (Some(Wanted::Penultimate), Some("text_embeds")),
                (Kind::Sd3, _) => (Some(Wanted::Last), None),
                (Kind::Flux, 0) => (None, Some("pooler_output")),
                (Kind::Flux, _) => (Some(Wanted::Last), None),
            };
            sequence[index] = of_text.map(|wanted| wanted.find(model)).transpose().map_err(fail)?;
            pooled[index] = of_pooled.map(|name| named(model, name)).transpose().map_err(fail)?;
        }
        let width = |chosen: &[Option<usize>]| -> Vec<Option<usize>> {
            let port = |(index, output): (&Model, Option<usize>)| output.map(|output| last(&index.outputs[output]));
            encoders.iter().copied().zip(chosen.iter().copied()).filter_map(port).collect()
        };
        let beside = |widths: Vec<Option<usize>>| widths.into_iter().sum::<Option<usize>>();
        let widths = width(&sequence);
        let text_width = match kind {
            // The T5's: those of the CLIPs are padded to it.
            Kind::Sd3 => widths.last().copied().flatten(),
            _ => beside(widths),
        };
        Ok(Self {
            kind,
            width: text_width,
            pooled_width: beside(width(&pooled)).filter(|&width| width > 0),
            sequence,
            pooled,
        })
    }

    /// Tokens of the text, from those of each encoder.
    pub(super) fn tokens(&self, counts: &[usize]) -> usize {
        match (self.kind, counts) {
            (Kind::Sd3, [clip, _, t5, ..]) => clip + t5,
            (Kind::Flux, [_, t5, ..]) => *t5,
            _ => counts.first().copied().unwrap_or_default(),
        }
    }
}

/// A sequence that is looked for among a text encoder's outputs.
#[derive(Clone, Copy)]
enum Wanted {
    Last,
    /// The one before the last of the hidden states.
    Penultimate,
}

impl Wanted {
    fn find(self, model: &Model) -> Result<usize, String> {
        match self {
            Self::Last => named(model, "last_hidden_state").or_else(|why| {
                let sequences: Vec<usize> =
                    (0..model.outputs.len()).filter(|&i| model.outputs[i].rank() == Some(3)).collect();
                match sequences[..] {
                    [only] => Ok(only),
                    _ => Err(why),
                }
            }),
            Self::Penultimate => {
                let mut states: Vec<(usize, usize)> = model
                    .outputs
                    .iter()
                    .enumerate()
                    .filter_map(|(index, port)| Some((port.name.strip_prefix("hidden_states.")?.parse().ok()?, index)))
                    .collect();
                states.sort_unstable();
                match states[..] {
                    [.., penultimate, last] if last.0 == penultimate.0 + 1 => Ok(penultimate.1),
                    _ => Err(
                        "it does not give its hidden states, of which this pipeline reads the last but one: export it \
                              with output_hidden_states"
                            .to_owned(),
                    ),
                }
            }
        }
    }
}

fn named(model: &Model, name: &str) -> Result<usize, String> {
    model.outputs.iter().position(|port| port.name == name).ok_or_else(|| {
        let names: Vec<&str> = model.outputs.iter().map(|port| port.name.as_str()).collect();
        format!("it has no output {name}; it has {}", names.join(", "))
    })
}

fn last(port: &Port) -> Option<usize> {
    match port.dims.as_ref()?.last()? {
        Dim::Fixed(extent) => Some(*extent),
        _ => None,
    }
}

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
