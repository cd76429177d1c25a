//! The wheels in which ONNX Runtime is published, one a platform, with what is in them.
//!
//! Hashes were taken in November 2026 from the files that the package registry's own client fetched.

use ditbench_fetch::Wheel;

/// The version that is fetched: what ditbench is tested with.
pub const VERSION: &str = "1.31.1";

/// What all of them have in common.
const ONNX_RUNTIME: Wheel = Wheel {
    what: "ONNX Runtime",
    instead: "name a library with --ort-lib FILE",
    package: "onnxruntime",
    version: VERSION,
    platform: "",
    sha256: "",
    mebibytes: 23,
    member: "",
    member_sha256: "",
    member_bytes: 0,
};

/// By the names that Rust gives operating systems and processors.
const WHEELS: [(&str, &str, Wheel); 3] = [
    (
        "linux",
        "x86_64",
        Wheel {
            platform: "manylinux_2_28_x86_64",
            sha256: "5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f",
            member: "onnxruntime/capi/libonnxruntime.so.1.31.1",
            member_sha256: "fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3",
            member_bytes: 29_352_200,
            ..ONNX_RUNTIME
        },
    ),
    (
        "linux",
        "aarch64",
        Wheel {
            platform: "manylinux_2_28_aarch64",
            sha256: "da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3",
            member: "onnxruntime/capi/libonnxruntime.so.1.31.1",
            member_sha256: "8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467",
            member_bytes: 25_265_040,
            ..ONNX_RUNTIME
        },
    ),
    (
        "macos",
        "aarch64",
        Wheel {
            platform: "macosx_14_0_arm64",
            sha256: "60b6b69bfe580eab576cacc5d132a0e9cf2a37fcfd18d46dd191042b1d1ed0d7",
            member: "onnxruntime/capi/libonnxruntime.1.31.1.dylib",
            member_sha256: "f8b06155feece624e55e49124340eea279da812529ae6fbc46a9f2be9c9cad2e",
            member_bytes: 33_037_336,
            ..ONNX_RUNTIME
        },
    ),
];

/// The wheel for the machine that this was compiled for; `None` if none is known.
pub(super) fn here() -> Option<Wheel> {
    of(std::env::consts::OS, std::env::consts::ARCH)
}

fn of(os: &str, arch: &str) -> Option<Wheel> {
    WHEELS.iter().find(|wheel| (wheel.0, wheel.1) == (os, arch)).map(|wheel| wheel.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_platform_has_its_own_hashes() {
        for (os, arch, wheel) in WHEELS {
            assert_eq!(of(os, arch), Some(wheel));
            assert!([wheel.sha256, wheel.member_sha256].iter().all(|hash| hash.len() == 64));
            assert_eq!(WHEELS.iter().filter(|other| other.2.sha256 == wheel.sha256).count(), 1);
            assert!(wheel.member.contains(VERSION));
        }
        assert_eq!(of("plan9", "x86_64"), None);
    }
}
