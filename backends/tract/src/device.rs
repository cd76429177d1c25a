//! Where a plan runs: the processor, or a GPU that tract was built for, by tract's own runtime of that name.
//!
//! Contract: what that runtime leaves to the processor is told, and refused unless a fall-back is allowed. What a GPU lacks is a panic in
//! tract: what can be looked for before is, and the rest is caught.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ditbench_backend_api::{
    BackendError, CompileOptions, DeviceFacts, Numerics, Placement, PlacementEntry, nodes_in_words,
};
use ditbench_graph::weights::Scheme;
use tract_core::internal::*;
use tract_linalg::multithread::Executor;
use tract_onnx::prelude::{InferenceModel, InferenceModelExt};

use crate::{DEVICE, NAME, STOCK};

/// The GPUs' names, which are those of tract's runtimes.
const CUDA: &str = "cuda";
const METAL: &str = "metal";
/// Whose kernels: ditbench's are for the processor.
const CUDA_ABOUT: &str = "the first NVIDIA GPU, with tract's own kernels alone (stock)";
const METAL_ABOUT: &str = "an Apple GPU, with tract's own kernels alone (stock)";

/// All devices, those included that this build or this machine is without.
pub(crate) fn facts() -> Vec<DeviceFacts> {
    let ways = || Scheme::ALL.map(|scheme| (scheme.name().to_owned(), STOCK.to_owned())).into();
    let gpus = [cuda(), metal()].map(|gpu| DeviceFacts { ways: ways(), ..gpu });
    std::iter::once(DeviceFacts::cpu("the processor")).chain(gpus).collect()
}

/// Whether there is the device that is asked for, and what it runs.
///
/// # Errors
/// There is none of that name; this build or this machine is without it, and the cure; it does not run that way.
pub(crate) fn check(options: &CompileOptions) -> Result<(), BackendError> {
    let name = options.device.as_str();
    if name == DEVICE {
        return Ok(());
    }
    DeviceFacts::usable(facts(), NAME, name)?;
    if options.variant == STOCK {
        return Ok(());
    }
    let ours = "uses ditbench's kernels, which run on the processor only";
    let why = format!("{} {ours}; on {name} choose {STOCK}", options.variant);
    Err(BackendError::Unsupported { backend: NAME, why })
}

/// Threads that a session computes on. A GPU's queue belongs to one thread.
pub(crate) fn threads(options: &CompileOptions) -> usize {
    if options.device == DEVICE { options.threads } else { 1 }
}

/// Makes a plan for a device.
pub(crate) fn plan(model: InferenceModel, device: &str, executor: Executor) -> TractResult<Arc<TypedSimplePlan>> {
    let options = RunOptions { executor: Some(executor), ..RunOptions::default() };
    if device == DEVICE {
        return TypedSimplePlan::new_with_options(model.into_optimized()?, &options);
    }
    let name = device.split(':').next().unwrap_or(device);
    let runtime = runtime_for_name(name)?.with_context(|| format!("tract has no runtime \"{name}\""))?;
    let model = model.into_typed()?.into_decluttered()?;
    // What tract finds missing when it compiles its kernels, CUDA's headers for one, is a panic there.
    let made = catch_unwind(AssertUnwindSafe(|| runtime.prepare_with_options(model, &options)));
    let made = made.unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
        Err(Panicked(words.unwrap_or("it does not say why").replace('\n', " ")).into())
    })?;
    made.typed_plan().cloned().with_context(|| format!("tract's runtime {name} gave no plan"))
}

/// What tract's runtime for a GPU said when it panicked.
#[derive(Debug)]
struct Panicked(String);

impl std::error::Error for Panicked {}

impl std::fmt::Display for Panicked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "tract's runtime panicked: {}", self.0)
    }
}

/// Why there is no plan, if that is because the machine lacks something.
pub(crate) fn lacking(error: &TractError, device: &str) -> Option<BackendError> {
    let why = format!("device \"{device}\": {}", error.downcast_ref::<Panicked>()?);
    let cure = "If it misses CUDA's headers, install those of the CUDA toolkit 13 and name its folder in CUDA_HOME.";
    Some(BackendError::Unavailable { backend: NAME, why, cure: cure.to_owned() })
}

/// Where the nodes of a plan run.
pub(crate) struct Place {
    /// The device, as it was asked for.
    name: String,
    /// Nodes that compute something, wherever.
    nodes: usize,
    /// Operation and name of those that the device does not take.
    left: Vec<(String, String)>,
}

impl Place {
    /// Where the nodes of a plan are.
    ///
    /// # Errors
    /// Some are left to the processor, and that is not allowed.
    pub(crate) fn of(plan: &TypedSimplePlan, graph: &str, options: &CompileOptions) -> Result<Self, BackendError> {
        let nodes = || plan.model().nodes().iter().filter(|node| computes(node));
        let is_left = |node: &&TypedNode| options.device != DEVICE && !is_on_gpu(node);
        let left = nodes().filter(is_left).map(|node| (node.op().name().into_owned(), node.name.clone()));
        let place = Self { name: options.device.clone(), nodes: nodes().count(), left: left.collect() };
        match place.elsewhere().filter(|_| !options.allow_fallback) {
            None => Ok(place),
            Some(left) => {
                let why =
                    format!("device \"{}\" does not take all of {graph}: left to the processor are {left}", place.name);
                Err(BackendError::Unsupported { backend: NAME, why })
            }
        }
    }

    /// The nodes that the device does not take, in words.
    fn elsewhere(&self) -> Option<String> {
        nodes_in_words(self.left.iter().map(|(op, name)| (op.as_str(), name.as_str())), self.nodes)
    }

    /// The device that a node runs on. What is copied to and fro counts as the GPU's.
    pub(crate) fn of_node(&self, node: &TypedNode) -> &str {
        if self.left.iter().any(|(_, name)| *name == node.name) { DEVICE } else { &self.name }
    }

    /// Waits until a GPU has done what this thread gave it; the processor always has.
    pub(crate) fn wait(&self) -> TractResult<()> {
        if self.name == DEVICE { Ok(()) } else { wait() }
    }

    /// The same, as a session says it.
    pub(crate) fn placement(&self) -> Placement {
        if self.name == DEVICE {
            return Placement::all_on(DEVICE, self.nodes, "the plan is the processor's alone");
        }
        let source = "tract's runtime, which says of each node where it runs";
        let Some(elsewhere) = self.elsewhere() else { return Placement::all_on(&self.name, self.nodes, source) };
        let entry = |device: &str, nodes| PlacementEntry { device: device.to_owned(), nodes, time_share: None };
        let here = self.left.len();
        Placement {
            asked: self.name.clone(),
            entries: vec![entry(DEVICE, here), entry(&self.name, self.nodes - here)],
            source: format!("{source}; not on the device: {elsewhere}"),
        }
    }
}

/// The variable that keeps NVIDIA's libraries, which would round f32 to 10 bits after the point on GPUs that can, from doing so.
pub(crate) const TF32: (&str, &str) = ("NVIDIA_TF32_OVERRIDE", "0");

/// The precision in which a plan computes, given what the file asks for. A GPU's kernels may compute in less.
pub(crate) fn numerics(plan: &TypedSimplePlan, asked: Numerics) -> Numerics {
    let names: Vec<_> = plan.model().nodes().iter().map(|node| node.op().name()).collect();
    let tf32 = std::env::var_os(TF32.0).is_none_or(|value| value != TF32.1);
    numerics_of(&names.iter().map(AsRef::as_ref).collect::<Vec<_>>(), tf32, asked)
}

fn numerics_of(operations: &[&str], tf32: bool, asked: Numerics) -> Numerics {
    let rounding = [
        // Queries, keys and values are cast to f16.
        ("FlashAttention", Numerics::F16, true),
        // Activations that packed weights are multiplied by.
        ("QuantQ81", Numerics::Int8Activations, true),
        // Metal's product takes its weights in f16.
        ("MetalGgmlGemm", Numerics::F16, true),
        // cuDNN's convolution; 10 bits after the point are f16's.
        ("CudaConv", Numerics::F16, tf32),
    ];
    let is_there = |word: &str| operations.iter().any(|operation| operation.contains(word));
    let there = rounding.into_iter().filter(|(word, _, counts)| *counts && is_there(word));
    there.fold(asked, |coarsest, (_, numerics, _)| coarsest.coarser(numerics))
}

/// Whether a node computes something: it is no input, no constant, no copy from device to device.
fn computes(node: &TypedNode) -> bool {
    let name = node.op().name();
    !matches!(name.as_ref(), "Source" | "Const") && !name.starts_with("DeviceSync")
}

#[cfg(not(any(feature = "cuda", feature = "metal")))]
fn is_on_gpu(_: &TypedNode) -> bool {
    false
}

/// Whether what a node gives is in a GPU's memory.
#[cfg(any(feature = "cuda", feature = "metal"))]
fn is_on_gpu(node: &TypedNode) -> bool {
    use tract_gpu::fact::DeviceTypedFactExt;
    node.outputs.iter().any(|output| output.fact.as_device_fact().is_some())
}

#[cfg(not(any(feature = "cuda", feature = "metal")))]
fn wait() -> TractResult<()> {
    Ok(())
}

#[cfg(any(feature = "cuda", feature = "metal"))]
fn wait() -> TractResult<()> {
    tract_gpu::device::get_context()?.synchronize()
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> DeviceFacts {
    DeviceFacts::not_built(CUDA, CUDA_ABOUT, CUDA)
}

/// NVIDIA's first GPU, the one that tract uses, if tract could use it: it wants libraries of CUDA's besides the driver.
#[cfg(feature = "cuda")]
fn cuda() -> DeviceFacts {
    use ditbench_backend_api::Missing;

    let gpus = ditbench_nvidia::facts(CUDA_ABOUT, tract_cuda::utils::REQUIRED_CUDA_API);
    // It has one entry at least, if only with the reason.
    let Some(gpu) = gpus.into_iter().next() else { unreachable!("no entry for {CUDA}") };
    if gpu.state.is_err() {
        return gpu;
    }
    match runtime_for_name(CUDA) {
        Ok(_) => gpu,
        Err(error) => gpu.in_state(Err(Missing {
            why: format!("tract cannot use it: {}", error.root_cause().to_string().replace('\n', " ")),
            cure: "Install the CUDA toolkit 13 and cuDNN 9, or name the folders of their libraries in LD_LIBRARY_PATH"
                .to_owned(),
        })),
    }
}

#[cfg(not(all(feature = "metal", target_vendor = "apple")))]
fn metal() -> DeviceFacts {
    DeviceFacts::not_built(METAL, METAL_ABOUT, METAL)
}

/// Apple's GPU. Not tried yet: there was no Mac.
#[cfg(all(feature = "metal", target_vendor = "apple"))]
fn metal() -> DeviceFacts {
    use ditbench_backend_api::DeviceKind;
    // Nothing else refers to the crate by whose runtime it runs.
    use tract_metal as _;

    DeviceFacts::new(METAL, METAL_ABOUT).of_kind(DeviceKind::Gpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(device: &str, variant: &str) -> CompileOptions {
        CompileOptions { device: device.to_owned(), ..CompileOptions::cpu(variant, 1, std::env::temp_dir()) }
    }

    #[test]
    fn a_device_is_there_or_the_reason_is_told() {
        assert!(check(&on("cpu", "tuned")).is_ok());
        let error = check(&on("tpu", STOCK)).unwrap_err().to_string();
        assert!(error.contains("no device \"tpu\"; it has cpu, cuda"), "{error}");
        for gpu in facts().into_iter().filter(|device| device.name != "cpu") {
            assert_eq!(gpu.ways.len(), Scheme::ALL.len());
            match (check(&on(&gpu.name, STOCK)), gpu.state) {
                (Ok(()), Ok(())) => assert!(check(&on(&gpu.name, "tuned")).is_err()),
                (Err(error), Err(missing)) => assert!(error.to_string().contains(&missing.why), "{error}"),
                (checked, state) => panic!("{state:?}, and {checked:?}"),
            }
        }
    }

    /// A build that has the crate and not its runtime would say that there is none of that name.
    #[cfg(feature = "cuda")]
    #[test]
    fn the_runtime_is_in_the_build() {
        assert!(!matches!(runtime_for_name(CUDA), Ok(None)));
    }

    #[test]
    fn a_panic_of_a_runtime_is_something_that_is_lacking() {
        let error = TractError::from(Panicked("no cuda_fp16.h".to_owned())).context("loading");
        let told = lacking(&error, "cuda").unwrap().to_string();
        assert!(told.contains("panicked: no cuda_fp16.h. If it misses CUDA's headers"), "{told}");
        assert!(lacking(&anyhow!("another"), "cuda").is_none());
    }

    #[test]
    fn the_coarsest_of_a_plans_kernels_counts() {
        let all = ["CudaConv", "CudaGgmlQuantQ81Op", "CudaFlashAttention"];
        for (operations, tf32, asked, is) in [
            (&[][..], true, Numerics::F32, Numerics::F32),
            (&["Conv", "EinSum"], true, Numerics::WeightOnly, Numerics::WeightOnly),
            (&all[..1], false, Numerics::F32, Numerics::F32),
            (&all[..1], true, Numerics::F32, Numerics::F16),
            (&all[2..], false, Numerics::F32, Numerics::F16),
            (&all, true, Numerics::F32, Numerics::Int8Activations),
            (&["MetalGgmlGemm"], false, Numerics::WeightOnly, Numerics::F16),
        ] {
            assert_eq!(numerics_of(operations, tf32, asked), is, "{operations:?}");
        }
    }

    #[test]
    fn what_is_left_to_the_processor_is_told() {
        let left = vec![("Gather".to_owned(), "embed".to_owned())];
        let place = Place { name: "cuda".to_owned(), nodes: 3, left };
        let placement = place.placement();
        let entries: Vec<_> = placement.entries.iter().map(|entry| (entry.device.as_str(), entry.nodes)).collect();
        assert_eq!(entries, [("cpu", 1), ("cuda", 2)]);
        assert!(placement.source.ends_with("not on the device: 1 of 3 nodes: Gather (1: embed)"), "{placement:?}");
        assert_eq!(placement.share_on_asked(), Some(2.0 / 3.0));
        let whole = Place { left: Vec::new(), ..place }.placement();
        assert_eq!((whole.asked.as_str(), whole.share_on_asked()), ("cuda", Some(1.0)));
    }
}
