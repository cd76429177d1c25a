//! NEON on f16: conversions, which every aarch64 has, and arithmetic (FEAT_FP16). Written as assembly because the intrinsics are
//! unstable; f16 are held as their bits.
#![allow(clippy::undocumented_unsafe_blocks, unsafe_op_in_unsafe_fn)] // see the contract in mod.rs

use std::arch::aarch64::*;
use std::arch::asm;

/// Rows of a tile at most.
const ROWS: usize = 12;

/// To f32.
#[inline(always)]
pub(super) unsafe fn widen(halves: uint16x4_t) -> float32x4_t {
    let wide;
    asm!("fcvtl {o:v}.4s, {i:v}.4h", o = lateout(vreg) wide, i = in(vreg) halves, options(pure, nomem, nostack));
    wide
}

/// The upper four to f32.
#[inline(always)]
pub(super) unsafe fn widen_high(halves: uint16x8_t) -> float32x4_t {
    let wide;
    asm!("fcvtl2 {o:v}.4s, {i:v}.8h", o = lateout(vreg) wide, i = in(vreg) halves, options(pure, nomem, nostack));
    wide
}

/// To the nearest f16, ties to even.
#[inline(always)]
pub(super) unsafe fn narrow(wide: float32x4_t) -> uint16x4_t {
    let halves;
    asm!("fcvtn {o:v}.4h, {i:v}.4s", o = lateout(vreg) halves, i = in(vreg) wide, options(pure, nomem, nostack));
    halves
}

/// sum + w·x\[LANE\], rounded once. The instruction takes x from one of the lower registers.
#[inline(always)]
unsafe fn multiply_add<const LANE: usize>(mut sum: uint16x8_t, w: uint16x8_t, x: uint16x8_t) -> uint16x8_t {
    asm!(
        ".arch_extension fp16",
        "fmla {s:v}.8h, {w:v}.8h, {x:v}.h[{lane}]",
        s = inout(vreg) sum, w = in(vreg) w, x = in(vreg_low16) x, lane = const LANE,
        options(pure, nomem, nostack)
    );
    sum
}

/// A step's H ≤ 12 numbers of the rows, eight to a vector.
#[inline(always)]
unsafe fn rows<const H: usize>(p: *const u16) -> [uint16x8_t; 2] {
    let none = vdupq_n_u16(0);
    match H {
        12 => [vld1q_u16(p), vcombine_u16(vld1_u16(p.add(8)), vdup_n_u16(0))],
        8 => [vld1q_u16(p), none],
        4 => [vcombine_u16(vld1_u16(p), vdup_n_u16(0)), none],
        2 => [vreinterpretq_u16_u32(vdupq_n_u32(p.cast::<u32>().read_unaligned())), none],
        1 => [vdupq_n_u16(*p), none],
        _ => unreachable!(),
    }
}

/// As [`Simd::sums_f16`](super::Simd::sums_f16), for eight columns; of the rows from H on, nothing.
#[inline(always)]
pub(super) unsafe fn sums<const H: usize>(
    steps: usize,
    a: *const u16,
    b: *const u16,
    stride: usize,
) -> [uint16x8_t; ROWS] {
    /// Steps that are written out.
    const UNROLL: usize = 4;
    let mut sums = [vdupq_n_u16(0); ROWS];
    let mut step = |step: usize| {
        let (w, x) = (vld1q_u16(b.add(step * stride)), rows::<H>(a.add(step * H)));
        // A lane is part of the instruction, so a loop cannot count it.
        macro_rules! row {
            ($($r:literal)*) => { $(if $r < H { sums[$r] = multiply_add::<{ $r % 8 }>(sums[$r], w, x[$r / 8]) })* };
        }
        row!(0 1 2 3 4 5 6 7 8 9 10 11);
    };
    for first in (0..steps - steps % UNROLL).step_by(UNROLL) {
        for i in 0..UNROLL {
            step(first + i);
        }
    }
    for last in steps - steps % UNROLL..steps {
        step(last);
    }
    sums
}
