//! How fields are read that version 1 wrote otherwise: keys and samples of either version, a count of 0 that is none.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::naming::{self, BATCHED, IN_NAME, SAMPLER, TEXT_TOKENS};
use super::{Count, Counter, Role, StageSeconds};

/// The stages of version 1, with their roles.
pub(crate) const STAGES: [(&str, Role); 3] =
    [("text_encoder", Role::Encoder), ("denoiser", Role::Denoiser), ("decoder", Role::Decoder)];

/// The times of an image, as version 1 or this one writes them.
#[derive(Deserialize)]
pub(crate) struct AnySample {
    pub(crate) image: u32,
    pub(crate) total_s: f64,
    pub(crate) stages: Option<Vec<StageSeconds>>,
    pub(crate) text_encoder_s: Option<f64>,
    pub(crate) steps_s: Option<Vec<f64>>,
    pub(crate) decoder_s: Option<f64>,
    #[serde(default)]
    pub(crate) harness_s: f64,
    #[serde(default)]
    pub(crate) ended_s: Option<f64>,
    #[serde(default)]
    pub(crate) removed: Option<String>,
    #[serde(default)]
    pub(crate) counts: BTreeMap<Counter, Count>,
}

/// A cell's key, as version 1 or this one writes it.
#[derive(Deserialize)]
pub(crate) struct AnyKey {
    pub(crate) model: String,
    pub(crate) height: u32,
    pub(crate) width: u32,
    pub(crate) backend: String,
    pub(crate) variant: String,
    pub(crate) device: String,
    pub(crate) precision: String,
    pub(crate) threads: u32,
    pub(crate) batch: u32,
    pub(crate) steps: u32,
    #[serde(default)]
    pub(crate) own: BTreeMap<String, String>,
    /// Of version 1 alone, which always has it.
    pub(crate) text_tokens: Option<u32>,
    /// Of version 1 alone.
    pub(crate) sampler: Option<String>,
    #[serde(default = "fast")]
    pub(crate) memory: String,
    #[serde(default)]
    pub(crate) cpus: String,
    #[serde(default)]
    pub(crate) company: u32,
}

fn fast() -> String {
    "fast".to_owned()
}

/// What a name ended in for a rung of an architecture ladder: SnapGen++'s, then SnapGen's.
const RUNGS: [(&str, &[&str]); 2] = [
    ("rung", &["pixart-mqa", "three-stage", "assa", "final-dense"]),
    ("ladder", &["thin", "no-high-sa", "sep1", "sep2", "ffn3", "mqa"]),
];

/// The model and the map of a key from what version 1 wrote of them. A name that no such key would have is the model's.
pub fn split(name: &str, text_tokens: u32, sampler: &str) -> (String, BTreeMap<String, String>) {
    let mut plain = BTreeMap::new();
    if text_tokens > 0 {
        plain.insert(TEXT_TOKENS.to_owned(), text_tokens.to_string());
    }
    if !sampler.is_empty() {
        plain.insert(SAMPLER.to_owned(), sampler.to_owned());
    }
    let mut own = plain.clone();
    let mut rest = name.strip_suffix(BATCHED.1).filter(|_| sampler.contains(BATCHED.0)).unwrap_or(name);
    // From the end: the last of a name first.
    for (axis, before) in IN_NAME.into_iter().rev() {
        let found = match RUNGS.iter().find(|(known, _)| *known == axis) {
            Some((_, rungs)) => rungs.iter().find_map(|rung| rest.strip_suffix(*rung)?.strip_suffix(before)),
            None => value_at(rest, before, axis).map(|at| &rest[..at]),
        };
        if let Some(shorter) = found {
            own.insert(axis.to_owned(), rest[shorter.len() + before.len()..].to_owned());
            rest = shorter;
        }
    }
    if naming::name(rest, &own) == name { (rest.to_owned(), own) } else { (name.to_owned(), plain) }
}

/// Where the value of an axis begins at the end of a name, with what stands before it.
fn value_at(name: &str, before: &str, axis: &str) -> Option<usize> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if axis == "layout" {
        // Three numbers, with what stands before all values between them too.
        let at = name.rmatch_indices(before).nth(2)?.0;
        return name[at + before.len()..].split(before).all(digits).then_some(at);
    }
    let at = name.rfind(before)?;
    let value = &name[at + before.len()..];
    let is_one = match axis {
        "width" => value.parse::<f64>().is_ok_and(|share| share > 0.0 && share < 1.0),
        _ => digits(value),
    };
    is_one.then_some(at)
}

/// A count that version 1 wrote as 0 where there is none.
pub(crate) fn not_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    Ok(Option::<u32>::deserialize(deserializer)?.filter(|count| *count > 0))
}
