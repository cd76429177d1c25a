//! Providers that a library of ONNX Runtime's may have been built with, and what devices they are for.

use ditbench_backend_api::{DeviceKind, Missing};
use ort::environment::Environment;
use ort::ep::{self, ArbitrarilyConfigurableExecutionProvider, ExecutionProvider, ExecutionProviderDispatch};
use ort::session::Session;

use crate::provider::{CUDA, OPENVINO, QNN, TF32, WEBGPU};
use crate::words::{CUDA_PROVIDER, NO_DRIVER, one_line};

/// A provider that a library may have been built with.
pub(crate) struct BuiltIn {
    /// The provider, as devices are named after it: `cuda`.
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// `None`: it chooses among several.
    pub(crate) kind: Option<DeviceKind>,
    /// Its registered name.
    pub(crate) provider: &'static str,
    /// Whether the library was built with it: no more than that.
    available: fn() -> bool,
    /// With the device of that index.
    pub(crate) make: fn(usize) -> ExecutionProviderDispatch,
    cure: &'static str,
}

macro_rules! built_in {
    ($name:expr, $about:literal, $kind:expr, $provider:expr, $ep:ty, $cure:literal) => {
        built_in!($name, $about, $kind, $provider, $ep, $cure, |_| <$ep>::default())
    };
    ($name:expr, $about:literal, $kind:expr, $provider:expr, $ep:ty, $cure:literal, $made:expr) => {
        BuiltIn {
            name: $name,
            about: $about,
            kind: $kind,
            provider: $provider,
            available: || <$ep as ExecutionProvider>::is_available().unwrap_or(false),
            make: |index| {
                let made: fn(usize) -> $ep = $made;
                made(index).build().error_on_failure()
            },
            cure: $cure,
        }
    };
}

/// Without TF32, which ONNX Runtime has on by default: f32 would be computed with 10 bits after the point. Written as a
/// number, as ONNX Runtime's documents do: `with_tf32` writes it as a word.
fn cuda(index: usize) -> ep::CUDA {
    let device = i32::try_from(index).unwrap_or(i32::MAX);
    ep::CUDA::default().with_device_id(device).with_arbitrary_config(TF32, 0)
}

pub(crate) const BUILT_IN: [BuiltIn; 7] = [
    built_in!(
        CUDA,
        "an NVIDIA GPU, through CUDA",
        Some(DeviceKind::Gpu),
        CUDA_PROVIDER,
        ep::CUDA,
        "Run `ditbench setup cuda`",
        cuda
    ),
    built_in!(
        WEBGPU,
        "a GPU of any make, through WebGPU",
        Some(DeviceKind::Gpu),
        "WebGpuExecutionProvider",
        ep::WebGPU,
        "Run `ditbench setup webgpu`"
    ),
    built_in!(
        QNN,
        "Qualcomm's NPU, through QNN",
        Some(DeviceKind::Npu),
        "QNNExecutionProvider",
        ep::QNN,
        "Run `ditbench setup qnn`"
    ),
    built_in!(
        OPENVINO,
        "Intel's processors, GPUs and NPUs, through OpenVINO",
        None,
        "OpenVINOExecutionProvider",
        ep::OpenVINO,
        "Run `ditbench setup openvino`"
    ),
    built_in!(
        "coreml",
        "Apple's GPU and Neural Engine, through Core ML",
        None,
        "CoreMLExecutionProvider",
        ep::CoreML,
        "Use a Mac or iPhone; the fetched library for macOS has it"
    ),
    built_in!(
        "nnapi",
        "accelerators of Android phones, through NNAPI",
        None,
        "NnapiExecutionProvider",
        ep::NNAPI,
        "Run on a phone with the library of the onnxruntime-android package, named with --ort-lib FILE"
    ),
    built_in!(
        "xnnpack",
        "the processor, through XNNPACK's kernels",
        Some(DeviceKind::Cpu),
        "XnnpackExecutionProvider",
        ep::XNNPACK,
        "Name a library that was built with XNNPACK (onnxruntime-android has it) with --ort-lib FILE"
    ),
];

/// The provider of that name.
pub(crate) fn named(name: &str) -> Option<&'static BuiltIn> {
    BUILT_IN.iter().find(|built_in| built_in.name == name)
}

/// What devices of a provider are, in words.
pub(crate) fn about(name: &str) -> String {
    named(name).map_or_else(|| format!("through the provider {name}"), |built_in| built_in.about.to_owned())
}

impl BuiltIn {
    /// What its device is called where there is none: with the kind before it where there may be several.
    pub(crate) fn usual_name(&self) -> &'static str {
        match self.name {
            QNN => "npu:qnn",
            OPENVINO => "npu:openvino",
            name => name,
        }
    }

    /// Whether sessions can use it here and now: a library that was built with it may not find the driver, or the
    /// libraries that the provider itself needs.
    pub(crate) fn state(&self, environment: &Environment, index: usize) -> Result<(), Missing> {
        if self.name == CUDA {
            // Asked first, because a package of 1.3 GB helps nobody who has no GPU.
            ditbench_nvidia::present(index, NO_DRIVER)?;
        }
        if !(self.available)() {
            return Err(Missing { why: "the library was built without it".to_owned(), cure: self.cure.to_owned() });
        }
        let refused = |why: &str| Missing {
            why: format!("ONNX Runtime cannot use {}: {}", self.provider, one_line(why)),
            cure: "Install the device's driver and the libraries that this provider needs".to_owned(),
        };
        let builder = Session::builder(environment).map_err(|error| refused(error.message()))?;
        builder.with_execution_providers([(self.make)(index)]).map_err(|error| refused(error.message()))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime;

    #[test]
    fn a_provider_that_is_there_but_cannot_be_registered_is_unavailable() {
        let runtime = runtime::for_tests();
        // One that no library for this system has; here it says that it has.
        let foreign = if cfg!(target_vendor = "apple") { "nnapi" } else { "coreml" };
        let foreign = BUILT_IN.into_iter().find(|built_in| built_in.name == foreign).unwrap();
        let claimed = BuiltIn { available: || true, ..foreign };
        let missing = claimed.state(&runtime.environment, 0).unwrap_err();
        assert!(missing.why.contains(&format!("cannot use {}: ", claimed.provider)), "{missing:?}");
        assert!(missing.cure.contains("driver") && !missing.why.contains('\n'), "{missing:?}");
        let absent = BuiltIn { available: || false, ..claimed };
        assert!(absent.state(&runtime.environment, 0).unwrap_err().why.contains("built without it"));
    }

    #[test]
    fn cuda_computes_f32_in_f32_on_the_device_asked_for() {
        let made = format!("{:?}", cuda(1));
        assert!(made.contains(r#""use_tf32": "0""#) && made.contains(r#""device_id": "1""#), "{made}");
    }
}
