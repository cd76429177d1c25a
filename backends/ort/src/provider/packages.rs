//! The wheels of execution providers, one a platform, with what is wanted of them.

use ditbench_fetch::{Package, Wheel};

/// What all of them have in common.
const NONE: Wheel = Wheel {
    what: "",
    instead: "name the provider's library with --ep NAME=LIBRARY",
    package: "",
    version: "",
    platform: "",
    sha256: "",
    mebibytes: 0,
    member: "",
    member_sha256: "",
    member_bytes: 0,
};

const WEBGPU: Wheel = Wheel {
    what: "ONNX Runtime's WebGPU provider",
    package: "onnxruntime-ep-webgpu",
    version: "0.4.0",
    member: "onnxruntime_ep_webgpu/libonnxruntime_providers_webgpu.so",
    ..NONE
};

const QNN: Wheel = Wheel {
    what: "Qualcomm's QNN provider",
    package: "onnxruntime-qnn",
    version: "2.7.0",
    member: "onnxruntime_qnn/libonnxruntime_providers_qnn.so",
    ..NONE
};

const OPENVINO: Wheel = Wheel {
    what: "Intel's OpenVINO provider",
    package: "onnxruntime-ep-openvino",
    version: "1.8.1",
    platform: "manylinux_2_28_x86_64",
    sha256: "3832643158c8c187fcab6db661cde2a8c06a2b3559d95d0f2411ac0e51c5e924",
    mebibytes: 50,
    member: "onnxruntime_ep_openvino/libonnxruntime_providers_openvino_plugin.so",
    member_sha256: "99644306dea90173d2fac5e2ad8d10c9574ecf6e6e71ca30e426531abd5a717f",
    member_bytes: 3_069_280,
    ..NONE
};

const ONNX_RUNTIME_GPU: Wheel = Wheel {
    what: "ONNX Runtime with CUDA",
    instead: "name the library of the onnxruntime-gpu package with --ort-lib FILE",
    package: "onnxruntime-gpu",
    version: "1.31.1",
    platform: "manylinux_2_28_x86_64",
    sha256: "e26c475fe361b2015f45b4b824bd13f0bb20204e59b62814e6f0acd5f3d491a6",
    mebibytes: 244,
    member: "onnxruntime/capi/libonnxruntime.so.1.31.1",
    member_sha256: "5104254339ecadae808da771bd0b63b240f0dbd466514234905e54372435c303",
    member_bytes: 29_421_832,
};

/// What all of NVIDIA's have in common.
const NVIDIA: Wheel = Wheel { instead: "install CUDA 13 and cuDNN 9 from NVIDIA", ..NONE };

/// What CUDA's provider needs beside the driver, in the order in which they need one another.
const CUDA_LIBRARIES: [Wheel; 5] = [
    Wheel {
        what: "CUDA's runtime",
        package: "nvidia-cuda-runtime",
        version: "13.5.37",
        platform: "manylinux2014_x86_64",
        sha256: "df2b79a8852f10d1fef8c848489c49eebb5754051bf870202a862831412b179d",
        mebibytes: 2,
        member: "nvidia/cu13/lib/libcudart.so.13",
        member_sha256: "be114eaabb3f3251cf30b6e334be5e8c3cf1b12c0a11c17295a810dd83cc141a",
        member_bytes: 806_720,
        ..NVIDIA
    },
    Wheel {
        what: "CUDA's compiler at run time",
        package: "nvidia-cuda-nvrtc",
        version: "13.5.37",
        platform: "manylinux2010_x86_64",
        sha256: "86b4d68058807988b7d9af5b44917a0601e9c337f35ccd657bfb3c759ff8d8bc",
        mebibytes: 55,
        member: "nvidia/cu13/lib/libnvrtc.so.13",
        member_sha256: "98a317ff5d2176dee5a04235c6663f8d553d5ed95b3104cbf7fb198cbf76a10d",
        member_bytes: 141_163_664,
        ..NVIDIA
    },
    Wheel {
        what: "cuBLAS",
        package: "nvidia-cublas",
        version: "13.10.0.20",
        platform: "manylinux1_x86_64",
        sha256: "dcc6d63884c53d07e267ce7e6feac17b2538cebaafec5db865736c3e28e4dc84",
        mebibytes: 424,
        member: "nvidia/cu13/lib/libcublas.so.13",
        member_sha256: "863f349b5352363c66079090d43d9d56ad3d676373ecac18418fd4fb2d0579d1",
        member_bytes: 57_282_152,
        ..NVIDIA
    },
    Wheel {
        what: "cuRAND",
        package: "nvidia-curand",
        version: "10.4.5.25",
        platform: "manylinux_2_27_x86_64",
        sha256: "22bb226a857e5888fe6b54ae465fc4371296bcff13a35f79e19691bcf454f529",
        mebibytes: 74,
        member: "nvidia/cu13/lib/libcurand.so.10",
        member_sha256: "82586610865e67dc73505087e04dd40a3cc69b281028731ce763faafe14b1347",
        member_bytes: 104_860_296,
        ..NVIDIA
    },
    Wheel {
        what: "cuDNN",
        package: "nvidia-cudnn-cu13",
        version: "9.28.1.4",
        platform: "manylinux_2_27_x86_64",
        sha256: "a54f205b1db1f2895d99f398754db1369816f0569dd459731f925635cf7b65ec",
        mebibytes: 493,
        member: "nvidia/cudnn/lib/libcudnn.so.9",
        member_sha256: "f756cabeed9b481134769fdbc0c2ae022cf52ac39aab08be26ea990a56da2efc",
        member_bytes: 137_432,
        ..NVIDIA
    },
];

/// A provider by its name as a device, for an operating system and a processor as Rust names them, and what of its wheel is kept.
const PROVIDERS: [(&str, &str, &str, Package); 6] = [
    (
        super::WEBGPU,
        "linux",
        "x86_64",
        Package {
            wheel: Wheel {
                platform: "manylinux_2_28_x86_64",
                sha256: "5d8c961eda91a88961cad1fb7621f389f006b18497d6ea9ecf96f729f066cbfb",
                mebibytes: 7,
                member_sha256: "9f76e3dc4459421958ad086a9da03bf7e5de9289e9a3a56e28bbb459773dec81",
                member_bytes: 16_450_888,
                ..WEBGPU
            },
            keep: &["onnxruntime_ep_webgpu"],
        },
    ),
    (
        super::WEBGPU,
        "linux",
        "aarch64",
        Package {
            wheel: Wheel {
                platform: "manylinux_2_28_aarch64",
                sha256: "17f660db53b1a509c63e721ac6784a2daa1c4e91a968523ee9986505ee5b0a55",
                mebibytes: 6,
                member_sha256: "720e1288e7e465f924db44b88a98a9d1c543eba3fbb2ff801cf2545f5e7f0279",
                member_bytes: 13_862_448,
                ..WEBGPU
            },
            keep: &["onnxruntime_ep_webgpu"],
        },
    ),
    (
        super::WEBGPU,
        "macos",
        "aarch64",
        Package {
            wheel: Wheel {
                platform: "macosx_14_0_universal2",
                sha256: "8d0a91d44b43d931c3068b9134aed9770f27803e353c2b58c93e1700bb68bcca",
                mebibytes: 5,
                member: "onnxruntime_ep_webgpu/libonnxruntime_providers_webgpu.dylib",
                member_sha256: "894aa43c308c97afe58f6485b8411962181a39b27170f5f210cc7503adb52850",
                member_bytes: 14_966_224,
                ..WEBGPU
            },
            keep: &["onnxruntime_ep_webgpu"],
        },
    ),
    (
        super::QNN,
        "linux",
        "x86_64",
        Package {
            wheel: Wheel {
                platform: "manylinux_2_35_x86_64",
                sha256: "c56c01562b8534fe8980cfea4601408d950c065f8251fb862ce82101c52c9849",
                mebibytes: 94,
                member_sha256: "629dfc151fc842bf9aa6ecdba89c0a864cd50e90fda960f9631e234fed5fc457",
                member_bytes: 4_869_272,
                ..QNN
            },
            keep: &["onnxruntime_qnn", "onnxruntime_qnn.libs"],
        },
    ),
    (
        super::QNN,
        "linux",
        "aarch64",
        Package {
            wheel: Wheel {
                platform: "manylinux_2_34_aarch64",
                sha256: "ad08bbfebd7c07ffe83995418303215f46cb25a89e12676f47ee20c32002eaad",
                mebibytes: 83,
                member_sha256: "74fe7c68710c859c50967c8ce374587102ba6f097a2321c3ee0e55ac8feea5de",
                member_bytes: 4_193_136,
                ..QNN
            },
            keep: &["onnxruntime_qnn", "onnxruntime_qnn.libs"],
        },
    ),
    (super::OPENVINO, "linux", "x86_64", Package { wheel: OPENVINO, keep: &["onnxruntime_ep_openvino"] }),
];

/// The packages of a provider, the one with its library first.
pub(super) fn of(name: &str, os: &str, arch: &str) -> Result<Vec<Package>, String> {
    if name == super::CUDA {
        if (os, arch) != ("linux", "x86_64") {
            return Err(format!("its packages are for Linux on x86-64, and this is {os} on {arch}"));
        }
        let library = Package {
            wheel: ONNX_RUNTIME_GPU,
            keep: &[
                "onnxruntime/capi/libonnxruntime.so.1.31.1",
                "onnxruntime/capi/libonnxruntime_providers_cuda.so",
                "onnxruntime/capi/libonnxruntime_providers_shared.so",
                "onnxruntime/LICENSE",
                "onnxruntime/ThirdPartyNotices.txt",
            ],
        };
        let others = CUDA_LIBRARIES.map(|wheel| Package { wheel, keep: &["nvidia"] });
        return Ok(std::iter::once(library).chain(others).collect());
    }
    let of_name: Vec<_> = PROVIDERS.iter().filter(|provider| provider.0 == name).collect();
    match of_name.iter().find(|provider| (provider.1, provider.2) == (os, arch)) {
        Some(provider) => Ok(vec![provider.3]),
        None if of_name.is_empty() => {
            Err(format!("no package is known for \"{name}\": choose one of {}", super::SETUPS.join(", ")))
        }
        None => {
            let machines: Vec<String> =
                of_name.iter().map(|provider| format!("{} {}", provider.1, provider.2)).collect();
            Err(format!("its packages are for {}, and this is {os} {arch}", machines.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_has_its_own_hashes_and_keeps_its_library() {
        let all: Vec<Package> = [("linux", "x86_64"), ("linux", "aarch64"), ("macos", "aarch64")]
            .into_iter()
            .flat_map(|(os, arch)| crate::provider::SETUPS.map(|name| of(name, os, arch)))
            .flatten()
            .flatten()
            .collect();
        assert_eq!(all.len(), 12);
        let cuda = of(crate::provider::CUDA, "linux", "x86_64").unwrap();
        assert_eq!(cuda[0].wheel.version, crate::library::VERSION, "the same as on the processor");
        for Package { wheel, keep } in &all {
            assert!([wheel.sha256, wheel.member_sha256].iter().all(|hash| hash.len() == 64), "{}", wheel.package);
            assert_eq!(all.iter().filter(|other| other.wheel.sha256 == wheel.sha256).count(), 1);
            assert!(keep.iter().any(|keep| std::path::Path::new(wheel.member).starts_with(keep)), "{}", wheel.package);
            assert!(!wheel.instead.is_empty() && !wheel.what.is_empty() && wheel.mebibytes > 0);
        }
    }

    #[test]
    fn where_there_is_no_package_it_is_said_where_there_are() {
        let why = of("openvino", "macos", "aarch64").unwrap_err();
        assert!(why.contains("linux x86_64") && why.contains("macos aarch64"), "{why}");
        assert!(of("cuda", "linux", "aarch64").unwrap_err().contains("Linux on x86-64"));
        assert!(of("moonlight", "linux", "x86_64").unwrap_err().contains("webgpu, qnn, openvino, cuda"));
    }
}
