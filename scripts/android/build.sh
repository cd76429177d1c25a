#!/usr/bin/env bash
# Builds ditbench for a phone.
#
#   scripts/android/build.sh            both, as far as this machine has the tools
#   scripts/android/build.sh android    aarch64-linux-android, through an NDK and cargo-ndk: candle, tract, ONNX Runtime
#   scripts/android/build.sh musl       aarch64-unknown-linux-musl, static: candle and tract (it cannot load Android's libraries)
#
# `ditbench run --on adb` finds what is built here. A tool that is missing is named with the command that gets it; then the
# exit code is 3, so that nobody takes "not built" for "built".
set -uo pipefail
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-target}
what=${1:-all}
missing=0

miss() { # about what, how to get it
  echo "not built: $1. Get it: $2" >&2
  missing=1
  return 1
}

has_target() {
  rustup target list --installed 2>/dev/null | grep -qx "$1" || miss "no Rust library for $1" "rustup target add $1"
}

done_with() {
  echo "built: $target/$1/release/ditbench ($(du -h "$target/$1/release/ditbench" | cut -f1))"
}

android() {
  local triple=aarch64-linux-android ndk
  ndk=${ANDROID_NDK_HOME:-${ANDROID_NDK_ROOT:-$(ls -d "${ANDROID_HOME:-/nowhere}"/ndk/* 2>/dev/null | sort -V | tail -n 1)}}
  [ -d "$ndk" ] || { miss "no Android NDK (ANDROID_NDK_HOME is not set)" "sdkmanager 'ndk;27.2.12479018', or https://developer.android.com/ndk/downloads"; return; }
  command -v cargo-ndk >/dev/null || { miss "no cargo-ndk" "cargo install cargo-ndk"; return; }
  has_target "$triple" || return
  # API 28: posix_spawn and getrandom are in the system's library from there on.
  ANDROID_NDK_HOME=$ndk cargo ndk -t arm64-v8a --platform 28 build --release -p ditbench || { missing=1; return; }
  done_with "$triple"
}

musl() {
  local triple=aarch64-unknown-linux-musl
  has_target "$triple" || return
  local build
  if command -v cargo-zigbuild >/dev/null && { command -v zig >/dev/null || python3 -c 'import ziglang' 2>/dev/null; }; then
    build=zigbuild
  elif command -v aarch64-linux-musl-gcc >/dev/null; then
    build=build
    export CC_aarch64_unknown_linux_musl=aarch64-linux-musl-gcc
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER=aarch64-linux-musl-gcc
  else
    miss "no C compiler for $triple" "pip install ziglang cargo-zigbuild; or a cross compiler named aarch64-linux-musl-gcc"
    return
  fi
  cargo $build --release -p ditbench --target "$triple" --no-default-features --features candle,tract || { missing=1; return; }
  done_with "$triple"
}

case $what in
  android) android ;;
  musl) musl ;;
  all) android; musl ;;
  *) echo "usage: $0 [android|musl|all]" >&2; exit 2 ;;
esac
[ "$missing" = 0 ] || exit 3
