//! Images: their size, and from a decoder's output to pixels.

use std::path::Path;

use ::image::codecs::jpeg::JpegEncoder;
use ::image::{ImageFormat, RgbImage};
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

/// As what a file is written, by its name: JPEG for `.jpg` and `.jpeg`, PNG for `.png` and without an extension.
///
/// # Errors
/// Another extension: the file would not be what its name says.
pub fn image_format(path: &Path) -> Result<ImageFormat, &'static str> {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    match extension.as_deref() {
        None | Some("png") => Ok(ImageFormat::Png),
        Some("jpg" | "jpeg") => Ok(ImageFormat::Jpeg),
        Some(_) => Err("images are written as .png or .jpg: choose such a name"),
    }
}

/// Quality of JPEG files, of 100: differences that are hard to see.
const QUALITY: u8 = 95;

/// Writes an image as its file's name says.
///
/// # Errors
/// As [`image_format`]; the file cannot be written.
pub fn save(image: &RgbImage, path: &Path) -> Result<(), ImageError> {
    let fail = |why: String| ImageError { path: path.to_owned(), why };
    match image_format(path).map_err(|why| fail(why.to_owned()))? {
        ImageFormat::Jpeg => {
            let mut bytes = Vec::new();
            let encoder = JpegEncoder::new_with_quality(&mut bytes, QUALITY);
            image.write_with_encoder(encoder).map_err(|error| fail(error.to_string()))?;
            std::fs::write(path, bytes).map_err(|error| fail(error.to_string()))
        }
        format => image.save_with_format(path, format).map_err(|error| fail(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_its_name_says() {
        let folder = tempfile::tempdir().unwrap();
        let image = RgbImage::from_pixel(16, 16, ::image::Rgb([200, 100, 50]));
        for (name, magic) in
            [("a.png", &b"\x89PNG"[..]), ("a", b"\x89PNG"), ("a.jpg", b"\xff\xd8\xff"), ("b.JPEG", b"\xff\xd8\xff")]
        {
            let path = folder.path().join(name);
            save(&image, &path).unwrap();
            assert!(std::fs::read(&path).unwrap().starts_with(magic), "{name}");
            let back = ::image::load_from_memory(&std::fs::read(&path).unwrap()).unwrap().into_rgb8();
            assert!(back.get_pixel(8, 8).0.iter().zip([200, 100, 50]).all(|(a, b)| a.abs_diff(b) <= 3), "{name}");
        }
        let error = save(&image, &folder.path().join("a.webp")).unwrap_err().to_string();
        assert!(error.contains("a.webp") && error.contains(".png or .jpg"), "{error}");
        assert!(!folder.path().join("a.webp").exists());
    }

    #[test]
    fn planes_become_pixels() {
        let size = ImageSize { height: 1, width: 2 };
        let image = to_rgb(&[0.0, 1.0, 0.5, -3.0, 2.0, f32::NAN], size);
        assert_eq!(image.get_pixel(0, 0).0, [0, 128, 255]);
        assert_eq!(image.get_pixel(1, 0).0, [255, 0, 0]);
    }
}
