//! The integer product: activations rounded to int8 in groups of 32, dot products in integers within a group, groups added
//! in f32 with both scales.
//!
//! A task rounds its rows of x into tiles: for each group, the rows' 32 int8, then their scales, then their offsets (the
//! unsigned forms of weights need Σa). A block of a panel is unpacked once for all rows of a task, into what the
//! instructions want, with its scales in f32; it stays in the first-level cache while the tiles read it.

use std::hint::black_box;
use std::marker::PhantomData;
use std::ops::Range;

use super::blocks::PANEL;
use super::driver::{End, Product, Vectors, finish};
use super::{GROUP, Weight};
use crate::simd::{Format, Simd};
use crate::tile::with_height;

/// Depth of a block of K: of a panel 8 to 18 KiB, unpacked.
pub(crate) const DEPTH: usize = 512;

/// Bytes of one group of one row.
const ROW: usize = GROUP + 4 + 4;

/// A weight in groups whose values can be multiplied as integers.
pub(crate) trait Groups: Weight {
    type Format: Format;
    /// Values and scales of groups of a panel; see [`super::quantized`].
    fn groups(&self, panel: usize, groups: Range<usize>) -> (*const u8, *const u16);
}

/// A weight with activations rounded to int8.
pub(super) struct Integer<'a, P>(pub(super) &'a P);

impl<P: Groups> Product for Integer<'_, P> {
    const DEPTH: usize = DEPTH;
    const PACKING: usize = 64;

    fn n(&self) -> usize {
        self.0.n()
    }
    fn k(&self) -> usize {
        self.0.k()
    }
    fn height<S: Simd>() -> usize {
        S::IR
    }
    fn row_floats(depth: usize) -> usize {
        depth / GROUP * ROW / 4
    }
    fn panel_floats() -> usize {
        DEPTH / GROUP * MOST_BYTES / 4
    }
    fn source(&self, p: usize, k0: usize, k1: usize) -> &[u8] {
        self.0.source(p, k0, k1)
    }

    #[inline(always)]
    unsafe fn pack<S: Simd>(x: *const f32, k: usize, depth: usize, h: usize, out: *mut f32) {
        for r in 0..h {
            for g in 0..depth / GROUP {
                // SAFETY: the caller's.
                unsafe {
                    let out = out.cast::<u8>().add(g * h * ROW);
                    let (a, rest) = (out.add(r * GROUP).cast(), out.add(h * GROUP).cast::<f32>());
                    let (scale, sum) = round::<S>(x.add(r * k + g * GROUP), a);
                    *rest.add(r) = scale;
                    *rest.add(h + r).cast::<i32>() = S::offset_factor::<P::Format>() * sum;
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn panel<S: Simd>(&self, p: usize, k0: usize, k1: usize, scratch: *mut f32) -> *const f32 {
        let (values, scales) = self.0.groups(p, k0 / GROUP..k1 / GROUP);
        let layout = Layout::<S, P::Format>::new();
        for g in 0..(k1 - k0) / GROUP {
            for first in (0..PANEL).step_by(S::W) {
                // SAFETY: `groups` gave these groups; scratch has MOST_BYTES for each.
                unsafe {
                    let to = layout.vector(scratch.cast_const().cast::<u8>().add(g * layout.bytes), first);
                    let from = values.add(g * PANEL * P::Format::BYTES + 4 * first);
                    S::unpack::<P::Format>(from, to.values.cast_mut(), layout.stride, to.start.cast_mut());
                    S::store(to.scales.cast_mut(), S::load_f16(scales.add(g * PANEL + first)));
                }
            }
        }
        scratch
    }

    #[inline(always)]
    unsafe fn tile<S: Simd, const NV: usize>(
        h: usize,
        depth: usize,
        a: *const f32,
        b: Vectors,
        c: *mut f32,
        ldc: usize,
        end: &End<'_>,
    ) {
        // SAFETY: the caller's.
        unsafe { with_height!(h, S::IR, S, tile, NV, P; depth, a, b, c, ldc, end) }
    }
}

/// Rounds a group; gives its scale and the sum of the integers.
///
/// # Safety
/// As [`crate::simd::Kernel::run`]; x is readable and `out` writable for 32 elements.
#[inline(always)]
unsafe fn round<S: Simd>(x: *const f32, out: *mut i8) -> (f32, i32) {
    // SAFETY: the caller's.
    unsafe {
        // A NaN or an infinity, which integers cannot carry, makes the scale one.
        let max = S::max_abs(x);
        // Of zero and of the smallest maxima, below 127/f32::MAX, this is infinite: such a group is zero.
        let inverse = 127.0 / max;
        let inverse = if inverse < f32::INFINITY { inverse } else { 0.0 };
        (max * (1.0 / 127.0), S::round_group(x, inverse, out))
    }
}

/// Where things are in an unpacked group of a panel: eight times the values of 4 along K, in vectors of columns; the scales; for
/// 8 bits, what [`Simd::unpack`] calls `start`.
struct Layout<S, F> {
    /// From one 4 along K to the next.
    stride: usize,
    /// Of the group.
    bytes: usize,
    of: PhantomData<(S, F)>,
}

/// Of any instruction set and format: AVX2 with 8 bits.
const MOST_BYTES: usize = 8 * 8 * PANEL + 2 * 4 * PANEL;

/// Operands of a vector of columns.
struct Vector {
    values: *const u8,
    scales: *const f32,
    start: *const i32,
}

impl<S: Simd, F: Format> Layout<S, F> {
    #[inline(always)]
    fn new() -> Self {
        let stride = PANEL / S::W * S::unpacked::<F>();
        let starts = if F::EIGHT { 4 * PANEL } else { 0 };
        Self { stride, bytes: 8 * stride + 4 * PANEL + starts, of: PhantomData }
    }

    /// Of the columns from `first` on in the group at `group`.
    #[inline(always)]
    fn vector(&self, group: *const u8, first: usize) -> Vector {
        let scales = group.wrapping_add(8 * self.stride + 4 * first);
        let values = group.wrapping_add(first / S::W * S::unpacked::<F>());
        Vector { values, scales: scales.cast(), start: scales.wrapping_add(4 * PANEL).cast() }
    }
}

/// One register tile: H rows by NV vectors of columns.
///
/// # Safety
/// As [`Product::tile`].
#[inline(always)]
unsafe fn tile<S: Simd, const H: usize, const NV: usize, P: Groups>(
    depth: usize,
    a: *const f32,
    b: Vectors,
    c: *mut f32,
    ldc: usize,
    end: &End<'_>,
) {
    // SAFETY: the caller's.
    unsafe {
        let layout = Layout::<S, P::Format>::new();
        // Opaque, for a loop that stays one: unrolled, the compiler loads the operands of many steps first, for which there are
        // no registers.
        let steps = black_box(GROUP / 4);
        let mut acc = [[S::splat(0.0); NV]; H];
        for g in 0..depth / GROUP {
            let a = a.cast::<u8>().add(g * H * ROW);
            let (scales, offsets) = (a.add(H * GROUP).cast::<f32>(), a.add(H * GROUP).cast::<i32>().add(H));
            let b = b.map(|(panel, first)| layout.vector(panel.cast::<u8>().wrapping_add(g * layout.bytes), first));
            let mut sums: [[S::D; NV]; H] =
                std::array::from_fn(|r| std::array::from_fn(|v| S::begin::<P::Format>(offsets.add(r), b[v].start)));
            for j in 0..steps {
                let w: [S::I; NV] = std::array::from_fn(|v| S::load_i::<P::Format>(b[v].values.add(j * layout.stride)));
                for (r, sums) in sums.iter_mut().enumerate() {
                    let a = S::splat_d(a.cast::<i8>().add(r * GROUP + 4 * j));
                    for (sum, w) in sums.iter_mut().zip(w) {
                        *sum = S::step::<P::Format>(*sum, w, a);
                    }
                }
            }
            let d: [S::V; NV] = std::array::from_fn(|v| S::load(b[v].scales));
            for (r, (acc, sums)) in acc.iter_mut().zip(sums).enumerate() {
                let scale = S::splat(*scales.add(r));
                for (v, (acc, sum)) in acc.iter_mut().zip(sums).enumerate() {
                    *acc = S::fma(S::end::<P::Format>(sum, offsets.add(r)), S::mul(d[v], scale), *acc);
                }
            }
        }
        finish::<S, H, NV>(acc, c, ldc, end);
    }
}

/// The tile of full height alone, over and over, its operands in the first-level cache: no product of this weight can be faster
/// with these instructions. Gives how many multiplications and additions it did.
///
/// # Safety
/// As [`crate::simd::Kernel::run`]; the weight has at least two panels and a K of [`DEPTH`].
#[inline(always)]
pub(crate) unsafe fn tiles_alone<S: Simd, P: Groups>(weight: &P, rounds: usize) -> usize {
    let (h, depth) = (S::IR, DEPTH);
    let x = black_box(vec![0.5f32; h * depth]);
    let panel = Integer::<P>::panel_floats();
    let mut packed = vec![0.0f32; h * Integer::<P>::row_floats(depth)];
    let mut unpacked = vec![0.0f32; 2 * panel];
    let mut c = vec![0.0f32; h * 2 * S::W];
    // SAFETY: the buffers are as long as the product says.
    unsafe {
        let weight = Integer(weight);
        Integer::<P>::pack::<S>(x.as_ptr(), depth, depth, h, packed.as_mut_ptr());
        let unpacked = unpacked.as_mut_ptr();
        let at = |p: usize| weight.panel::<S>(p, 0, depth, unpacked.add(p * panel));
        let panels = [at(0), at(1)];
        let b = [0, S::W].map(|column| (panels[column / PANEL], column % PANEL));
        let end = End { columns: 2 * S::W, bias: None, first: true, epilogue: super::Epilogue::None };
        for _ in 0..rounds {
            Integer::<P>::tile::<S, 2>(h, depth, black_box(packed.as_ptr()), b, c.as_mut_ptr(), 2 * S::W, &end);
        }
        black_box(&c);
    }
    2 * rounds * h * 2 * S::W * depth
}
