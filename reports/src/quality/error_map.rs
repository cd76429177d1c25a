//! A picture of where two images differ.

use image::{Rgb, RgbImage};
use plotters::style::colors::colormaps::{ColorMap, ViridisRGB};

use super::{QualityError, same_size};

/// Levels of difference (of 255) that are drawn in the brightest colour; fixed, so that maps can be compared by eye.
pub const FULL_SCALE: u8 = 64;

/// The largest difference of the three channels at each pixel, from dark violet (none) to yellow ([`FULL_SCALE`] and more).
///
/// # Errors
/// They differ in size.
pub fn error_map(ours: &RgbImage, reference: &RgbImage) -> Result<RgbImage, QualityError> {
    same_size(ours, reference)?;
    Ok(RgbImage::from_fn(reference.width(), reference.height(), |x, y| {
        let (a, b) = (ours.get_pixel(x, y), reference.get_pixel(x, y));
        let largest = a.0.iter().zip(b.0).map(|(&a, b)| a.abs_diff(b)).max().unwrap_or(0);
        let colour = ViridisRGB.get_color(f32::from(largest.min(FULL_SCALE)) / f32::from(FULL_SCALE));
        Rgb([colour.0, colour.1, colour.2])
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_lights_up() {
        let reference = RgbImage::from_pixel(3, 2, Rgb([100, 100, 100]));
        let mut ours = reference.clone();
        ours.put_pixel(2, 1, Rgb([100, 100 + FULL_SCALE, 100]));
        let map = error_map(&ours, &reference).unwrap();
        let (none, full) = (*map.get_pixel(0, 0), *map.get_pixel(2, 1));
        assert!(map.enumerate_pixels().all(|(x, y, p)| *p == if (x, y) == (2, 1) { full } else { none }));
        assert!(full.0[0] > 200 && full.0[1] > 200 && none.0[0] < 100);
    }
}
