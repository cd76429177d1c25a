//! `scripts/android/build.sh`, with stand-ins for the tools that it looks for: what it names, and what it would run.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A machine with these tools and nothing else that the script looks for.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        machine.tool("rustc", &format!("echo {}", machine.path("sysroot").display()));
        // A real Python may have the compiler that the script looks for.
        machine.tool("python3", "exit 1");
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn tool(&self, name: &str, script: &str) {
        self.program(&format!("bin/{name}"), script);
    }

    fn program(&self, name: &str, script: &str) {
        self.file(name, &format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(self.path(name), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }

    fn file(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Exit code and words of the script.
    fn build(&self, what: &str) -> (Option<i32>, String) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/android/build.sh");
        let mut command = Command::new("bash");
        command.arg(script).arg(what).env("HOME", self.path("home")).env("CARGO_TARGET_DIR", self.path("target"));
        command.env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()));
        for name in ["ANDROID_HOME", "ANDROID_SDK_ROOT", "ANDROID_NDK_HOME", "ANDROID_NDK_ROOT", "RUSTFLAGS"] {
            command.env_remove(name);
        }
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (output.status.code(), said.concat())
    }
}

#[test]
fn all_that_is_missing_is_named_at_once() {
    let machine = Machine::new();
    let (code, said) = machine.build("all");
    assert_eq!(code, Some(3), "{said}");
    for word in [
        "not built: aarch64-linux-android. Missing:",
        "an Android NDK, r28 or later",
        "cargo install cargo-ndk",
        "rustup target add aarch64-linux-android",
        "not built: aarch64-unknown-linux-musl. Missing:",
        "cargo-zigbuild. Get it: python3 -m venv",
        "zig, as the C compiler",
        "rustup target add aarch64-unknown-linux-musl",
        "rustup component add rust-src",
    ] {
        assert!(said.contains(word), "no \"{word}\" in\n{said}");
    }
}

#[test]
fn an_ndk_in_the_usual_folder_is_found_and_must_be_new_enough() {
    let machine = Machine::new();
    machine.tool("cargo-ndk", "");
    machine.tool("cargo", "echo \"cargo $*; strip $CARGO_PROFILE_RELEASE_STRIP; ndk $ANDROID_NDK_HOME\"");
    machine.file("sysroot/lib/rustlib/aarch64-linux-android/lib/libstd-1.rlib", "");
    machine.file(
        "home/Android/Sdk/ndk/27.2.12479018/source.properties",
        "Pkg.Desc = Android NDK\nPkg.Revision = 27.2.12479018\n",
    );
    machine.file("target/aarch64-linux-android/release/ditbench-worker", "program");
    let (code, said) = machine.build("android");
    assert!(code == Some(3) && said.contains("27.2.12479018/ is r27"), "{said}");
    machine.file("home/Android/Sdk/ndk/28.2.13676358/source.properties", "Pkg.Revision = 28.2.13676358\n");
    let (code, said) = machine.build("android");
    assert_eq!(code, Some(0), "{said}");
    for word in [
        "cargo ndk -t arm64-v8a",
        "--no-default-features --features candle,tract,ort",
        "strip symbols",
        "28.2.13676358",
    ] {
        assert!(said.contains(word), "no \"{word}\" in\n{said}");
    }
}

#[test]
fn a_library_that_is_not_there_is_built_from_its_sources() {
    let machine = Machine::new();
    machine.tool("aarch64-linux-musl-gcc", "");
    machine.tool("cargo", "echo \"cargo $*; std $CARGO_UNSTABLE_BUILD_STD; flags $RUSTFLAGS\"");
    machine.file("sysroot/lib/rustlib/src/rust/library/std/Cargo.toml", "");
    machine.file("target/aarch64-unknown-linux-musl/release/ditbench-worker", "program");
    let (code, said) = machine.build("musl");
    assert_eq!(code, Some(0), "{said}");
    for word in [
        "building it from",
        "cargo build --target aarch64-unknown-linux-musl",
        "std std,panic_abort",
        "-Clink-self-contained=no",
    ] {
        assert!(said.contains(word), "no \"{word}\" in\n{said}");
    }
}

#[test]
fn debians_compiler_is_taken_once_it_was_fetched() {
    let machine = Machine::new();
    machine.tool("aarch64-linux-musl-gcc", "");
    machine.tool("cargo", "echo \"cargo $*; compiler $RUSTC; std $CARGO_UNSTABLE_BUILD_STD\"");
    let (code, said) = machine.build("musl");
    assert!(code == Some(3) && said.contains("on Debian scripts/android/debian-rust.sh"), "{said}");
    let sysroot = machine.path("debian");
    machine.file("debian/lib/rustlib/src/rust/library/std/Cargo.toml", "");
    machine.program("target/debian-rust/rustc", &format!("echo {}", sysroot.display()));
    machine.file("target/aarch64-unknown-linux-musl/release/ditbench-worker", "program");
    let (code, said) = machine.build("musl");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("target/debian-rust/rustc; std std,panic_abort"), "{said}");
}
