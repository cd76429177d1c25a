//! [candle](https://github.com/huggingface/candle) as a backend: the graph is walked node by node.
//!
//! | variant | weights | what computes |
//! |---|---|---|
//! | `tuned` | f32, f16, palette4 | ditbench's kernels as candle custom operations |
//! | `tuned-int8` | q4, q8, mixed | the same; activations of quantized linears are rounded to 8 bits |
//! | `tuned-exact` | q4, q8, mixed | the same; quantized weights are unpacked in cache, everything computed in f32 |
//! | `tuned-half` | f16, q4, q8, mixed | the same; linears with these weights compute in f16. Only where the processor has that (aarch64, AVX-512 FP16) |
//! | `stock` | all | candle's own operations, `QMatMul` on Q4_0 and Q8_0 for quantized linears; a depthwise convolution is one convolution for each channel |
//! | `stock-q8` | q4, mixed | `stock`, with 4-bit weights widened exactly to Q8_0, for which candle has faster kernels |
//!
//! On a GPU (features `cuda` and `metal`, the first of which ditbench calls `candle-cuda`) it runs as `stock` and `stock-q8` alone: our kernels are the processor's. There `QMatMul` is
//! candle's kernel for that device, and quantized weights stay packed in its memory.

mod device;
#[cfg(test)]
mod emulated;
mod load;
mod plan;
mod session;
mod stock;
mod tuned;

use std::collections::BTreeMap;

use ditbench_backend_api::{
    Backend, BackendError, CompileOptions, DeviceFacts, MemoryMode, Session, Variant, VersionReport, rayon_pool,
};
use ditbench_graph::Graph;
use ditbench_graph::weights::{Scheme, Weights};
use ditbench_kernels::Isa;
use ditbench_kernels::linear::Products;

/// The backend's name.
pub const NAME: &str = "candle";
/// The processor, as a device: the one that every build computes on.
pub const DEVICE: &str = "cpu";
/// The version of candle that the crate is built with; pinned in the workspace.
const CANDLE: &str = "0.11.1";

/// Threads of candle's pool, on which all of a session runs: `RAYON_NUM_THREADS`, read when the process first uses the pool.
pub fn threads() -> usize {
    candle_core::Device::Cpu.with_context(rayon::current_num_threads)
}

/// The way of running that is candle's alone.
const STOCK: &str = "stock";
/// The way of running that multiplies in f16.
const HALF: &str = "tuned-half";

/// candle.
#[derive(Clone, Copy, Debug, Default)]
pub struct Candle;

/// What computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// candle's own operations.
    Stock {
        /// 4-bit weights are widened to 8 bits when loaded.
        widen: bool,
    },
    /// ditbench's kernels.
    Tuned(Products),
}

impl Way {
    fn named(name: &str) -> Option<Self> {
        match name {
            STOCK => Some(Self::Stock { widen: false }),
            "stock-q8" => Some(Self::Stock { widen: true }),
            "tuned" | "tuned-exact" => Some(Self::Tuned(Products::F32)),
            "tuned-int8" => Some(Self::Tuned(Products::Int8)),
            HALF => Products::half().map(Self::Tuned),
            _ => None,
        }
    }
}

/// [`HALF`], for schemes with weights that it multiplies in f16, whatever this processor has.
fn half(scheme: Scheme) -> Option<Variant> {
    let about = "ditbench's kernels; linear layers multiply in f16 and add 32 products in f16 at a time; everything else is in f32";
    match scheme {
        // Weights that are not of linear layers are not multiplied in f16.
        Scheme::F16 => {
            Some(Variant::new(HALF, &format!("{about}, and other weights are unpacked to it at load")).expanding())
        }
        Scheme::Q4 | Scheme::Q8 | Scheme::Mixed => Some(Variant::new(HALF, about)),
        Scheme::F32 | Scheme::Palette4 => None,
    }
}

impl Backend for Candle {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> VersionReport {
        // candle's quantized kernels use what the compiler was allowed to use: worth knowing beside a slow row.
        let built_for = if cfg!(target_feature = "avx2") { "built for AVX2" } else { "built for the baseline CPU" };
        let mut details =
            vec![format!("stock variants: {built_for}"), format!("tuned variants: ditbench kernels, {}", Isa::best())];
        let gpus = [("CUDA", cfg!(feature = "cuda")), ("Metal", cfg!(all(feature = "metal", target_vendor = "apple")))];
        details.extend(gpus.iter().filter(|(_, built)| *built).map(|(gpus, _)| format!("built with {gpus}")));
        VersionReport { runtime: CANDLE.to_owned(), details }
    }

    fn devices(&self) -> Vec<DeviceFacts> {
        device::facts()
    }

    fn variants(&self, scheme: Scheme) -> Vec<Variant> {
        let tuned = |about| Variant::new("tuned", about);
        let stock = |about| Variant::new(STOCK, about);
        let int8 = Variant::new(
            "tuned-int8",
            "ditbench's kernels; quantized weights stay packed, activations of those linears are rounded to 8 bits",
        );
        let exact = Variant::new(
            "tuned-exact",
            "ditbench's kernels; quantized weights stay packed and are unpacked in cache, all in f32",
        );
        let widened = Variant::new(
            "stock-q8",
            "candle's QMatMul on Q8_0, to which 4-bit weights are widened exactly at load: faster kernels, twice the memory",
        )
        .expanding();
        let mut variants = match scheme {
            Scheme::F32 => {
                vec![
                    tuned("ditbench's kernels as candle custom operations"),
                    stock(
                        "candle's own operations, which run a depthwise convolution as one convolution for each channel",
                    ),
                ]
            }
            Scheme::F16 | Scheme::Palette4 => vec![
                tuned("ditbench's kernels; weights are unpacked to f32 at load").expanding(),
                stock("candle's own operations; weights are unpacked to f32 at load").expanding(),
            ],
            Scheme::Q4 | Scheme::Mixed => vec![
                int8,
                exact,
                stock(
                    "candle's own operations, QMatMul on Q4_0 (and Q8_0), which rounds activations to 8 bits on the processor",
                ),
                widened,
            ],
            Scheme::Q8 => {
                vec![
                    int8,
                    exact,
                    stock(
                        "candle's own operations, QMatMul on Q8_0, which rounds activations to 8 bits on the processor",
                    ),
                ]
            }
        };
        variants.extend(Products::half().and_then(|_| half(scheme)));
        variants
    }

    fn environment(&self, threads: usize) -> BTreeMap<String, String> {
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        // candle's own products read a variable of their own. Its pool pins threads where it is told to, but the launch decides on which
        // CPUs they run.
        let own = [
            set("CANDLE_NUM_THREADS", &threads.to_string()),
            set("CANDLE_CPU_AFFINITY", "0"),
            set("CANDLE_CPU_MASK", ""),
        ];
        rayon_pool(threads).into_iter().chain(own).collect()
    }

    fn compile(
        &self,
        graph: &Graph,
        weights: &Weights,
        options: &CompileOptions,
    ) -> Result<Box<dyn Session>, BackendError> {
        let unsupported = |why: String| BackendError::Unsupported { backend: NAME, why };
        check(options)?;
        let place = device::open(&options.device)?;
        if options.variant == HALF && Products::half().is_none() {
            return Err(unsupported(format!(
                "{HALF} needs a processor with f16 arithmetic; this one has {}",
                Isa::best()
            )));
        }
        let Some(way) = Way::named(&options.variant) else {
            return Err(unsupported(format!("it has no way of running called \"{}\"", options.variant)));
        };
        if matches!(way, Way::Tuned(_)) && !place.device.is_cpu() {
            return Err(unsupported(format!(
                "{} uses ditbench's kernels, which run on the processor only; on {} choose {STOCK}",
                options.variant, options.device
            )));
        }
        Ok(Box::new(session::CandleSession::new(graph, weights, way, place)?))
    }
}

/// What candle cannot do here, whatever the graph, the way of running and the device.
fn check(options: &CompileOptions) -> Result<(), BackendError> {
    let unsupported = |why: String| Err(BackendError::Unsupported { backend: NAME, why });
    if options.memory == MemoryMode::Small {
        return unsupported("it has one memory mode, fast: weights are held once, as its kernels want them".to_owned());
    }
    let live = threads();
    if live != options.threads && options.device == DEVICE {
        return unsupported(format!(
            "{} threads were asked for, but this process's pool has {live}: set RAYON_NUM_THREADS before it starts",
            options.threads
        ));
    }
    Ok(())
}
