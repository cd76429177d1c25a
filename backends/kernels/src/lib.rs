//! CPU kernels of a diffusion transformer, on plain slices and with no runtime of their own.
//!
//! Contract of every kernel here:
//! * tensors are dense, row-major `f32` slices; the shapes are in each function's docs, and a slice of another length is
//!   a [`KernelError`], never a panic;
//! * the instruction set is an argument, [`Isa`], so that a caller can record its [name](Isa::name) beside a result and
//!   a test can compare all of them; [`Isa::best`] is what this machine runs fastest;
//! * work is spread over rayon's current pool (`RAYON_NUM_THREADS` sets its size once per process); results do not
//!   depend on the number of threads: each output element is computed by one task, in one order.
//!
//! | module | kernels |
//! |---|---|
//! | [`linear`] | y = x·Wᵀ + b for f32, 4-bit and 8-bit W; the last two with f32 or int8 activations; f16, 4-bit and 8-bit W in f16, where the processor has that |
//! | [`attention`] | softmax(q·kᵀ)·v, tiled; full, causal, block-local; grouped query heads |
//! | [`conv`] | 2-D convolution, NCHW: of each channel alone, of single pixels, and of anything else |
//! | [`elementwise`] | activations, normalisation, modulation, gates, gated units, rotary embedding, upsampling, pooling |
//! | [`peak`] | no kernel: what this machine can do at most, for a roofline |

pub mod attention;
pub mod conv;
pub mod elementwise;
mod error;
mod isa;
pub mod linear;
mod pages;
pub mod peak;
mod simd;
mod tile;

pub use error::KernelError;
pub use isa::Isa;
pub use pages::huge_pages;
