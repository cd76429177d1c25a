//! The record's format: what was once written keeps loading, what is documented is what is written, damage is said in a line.

use std::path::Path;

use ditbench_record::{self, RecordError, SCHEMA_VERSION};
use ditbench_reports::{sample, sample_judged, sample_phone, table};
use proptest::prelude::*;
use serde_json::Value;

/// Written when version 1 was published. Never rewrite it: a change that needs another file needs another version.
const GOLDEN: &str = include_str!("data/record-v1.json");

#[test]
#[ignore = "writes the golden file; for a new schema version only"]
fn write_golden() {
    let mut run = sample::run();
    run.cells.iter_mut().for_each(|cell| cell.launches.truncate(1));
    run.cells.drain(3..9);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/record-v{SCHEMA_VERSION}.json"));
    assert!(!path.exists(), "it is there already");
    std::fs::write(path, serde_json::to_string_pretty(&run).unwrap()).unwrap();
}

/// Every value of `old` that `new` lacks or has otherwise.
fn lost(old: &Value, new: &Value, path: &str, found: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in old {
                match new.get(key) {
                    Some(other) => lost(value, other, &format!("{path}/{key}"), found),
                    None => found.push(format!("{path}/{key}")),
                }
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, (value, other)) in old.iter().zip(new).enumerate() {
                lost(value, other, &format!("{path}/{index}"), found);
            }
        }
        _ if old == new => {}
        _ => found.push(format!("{path}: {old} became {new}")),
    }
}

/// Of version 2: the same, and a pipeline of two denoisers without text. As above, never rewrite it.
const GOLDEN_2: &str = include_str!("data/record-v2.json");

#[test]
fn the_golden_record_of_version_2_loads_and_loses_nothing() {
    let run = ditbench_record::parse(GOLDEN_2).unwrap();
    assert_eq!((run.schema_version, run.cells.len()), (2, 9));
    let mut found = Vec::new();
    let (old, new) = (serde_json::from_str(GOLDEN_2).unwrap(), serde_json::to_value(&run).unwrap());
    lost(&old, &new, "", &mut found);
    assert!(found.is_empty(), "lost: {found:#?}");
    let first = ditbench_record::parse(GOLDEN).unwrap();
    for (cell, other) in run.cells.iter().zip(&first.cells) {
        assert_eq!((&cell.key, &cell.launches), (&other.key, &other.launches), "what version 1 said is read as this");
        assert!(cell.launches.is_empty() || cell.stages == other.stages, "{}", cell.key);
    }
}

/// What version 1 said otherwise.
fn in_words_of_today(old: &mut Value) {
    old["schema_version"] = SCHEMA_VERSION.into();
    for cell in old["cells"].as_array_mut().unwrap() {
        let key = cell["key"].as_object_mut().unwrap();
        let tokens = key.remove("text_tokens").unwrap().to_string();
        let sampler = key.remove("sampler").unwrap_or_else(|| "euler".into());
        key.insert("own".to_owned(), serde_json::json!({ "text_tokens": tokens, "sampler": sampler }));
        for list in ["launches", "discarded"] {
            for launch in cell.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                for sample in launch["samples"].as_array_mut().unwrap() {
                    let fields = sample.as_object_mut().unwrap();
                    let mut took = |name: &str| fields.remove(name).unwrap();
                    let (encoder, steps, decoder) = (took("text_encoder_s"), took("steps_s"), took("decoder_s"));
                    let stages = serde_json::json!([
                        { "stage": "text_encoder", "seconds": [encoder] },
                        { "stage": "denoiser", "seconds": steps },
                        { "stage": "decoder", "seconds": [decoder] },
                    ]);
                    fields.insert("stages".to_owned(), stages);
                }
            }
        }
    }
}

#[test]
fn the_golden_record_loads_and_loses_nothing() {
    let run = ditbench_record::parse(GOLDEN).unwrap();
    assert_eq!(run.schema_version, SCHEMA_VERSION);
    assert_eq!(run.cells.len(), 8);
    let mut found = Vec::new();
    let (mut old, new) = (serde_json::from_str(GOLDEN).unwrap(), serde_json::to_value(&run).unwrap());
    in_words_of_today(&mut old);
    lost(&old, &new, "", &mut found);
    assert!(found.is_empty(), "lost: {found:#?}");
    assert_eq!(ditbench_record::parse(&new.to_string()).unwrap(), run, "written again, it is read as it was");
    let table = table::of_runs(&[&run]);
    assert_eq!(table.rows[2].key.id(), "tiny-512x512-ort-int8-cpu-q4-t2-b1-s4-x77-fast");
    assert!((table.rows[2].p50_s().unwrap() - 3.25).abs() < 0.05);
}

/// A record is one record however it is laid out, by what it says: what a later program knows besides must not change that.
#[test]
fn an_old_record_says_no_more_than_it_did() {
    let run = ditbench_record::parse(GOLDEN).unwrap();
    assert!(run.warnings.iter().all(|warning| warning.kind().is_none()) && !run.warnings.is_empty());
    let text = serde_json::to_string(&run).unwrap();
    for later in
        ["is_reference", "same_bytes", "\"on\"", "full_width", "formula", "own_pairs", "printed", "\"kind\":\"s"]
    {
        assert!(!text.contains(later), "{later} was added to an old record");
    }
}

#[test]
fn a_record_without_optional_fields_loads() {
    let least = r#"{"schema_version": 1, "run": {"id": "a", "created": "2026-01-01T00:00:00Z", "tool_version": "0.1.0",
        "prompt": "", "seed": 1, "steps": 4}, "machine": {}, "cells": [{"status": "ok", "key": {"model": "nano", "height": 64, "width": 64,
        "backend": "ort", "variant": "stock", "device": "cpu", "precision": "f32", "threads": 1, "batch": 1, "steps": 4, "text_tokens": 77},
        "a_field_of_a_later_program": true}]}"#;
    let run = ditbench_record::parse(least).unwrap();
    assert_eq!(run.machine.kernel.why(), Some("not recorded"));
    assert!(table::of_runs(&[&run]).rows[0].image_s.why().is_some());
}

/// All field names of a value, but for names that are data.
fn names(value: &Value, found: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                found.insert(name.clone());
                if !["config", "plan", "readings"].contains(&name.as_str()) {
                    names(value, found);
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| names(value, found)),
        _ => {}
    }
}

#[test]
fn every_field_is_documented() {
    let format = include_str!("../../docs/FORMAT.md");
    let mut found = Default::default();
    names(&serde_json::to_value(sample::run()).unwrap(), &mut found);
    names(&serde_json::to_value(sample_phone::run()).unwrap(), &mut found);
    names(&serde_json::to_value(sample_judged::run()).unwrap(), &mut found);
    let missing: Vec<&String> = found
        .iter()
        .filter(|name| !format.contains(&format!("`{name}`")) && !format.contains(&format!("\"{name}\"")))
        .collect();
    assert!(found.len() > 100 && missing.is_empty(), "docs/FORMAT.md lacks {missing:?}");
}

#[test]
fn every_column_of_a_csv_is_documented() {
    let format = include_str!("../../docs/FORMAT.md");
    let run = sample::run();
    let mut csv = Vec::new();
    ditbench_record::csv::write_samples(&run, &mut csv).unwrap();
    csv.push(b',');
    ditbench_reports::csv::write_table(&ditbench_reports::table::of_runs(&[&run]), &mut csv).unwrap();
    let text = String::from_utf8(csv).unwrap();
    let headers = text.lines().filter(|line| line.trim_start_matches(',').starts_with("run,model,"));
    let columns: Vec<&str> = headers.flat_map(|line| line.split(',')).filter(|name| !name.is_empty()).collect();
    // The glossary has the numbers, which a test of theirs checks.
    let is_number = |name: &str| {
        let name = name.strip_suffix("_low").or(name.strip_suffix("_high")).unwrap_or(name);
        ditbench_reports::metric::Metric::named(name).is_some()
    };
    let missing: Vec<&&str> =
        columns.iter().filter(|name| !is_number(name) && !format.contains(&format!("`{name}`"))).collect();
    assert!(columns.len() > 60 && missing.is_empty(), "docs/FORMAT.md lacks {missing:?} of {}", columns.len());
}

#[test]
fn a_newer_record_is_refused_with_what_to_do() {
    let newer = GOLDEN.replacen("\"schema_version\": 1", "\"schema_version\": 3", 1);
    let error = ditbench_record::parse(&newer).unwrap_err();
    assert!(matches!(error, RecordError::TooNew { found: 3, .. }));
    assert!(error.to_string().contains("Update ditbench"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Cut off anywhere, a record is refused in one line.
    #[test]
    fn a_cut_record_is_refused(at in 0..GOLDEN.trim_end().len()) {
        prop_assume!(GOLDEN.is_char_boundary(at));
        let error = ditbench_record::parse(&GOLDEN[..at]).unwrap_err().to_string();
        prop_assert!(error.contains("cut off") && !error.contains('\n'), "{}", error);
    }

    /// Whatever one byte becomes, reading neither panics nor rambles; what still loads makes a table.
    #[test]
    fn a_changed_byte_never_panics(at in 0..GOLDEN.len(), byte in 0x20u8..0x7f) {
        let mut bytes = GOLDEN.as_bytes().to_vec();
        bytes[at] = byte;
        if let Ok(text) = String::from_utf8(bytes) {
            match ditbench_record::parse(&text) {
                Ok(run) => { table::of_runs(&[&run]); }
                Err(error) => prop_assert!(!error.to_string().contains('\n')),
            }
        }
    }

    /// Values that no measurement gives (zero, negative, huge) make a table and a page all the same.
    #[test]
    fn odd_values_make_a_report(cell in 0..8usize, scale in prop::sample::select(vec![0.0, -1.0, 1e-300, 1e300, f64::NAN, f64::INFINITY])) {
        let mut run = ditbench_record::parse(GOLDEN).unwrap();
        for sample in run.cells[cell].launches.iter_mut().flat_map(|launch| &mut launch.samples) {
            sample.total_s *= scale;
            sample.stages.iter_mut().flat_map(|stage| &mut stage.seconds).for_each(|seconds| *seconds *= scale);
        }
        if let ditbench_record::Reading::Ok(quality) = &mut run.cells[cell].quality {
            quality.latents.iter_mut().for_each(|step| step.relative_l2 *= scale);
        }
        let table = table::of_runs(&[&run]);
        let loaded = ditbench_record::store::LoadedRun { dir: "nowhere".into(), run };
        let page = ditbench_reports::html::of_runs(&[loaded], &table).unwrap();
        prop_assert!(page.contains("</html>"));
    }
}
