//! Records of version 1, in which every image had a text encoder, a denoiser and a decoder, and a cell's key had the axes of
//! SnapGen++ alone: others were written into the model's name.
//!
//! Contract: what such a record says is all that becomes of it. Version 1 wrote 0 where a model had no such stage and read no
//! text: that is nothing. Ids of cells stay as they were, and what a history goes by is still the key as version 1 wrote it
//! ([`serialize_key`]).

use serde::{Serialize, Serializer};

use super::key::is_alone;
use super::reading::STAGES;
pub use super::reading::split;
use super::{Cell, CellKey, CellStage, Role, Run, SCHEMA_VERSION};

/// A key as version 1 wrote it: what the ids of a history's series are made of.
///
/// # Errors
/// The serializer's.
pub fn serialize_key<S: Serializer>(key: &CellKey, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Key<'a> {
        model: String,
        height: u32,
        width: u32,
        backend: &'a str,
        variant: &'a str,
        device: &'a str,
        precision: &'a str,
        threads: u32,
        batch: u32,
        steps: u32,
        text_tokens: u32,
        memory: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        sampler: Option<&'a str>,
        #[serde(skip_serializing_if = "str::is_empty")]
        cpus: &'a str,
        // Of no record of version 1: a key without it is as it was.
        #[serde(skip_serializing_if = "is_alone")]
        company: &'a u32,
    }
    let CellKey { model: _, height, width, backend, variant, device, precision, threads, batch, steps, own: _, .. } =
        key;
    let written = Key {
        model: key.name(),
        height: *height,
        width: *width,
        backend,
        variant,
        device,
        precision,
        threads: *threads,
        batch: *batch,
        steps: *steps,
        text_tokens: key.text_tokens().unwrap_or(0),
        memory: &key.memory,
        sampler: key.unusual_sampler(),
        cpus: &key.cpus,
        company: &key.company,
    };
    written.serialize(serializer)
}

/// Brings a record of version 1 up to this one.
pub(crate) fn convert(run: &mut Run) {
    let models = &run.models;
    for cell in &mut run.cells {
        let model = models.iter().find(|entry| entry.is_of(&cell.key));
        let in_model = |id: &str| model.is_some_and(|model| model.stage(id).is_some());
        let of = |(id, role): (&str, Role)| {
            (in_model(id) || is_named(cell, id)).then(|| CellStage {
                id: id.to_owned(),
                role,
                passes: passes(&cell.key, role),
            })
        };
        cell.stages = STAGES.into_iter().filter_map(of).collect();
    }
    run.schema_version = SCHEMA_VERSION;
}

/// Whether anything that was measured of a cell names a stage.
fn is_named(cell: &Cell, id: &str) -> bool {
    let mut launches = cell.launches.iter().chain(&cell.discarded);
    let in_launch = launches.any(|launch| {
        let samples = launch.samples.iter().flat_map(|sample| &sample.stages);
        samples.map(|stage| &stage.stage).chain(launch.compile.iter().map(|part| &part.stage)).any(|name| name == id)
    });
    in_launch || cell.placement.iter().any(|placed| placed.stage == id)
}

/// Passes of a stage in one image: classifier-free guidance, which stands behind the sampler, encodes two prompts and runs
/// every step twice.
fn passes(key: &CellKey, role: Role) -> u32 {
    let scale = key.sampler().and_then(|sampler| sampler.split_once("+cfg")).map(|(_rule, scale)| scale.parse::<f64>());
    let guided = if matches!(scale, Some(Ok(_))) { 2 } else { 1 };
    match role {
        Role::Encoder => guided,
        Role::Denoiser => key.steps.saturating_mul(guided),
        Role::Decoder | Role::Other => 1,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{Launch, ModelEntry, SAMPLER, Sample, Stage, TEXT_TOKENS};

    fn sample(text: &str) -> Result<Sample, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn three_times_become_stages_and_a_zero_none() {
        let old = r#"{"image": 1, "total_s": 2.5, "text_encoder_s": 0.25, "steps_s": [0.5, 0.75], "decoder_s": 1.0, "harness_s": 0.001}"#;
        let read = sample(old).unwrap();
        assert_eq!(
            (read.of("text_encoder"), read.of("denoiser"), read.of("decoder")),
            (&[0.25][..], &[0.5, 0.75][..], &[1.0][..])
        );
        let again = serde_json::to_string(&read).unwrap();
        assert_eq!(sample(&again).unwrap(), read);
        let without = sample(&old.replace("0.25", "0.0")).unwrap();
        assert_eq!(without.stages.len(), 2, "a model without text has no text encoder");
        let none = "[{\"image\": 1,\n \"total_s\": 1}]";
        let error = serde_json::from_str::<Vec<Sample>>(none).unwrap_err().to_string();
        assert!(error.contains("no `stages`") && error.contains("line 2"), "{error}");
    }

    #[test]
    fn names_are_taken_apart_only_where_they_go_together_again() {
        for (name, sampler, model, own) in [
            ("nano", "euler", "nano", &[][..]),
            ("nano-w0.5", "euler", "nano", &[("width", "0.5")]),
            (
                "small-assa-6-20-10-w0.375",
                "renoise",
                "small",
                &[("rung", "assa"), ("layout", "6-20-10"), ("width", "0.375")],
            ),
            ("full-pixart-mqa", "euler", "full", &[("rung", "pixart-mqa")]),
            ("snapgen-nano-mqa", "euler", "snapgen-nano", &[("ladder", "mqa")]),
            ("edgedit-nano-class3-batched", "ddim+batched-cfg4", "edgedit-nano", &[("class", "3")]),
            ("dit-xl-2", "ddim", "dit-xl-2", &[]),
            ("edgedit-1", "ddim+cfg4", "edgedit-1", &[]),
            // Nothing that version 1 wrote: the model's own name.
            ("nano-w0.5-6-20-10", "euler", "nano-w0.5", &[("layout", "6-20-10")]),
            ("edgedit-nano-batched", "ddim", "edgedit-nano-batched", &[]),
            ("nano-w2", "euler", "nano-w2", &[]),
            ("-class", "euler", "-class", &[]),
        ] {
            let (found, map) = split(name, 77, sampler);
            let want: BTreeMap<String, String> = [("text_tokens", "77"), ("sampler", sampler)]
                .iter()
                .chain(own)
                .map(|(axis, value)| ((*axis).to_owned(), (*value).to_owned()))
                .collect();
            assert_eq!((found.as_str(), &map), (model, &want), "{name}");
            let key = CellKey { model: found, own: map, ..CellKey::default() };
            assert_eq!(key.name(), name);
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_model_was_called_its_ids_stay(
            name in "[a-z]{0,4}(-(w0\\.[1-9]|[1-9]|assa|mqa|class[0-9]|batched|w|class|final-dense)){0,5}",
            batched: bool,
        ) {
            // Version 1 wrote both or neither.
            let (name, sampler) = if batched { (name + "-batched", "ddim+batched-cfg4") } else { (name, "euler") };
            let (model, own) = split(&name, 0, sampler);
            proptest::prop_assert_eq!(CellKey { model, own, ..CellKey::default() }.name(), name);
        }
    }

    #[test]
    fn a_key_of_version_1_is_read_and_what_a_history_goes_by_is_as_it_was() {
        let old = r#"{"model":"nano-w0.5","height":64,"width":64,"backend":"ort","variant":"int8","device":"cpu","precision":"q4","threads":2,"batch":1,"steps":4,"text_tokens":16,"memory":"fast","sampler":"renoise","cpus":"4-7"}"#;
        let key: CellKey = serde_json::from_str(old).unwrap();
        assert_eq!((key.model.as_str(), key.own("width"), key.text_tokens()), ("nano", Some("0.5"), Some(16)));
        assert_eq!(key.id(), "nano-w0.5-64x64-ort-int8-cpu-q4-t2-b1-s4-x16-fast-renoise-c4-7");
        let again = |key: &CellKey| {
            String::from_utf8({
                let mut out = Vec::new();
                serialize_key(key, &mut serde_json::Serializer::new(&mut out)).unwrap();
                out
            })
            .unwrap()
        };
        assert_eq!(again(&key), old);
        let now = serde_json::to_string(&key).unwrap();
        assert!(now.contains(r#""own":{"sampler":"renoise","text_tokens":"16","width":"0.5"}"#), "{now}");
        assert_eq!(serde_json::from_str::<CellKey>(&now).unwrap(), key);
        let usual = old.replace(r#","sampler":"renoise","cpus":"4-7""#, "").replace("16", "0");
        let key: CellKey = serde_json::from_str(&usual).unwrap();
        assert_eq!((key.sampler(), key.text_tokens(), key.own(TEXT_TOKENS)), (Some("euler"), None, None));
        assert_eq!(again(&key), usual);
    }

    #[test]
    fn cells_learn_their_stages_and_how_often_each_ran() {
        let mut run = Run { schema_version: 1, ..Run::default() };
        let key = |sampler: &str| CellKey { model: "a".into(), steps: 4, ..CellKey::default() }.with(SAMPLER, sampler);
        let mut measured = Cell { key: key("euler+cfg4"), ..Cell::default() };
        let samples =
            vec![sample(r#"{"image": 0, "total_s": 1, "text_encoder_s": 0, "steps_s": [1], "decoder_s": 1}"#).unwrap()];
        measured.launches = vec![Launch { samples, ..Launch::default() }];
        let of_model = Cell { key: CellKey { model: "b".into(), ..key("euler") }, ..Cell::default() };
        run.cells = vec![measured, of_model, Cell { key: key("ddim+batched-cfg4"), ..Cell::default() }];
        let stages = STAGES.map(|(name, _)| Stage { name: name.into(), ..Stage::default() }).to_vec();
        run.models = vec![ModelEntry { name: "b".into(), stages, ..ModelEntry::default() }];
        convert(&mut run);
        let found = |cell: usize| -> Vec<(&str, u32)> {
            run.cells[cell].stages.iter().map(|stage| (stage.id.as_str(), stage.passes)).collect()
        };
        assert_eq!(found(0), [("denoiser", 8), ("decoder", 1)]);
        assert_eq!(found(1), [("text_encoder", 1), ("denoiser", 4), ("decoder", 1)]);
        assert_eq!((found(2), run.schema_version), (vec![], SCHEMA_VERSION));
    }
}
