//! A user's own weights: looked over before anything starts, and a mistake in them is one line.

mod common;

use common::{Bench, text};

/// A safetensors file with one tensor.
fn file(bench: &Bench, name: &str, tensor: &str, shape: &[usize]) -> String {
    let bytes = 4 * shape.iter().product::<usize>();
    let header =
        serde_json::json!({ tensor: { "dtype": "F32", "shape": shape, "data_offsets": [0, bytes] } }).to_string();
    let mut content = (header.len() as u64).to_le_bytes().to_vec();
    content.extend(header.into_bytes());
    content.resize(content.len() + bytes, 0);
    std::fs::write(bench.path(name), content).unwrap();
    name.to_owned()
}

fn refused(bench: &Bench, weights: &str) -> String {
    let said =
        bench.refused(&["run", "--model", "nano", "--backend", "reference", "--weights", weights, "--out", "run"]);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(!bench.path("run").exists(), "nothing is begun with weights that do not fit");
    said
}

#[test]
fn a_cut_off_file_is_refused_before_anything_starts() {
    let bench = Bench::new();
    let whole = file(&bench, "own.safetensors", "patch.embed.weight", &[256, 16]);
    let content = std::fs::read(bench.path(&whole)).unwrap();
    std::fs::write(bench.path("cut.safetensors"), &content[..content.len() - 8]).unwrap();
    let said = refused(&bench, "cut.safetensors");
    assert!(said.contains("cut.safetensors") && said.contains("truncated"), "{said}");
    let said = refused(&bench, "nowhere.safetensors");
    assert!(said.contains("nowhere.safetensors"), "{said}");
}

#[test]
fn a_tensor_of_another_shape_is_named_with_both_shapes() {
    let bench = Bench::new();
    let weights = file(&bench, "own.safetensors", "text.token_embedding", &[2048, 127]);
    let said = refused(&bench, &weights);
    for part in ["\"text.token_embedding\"", "[2048, 128]", "[2048, 127]", "text.position_embedding"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

/// The checkpoint that the program carries, with one tensor of integers more: as transformers saves a text encoder.
fn with_position_ids(bench: &Bench, name: &str, also: &str) -> String {
    let carried = concat!(env!("CARGO_MANIFEST_DIR"), "/models/nano/nano.safetensors");
    let content = std::fs::read(carried).unwrap();
    let length = u64::from_le_bytes(content[..8].try_into().unwrap()) as usize;
    let mut header: serde_json::Value = serde_json::from_slice(&content[8..8 + length]).unwrap();
    let data = &content[8 + length..];
    header[also] =
        serde_json::json!({ "dtype": "I64", "shape": [1, 16], "data_offsets": [data.len(), data.len() + 128] });
    let header = header.to_string();
    let mut whole = (header.len() as u64).to_le_bytes().to_vec();
    whole.extend(header.into_bytes());
    whole.extend(data);
    whole.extend([0; 128]);
    std::fs::write(bench.path(name), whole).unwrap();
    name.to_owned()
}

const ONE_CELL: [&str; 11] =
    ["run", "--model", "nano", "--backend", "reference", "--precision", "f32", "--launches", "1", "--images", "1"];

#[test]
fn integers_that_nobody_reads_are_named_and_refuse_nothing() {
    let bench = Bench::new();
    let weights = with_position_ids(&bench, "own.safetensors", "text_model.embeddings.position_ids");
    let output = bench.run(&[&ONE_CELL[..], &["--brief", "--weights", &weights, "--out", "run"]].concat());
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("text_model.embeddings.position_ids (I64)"), "{said}");
    let warnings = bench.record("run")["cells"][0]["warnings"].to_string();
    assert!(
        warnings.contains("unread_weights") && warnings.contains("text_model.embeddings.position_ids (I64)"),
        "{warnings}"
    );
}

/// Trained weights fit 16 text tokens and none of the others: whichever cell comes first, each has its own.
#[test]
fn cells_that_differ_in_text_tokens_have_their_own_weights_in_either_order() {
    let bench = Bench::new();
    for order in ["333,77", "77,333"] {
        bench.ok(&[&ONE_CELL[..], &["--brief", "--text-tokens", order, "--steps", "1", "--out", order]].concat());
        let record = bench.record(order);
        for (tokens, origin) in [(16, "published-nano"), (272, "random")] {
            let cells = record["cells"].as_array().unwrap();
            let written = tokens.to_string();
            let cell = cells.iter().find(|cell| cell["key"]["own"]["text_tokens"] == written.as_str()).unwrap();
            assert_eq!(cell["status"], "ok", "{order}: {cell}");
            let models = record["models"].as_array().unwrap();
            let model = models.iter().find(|model| model["text_tokens"] == tokens).unwrap();
            let weights = &model["weights"][0];
            assert!(weights["origin"].as_str().unwrap().starts_with(origin), "{order}, {tokens} tokens: {weights}");
            assert_eq!(cell["weights"]["sha256"], weights["sha256"], "{order}, {tokens} tokens");
        }
    }
}

#[test]
fn a_run_of_which_no_cell_can_be_measured_is_no_success() {
    let bench = Bench::new();
    let output =
        bench.run(&["run", "--model", "nano", "--backend", "reference:fast", "--precision", "f32", "--out", "run"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("no cell could be measured"), "{}", text(&output.stderr));
    assert!(bench.path("run/report.html").exists(), "the report has the reason of each row");
}
