//! What nano's pictures are judged against: the data that it was trained on, as the program carries it.
//!
//! Made by `workloads/train/judge_features.py`; the pictures themselves are Fluent Emoji (MIT, Microsoft), see the model card.

use std::path::Path;

use half::f16;
use image::RgbImage;
use safetensors::SafeTensors;

use super::{FEATURES, FILE_SHA256, JudgeError};

/// The judge's features of all data pictures.
const SEEN: &[u8] = include_bytes!("../../models/nano/judge-features.safetensors");
/// The data pictures of the prompt list.
const NAMES: &[u8] = include_bytes!("../../models/nano/names.png");
/// Pixels along each side of a data picture.
const PICTURE: u32 = 64;

/// The features of all data pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// A row of [`FEATURES`] for each picture; those of the prompt list come first, in its order.
    pub features: Vec<f32>,
    /// What each picture shows.
    pub names: Vec<String>,
    /// How many of them are the prompt list's.
    pub prompts: usize,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
}

/// Reads the features that the program carries.
///
/// # Errors
/// A file that does not hold together, or was made with another judge: a mistake of ours.
pub fn seen() -> Result<Seen, JudgeError> {
    let fail = |why: &dyn std::fmt::Display| JudgeError::File {
        path: Path::new("models/nano/judge-features.safetensors").to_owned(),
        why: why.to_string(),
    };
    let (_, header) = SafeTensors::read_metadata(SEEN).map_err(|error| fail(&error))?;
    let about = header.metadata().clone().unwrap_or_default();
    let entry = |name: &str| about.get(name).ok_or_else(|| fail(&format!("it does not say its \"{name}\"")));
    if entry("judge_sha256")? != FILE_SHA256 {
        return Err(fail(&"it was made with another judge"));
    }
    let names: Vec<String> = serde_json::from_str(entry("names")?).map_err(|error| fail(&error))?;
    let prompts = entry("prompts")?.parse().map_err(|error| fail(&error))?;
    let file = SafeTensors::deserialize(SEEN).map_err(|error| fail(&error))?;
    let tensor = file.tensor("features").map_err(|error| fail(&error))?;
    if tensor.shape() != [names.len(), FEATURES] || tensor.dtype() != safetensors::Dtype::F16 || prompts > names.len() {
        return Err(fail(&"its features do not have the shape that its names imply"));
    }
    let features = tensor.data().chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect();
    let sha256 = ditbench_graph::hash::sha256(SEEN);
    Ok(Seen { features, names, prompts, sha256 })
}

/// The data pictures of the prompt list, in its order, 64 × 64.
///
/// # Errors
/// A file that does not hold together: a mistake of ours.
pub fn pictures() -> Result<Vec<RgbImage>, JudgeError> {
    let sheet = image::load_from_memory(NAMES).map_err(|error| JudgeError::File {
        path: Path::new("models/nano/names.png").to_owned(),
        why: error.to_string(),
    })?;
    let sheet = sheet.to_rgb8();
    let (columns, rows) = (sheet.width() / PICTURE, sheet.height() / PICTURE);
    let at = |index: u32| (index % columns * PICTURE, index / columns * PICTURE);
    let cut = |index| {
        let (x, y) = at(index);
        image::imageops::crop_imm(&sheet, x, y, PICTURE, PICTURE).to_image()
    };
    Ok((0..columns * rows).map(cut).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ditbench_workloads::snapgenpp::prompts;

    #[test]
    fn the_data_are_those_of_the_prompt_list_in_its_order() {
        let (seen, prompts) = (seen().unwrap(), prompts::nano().unwrap());
        assert_eq!(seen.prompts, prompts.names.len());
        assert_eq!(seen.names[..seen.prompts], prompts.names);
        assert_eq!(seen.features.len(), seen.names.len() * FEATURES);
        assert!(seen.features.iter().all(|v| (0.0..=6.0).contains(v)), "means of what ReLU6 gives");
        assert_eq!(pictures().unwrap().len(), seen.prompts);
    }
}
