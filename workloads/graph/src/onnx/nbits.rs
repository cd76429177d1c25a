//! Quantized weights as `MatMulNBits` wants them.

use crate::weights::{Q4_GROUP_BYTES, Q8_GROUP_BYTES, WeightData};

/// What `MatMulNBits` wants of a matrix `[N, K]`: its integers `[N, K/32, bytes of a group]` and one scale a group.
pub(super) struct NBits {
    pub(super) bits: usize,
    pub(super) integers: Vec<u8>,
    pub(super) scales: Vec<f32>,
}

impl NBits {
    /// `None` for formats that `MatMulNBits` cannot hold.
    pub(super) fn of(data: &WeightData<'_>) -> Option<Self> {
        let scale = |group: &[u8]| half::f16::from_le_bytes([group[0], group[1]]).to_f32();
        match data {
            WeightData::Q4(groups) => {
                // Stored: byte i holds elements i and i + 16. Wanted: byte i holds elements 2i (low half) and 2i + 1.
                let q = |group: &[u8], i: usize| if i < 16 { group[2 + i] & 15 } else { group[2 + i - 16] >> 4 };
                let groups = groups.chunks_exact(Q4_GROUP_BYTES);
                let scales = groups.clone().map(scale).collect();
                let integers =
                    groups.flat_map(|group| (0..16).map(move |i| q(group, 2 * i) | q(group, 2 * i + 1) << 4)).collect();
                Some(Self { bits: 4, integers, scales })
            }
            WeightData::Q8(groups) => {
                // Stored: signed. Wanted: unsigned, around the default zero point of 128.
                let groups = groups.chunks_exact(Q8_GROUP_BYTES);
                let scales = groups.clone().map(scale).collect();
                let integers = groups.flat_map(|group| group[2..].iter().map(|q| q ^ 0x80)).collect();
                Some(Self { bits: 8, integers, scales })
            }
            _ => None,
        }
    }
}
