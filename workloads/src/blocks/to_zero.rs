//! For tests: a runner whose velocities are perfect.

use ditbench_graph::Tensor;

use super::flow::{DENOISER, TEXT_ENCODER};
use crate::{RunError, StageRunner};

/// Gives velocities that lead from the noise to zero.
pub(crate) struct ToZero {
    /// The stages that were run, in order.
    pub asked: Vec<String>,
    /// What the denoiser answers.
    velocity: Vec<f32>,
    /// Pixels of a side of the image.
    side: usize,
}

impl ToZero {
    /// From this noise, to an image of so many pixels a side.
    pub fn new(noise: Vec<f32>, side: usize) -> Self {
        Self { asked: Vec::new(), velocity: noise, side }
    }
}

impl StageRunner for ToZero {
    type Error = RunError;

    fn run(&mut self, stage: &str, inputs: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
        self.asked.push(stage.to_owned());
        let filled = |shape: &[usize]| Tensor::f32(shape, vec![0.5; shape.iter().product()]);
        Ok(vec![match stage {
            TEXT_ENCODER => filled(&[1, 16, 128])?,
            DENOISER => Tensor::f32(inputs[0].shape(), self.velocity.clone())?,
            _ => filled(&[1, 3, self.side, self.side])?,
        }])
    }
}
