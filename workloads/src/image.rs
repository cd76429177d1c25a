//! Images: their size, and from a decoder's output to pixels.

use ::image::RgbImage;
use serde::{Deserialize, Serialize};

/// Height and width of the image in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ImageSize {
    /// Rows of pixels.
    pub height: usize,
    /// Columns of pixels.
    pub width: usize,
}

/// An image that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {why}", path.display())]
pub struct ImageError {
    /// The file.
    pub path: std::path::PathBuf,
    /// What the system says.
    pub why: String,
}

/// `[3, H, W]` in 0..1 to 8-bit RGB: clamped, rounded to the nearest. What is not a number becomes 0.
pub fn to_rgb(values: &[f32], size: ImageSize) -> RgbImage {
    let plane = size.height * size.width;
    let byte = |v: f32| (v.clamp(0.0, 1.0) * 255.0).round() as u8;
    RgbImage::from_fn(size.width as u32, size.height as u32, |x, y| {
        let at = y as usize * size.width + x as usize;
        ::image::Rgb(std::array::from_fn(|channel| values.get(channel * plane + at).map_or(0, |&v| byte(v))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_become_pixels() {
        let size = ImageSize { height: 1, width: 2 };
        let image = to_rgb(&[0.0, 1.0, 0.5, -3.0, 2.0, f32::NAN], size);
        assert_eq!(image.get_pixel(0, 0).0, [0, 128, 255]);
        assert_eq!(image.get_pixel(1, 0).0, [255, 0, 0]);
    }
}
