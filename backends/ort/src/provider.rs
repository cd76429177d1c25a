//! Execution providers that are published as packages of their own: what each is called, what it wants to be told, and where it
//! is from.
//!
//! Contract: hashes are of the files that the package registry's own client fetched in November 2026. What is told to a provider
//! here is what makes it compute as the file says, or what its package needs to be found; a user's own options win.

mod packages;

use std::path::Path;

use ditbench_backend_api::Numerics;
use ditbench_fetch::Package;
use ort::memory::DeviceType;

use crate::words::CUDA_PROVIDER;

/// CUDA's name as a device.
pub(crate) const CUDA: &str = "cuda";
/// WebGPU's.
pub(crate) const WEBGPU: &str = "webgpu";
/// QNN's.
pub(crate) const QNN: &str = "qnn";
/// OpenVINO's.
pub(crate) const OPENVINO: &str = "openvino";

/// CUDA's option to compute products of f32 in TF32.
pub(crate) const TF32: &str = "use_tf32";

/// What `ditbench setup` can fetch.
pub(crate) const SETUPS: [&str; 4] = [WEBGPU, QNN, OPENVINO, CUDA];

/// Names of devices and the names under which their providers must be registered.
const REGISTERED: [(&str, &str); 4] = [
    (WEBGPU, "WebGpuExecutionProvider"),
    (QNN, "QNNExecutionProvider"),
    (OPENVINO, "OpenVINOExecutionProvider"),
    (CUDA, CUDA_PROVIDER),
];

/// The name under which a provider must be registered; its own where it is not known here.
pub(crate) fn registered(name: &str) -> &str {
    REGISTERED.iter().find(|(known, _)| *known == name).map_or(name, |(_, registered)| registered)
}

/// The packages of a provider for the machine that this was compiled for, the one with its library first.
///
/// # Errors
/// There are none, and for which machines there are.
pub(crate) fn packages(name: &str) -> Result<Vec<Package>, String> {
    packages::of(name, std::env::consts::OS, std::env::consts::ARCH)
}

/// Environment variables that providers read when their libraries are loaded: for a process to set where they are not set, before
/// it starts a thread.
///
/// WebGPU's library otherwise says that a machine with no GPU but a software adapter has no device at all. What it runs on is told by
/// what Vulkan lists, never by this.
pub const ENVIRONMENT: [(&str, &str); 1] = [("ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER", "1")];

/// What a provider is told where the user says nothing else.
pub(crate) fn defaults(name: &str, library: &Path, hardware: DeviceType, threads: usize) -> Vec<(String, String)> {
    let pair = |key: &str, value: String| (key.to_owned(), value);
    match name {
        // ONNX Runtime has it on by default, and f32 would be computed with 10 bits after the point.
        CUDA => vec![pair(TF32, "0".to_owned())],
        QNN => {
            let mut options = vec![pair("enable_htp_fp16_precision", "1".to_owned())];
            let backend = library.with_file_name("libQnnHtp.so");
            if backend.is_file() {
                options.push(pair("backend_path", backend.display().to_string()));
            }
            if simulates() {
                // The simulator has to be told what it is: a Snapdragon 8 Elite.
                options.push(pair("soc_model", "69".to_owned()));
            }
            options
        }
        // By itself it rounds activations to 8 bits where weights have few, and computes in bfloat16 where the processor can.
        // On the processor it does not read the session's count of threads either.
        OPENVINO if hardware == DeviceType::CPU => vec![pair(
            "load_config",
            format!("{{\"CPU\":{{\"EXECUTION_MODE_HINT\":\"ACCURACY\",\"INFERENCE_NUM_THREADS\":\"{threads}\"}}}}"),
        )],
        OPENVINO if hardware == DeviceType::GPU => {
            vec![pair("load_config", "{\"GPU\":{\"EXECUTION_MODE_HINT\":\"ACCURACY\"}}".to_owned())]
        }
        _ => Vec::new(),
    }
}

/// The precision in which a provider computes, given what it is told and what the file asks for.
pub(crate) fn numerics(name: &str, hardware: DeviceType, told: &[(String, String)], asked: Numerics) -> Numerics {
    let accurate = told.iter().any(|(key, value)| key == "load_config" && value.contains("ACCURACY"));
    match name {
        // Whatever the file says: an NPU has no 32-bit floats.
        QNN => Numerics::F16,
        // Told otherwise by the user, it may compute in less.
        OPENVINO if hardware == DeviceType::NPU || !accurate => Numerics::F16,
        // Told to be accurate, it does not round activations.
        OPENVINO if asked == Numerics::Int8Activations => Numerics::WeightOnly,
        // 10 bits after the point, as f16 has.
        CUDA if told.iter().any(|(key, value)| key == TF32 && value != "0") => Numerics::F16,
        _ => asked,
    }
}

/// Whether QNN's library for this machine simulates its NPU, rather than driving one.
pub(crate) fn simulates() -> bool {
    cfg!(target_arch = "x86_64")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_are_registered_under_the_names_that_they_answer_to() {
        assert_eq!(registered("webgpu"), "WebGpuExecutionProvider");
        assert_eq!(registered("cuda"), CUDA_PROVIDER);
        assert_eq!(registered("SomebodysProvider"), "SomebodysProvider");
    }

    #[test]
    fn qnn_finds_its_backend_beside_its_library() {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("libonnxruntime_providers_qnn.so");
        let told = |key: &str| {
            let options = defaults(QNN, &library, DeviceType::NPU, 2);
            options.into_iter().find(|(known, _)| known == key).map(|(_, value)| value)
        };
        assert_eq!(told("backend_path"), None, "what is not there is not named");
        std::fs::write(folder.path().join("libQnnHtp.so"), b"").unwrap();
        assert!(told("backend_path").unwrap().ends_with("libQnnHtp.so"));
        assert_eq!(told("enable_htp_fp16_precision").as_deref(), Some("1"));
        assert_eq!(told("soc_model").is_some(), cfg!(target_arch = "x86_64"));
    }

    #[test]
    fn numerics_are_the_devices() {
        let of = |name, hardware, asked| {
            let told = defaults(name, Path::new("/lib.so"), hardware, 2);
            numerics(name, hardware, &told, asked)
        };
        assert_eq!(of(QNN, DeviceType::NPU, Numerics::F32), Numerics::F16);
        assert_eq!(of(OPENVINO, DeviceType::NPU, Numerics::F32), Numerics::F16);
        assert_eq!(of(OPENVINO, DeviceType::CPU, Numerics::F32), Numerics::F32);
        assert_eq!(of(OPENVINO, DeviceType::GPU, Numerics::Int8Activations), Numerics::WeightOnly);
        assert_eq!(of(WEBGPU, DeviceType::GPU, Numerics::WeightOnly), Numerics::WeightOnly);
        assert_eq!(of(CUDA, DeviceType::GPU, Numerics::F32), Numerics::F32);
        let rounded = [(TF32.to_owned(), "1".to_owned())];
        assert_eq!(numerics(CUDA, DeviceType::GPU, &rounded, Numerics::F32), Numerics::F16);
        let fast = [("load_config".to_owned(), "{\"CPU\":{\"EXECUTION_MODE_HINT\":\"PERFORMANCE\"}}".to_owned())];
        assert_eq!(numerics(OPENVINO, DeviceType::CPU, &fast, Numerics::F32), Numerics::F16);
    }

    #[test]
    fn openvino_computes_as_the_file_says() {
        let told = |hardware| defaults(OPENVINO, Path::new("/lib.so"), hardware, 2);
        let cpu = &told(DeviceType::CPU)[0].1;
        assert!(cpu.contains("\"CPU\":{\"EXECUTION_MODE_HINT\":\"ACCURACY\""), "{cpu}");
        assert!(cpu.contains("\"INFERENCE_NUM_THREADS\":\"2\""), "{cpu}");
        assert!(told(DeviceType::GPU)[0].1.contains("\"GPU\""));
        assert!(told(DeviceType::NPU).is_empty(), "an NPU computes in f16 whatever it is told");
    }
}
