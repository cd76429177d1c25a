//! What stands in a cell's name of what only some workloads have: the texts that files and series of a history go by.
//!
//! Contract: a text that names a cell does not change from version to version.

use std::collections::BTreeMap;

/// Text tokens that the denoiser attends to; not there where a model reads no text.
pub const TEXT_TOKENS: &str = "text_tokens";
/// How steps move the latent: `euler`, `renoise`, `ddim`; with classifier-free guidance, its scale behind: `euler+cfg4`.
pub const SAMPLER: &str = "sampler";

/// The sampler that goes without saying.
pub(crate) const USUAL_SAMPLER: &str = "euler";

/// What stands behind a model's name, in this order, and what before the value. Any other axis stands behind these by its name.
pub(crate) const IN_NAME: [(&str, &str); 5] =
    [("ladder", "-"), ("rung", "-"), ("layout", "-"), ("width", "-w"), ("class", "-class")];

/// What a name ends in where both halves of the guidance are one batch.
pub(crate) const BATCHED: (&str, &str) = ("+batched-", "-batched");

/// Text tokens that the denoiser attends to; `None` where the model reads no text.
pub(crate) fn text_tokens(own: &BTreeMap<String, String>) -> Option<u32> {
    own.get(TEXT_TOKENS)?.parse().ok().filter(|tokens| *tokens > 0)
}

/// Whether an axis stands apart from the model's whole name.
pub(crate) fn is_apart(own: &BTreeMap<String, String>, axis: &str) -> bool {
    axis == SAMPLER || (axis == TEXT_TOKENS && text_tokens(own).is_some())
}

/// The model's whole name, with what sets it apart from the usual: `nano-w0.5`, `small-assa-6-20-10`.
pub(crate) fn name(model: &str, own: &BTreeMap<String, String>) -> String {
    let mut name = model.to_owned();
    for (axis, before) in IN_NAME {
        if let Some(value) = own.get(axis) {
            name.push_str(before);
            name.push_str(value);
        }
    }
    if own.get(SAMPLER).is_some_and(|sampler| sampler.contains(BATCHED.0)) {
        name.push_str(BATCHED.1);
    }
    for (axis, value) in own {
        if !is_apart(own, axis) && IN_NAME.iter().all(|(known, _)| known != axis) {
            name.push_str(&format!("-{axis}{value}"));
        }
    }
    name
}
