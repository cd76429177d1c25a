//! Element-wise functions of one argument. The vector functions are those of `simd::math`, within a few units in the last place.

use rayon::prelude::*;

use super::{CHUNK, Pointwise, pointwise};
use crate::error::check_len;
use crate::simd::{Kernel, Simd, dispatch, math};
use crate::{Isa, KernelError};

struct Map<'a, F> {
    f: F,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl<F: Pointwise<1>> Kernel for Map<'_, F> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's.
        unsafe { pointwise::<S, F, 1>(self.f, [self.x], self.y) }
    }
}

fn map<F: Pointwise<1>>(name: &'static str, isa: Isa, f: F, x: &[f32], y: &mut [f32]) -> Result<(), KernelError> {
    isa.require()?;
    check_len(name, "y", y.len(), x.len())?;
    y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| {
        // SAFETY: `isa` was checked.
        unsafe { dispatch(isa, Map { f, x, y }) }
    });
    Ok(())
}

macro_rules! activations {
    ($($(#[$doc:meta])* $name:ident = $f:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// If x and y differ in length, or this machine lacks `isa`.
        pub fn $name(isa: Isa, x: &[f32], y: &mut [f32]) -> Result<(), KernelError> {
            #[derive(Clone, Copy)]
            struct F;
            impl Pointwise<1> for F {
                #[inline(always)]
                unsafe fn apply<S: Simd>(self, [x]: [S::V; 1]) -> S::V {
                    // SAFETY: the caller's.
                    unsafe { math::$f::<S>(x) }
                }
            }
            map(stringify!($name), isa, F, x, y)
        }
    )*};
}

activations! {
    /// y = 0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))). x and y of one shape.
    gelu_tanh = gelu_tanh;
    /// y = 0.5·x·(1 + erf(x/√2)). x and y of one shape.
    gelu_erf = gelu_erf;
    /// y = x·sigmoid(1.702·x), CLIP's approximation of GELU. x and y of one shape.
    quick_gelu = quick_gelu;
    /// y = x·sigmoid(x). x and y of one shape.
    silu = silu;
    /// y = max(x, 0). x and y of one shape.
    relu = relu;
    /// y = min(max(x, 0), 6). x and y of one shape.
    relu6 = relu6;
    /// y = 1/(1 + e^−x). x and y of one shape.
    sigmoid = sigmoid;
    /// y = tanh x. x and y of one shape.
    tanh = tanh;
}
