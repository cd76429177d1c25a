//! Records of version 1, in which every image had a text encoder, a denoiser and a decoder, and a cell's key had the axes of
//! SnapGen++ alone: others were written into the model's name.
//!
//! Contract: what such a record says is all that becomes of it. Version 1 wrote 0 where a model had no such stage and read no
//! text: that is nothing. Ids of cells stay as they were, and what a history goes by is still the key as version 1 wrote it
//! ([`serialize_key`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::key::{BATCHED, IN_NAME, SAMPLER, TEXT_TOKENS, USUAL_SAMPLER};
use super::{Cell, CellKey, CellStage, Role, Run, SCHEMA_VERSION, Sample, StageSeconds};

/// The stages of version 1, with their roles.
const STAGES: [(&str, Role); 3] =
    [("text_encoder", Role::Encoder), ("denoiser", Role::Denoiser), ("decoder", Role::Decoder)];

/// The times of an image, as version 1 or this one writes them.
#[derive(Deserialize)]
pub(crate) struct AnySample {
    image: u32,
    total_s: f64,
    stages: Option<Vec<StageSeconds>>,
    text_encoder_s: Option<f64>,
    steps_s: Option<Vec<f64>>,
    decoder_s: Option<f64>,
    #[serde(default)]
    harness_s: f64,
    #[serde(default)]
    ended_s: Option<f64>,
    #[serde(default)]
    removed: Option<String>,
}

impl TryFrom<AnySample> for Sample {
    type Error = String;

    fn try_from(any: AnySample) -> Result<Self, String> {
        let stages = match (any.stages, any.text_encoder_s, any.steps_s, any.decoder_s) {
            (Some(stages), ..) => stages,
            (None, Some(encoder), Some(steps), Some(decoder)) => {
                let all = STAGES.into_iter().zip([vec![encoder], steps, vec![decoder]]);
                let took = |((stage, _), seconds): ((&str, Role), Vec<f64>)| {
                    let ran = seconds.iter().any(|seconds| *seconds != 0.0);
                    ran.then(|| StageSeconds { stage: stage.to_owned(), seconds })
                };
                all.filter_map(took).collect()
            }
            _ => return Err("the sample has no `stages`".to_owned()),
        };
        let AnySample { image, total_s, harness_s, ended_s, removed, .. } = any;
        Ok(Self { image, total_s, stages, harness_s, ended_s, removed })
    }
}

/// A cell's key, as version 1 or this one writes it.
#[derive(Deserialize)]
pub(crate) struct AnyKey {
    model: String,
    height: u32,
    width: u32,
    backend: String,
    variant: String,
    device: String,
    precision: String,
    threads: u32,
    batch: u32,
    steps: u32,
    #[serde(default)]
    own: BTreeMap<String, String>,
    /// Of version 1 alone, which always has it.
    text_tokens: Option<u32>,
    /// Of version 1 alone.
    sampler: Option<String>,
    #[serde(default = "fast")]
    memory: String,
    #[serde(default)]
    cpus: String,
}

fn fast() -> String {
    "fast".to_owned()
}

impl From<AnyKey> for CellKey {
    fn from(any: AnyKey) -> Self {
        let (model, own) = match any.text_tokens {
            Some(tokens) => split(&any.model, tokens, any.sampler.as_deref().unwrap_or(USUAL_SAMPLER)),
            None => (any.model, any.own),
        };
        let AnyKey { height, width, backend, variant, device, precision, threads, batch, steps, memory, cpus, .. } =
            any;
        Self { model, height, width, backend, variant, device, precision, threads, batch, steps, own, memory, cpus }
    }
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
    let key = CellKey { model: rest.to_owned(), own, ..CellKey::default() };
    if key.name() == name { (key.model, key.own) } else { (name.to_owned(), plain) }
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
    };
    written.serialize(serializer)
}

/// A count that version 1 wrote as 0 where there is none.
pub(crate) fn not_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    Ok(Option::<u32>::deserialize(deserializer)?.filter(|count| *count > 0))
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
    use super::*;
    use crate::{Launch, ModelEntry, Stage};

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
