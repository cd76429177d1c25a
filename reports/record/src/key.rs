//! What makes a cell different from the others of its run: fields for what every workload has, and a map for what only some
//! have.
//!
//! Contract: everything that is to tell two cells apart is in here, and whoever shows, keeps or compares cells goes through all
//! of it. What is absent from the map is the workload's default, or nothing that the workload has. The texts that name a cell
//! ([`CellKey::id`], [`CellKey::name`]) do not change from version to version: files and series of a history go by them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::naming::{self, SAMPLER, USUAL_SAMPLER};
use super::reading::{AnyKey, split};

/// What makes a cell different from the others of its run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "AnyKey")]
pub struct CellKey {
    /// The model: `nano`, `edgedit-1`.
    pub model: String,
    /// Image height in pixels.
    pub height: u32,
    /// Image width in pixels.
    pub width: u32,
    /// `candle`, `tract`, `ort`, `reference`, an engine's name.
    pub backend: String,
    /// The backend's way of running the precision: `stock`, `tuned`, …
    pub variant: String,
    /// Device asked for: `cpu`, …
    pub device: String,
    /// Storage scheme of the weights: `f32`, `f16`, `q4`, `q8`, `mixed`, `palette4`.
    pub precision: String,
    /// Threads that computing may use.
    pub threads: u32,
    /// Images made at once.
    pub batch: u32,
    /// Denoiser steps of each image.
    pub steps: u32,
    /// What only some workloads have, by the name of its axis with underscores: `text_tokens`, `sampler`, `width` (a share of the
    /// model's), `rung`, `class`, …
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub own: BTreeMap<String, String>,
    /// What memory is spent on: `fast`, `small`.
    pub memory: String,
    /// CPUs that it may run on, as the kernel writes lists: `4-7`; empty where the system decides.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cpus: String,
    /// Threads that are kept busy beside it ([`crate::Company`]); 0 alone.
    #[serde(skip_serializing_if = "is_alone")]
    pub company: u32,
}

/// Whether nothing is kept busy beside a cell: what a record of older programs, and a text for which that goes without saying, leaves out.
pub(crate) fn is_alone(company: &u32) -> bool {
    *company == 0
}

impl CellKey {
    /// The same with a value on an axis that only some workloads have.
    #[must_use]
    pub fn with(mut self, axis: &str, value: impl ToString) -> Self {
        self.own.insert(axis.to_owned(), value.to_string());
        self
    }

    /// The value on such an axis; `None` where it is the default, or there is no such axis.
    pub fn own(&self, axis: &str) -> Option<&str> {
        self.own.get(axis).map(String::as_str)
    }

    /// Text tokens that the denoiser attends to; `None` where the model reads no text.
    pub fn text_tokens(&self) -> Option<u32> {
        naming::text_tokens(&self.own)
    }

    /// How steps move the latent, where the workload has a choice of it.
    pub fn sampler(&self) -> Option<&str> {
        self.own(SAMPLER)
    }

    /// The same unless it goes without saying.
    pub fn unusual_sampler(&self) -> Option<&str> {
        self.sampler().filter(|sampler| *sampler != USUAL_SAMPLER)
    }

    /// The model's whole name, with what sets it apart from the usual: `nano-w0.5`, `small-assa-6-20-10`.
    pub fn name(&self) -> String {
        naming::name(&self.model, &self.own)
    }

    /// The same cell of no model: what cells of several models can share.
    #[must_use]
    pub fn without_model(&self) -> Self {
        let own = self.own.iter().filter(|(axis, _)| naming::is_apart(&self.own, axis));
        let own = own.map(|(axis, value)| (axis.clone(), value.clone())).collect();
        Self { model: String::new(), own, ..self.clone() }
    }

    /// Unique within a run, safe as a file name:
    /// `tiny-512x512-ort-int8-cpu-q4-t2-b1-s4-x77-fast` (width × height; threads, batch, steps, text tokens), and the
    /// sampler behind it where that is not `euler`, `c4-7` where it is pinned to CPUs, and `company1` where a thread is kept busy beside it.
    pub fn id(&self) -> String {
        self.id_of(self.width, self.height)
    }

    /// `in company of 1`; `None` alone.
    pub fn in_company(&self) -> Option<String> {
        (!is_alone(&self.company)).then(|| format!("in company of {}", self.company))
    }

    /// The same cell, alone.
    #[must_use]
    pub fn alone(&self) -> Self {
        Self { company: 0, ..self.clone() }
    }

    /// What older programs called it: height × width, which is another name for oblong images only.
    pub fn old_id(&self) -> String {
        self.id_of(self.height, self.width)
    }

    /// Whether a name of a cell of this size, in a record of whatever program, is this cell's.
    pub fn is_called(&self, id: &str) -> bool {
        id == self.id() || id == self.old_id()
    }

    fn id_of(&self, across: u32, down: u32) -> String {
        let mut id = format!(
            "{}-{across}x{down}-{}-{}-{}-{}-t{}-b{}-s{}-x{}-{}",
            self.name(),
            self.backend,
            self.variant,
            self.device,
            self.precision,
            self.threads,
            self.batch,
            self.steps,
            self.text_tokens().unwrap_or(0),
            self.memory
        );
        if let Some(sampler) = self.unusual_sampler() {
            id.push('-');
            id.push_str(sampler);
        }
        if !self.cpus.is_empty() {
            id.push_str("-c");
            id.push_str(&self.cpus);
        }
        if !is_alone(&self.company) {
            id.push_str(&format!("-company{}", self.company));
        }
        id.chars().map(|c| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '_' }).collect()
    }
}

impl From<AnyKey> for CellKey {
    fn from(any: AnyKey) -> Self {
        let (model, own) = match any.text_tokens {
            Some(tokens) => split(&any.model, tokens, any.sampler.as_deref().unwrap_or(USUAL_SAMPLER)),
            None => (any.model, any.own),
        };
        let AnyKey { height, width, backend, variant, device, precision, threads, batch, steps, .. } = any;
        let AnyKey { memory, cpus, company, .. } = any;
        Self {
            model,
            height,
            width,
            backend,
            variant,
            device,
            precision,
            threads,
            batch,
            steps,
            own,
            memory,
            cpus,
            company,
        }
    }
}

/// As [`CellKey::id`].
impl fmt::Display for CellKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_width_by_height_and_old_ones_are_known() {
        let key = CellKey { model: "tiny".into(), width: 768, height: 512, ..CellKey::default() };
        assert!(key.id().starts_with("tiny-768x512-") && key.old_id().starts_with("tiny-512x768-"), "{key}");
        assert!(key.is_called(&key.id()) && key.is_called(&key.old_id()) && !key.is_called("tiny"));
        let square = CellKey { width: 512, ..key };
        assert_eq!(square.id(), square.old_id());
    }

    #[test]
    fn every_value_on_an_axis_of_its_own_is_in_the_id() {
        let key = CellKey { model: "small".into(), ..CellKey::default() };
        let plain = key.id();
        assert!(plain.ends_with("-x0-"), "{plain}");
        for (axis, value, says) in [
            ("text_tokens", "77", "-x77-"),
            ("sampler", "renoise", "-renoise"),
            ("width", "0.5", "small-w0.5-"),
            ("rung", "assa", "small-assa-"),
            ("layout", "6-20-10", "small-6-20-10-"),
            ("class", "3", "small-class3-"),
            ("of_tomorrow", "9", "small-of_tomorrow9-"),
            // What is no count of tokens stands by its name, so that no two keys have one id.
            ("text_tokens", "many", "small-text_tokensmany-"),
        ] {
            let id = key.clone().with(axis, value).id();
            assert!(id.contains(says) && id != plain, "{axis}: {id}");
        }
        assert_eq!(key.clone().with("sampler", "euler").id(), plain, "it goes without saying");
        let beside = CellKey { company: 2, ..key.clone() };
        assert_eq!((beside.id(), beside.alone()), (format!("{plain}-company2"), key.clone()));
        let batched = key.with("class", 3).with("sampler", "ddim+batched-cfg4");
        assert!(batched.id().starts_with("small-class3-batched-0x0-") && batched.id().ends_with("-ddim_batched-cfg4"));
        assert_eq!(batched.without_model().own.keys().collect::<Vec<_>>(), ["sampler"]);
    }
}
