//! Which outputs of the text encoders the denoiser reads.

use crate::folder::Kind;
use crate::model::{Dim, Model, Port};

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
    pub(super) kind: Kind,
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
