//! Quantizers: f32 values to the few-bit formats that all backends share.

use half::f16;
use rayon::prelude::*;

use super::{Format, GROUP, Q4_GROUP_BYTES, Q8_GROUP_BYTES};

/// A value that no format can hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantizeError {
    /// NaN or infinite, or too large for an f16 scale.
    #[error("element {index} is {value}, which cannot be stored in this precision; check the checkpoint")]
    Value {
        /// Position, row-major.
        index: usize,
        /// The value, as text.
        value: String,
    },
    /// The rows cannot be cut into groups.
    #[error("rows of {k} elements cannot be cut into groups of {GROUP}")]
    Groups {
        /// Elements of a row.
        k: usize,
    },
}

fn check(values: &[f32], k: usize, largest: f32) -> Result<(), QuantizeError> {
    if k == 0 || !k.is_multiple_of(GROUP) {
        return Err(QuantizeError::Groups { k });
    }
    check_values(values, largest)
}

/// Whether all values can be stored: in 16 bits a value, in 32 bits only what is finite; see [`q4`] and [`q8`] for theirs.
///
/// # Errors
/// The first value that is not finite or too large, or rows of `k` that cannot be cut into groups.
pub fn check_storable(values: &[f32], k: usize, format: Format) -> Result<(), QuantizeError> {
    match format {
        Format::F32 | Format::Palette4 => check_values(values, f32::MAX),
        Format::F16 => check_values(values, f16::MAX.to_f32()),
        Format::Q4 => check(values, k, 8.0 * f16::MAX.to_f32()),
        Format::Q8 => check(values, k, 127.0 * f16::MAX.to_f32()),
    }
}

/// 16-bit floats, rounded to the nearest: little-endian.
///
/// # Errors
/// A value that is not finite or larger than 65504, which 16 bits would make infinite.
pub fn f16(values: &[f32]) -> Result<Vec<u8>, QuantizeError> {
    check_storable(values, 1, Format::F16)?;
    Ok(values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect())
}

fn check_values(values: &[f32], largest: f32) -> Result<(), QuantizeError> {
    match values.iter().position(|v| !v.is_finite() || v.abs() > largest) {
        Some(index) => Err(QuantizeError::Value { index, value: values[index].to_string() }),
        None => Ok(()),
    }
}

/// Rows of `k` to `q4` groups: scale = (the element largest in magnitude)/−8, rounded to f16 *before* the integers are
/// found, so that every backend that multiplies by that f16 has the nearest integers. `[n, k]` → n·k/32 groups of 18 bytes.
///
/// # Errors
/// `k` is no multiple of 32; a value is not finite or its scale overflows f16.
pub fn q4(values: &[f32], k: usize) -> Result<Vec<u8>, QuantizeError> {
    check_storable(values, k, Format::Q4)?;
    let mut out = vec![0u8; values.len() / GROUP * Q4_GROUP_BYTES];
    out.par_chunks_mut(Q4_GROUP_BYTES).zip(values.par_chunks(GROUP)).with_min_len(256).for_each(|(out, group)| {
        let largest = group.iter().copied().fold(0.0f32, |best, v| if v.abs() > best.abs() { v } else { best });
        let scale = f16::from_f32(largest / -8.0);
        let inverse = inverse(scale);
        let q = |v: f32| ((v * inverse).round_ties_even().clamp(-8.0, 7.0) + 8.0) as u8;
        out[..2].copy_from_slice(&scale.to_le_bytes());
        for i in 0..GROUP / 2 {
            out[2 + i] = q(group[i]) | q(group[i + GROUP / 2]) << 4;
        }
    });
    Ok(out)
}

/// Rows of `k` to `q8` groups: scale = max|w|/127 in f16. `[n, k]` → n·k/32 groups of 34 bytes.
///
/// # Errors
/// As [`q4`].
pub fn q8(values: &[f32], k: usize) -> Result<Vec<u8>, QuantizeError> {
    check_storable(values, k, Format::Q8)?;
    let mut out = vec![0u8; values.len() / GROUP * Q8_GROUP_BYTES];
    out.par_chunks_mut(Q8_GROUP_BYTES).zip(values.par_chunks(GROUP)).with_min_len(256).for_each(|(out, group)| {
        let largest = group.iter().fold(0.0f32, |best, v| best.max(v.abs()));
        let scale = f16::from_f32(largest / 127.0);
        let inverse = inverse(scale);
        out[..2].copy_from_slice(&scale.to_le_bytes());
        for (out, &v) in out[2..].iter_mut().zip(group) {
            *out = ((v * inverse).round_ties_even().clamp(-127.0, 127.0) as i8).cast_unsigned();
        }
    });
    Ok(out)
}

/// 1/scale, or 0 for a group of zeros (or one whose scale is below f16's smallest).
fn inverse(scale: f16) -> f32 {
    if scale == f16::ZERO { 0.0 } else { 1.0 / scale.to_f32() }
}

/// 16 centroids by k-means in one dimension, and two 4-bit indices a byte.
///
/// Lloyd's algorithm from evenly spaced quantiles, on a histogram of 4096 bins where there are more values than that:
/// the same result on every machine.
///
/// # Errors
/// A value that is not finite.
pub fn palette4(values: &[f32]) -> Result<([f32; 16], Vec<u8>), QuantizeError> {
    check_storable(values, 1, Format::Palette4)?;
    let bins = histogram(values);
    let total: f64 = bins.iter().map(|(_, weight)| weight).sum();
    let mut centroids = [0.0f64; 16];
    let (mut seen, mut next) = (0.0, 0);
    for &(value, weight) in &bins {
        seen += weight;
        while next < 16 && seen >= total * (next as f64 + 0.5) / 16.0 {
            centroids[next] = value;
            next += 1;
        }
    }
    for _ in 0..50 {
        let mut sums = [(0.0f64, 0.0f64); 16];
        for &(value, weight) in &bins {
            let sum = &mut sums[nearest(&centroids, value)];
            *sum = (sum.0 + value * weight, sum.1 + weight);
        }
        let moved = std::array::from_fn(|i| if sums[i].1 > 0.0 { sums[i].0 / sums[i].1 } else { centroids[i] });
        if moved == centroids {
            break;
        }
        centroids = moved;
        centroids.sort_by(f64::total_cmp);
    }
    let mut indices = vec![0u8; values.len().div_ceil(2)];
    indices.par_iter_mut().zip(values.par_chunks(2)).with_min_len(4096).for_each(|(byte, pair)| {
        let index = |v: f32| nearest(&centroids, f64::from(v)) as u8;
        *byte = index(pair[0]) | pair.get(1).map_or(0, |&v| index(v) << 4);
    });
    Ok((centroids.map(|c| c as f32), indices))
}

/// Values and how often each occurs: exact for few values, 4096 equal bins (each at its mean) for many.
fn histogram(values: &[f32]) -> Vec<(f64, f64)> {
    const BINS: usize = 4096;
    if values.len() <= BINS {
        let mut sorted: Vec<f64> = values.iter().map(|&v| f64::from(v)).collect();
        sorted.sort_by(f64::total_cmp);
        return sorted.into_iter().map(|v| (v, 1.0)).collect();
    }
    let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(l, h), &v| (l.min(f64::from(v)), h.max(f64::from(v))));
    let width = ((high - low) / BINS as f64).max(f64::MIN_POSITIVE);
    let mut bins = vec![(0.0f64, 0.0f64); BINS];
    for &v in values {
        let v = f64::from(v);
        let bin = &mut bins[(((v - low) / width) as usize).min(BINS - 1)];
        *bin = (bin.0 + v, bin.1 + 1.0);
    }
    bins.into_iter().filter(|(_, n)| *n > 0.0).map(|(sum, n)| (sum / n, n)).collect()
}

/// Index of the centroid (sorted ascending) nearest to a value.
fn nearest(centroids: &[f64; 16], value: f64) -> usize {
    let above = centroids.partition_point(|&c| c < value);
    if above == 0 {
        return 0;
    }
    if above == 16 || value - centroids[above - 1] <= centroids[above] - value { above - 1 } else { above }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::weights::{WeightData, WeightTensor};

    fn unpack(shape: &[usize], data: WeightData<'static>) -> Vec<f32> {
        WeightTensor { shape: shape.to_vec(), data }.to_f32().into_owned()
    }

    fn q4_values(values: &[f32]) -> Vec<f32> {
        unpack(&[1, values.len()], WeightData::Q4(q4(values, values.len()).unwrap().into()))
    }

    fn q8_values(values: &[f32]) -> Vec<f32> {
        unpack(&[1, values.len()], WeightData::Q8(q8(values, values.len()).unwrap().into()))
    }

    proptest! {
        #[test]
        fn errors_are_bounded_by_the_scale(values in proptest::collection::vec(-4.0f32..4.0, 64)) {
            for (group, back) in values.chunks(GROUP).zip(q4_values(&values).chunks(GROUP)) {
                let scale = group.iter().fold(0.0f32, |m, v| m.max(v.abs())) / 8.0;
                for (v, b) in group.iter().zip(back) {
                    // Half a step; a whole one at the end that has no +8; and the scale's own rounding to f16.
                    prop_assert!((v - b).abs() <= scale * 1.01 + 1e-6, "{} {} {}", v, b, scale);
                }
            }
            for (group, back) in values.chunks(GROUP).zip(q8_values(&values).chunks(GROUP)) {
                let scale = group.iter().fold(0.0f32, |m, v| m.max(v.abs())) / 127.0;
                for (v, b) in group.iter().zip(back) {
                    prop_assert!((v - b).abs() <= scale * 0.6 + 1e-6, "{} {} {}", v, b, scale);
                }
            }
        }

        #[test]
        fn quantizing_twice_changes_nothing(values in proptest::collection::vec(-4.0f32..4.0, 32)) {
            let once = q4_values(&values);
            prop_assert_eq!(&q4_values(&once), &once);
        }

        #[test]
        fn what_cannot_be_held_is_refused(index in 0usize..32, bad in prop_oneof![Just(f32::NAN), Just(f32::INFINITY), Just(1e9f32)]) {
            let mut values = vec![1.0; 32];
            values[index] = bad;
            let refused = |error| matches!(error, Err(QuantizeError::Value { index: i, .. }) if i == index);
            prop_assert!(refused(q4(&values, 32)) && refused(q8(&values, 32)) && refused(f16(&values)));
            prop_assert_eq!(refused(palette4(&values).map(|(_, indices)| indices)), !bad.is_finite());
        }
    }

    #[test]
    fn a_group_is_these_bytes() {
        // −8·0.5 … +7·0.5, twice: the element of largest magnitude is −4, so the scale is 0.5 (f16 0x3800) and q runs 0 … 15.
        let values: Vec<f32> = (0..32).map(|i| (i % 16) as f32 * 0.5 - 4.0).collect();
        let wanted: Vec<u8> = [0x00, 0x38].into_iter().chain((0..16).map(|q| q << 4 | q)).collect();
        assert_eq!(q4(&values, 32).unwrap(), wanted);
        // 127 levels of 1/127·127: the scale is 1 (f16 0x3c00), and the integers are the values.
        let values: Vec<f32> = (0..32).map(|i| 127.0 - 8.0 * i as f32).collect();
        let integers = values.iter().map(|&v| (v as i8).cast_unsigned());
        assert_eq!(q8(&values, 32).unwrap(), [0x00, 0x3c].into_iter().chain(integers).collect::<Vec<u8>>());
    }

    #[test]
    fn the_largest_that_a_scale_can_hold_come_back() {
        let largest = 65504.0f32 * 8.0;
        assert_eq!(q4_values(&[-largest; 32]), [-largest; 32]);
        assert_eq!(q8_values(&[65504.0 * 127.0; 32]), [65504.0 * 127.0; 32]);
    }

    #[test]
    fn groups_of_zeros_and_of_tiny_values_come_back_as_zeros() {
        for value in [0.0, 1e-30, -0.0] {
            assert!(q4_values(&[value; 32]).iter().chain(&q8_values(&[value; 32])).all(|v| *v == 0.0));
        }
        assert_eq!(q4(&[0.0; 33], 33), Err(QuantizeError::Groups { k: 33 }));
    }

    #[test]
    fn a_palette_of_sixteen_values_is_exact() {
        let values: Vec<f32> = (0..1000).map(|i| [-3.0, -1.5, 0.0, 0.25, 8.0][i % 5]).collect();
        let (centroids, indices) = palette4(&values).unwrap();
        assert_eq!(unpack(&[1000], WeightData::Palette4 { centroids, indices: indices.into() }), values);
    }

    #[test]
    fn a_palette_beats_evenly_spaced_levels_on_normals() {
        let values = crate::weights::init::normal("p", 1, 50_001, 0.0, 1.0);
        let (centroids, indices) = palette4(&values).unwrap();
        let back = unpack(&[50_001], WeightData::Palette4 { centroids, indices: indices.into() });
        let error: f64 = values.iter().zip(&back).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / 50_001.0;
        // The best 16-level quantizer of a standard normal has error 0.009497 (Max 1960).
        assert!(error < 0.0098, "{error}");
    }
}
