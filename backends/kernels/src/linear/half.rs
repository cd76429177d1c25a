//! The product in f16: activations rounded to f16, multiplied and summed in f16 over [`GROUP`] along K, these sums added in f32.
//!
//! **Blocks of 32.** A sum in f16 has 11 bits, so that its error grows with its length: a sum of ones stands still at 2048.
//! Over B steps the error is at most B·2⁻¹¹ of Σ|x·w|, for random numbers some √(B/6)·2⁻¹¹ of the result. 32 is also the length over which
//! quantized weights share a scale: their integers are exact in f16, and the scale is applied to the block's sum, in f32.
//!
//! **Range.** f16 ends at 65504. So each row of x is multiplied with a power of two that brings its largest number, of this block of
//! K, into 4..8, and so is each column of a 16-bit weight for every 32 along K; both are taken back in f32. Then a block's sum is at
//! most 32·8·8 = 2¹¹, with 8-bit weights 32·8·128 = 2¹⁵: nothing overflows that is finite in f32. What is lost is below 2⁻²⁷ of the
//! largest number. A row with an infinity or a NaN keeps it, and gives what is not finite, as it does in f32.

use half::f16;

use super::blocks::PANEL;
use super::driver::{End, Product, Vectors, finish};
use super::int8::Groups;
use super::quantized::{PackedQ4, PackedQ8};
use super::{GROUP, Weight};
use crate::KernelError;
use crate::error::check_len;
use crate::simd::{Format, Simd};
use crate::tile::with_height;

/// Depth of a block of K: 17 KiB of a panel and, of a tile's rows, 12 KiB at most.
const DEPTH: usize = 512;

/// Rows of a tile at most.
const ROWS: usize = 12;

/// A panel's weights of 32 along K: value = f16·scale of the column.
#[repr(C)]
#[derive(Clone, Debug)]
struct Block {
    scales: [f32; PANEL],
    /// Bits of f16.
    values: [[u16; PANEL]; GROUP],
}

impl Block {
    const FLOATS: usize = size_of::<Self>() / size_of::<f32>();
}

/// The power of two that brings numbers, the largest of which is `most`, into 4..8, or as near as floats allow; and its inverse.
fn powers(most: f32) -> (f32, f32) {
    let exponent = (most.to_bits() >> 23).max(3);
    (f32::from_bits((256 - exponent) << 23), f32::from_bits((exponent - 2) << 23))
}

/// The larger of two that are not negative; NaN if one is. As integers they have the same order, and NaN are above infinity.
fn larger(a: f32, b: f32) -> f32 {
    f32::from_bits(a.to_bits().max(b.to_bits()))
}

/// A 16-bit weight `[N, K]` in the layout of [`linear_f16`]: panels of 16 outputs, in blocks of 32 along K; for each output of a
/// block a power of two that is divided out of its values. 17 bits a weight. The layout is the same for every instruction set.
#[derive(Clone, Debug)]
pub struct PackedF16 {
    n: usize,
    k: usize,
    /// `[panel][K / 32]`, both rounded up; what does not exist is 0.
    blocks: Vec<Block>,
}

impl PackedF16 {
    /// Packs W `[n, k]`.
    ///
    /// # Errors
    /// If `weight` does not have n·k elements.
    pub fn pack(weight: &[f16], n: usize, k: usize) -> Result<Self, KernelError> {
        check_len("PackedF16::pack", "weight", weight.len(), n * k)?;
        let groups = k.div_ceil(GROUP);
        let empty = Block { scales: [1.0; PANEL], values: [[0; PANEL]; GROUP] };
        let mut blocks = vec![empty; n.div_ceil(PANEL) * groups];
        if k > 0 {
            for (j, row) in weight.chunks_exact(k).enumerate() {
                for (g, group) in row.chunks(GROUP).enumerate() {
                    let block = &mut blocks[j / PANEL * groups + g];
                    let most = group.iter().fold(0.0, |most, w| larger(most, w.to_f32().abs()));
                    let (power, inverse) = powers(most);
                    block.scales[j % PANEL] = inverse;
                    for (values, w) in block.values.iter_mut().zip(group) {
                        values[j % PANEL] = f16::from_f32(w.to_f32() * power).to_bits();
                    }
                }
            }
        }
        Ok(Self { n, k, blocks })
    }

    /// Number of outputs N.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Number of inputs K.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        size_of_val(self.blocks.as_slice())
    }

    /// The blocks of K from k0, which is a multiple of 32, to k1.
    fn blocks_of(&self, p: usize, k0: usize, k1: usize) -> &[Block] {
        let first = p * self.k.div_ceil(GROUP);
        &self.blocks[first + k0 / GROUP..first + k1.div_ceil(GROUP)]
    }
}

/// A weight that can give its panels as blocks.
trait Halves: Weight {
    /// Whether panels are written to scratch.
    const TO_SCRATCH: bool;
    /// The blocks of K from k0 to k1 of panel `p`, in place or written to `scratch`.
    ///
    /// # Safety
    /// As [`Product::panel`].
    unsafe fn panel<S: Simd>(&self, p: usize, k0: usize, k1: usize, scratch: *mut Block) -> *const Block;
}

impl Weight for PackedF16 {
    fn n(&self) -> usize {
        self.n
    }
    fn k(&self) -> usize {
        self.k
    }
    fn source(&self, p: usize, k0: usize, k1: usize) -> &[u8] {
        let blocks = self.blocks_of(p, k0, k1);
        // SAFETY: a block is numbers without gaps, and numbers are bytes too.
        unsafe { std::slice::from_raw_parts(blocks.as_ptr().cast(), size_of_val(blocks)) }
    }
}

impl Halves for PackedF16 {
    const TO_SCRATCH: bool = false;

    #[inline(always)]
    unsafe fn panel<S: Simd>(&self, p: usize, k0: usize, k1: usize, _scratch: *mut Block) -> *const Block {
        self.blocks_of(p, k0, k1).as_ptr()
    }
}

impl<P: Groups> Halves for P {
    const TO_SCRATCH: bool = true;

    #[inline(always)]
    unsafe fn panel<S: Simd>(&self, p: usize, k0: usize, k1: usize, scratch: *mut Block) -> *const Block {
        let (bytes, per_vector) = (P::Format::BYTES, if P::Format::EIGHT { 4 } else { 8 });
        let (values, scales) = self.groups(p, k0 / GROUP..k1 / GROUP);
        for g in 0..(k1 - k0) / GROUP {
            for first in (0..PANEL).step_by(S::W) {
                // SAFETY: `groups` gave these groups' vectors; scratch has a block for each group.
                unsafe {
                    let block = scratch.add(g);
                    S::store(
                        (&raw mut (*block).scales).cast::<f32>().add(first),
                        S::load_f16(scales.add(g * PANEL + first)),
                    );
                    let out = (&raw mut (*block).values).cast::<u16>().add(first);
                    for j in 0..bytes / 4 {
                        let vector = S::load_d(values.add((g * bytes + 4 * j) * PANEL + 4 * first));
                        for t in 0..per_vector {
                            let q = if P::Format::EIGHT { S::q8_at(vector, t) } else { S::q4_at(vector, t) };
                            S::store_f16(out.add((4 * j + t % 4 + t / 4 * 16) * PANEL), q);
                        }
                    }
                }
            }
        }
        scratch
    }
}

/// A weight with f16 activations. Rows are packed tile by tile: the inverse powers of the rows, then f16, `[k][rows of the tile]`.
struct Half<'a, P>(&'a P);

impl<P: Halves> Product for Half<'_, P> {
    const DEPTH: usize = DEPTH;
    const PACKING: usize = 48;
    const F16: bool = true;

    fn n(&self) -> usize {
        self.0.n()
    }
    fn k(&self) -> usize {
        self.0.k()
    }
    fn height<S: Simd>() -> usize {
        S::MR
    }
    fn row_floats(depth: usize) -> usize {
        1 + depth.div_ceil(2)
    }
    fn panel_floats() -> usize {
        if P::TO_SCRATCH { DEPTH / GROUP * Block::FLOATS } else { 0 }
    }
    fn source(&self, p: usize, k0: usize, k1: usize) -> &[u8] {
        self.0.source(p, k0, k1)
    }
    #[inline(always)]
    unsafe fn panel<S: Simd>(&self, p: usize, k0: usize, k1: usize, scratch: *mut f32) -> *const f32 {
        // SAFETY: the caller's; a block is no more aligned than a float.
        unsafe { self.0.panel::<S>(p, k0, k1, scratch.cast()).cast() }
    }

    #[inline(always)]
    unsafe fn pack<S: Simd>(x: *const f32, k: usize, depth: usize, h: usize, out: *mut f32) {
        let mut by = [1.0f32; ROWS];
        // SAFETY: the caller's; four rows and columns at a time where there are four, then the rest one by one.
        unsafe {
            for (r, by) in by.iter_mut().enumerate().take(h) {
                (*by, *out.add(r)) = powers(largest::<S>(x.add(r * k), depth));
            }
            let out = out.add(h).cast::<u16>();
            let (fours, whole) = (h - h % 4, depth - depth % 4);
            for r in (0..fours).step_by(4) {
                let four = [by[r], by[r + 1], by[r + 2], by[r + 3]];
                let by = [four, four, four, four];
                for i in (0..whole).step_by(4) {
                    let (mut turned, mut halves) = ([0.0f32; 16], [0u16; 16]);
                    let (from, to) = (x.add(r * k + i), turned.as_mut_ptr());
                    let rows = [from, from.add(k), from.add(2 * k), from.add(3 * k)];
                    S::transpose4(rows, [to, to.add(4), to.add(8), to.add(12)]);
                    for at in (0..16).step_by(S::W) {
                        let scaled = S::mul(S::load(to.add(at)), S::load(by.as_ptr().cast::<f32>().add(at)));
                        S::store_f16(halves.as_mut_ptr().add(at), scaled);
                    }
                    for step in 0..4 {
                        halves.as_ptr().add(4 * step).copy_to_nonoverlapping(out.add((i + step) * h + r), 4);
                    }
                }
            }
            for (r, by) in by.into_iter().enumerate().take(h) {
                for i in if r < fours { whole } else { 0 }..depth {
                    *out.add(i * h + r) = f16::from_f32(*x.add(r * k + i) * by).to_bits();
                }
            }
        }
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
        unsafe { with_height!(h, S::MR, S, tile, NV; depth, a, b, c, ldc, end) }
    }
}

/// The largest |x| of `depth` numbers; NaN if one is.
///
/// # Safety
/// As [`Simd`]; x is readable for these.
#[inline(always)]
unsafe fn largest<S: Simd>(x: *const f32, depth: usize) -> f32 {
    let whole = depth - depth % GROUP;
    let mut most = 0.0;
    // SAFETY: the caller's. A loop: the closure of a `fold` is not inlined into code for this instruction set.
    unsafe {
        for i in (0..whole).step_by(GROUP) {
            most = larger(most, S::max_abs(x.add(i)).abs());
        }
        for i in whole..depth {
            most = larger(most, (*x.add(i)).abs());
        }
    }
    most
}

/// One register tile: H rows by NV vectors of columns.
///
/// # Safety
/// As [`Product::tile`].
#[inline(always)]
unsafe fn tile<S: Simd, const H: usize, const NV: usize>(
    depth: usize,
    a: *const f32,
    b: Vectors,
    c: *mut f32,
    ldc: usize,
    end: &End<'_>,
) {
    // SAFETY: the caller's.
    unsafe {
        let (inverse, x) = (a, a.add(H).cast::<u16>());
        let mut acc = [[S::splat(0.0); NV]; H];
        for g in 0..depth.div_ceil(GROUP) {
            let blocks = b.map(|(panel, first)| (panel.cast::<Block>().wrapping_add(g), first));
            let values = |v: usize| (&raw const (*blocks[v].0).values).cast::<u16>().add(blocks[v].1);
            let scales = |v: usize| (&raw const (*blocks[v].0).scales).cast::<f32>().add(blocks[v].1);
            let steps = GROUP.min(depth - g * GROUP);
            let sums = S::sums_f16::<H, NV>(steps, x.add(g * GROUP * H), std::array::from_fn(values), PANEL);
            let scales: [S::V; NV] = std::array::from_fn(|v| S::load(scales(v)));
            for (acc, sums) in acc.iter_mut().zip(sums) {
                for ((acc, sum), scale) in acc.iter_mut().zip(sums).zip(scales) {
                    *acc = S::fma(sum, scale, *acc);
                }
            }
        }
        for (r, acc) in acc.iter_mut().enumerate() {
            let inverse = S::splat(*inverse.add(r));
            for acc in acc {
                *acc = S::mul(*acc, inverse);
            }
        }
        finish::<S, H, NV>(acc, c, ldc, end);
    }
}

linear!(
    /// y = epilogue(x·Wᵀ + bias) with x rounded to f16, products and sums over 32 along K in f16, and the rest in f32.
    /// x `[M, K]`, bias `[N]`, y `[M, N]`.
    ///
    /// # Errors
    /// If a length does not fit, this machine lacks `isa`, or `isa` has no f16 arithmetic ([`Isa::computes_f16`]). With
    /// [`Isa::Scalar`] it computes the same bits up to the epilogue, slowly: for tests.
    ///
    /// [`Isa::computes_f16`]: crate::Isa::computes_f16
    /// [`Isa::Scalar`]: crate::Isa::Scalar
    linear_f16, PackedF16, Half, require_f16
);
linear!(
    /// As [`linear_f16`], with W's integers as f16, unpacked in cache, panel by panel; its scales are applied in f32.
    ///
    /// # Errors
    /// As [`linear_f16`].
    linear_q4_f16, PackedQ4, Half, require_f16
);
linear!(
    /// As [`linear_q4_f16`], for 8 bits.
    ///
    /// # Errors
    /// As [`linear_f16`].
    linear_q8_f16, PackedQ8, Half, require_f16
);
