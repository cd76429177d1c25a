//! SSIMULACRA2, by the `ssimulacra2` crate; small pictures are enlarged first, and the record says so.

use image::RgbImage;
use ssimulacra2::{ColorPrimaries, Rgb, TransferCharacteristic, compute_frame_ssimulacra2};

use crate::record::Reading;

/// Pictures with a side below this many pixels are enlarged: the metric looks at six scales, each half the one before.
pub const SMALL: u32 = 256;
/// By how much, with nearest neighbour.
pub const UPSCALE: u32 = 4;

/// The SSIMULACRA2 score (100 identical, 90 hard to tell apart, 70 visible, 50 and less plainly worse), and how the
/// pictures were fed to it (empty: as they are). Pixels are taken as sRGB.
pub fn ssimulacra2(ours: &RgbImage, reference: &RgbImage) -> (Reading<f64>, String) {
    let small = reference.width().min(reference.height()) < SMALL;
    let factor = if small { UPSCALE } else { 1 };
    let note = if small {
        format!("SSIMULACRA2 on pictures upscaled {UPSCALE}× by nearest neighbour")
    } else {
        String::new()
    };
    let frame = |image: &RgbImage| {
        let (width, height) = (image.width() * factor, image.height() * factor);
        let pixels = (0..height)
            .flat_map(|y| (0..width).map(move |x| (x / factor, y / factor)))
            .map(|(x, y)| image.get_pixel(x, y).0.map(|value| f32::from(value) / 255.0))
            .collect();
        Rgb::new(pixels, width as usize, height as usize, TransferCharacteristic::SRGB, ColorPrimaries::BT709)
    };
    let score = frame(reference)
        .and_then(|reference| frame(ours).map(|ours| (reference, ours)))
        .map_err(|error| error.to_string())
        .and_then(|(reference, ours)| compute_frame_ssimulacra2(reference, ours).map_err(|error| error.to_string()));
    match score {
        Ok(score) => (Reading::Ok(score), note),
        Err(why) => (Reading::absent(format!("SSIMULACRA2: {why}")), note),
    }
}
