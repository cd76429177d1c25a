//! [ONNX Runtime](https://onnxruntime.ai) as a backend: the graph is written as ONNX, ONNX Runtime reads and runs it.
//!
//! | variant | weights | what computes |
//! |---|---|---|
//! | `stock` | f32, f16, palette4 | ONNX Runtime's f32 kernels; f16 and palettes are unpacked to f32 when the file is written |
//! | `half` | f16 | weights and activations in f16, cast from and to f32 where values enter and leave; the default of devices that compute so |
//! | `int8` | q4, q8, mixed | `MatMulNBits` on packed weights, activations of those linears rounded to 8 bits |
//! | `tuned-int8` | q4, q8, mixed | ditbench's kernel for those linears, as a custom operator, activations rounded to 8 bits; the rest as above |
//! | `exact` | q4, q8, mixed | `MatMulNBits` on packed weights, everything computed in f32 |
//!
//! A user's own ONNX file is run as `stock`, with all optimisations, or as `plain`, without any, which is the nearest to ONNX's own
//! definition of its operators (`own`).
//!
//! Its library is loaded at run time ([`library`]): nothing is needed to build. Files written for it are kept in the
//! cache folder by the hash of graph, weights and dialect.

mod acceptance;
mod assignment;
mod bound;
mod built_in;
mod carry;
mod cuda;
mod device;
pub mod dialect;
mod facts;
pub mod library;
mod load;
mod metadata;
mod name;
mod operator;
mod own;
mod plugin;
mod profile;
mod provider;
mod runtime;
mod session;
mod setup;
mod stats;
mod vulkan;
mod words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ditbench_backend_api::{
    Acceptance, Backend, BackendError, CompileOptions, Costs, DeviceFacts, Missing, Named, OnnxModel, Parcel,
    PrepareOptions, Ready, Session, Variant, VersionReport,
};
use ditbench_graph::Graph;
use ditbench_graph::onnx::Dialect;
use ditbench_graph::weights::{Scheme, Weights};

use library::LibraryError;
use runtime::Runtime;

pub use device::CPU;
pub use plugin::VARIABLE as PLUGINS_VARIABLE;
pub use provider::ENVIRONMENT;

/// The backend's name.
pub const NAME: &str = "ort";
/// The environment variable that names the library.
pub const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";

/// ONNX Runtime, with the library that will be loaded when it is first needed.
#[derive(Clone, Debug, Default)]
pub struct OrtBackend {
    library: Option<PathBuf>,
}

impl OrtBackend {
    /// With the library that [`LIBRARY_VARIABLE`] names, else the one in the user's cache, else the system's.
    pub fn new() -> Self {
        Self::default()
    }

    /// With this library and no other.
    pub fn with_library(path: impl Into<PathBuf>) -> Self {
        Self { library: Some(path.into()) }
    }

    fn runtime(&self) -> Result<Runtime, BackendError> {
        let named = self.library.clone().or_else(|| std::env::var_os(LIBRARY_VARIABLE).map(PathBuf::from));
        // Without a home folder there is no cache to look into; what is named or installed may still be there.
        let cache = library::default_cache().unwrap_or_default();
        let found: Result<PathBuf, LibraryError> = library::find(named.as_deref(), &cache);
        Runtime::get(found)
    }

    /// As [`Backend::compile`], in a dialect of the caller's choice: for measuring which one is fastest.
    ///
    /// # Errors
    /// As [`Backend::compile`].
    pub fn compile_dialect(
        &self,
        graph: &Graph,
        weights: &Weights,
        dialect: &Dialect,
        options: &CompileOptions,
    ) -> Result<Box<dyn Session>, BackendError> {
        if options.threads == 0 {
            let why = "0 threads were asked for; ask for at least 1".to_owned();
            return Err(BackendError::Unsupported { backend: NAME, why });
        }
        Ok(Box::new(load::load(&self.runtime()?, graph, weights, dialect, options)?))
    }
}

impl Backend for OrtBackend {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> VersionReport {
        match self.runtime() {
            Ok(runtime) => VersionReport {
                runtime: runtime.version,
                details: vec![
                    "ort 2.0.0-rc.15, library loaded at run time".to_owned(),
                    format!("library: {}", runtime.library.display()),
                    words::one_line(ort::info()),
                ],
            },
            Err(error) => VersionReport { runtime: "not found".to_owned(), details: vec![error.to_string()] },
        }
    }

    fn devices(&self) -> Vec<DeviceFacts> {
        device::reports(self.runtime())
    }

    fn prepare(&mut self, options: &PrepareOptions) -> Result<Ready, String> {
        let named = options.named.library.as_deref();
        let cache = (options.cache)()?;
        let found = match library::find(named, &cache) {
            // What somebody named is used, or it is said why not: never another in its place.
            Err(_) if options.fetch && named.is_none() => {
                library::fetch(&cache, options.stop, |step| (options.say)(step.to_string()))
            }
            found => found,
        };
        let library = found.map_err(|error| error.to_string())?;
        let path = library.to_str().ok_or_else(|| {
            format!("the path of ONNX Runtime's library, {}, is not valid UTF-8: move the library", library.display())
        })?;
        let mut environment = BTreeMap::from([(LIBRARY_VARIABLE.to_owned(), path.to_owned())]);
        // A worker loads that of its own device and no other.
        let plugins = plugin::all(&options.named.providers, &cache)?;
        if !plugins.is_empty() {
            environment.insert(PLUGINS_VARIABLE.to_owned(), plugin::words(&plugins));
        }
        plugin::offer(plugins);
        self.library = Some(library.clone());
        Ok(Ready { environment, found: Some(("ONNX Runtime".to_owned(), library)) })
    }

    fn carry(&self, named: &Named) -> Result<Option<Parcel>, Missing> {
        carry::parcel(named).map(Some)
    }

    fn advice_for_a_phone(&self, missing: &Missing) -> Option<String> {
        let advice = "for a phone, put the libraries for it into the folder of --ort-dir";
        missing.cure.contains(setup::COMMAND).then(|| advice.to_owned())
    }

    fn setups(&self) -> &'static [&'static str] {
        &provider::SETUPS
    }

    fn set_up(&self, name: &str, force: bool, options: &PrepareOptions) -> Result<String, String> {
        setup::set_up(name, force, options)
    }

    fn costs(&self) -> Costs {
        Costs { share_of_peak: 0.5, ..Costs::default() }
    }

    fn variants(&self, scheme: Scheme) -> Vec<Variant> {
        match scheme {
            Scheme::F32 => vec![Variant::new("stock", "ONNX Runtime's f32 kernels")],
            Scheme::F16 => {
                vec![
                    Variant::new("stock", "weights are unpacked to f32 when the model is written; computed in f32")
                        .expanding(),
                    Variant::new(
                        dialect::HALF,
                        "weights and activations in f16, cast where values enter and leave; on the processor, ONNX Runtime widens to f32 what it has no 16-bit kernel for",
                    ),
                ]
            }
            Scheme::Palette4 => {
                vec![
                    Variant::new("stock", "palettes are unpacked to f32 when the model is written; computed in f32")
                        .expanding(),
                ]
            }
            Scheme::Q4 | Scheme::Q8 | Scheme::Mixed => vec![
                Variant::new(
                    "int8",
                    "MatMulNBits on packed weights; activations of those linears are rounded to 8 bits",
                ),
                Variant::new(
                    "tuned-int8",
                    "ditbench's kernel as a custom operator for linears of few bits, activations of those rounded to 8 bits; all else is ONNX Runtime's own",
                ),
                Variant::new(
                    "exact",
                    "MatMulNBits on packed weights, unpacked block by block; everything is computed in f32",
                ),
            ],
        }
    }

    fn compile(
        &self,
        graph: &Graph,
        weights: &Weights,
        options: &CompileOptions,
    ) -> Result<Box<dyn Session>, BackendError> {
        let Some(dialect) = dialect::of(&options.variant) else {
            let why =
                format!("it has no variant \"{}\": choose stock, half, int8, tuned-int8 or exact", options.variant);
            return Err(BackendError::Unsupported { backend: NAME, why });
        };
        self.compile_dialect(graph, weights, &dialect::on_device(dialect, &options.device), options)
    }

    fn acceptance(
        &self,
        graph: &Graph,
        weights: &Weights,
        options: &CompileOptions,
    ) -> Result<Acceptance, BackendError> {
        let Some(dialect) = dialect::of(&options.variant) else {
            let why =
                format!("it has no variant \"{}\": choose stock, half, int8, tuned-int8 or exact", options.variant);
            return Err(BackendError::Unsupported { backend: NAME, why });
        };
        let dialect = dialect::on_device(dialect, &options.device);
        load::acceptance(&self.runtime()?, graph, weights, &dialect, options)
    }

    fn dialect(&self, variant: &str) -> Option<Dialect> {
        dialect::of(variant)
    }

    fn onnx_variants(&self) -> Vec<Variant> {
        own::variants()
    }

    fn compile_onnx(&self, model: &OnnxModel, options: &CompileOptions) -> Result<Box<dyn Session>, BackendError> {
        Ok(Box::new(own::load(&self.runtime()?, model, options)?))
    }

    fn acceptance_of_file(&self, model: &OnnxModel, options: &CompileOptions) -> Result<Acceptance, BackendError> {
        let runtime = self.runtime()?;
        let device = device::Device::named(&options.device, &runtime)?;
        load::acceptance_of(&runtime, &device, &model.name, &model.file, options)
    }

    fn export(&self, graph: &Graph, weights: &Weights, options: &CompileOptions) -> Result<Vec<PathBuf>, BackendError> {
        let Some(dialect) = dialect::of(&options.variant) else { return Ok(Vec::new()) };
        let cached = load::export(graph, weights, &dialect::on_device(dialect, &options.device), options)?;
        Ok(cached.exported.model.parent().map(Path::to_path_buf).into_iter().collect())
    }
}
