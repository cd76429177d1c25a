//! [tract](https://github.com/sonos/tract) as a backend: the graph is written as ONNX, tract reads and optimises it.
//!
//! | variant | weights | what computes |
//! |---|---|---|
//! | `stock` | f32, f16, q4, q8, mixed, palette4 | tract alone. It keeps 4-bit weights packed and computes in f32; all others are unpacked to f32 |
//! | `tuned` | f32, f16, palette4 | our kernels through tract's operator registry, tract's plan and memory |
//! | `tuned-int8` | q4, q8, mixed | the same; activations of quantized linears are rounded to 8 bits |
//! | `tuned-exact` | q4, q8, mixed | the same; quantized weights are unpacked in cache, everything computed in f32 |
//! | `tuned-half` | f16, q4, q8, mixed | the same; linears with these weights compute in f16. Only where the processor has that (aarch64, AVX-512 FP16) |
//!
//! A user's own ONNX file is run as `stock`: by tract alone, as it is (`own`).
//!
//! On a GPU (features `cuda` and `metal`) it runs as `stock` alone, by tract's runtime for it (`device`): our kernels are the processor's.
//!
//! Files written for tract are kept in the cache folder by the hash of graph, weights and dialect.

mod device;
pub mod dialect;
#[cfg(test)]
mod emulated;
mod gemm;
mod load;
mod ops;
mod own;
mod session;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ditbench_backend_api::{
    Backend, BackendError, CompileOptions, DeviceFacts, MemoryMode, OnnxModel, Session, Variant, VersionReport,
    rayon_pool,
};
use ditbench_graph::Graph;
use ditbench_graph::onnx::Dialect;
use ditbench_graph::weights::{Scheme, Weights};
use ditbench_kernels::Isa;
use ditbench_kernels::linear::Products;

/// The backend's name.
pub const NAME: &str = "tract";
/// The processor, as a device: the one that every build has.
pub const DEVICE: &str = "cpu";
/// The version of tract that the crate is built with; pinned in the workspace.
const TRACT: &str = "0.23.9";

/// The way of running that is tract's alone.
const STOCK: &str = "stock";
/// The way of running that multiplies in f16.
const HALF: &str = "tuned-half";

/// tract.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tract;

/// What computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// tract alone.
    Stock,
    /// Our kernels.
    Tuned(Products),
}

impl Way {
    fn named(name: &str) -> Option<Self> {
        match name {
            STOCK => Some(Self::Stock),
            "tuned" | "tuned-exact" => Some(Self::Tuned(Products::F32)),
            "tuned-int8" => Some(Self::Tuned(Products::Int8)),
            HALF => Products::half().map(Self::Tuned),
            _ => None,
        }
    }
}

/// [`HALF`], for schemes with weights that it multiplies in f16, whatever this processor has.
fn half(scheme: Scheme) -> Option<Variant> {
    let about = "ditbench's kernels in tract's plan; linear layers multiply in f16 and add 32 products in f16 at a time; everything else is in f32";
    match scheme {
        // Weights that are not of linear layers are not multiplied in f16.
        Scheme::F16 => Some(Variant::new(HALF, &format!("{about}, and other weights are written in it")).expanding()),
        Scheme::Q4 | Scheme::Q8 | Scheme::Mixed => Some(Variant::new(HALF, about)),
        Scheme::F32 | Scheme::Palette4 => None,
    }
}

impl Backend for Tract {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> VersionReport {
        let mut details = vec![
            "f32 products in parallel (multithread-mm)".to_owned(),
            format!("tuned variants: ditbench kernels, {}", Isa::best()),
        ];
        let gpus = [("CUDA", cfg!(feature = "cuda")), ("Metal", cfg!(all(feature = "metal", target_vendor = "apple")))];
        details.extend(gpus.iter().filter(|(_, built)| *built).map(|(gpus, _)| format!("built with {gpus}")));
        VersionReport { runtime: TRACT.to_owned(), details }
    }

    fn devices(&self) -> Vec<DeviceFacts> {
        device::facts()
    }

    fn environment(&self, threads: usize) -> BTreeMap<String, String> {
        let (name, value) = device::TF32;
        rayon_pool(threads).into_iter().chain([(name.to_owned(), value.to_owned())]).collect()
    }

    fn variants(&self, scheme: Scheme) -> Vec<Variant> {
        let int8 = Variant::new(
            "tuned-int8",
            "ditbench's kernels in tract's plan; quantized weights stay packed, activations of those linears are rounded to 8 bits",
        );
        let exact = Variant::new(
            "tuned-exact",
            "ditbench's kernels in tract's plan; quantized weights stay packed and are unpacked in cache, all in f32",
        );
        let stock = |about| Variant::new(STOCK, about);
        let mut variants = match scheme {
            Scheme::F32 => vec![
                Variant::new("tuned", "ditbench's kernels in tract's plan, f32 weights"),
                stock("tract alone, f32 weights"),
            ],
            Scheme::F16 | Scheme::Palette4 => vec![
                Variant::new(
                    "tuned",
                    "ditbench's kernels in tract's plan; weights are unpacked to f32 when the model is written",
                )
                .expanding(),
                stock("tract alone; weights are unpacked to f32 when the model is written").expanding(),
            ],
            Scheme::Q4 => vec![
                int8,
                exact,
                stock("tract alone; 4-bit weights stay packed (its own block format), everything is computed in f32 on the processor"),
            ],
            Scheme::Q8 => {
                vec![
                    int8,
                    exact,
                    stock("tract alone; 8-bit weights are unpacked to f32 when the model is written").expanding(),
                ]
            }
            Scheme::Mixed => vec![
                int8,
                exact,
                stock(
                    "tract alone; 4-bit weights stay packed, 8-bit ones are unpacked to f32; everything is computed in f32 on the processor",
                )
                .expanding(),
            ],
        };
        variants.extend(Products::half().and_then(|_| half(scheme)));
        variants
    }

    fn compile(
        &self,
        graph: &Graph,
        weights: &Weights,
        options: &CompileOptions,
    ) -> Result<Box<dyn Session>, BackendError> {
        let unsupported = |why: String| BackendError::Unsupported { backend: NAME, why };
        check(options)?;
        if options.variant == HALF && Products::half().is_none() {
            return Err(unsupported(format!(
                "{HALF} needs a processor with f16 arithmetic; this one has {}",
                Isa::best()
            )));
        }
        let Some(way) = Way::named(&options.variant) else {
            let why = "choose one of stock, tuned, tuned-int8, tuned-exact, tuned-half";
            return Err(unsupported(format!("it has no variant \"{}\": {why}", options.variant)));
        };
        Ok(Box::new(load::load(graph, weights, options, way)?))
    }

    fn dialect(&self, variant: &str) -> Option<Dialect> {
        Way::named(variant).map(dialect::of)
    }

    fn onnx_variants(&self) -> Vec<Variant> {
        own::variants()
    }

    fn compile_onnx(&self, model: &OnnxModel, options: &CompileOptions) -> Result<Box<dyn Session>, BackendError> {
        check(options)?;
        Ok(Box::new(own::load(model, options)?))
    }

    fn export(&self, graph: &Graph, weights: &Weights, options: &CompileOptions) -> Result<Vec<PathBuf>, BackendError> {
        let Some(way) = Way::named(&options.variant) else { return Ok(Vec::new()) };
        let cached = load::export(graph, weights, options, way)?;
        Ok(cached.exported.model.parent().map(Path::to_path_buf).into_iter().collect())
    }
}

/// What tract cannot do, whatever the graph.
fn check(options: &CompileOptions) -> Result<(), BackendError> {
    let unsupported = |why: String| Err(BackendError::Unsupported { backend: NAME, why });
    device::check(options)?;
    if options.threads == 0 {
        return unsupported("0 threads were asked for; ask for at least 1".to_owned());
    }
    if options.memory == MemoryMode::Small {
        return unsupported("it has no mode that trades speed for memory; use memory mode \"fast\"".to_owned());
    }
    Ok(())
}
