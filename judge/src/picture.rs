//! From a picture to what the judge is fed.

use image::RgbImage;

use super::SIDE;
use ditbench_graph::Tensor;
use ditbench_graph::tensor::TensorError;

/// Enlarges (or shrinks) a picture to 224 × 224, bilinear between pixel centres without smoothing, and maps 0..255 to −1..1:
/// `torch.nn.functional.interpolate(x, (224, 224), mode="bilinear", align_corners=False)`, then (x − 0.5)/0.5, which is what
/// the network was trained with. `[1, 3, 224, 224]`.
///
/// # Errors
/// A fault of this file.
pub fn to_input(picture: &RgbImage) -> Result<Tensor, TensorError> {
    let (columns, rows) = (taps(picture.width()), taps(picture.height()));
    let mut data = vec![0f32; 3 * SIDE * SIDE];
    for channel in 0..3 {
        let plane = &mut data[channel * SIDE * SIDE..][..SIDE * SIDE];
        let at = |x: u32, y: u32| f32::from(picture.get_pixel(x, y).0[channel]) / 255.0;
        for (line, row) in plane.chunks_exact_mut(SIDE).zip(&rows) {
            for (out, column) in line.iter_mut().zip(&columns) {
                let along = |y: u32| (1.0 - column.share) * at(column.first, y) + column.share * at(column.second, y);
                let value = (1.0 - row.share) * along(row.first) + row.share * along(row.second);
                *out = (value - 0.5) / 0.5;
            }
        }
    }
    Tensor::f32([1, 3, SIDE, SIDE], data)
}

/// Two neighbours and the share of the second.
struct Tap {
    first: u32,
    second: u32,
    share: f32,
}

fn taps(size: u32) -> Vec<Tap> {
    let scale = f64::from(size) / SIDE as f64;
    let tap = |index: usize| {
        let centre = ((index as f64 + 0.5) * scale - 0.5).max(0.0);
        let first = (centre as u32).min(size - 1);
        Tap { first, second: (first + 1).min(size - 1), share: (centre - f64::from(first)) as f32 }
    };
    (0..SIDE).map(tap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_fed_the_pictures_own_pixels_where_the_sizes_agree_and_means_between_them_else() {
        let whole = RgbImage::from_fn(224, 224, |x, y| image::Rgb([x as u8, y as u8, 255]));
        let tensor = to_input(&whole).unwrap();
        let data = tensor.as_f32().unwrap();
        for (x, y) in [(0, 0), (7, 200), (223, 223)] {
            assert_eq!(data[y * SIDE + x], (x as f32 / 255.0 - 0.5) / 0.5);
            assert_eq!(data[2 * SIDE * SIDE + y * SIDE + x], 1.0);
        }
        // 112 columns, black then white: output column 1 lies a quarter of the way from the first to the second.
        let stripes = RgbImage::from_fn(112, 112, |x, _| image::Rgb([if x % 2 == 1 { 255 } else { 0 }; 3]));
        let tensor = to_input(&stripes).unwrap();
        let row: Vec<f32> = tensor.as_f32().unwrap()[..4].iter().map(|v| v * 0.5 + 0.5).collect();
        assert_eq!(row, [0.0, 0.25, 0.75, 0.75]);
    }
}
