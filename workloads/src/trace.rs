//! One image and how it came about: latents, picture, times.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use ditbench_graph::Tensor;
use ditbench_graph::hash::sha256;
use ditbench_graph::tensor::TensorError;
use ditbench_graph::tensor_file;

use crate::image::{self, ImageError, ImageSize, to_rgb};
use crate::inputs::InputsError;

/// How long a stage took each time that it ran for an image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StageTimes {
    /// The stage's id.
    pub stage: String,
    /// One entry for each step; for a stage that is no part of the steps, one in all. Passes that belong together, such as the
    /// two of classifier-free guidance, are one entry.
    pub times: Vec<Duration>,
}

/// How long an image took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Times {
    /// Stages in the order in which they first ran.
    pub stages: Vec<StageTimes>,
    /// Everything, the host's arithmetic included.
    pub total: Duration,
}

impl Times {
    /// Adds a run of a stage.
    pub fn push(&mut self, stage: &str, took: Duration) {
        match self.stages.iter_mut().find(|known| known.stage == stage) {
            Some(known) => known.times.push(took),
            None => self.stages.push(StageTimes { stage: stage.to_owned(), times: vec![took] }),
        }
    }

    /// The times of a stage; none if it did not run.
    pub fn of(&self, stage: &str) -> &[Duration] {
        self.stages.iter().find(|known| known.stage == stage).map_or(&[], |known| &known.times)
    }

    /// What belongs to no stage: the sampler's arithmetic and the copies between stages.
    pub fn outside_stages(&self) -> Duration {
        self.total.saturating_sub(self.stages.iter().flat_map(|stage| &stage.times).sum())
    }
}

/// One image and how it came about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// The latent after each step, of the batch's first.
    pub latents: Vec<Vec<f32>>,
    /// The last stage's output: where [`Trace::size`] says so, `[3, H, W]`, 0..1 where the model is trained.
    pub image: Vec<f32>,
    /// The size of the picture; `None` where the output is none.
    pub size: Option<ImageSize>,
    /// How long it took.
    pub times: Times,
}

impl Trace {
    /// Writes the picture, as PNG or JPEG by the file's name, if there is one; says whether there was.
    ///
    /// # Errors
    /// The file cannot be written, or has a name of another format.
    pub fn save_image(&self, path: &Path) -> Result<bool, ImageError> {
        let Some(size) = self.size else { return Ok(false) };
        image::save(&to_rgb(&self.image, size), path).map(|()| true)
    }

    /// Writes the latents after each step and the last stage's output to a safetensors file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save_latents(&self, path: &Path) -> Result<(), InputsError> {
        let mut tensors = numbered(&self.latents)?;
        tensors.push(("image".to_owned(), Tensor::f32([self.image.len()], self.image.clone())?));
        save(path, &tensors)
    }

    /// SHA-256 of the last stage's output, little-endian f32, in hex.
    pub fn image_sha256(&self) -> String {
        sha256(&self.image.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
    }
}

/// Writes latents of many images, one each, to a safetensors file.
///
/// # Errors
/// The file cannot be written.
pub fn save_latents(path: &Path, latents: &[Vec<f32>]) -> Result<(), InputsError> {
    save(path, &numbered(latents)?)
}

fn numbered(latents: &[Vec<f32>]) -> Result<Vec<(String, Tensor)>, TensorError> {
    let tensor = |(index, values): (usize, &Vec<f32>)| {
        Ok((format!("latent.{index:04}"), Tensor::f32([values.len()], values.clone())?))
    };
    latents.iter().enumerate().map(tensor).collect()
}

fn save(path: &Path, tensors: &[(String, Tensor)]) -> Result<(), InputsError> {
    let named: Vec<(String, &Tensor)> = tensors.iter().map(|(name, tensor)| (name.clone(), tensor)).collect();
    tensor_file::save(path, &named, HashMap::new())
        .map_err(|why| InputsError::File { path: path.to_owned(), why: format!("cannot write: {why}") })
}

/// A file of a run's folder, which may hold anything: reading a pipe in it would wait for ever.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    std::fs::read(path)
}

/// What a launch kept of its first image.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// The latent after each step, or of each image, in order; at least one.
    pub latents: Vec<Vec<f32>>,
    /// The last stage's output, if it was kept.
    pub image: Option<Vec<f32>>,
}

/// Reads what [`Trace::save_latents`] or [`save_latents`] wrote; `None` if there is no such file.
///
/// # Errors
/// A file that is there and cannot be read, is cut off or holds no latents: who compares results must not take it for one
/// that was never kept.
pub fn load_kept(path: &Path) -> Result<Option<Kept>, InputsError> {
    let fail = |why: String| InputsError::File { path: path.to_owned(), why };
    let data = match read(path) {
        Ok(data) => data,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(format!("cannot be read: {error}"))),
    };
    let mut tensors = tensor_file::load(&data).map_err(|why| fail(format!("damaged or truncated: {why}")))?;
    let image = tensors.remove("image").map(Tensor::into_f32).transpose()?;
    let mut named: Vec<(String, Tensor)> =
        tensors.into_iter().filter(|(name, _)| name.starts_with("latent.")).collect();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    let latents = named.into_iter().map(|(_, tensor)| tensor.into_f32()).collect::<Result<Vec<_>, _>>()?;
    if latents.is_empty() {
        return Err(fail("holds no latents".to_owned()));
    }
    Ok(Some(Kept { latents, image }))
}

/// The latents of [`load_kept`], of a file that must be there.
///
/// # Errors
/// There is none; as [`load_kept`].
pub fn load_latents(path: &Path) -> Result<Vec<Vec<f32>>, InputsError> {
    let absent = || InputsError::File { path: path.to_owned(), why: "there is no such file".to_owned() };
    Ok(load_kept(path)?.ok_or_else(absent)?.latents)
}
