//! Fidelity: how near latents and images are to the reference's, made from the same noise; and, for many pictures, how well
//! they show what was asked for ([`retrieval`], [`kernel_distance`]).
//!
//! Contract: plain functions of two signals of the same shape. What cannot be told is an error or an absent reading with
//! the reason, never a number.

mod error_map;
pub mod features;
pub mod kernel_distance;
mod perceptual;
pub mod retrieval;
mod ssim;

use image::RgbImage;

pub use error_map::{FULL_SCALE, error_map};
pub use perceptual::{SMALL, UPSCALE, ssimulacra2};
pub use ssim::{WINDOW, ssim};

use crate::record::{ImageQuality, Reading, StepDivergence};

/// Why two signals cannot be compared.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum QualityError {
    /// They differ in size.
    #[error("{what}: {ours} against the reference's {reference}; compare results of the same model and size")]
    Shape {
        /// `latent`, `image`.
        what: &'static str,
        /// Our size, in words.
        ours: String,
        /// The reference's.
        reference: String,
    },
    /// A value is infinite or not a number: the backend computed nonsense.
    #[error("{whose} value {index} is {value}: the backend's result is unusable")]
    NotFinite {
        /// Of which signal.
        whose: Whose,
        /// Position in row-major order.
        index: usize,
        /// `NaN`, `inf`, `-inf`.
        value: f64,
    },
    /// The reference is zero throughout, so there is no relative distance or angle.
    #[error("the reference's values are all zero: no relative distance and no angle")]
    Zero,
}

/// One of two signals that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The one that is held against the other.
    Ours,
    /// The other: the reference's.
    References,
}

impl std::fmt::Display for Whose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ours => "our",
            Self::References => "the reference's",
        })
    }
}

/// Relative L2 distance ‖a − b‖₂ ÷ ‖b‖₂ and cosine a·b ÷ (‖a‖₂‖b‖₂), summed in f64. Of an `a` that is zero throughout, which points
/// nowhere, the distance is 1 and the cosine counts as 0: a wrong result, not one without a distance.
fn distance_and_cosine(pairs: impl Iterator<Item = (f64, f64)>) -> Result<(f64, f64), QualityError> {
    let (mut difference, mut ours, mut reference, mut product) = (0.0, 0.0, 0.0, 0.0);
    for (index, (a, b)) in pairs.enumerate() {
        for (whose, value) in [(Whose::Ours, a), (Whose::References, b)] {
            if !value.is_finite() {
                return Err(QualityError::NotFinite { whose, index, value });
            }
        }
        difference += (a - b) * (a - b);
        ours += a * a;
        reference += b * b;
        product += a * b;
    }
    if reference == 0.0 {
        return Err(QualityError::Zero);
    }
    let cosine = if ours == 0.0 { 0.0 } else { product / (ours.sqrt() * reference.sqrt()) };
    Ok(((difference / reference).sqrt(), cosine))
}

/// How far a latent is from the reference's after the same step (0 is the first). Both in the same layout.
///
/// # Errors
/// They differ in length, the reference is zero throughout, or a value is not finite.
pub fn step_divergence(step: u32, ours: &[f32], reference: &[f32]) -> Result<StepDivergence, QualityError> {
    if ours.len() != reference.len() {
        let values = |signal: &[f32]| format!("{} values", signal.len());
        return Err(QualityError::Shape { what: "latent", ours: values(ours), reference: values(reference) });
    }
    let pairs = ours.iter().zip(reference).map(|(&a, &b)| (f64::from(a), f64::from(b)));
    let (relative_l2, cosine) = distance_and_cosine(pairs)?;
    Ok(StepDivergence { step, relative_l2, cosine })
}

/// Peak signal-to-noise ratio in dB: 10·log₁₀(255² ÷ mean squared error over all channels). `None` if identical.
///
/// # Errors
/// They differ in size.
pub fn psnr(ours: &RgbImage, reference: &RgbImage) -> Result<Option<f64>, QualityError> {
    same_size(ours, reference)?;
    let squares = ours.iter().zip(reference.iter()).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
    let mean = squares.sum::<f64>() / reference.as_raw().len() as f64;
    Ok((mean > 0.0).then(|| 10.0 * (255.0 * 255.0 / mean).log10()))
}

/// Every measure of nearness of an image to the reference's.
///
/// # Errors
/// They differ in size, or one is black throughout.
pub fn compare_images(ours: &RgbImage, reference: &RgbImage) -> Result<ImageQuality, QualityError> {
    same_size(ours, reference)?;
    let pairs = ours.iter().zip(reference.iter()).map(|(&a, &b)| (f64::from(a), f64::from(b)));
    let (relative_l2, cosine) = distance_and_cosine(pairs)?;
    let (ssimulacra2, note) = ssimulacra2(ours, reference);
    Ok(ImageQuality {
        identical: ours == reference,
        relative_l2,
        cosine,
        psnr_db: psnr(ours, reference)?,
        ssim: ssim(ours, reference)
            .map_or_else(|| Reading::absent(format!("SSIM needs {WINDOW} pixels each way")), Reading::Ok),
        ssimulacra2,
        note,
    })
}

fn same_size(ours: &RgbImage, reference: &RgbImage) -> Result<(), QualityError> {
    let size = |image: &RgbImage| format!("{} wide, {} high", image.width(), image.height());
    if ours.dimensions() == reference.dimensions() {
        return Ok(());
    }
    Err(QualityError::Shape { what: "image", ours: size(ours), reference: size(reference) })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A picture and a worse copy of it, by arithmetic alone, so that scripts can make the same ones.
    pub(crate) fn pictures(width: u32, height: u32) -> (RgbImage, RgbImage) {
        let reference = RgbImage::from_fn(width, height, |x, y| {
            image::Rgb([(x * 7 + y * 3) % 256, (x * x / 5 + y * 2) % 256, (x * 2 + y * y / 3) % 256].map(|v| v as u8))
        });
        let worse = RgbImage::from_fn(width, height, |x, y| {
            let noise = (x * 31 + y * 17) % 23;
            image::Rgb(reference.get_pixel(x, y).0.map(|v| (u32::from(v) * 9 / 10 + noise).min(255) as u8))
        });
        (worse, reference)
    }

    #[test]
    fn latents_against_hand_computed_values() {
        let divergence = step_divergence(2, &[3.0, 5.0], &[3.0, 4.0]).unwrap();
        assert_eq!(divergence.step, 2);
        assert!((divergence.relative_l2 - 0.2).abs() < 1e-12);
        assert!((divergence.cosine - 29.0 / (5.0 * 34f64.sqrt())).abs() < 1e-12);
        assert_eq!(step_divergence(0, &[1.0, -2.0], &[1.0, -2.0]).unwrap().relative_l2, 0.0);
    }

    #[test]
    fn nonsense_is_refused_with_its_place() {
        let said = |ours: &[f32], reference: &[f32]| step_divergence(0, ours, reference).unwrap_err().to_string();
        assert!(said(&[1.0, f32::NAN], &[1.0, 1.0]).contains("our value 1 is NaN"));
        assert!(said(&[1.0], &[1.0, 1.0]).contains("1 values against the reference's 2 values"));
        assert!(said(&[1.0, 1.0], &[0.0, 0.0]).contains("reference's values are all zero"));
    }

    #[test]
    fn nothing_but_zeros_is_as_far_from_the_reference_as_that_is_long() {
        let divergence = step_divergence(0, &[0.0, 0.0], &[3.0, 4.0]).unwrap();
        assert_eq!((divergence.relative_l2, divergence.cosine), (1.0, 0.0));
    }

    #[test]
    fn images_against_scikit_image() {
        // scripts/golden_ssim.py prints these numbers.
        let (worse, reference) = pictures(48, 40);
        let quality = compare_images(&worse, &reference).unwrap();
        let near = |found: f64, want: f64| assert!((found - want).abs() < 1e-6, "{found}, scikit-image says {want}");
        near(quality.psnr_db.unwrap(), GOLDEN_PSNR);
        near(*quality.ssim.value().unwrap(), GOLDEN_SSIM);
        assert!(!quality.identical && quality.note.contains("upscaled"));
        assert!(*quality.ssimulacra2.value().unwrap() < 90.0);
    }
    const GOLDEN_PSNR: f64 = 28.477_283_792_810_706;
    const GOLDEN_SSIM: f64 = 0.893_977_238_969_815_2;

    #[test]
    fn an_image_is_identical_to_itself() {
        let (_, reference) = pictures(33, 21);
        let quality = compare_images(&reference, &reference).unwrap();
        assert!(quality.identical && quality.psnr_db.is_none() && quality.relative_l2 == 0.0);
        assert!((quality.ssim.value().unwrap() - 1.0).abs() < 1e-12);
        assert!((quality.ssimulacra2.value().unwrap() - 100.0).abs() < 1e-6);
        let (_, other) = pictures(32, 21);
        assert!(compare_images(&other, &reference).unwrap_err().to_string().contains("33 wide"));
        let tiny = pictures(4, 4);
        assert!(compare_images(&tiny.0, &tiny.1).unwrap().ssim.why().unwrap().contains("11 pixels"));
    }
}
