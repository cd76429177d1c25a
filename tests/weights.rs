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
    assert!(said.contains("cut.safetensors") && said.contains("cut off"), "{said}");
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

#[test]
fn a_run_of_which_no_cell_can_be_measured_is_no_success() {
    let bench = Bench::new();
    let output =
        bench.run(&["run", "--model", "nano", "--backend", "reference:fast", "--precision", "f32", "--out", "run"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("no cell could be measured"), "{}", text(&output.stderr));
    assert!(bench.path("run/report.html").exists(), "the report has the reason of each row");
}
