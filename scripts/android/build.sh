#!/usr/bin/env bash
# Builds ditbench for a phone: the worker and its agent (ditbench-worker), without what only a host needs.
#
#   scripts/android/build.sh            both, as far as this machine has the tools
#   scripts/android/build.sh android    aarch64-linux-android, through an NDK and cargo-ndk: candle, tract, ONNX Runtime
#   scripts/android/build.sh musl       aarch64-unknown-linux-musl, static: candle and tract (it cannot load Android's libraries)
#
# `ditbench run --on adb` finds what is built here. All tools that are missing are named at once, each with the command that gets
# it; then the exit code is 3, so that nobody takes "not built" for "built".
set -uo pipefail
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-target}
what=${1:-all}
failed=0
missing=()

# What is sent to phones has no symbols.
export CARGO_PROFILE_RELEASE_STRIP=symbols CARGO_PROFILE_RELEASE_DEBUG=false

miss() { # about what, how to get it
  missing+=("  $1. Get it: $2")
}

# Says what is missing for a build, if anything is.
ready() { # triple
  [ ${#missing[@]} -eq 0 ] && return
  echo "not built: $1. Missing:" >&2
  printf '%s\n' "${missing[@]}" >&2
  missing=()
  failed=1
  return 1
}

# The standard library for a triple: as rustup installs it, or its sources, from which it is then built here: of this machine's
# compiler, or of Debian's, once debian-rust.sh has fetched that.
std=()
needs_std() { # triple
  local lib compiler=rustc debian=$PWD/$target/debian-rust/rustc
  case $target in /*) debian=$target/debian-rust/rustc ;; esac
  lib=$(rustc --print sysroot)/lib/rustlib
  std=()
  ls "$lib/$1/lib/"libstd-*.rlib >/dev/null 2>&1 && return
  if [ ! -d "$lib/src/rust/library/std" ] && [ -x "$debian" ]; then
    compiler=$debian
    lib=$("$debian" --print sysroot)/lib/rustlib
  fi
  if [ -d "$lib/src/rust/library/std" ]; then
    echo "no standard library for $1: building it from $lib/src" >&2
    std=(env "RUSTC=$compiler" RUSTC_BOOTSTRAP=1 CARGO_UNSTABLE_BUILD_STD=std,panic_abort "RUSTFLAGS=-Clink-self-contained=no ${RUSTFLAGS:-}")
  else
    miss "the standard library for $1" "rustup target add $1; or its sources, from which it is built here: rustup component add rust-src, or on Debian scripts/android/debian-rust.sh"
  fi
}

build() { # triple, features, command...
  local triple=$1 features=$2
  shift 2
  # Older shells (macOS has one) take an empty list for a name that is not set.
  ${std[@]+"${std[@]}"} "$@" --release -p ditbench-phone --bin ditbench-worker --no-default-features --features "$features" || { failed=1; return; }
  echo "built: $target/$triple/release/ditbench-worker ($(du -h "$target/$triple/release/ditbench-worker" | cut -f1))"
}

find_ndk() {
  local folder
  [ -z "${ANDROID_NDK_HOME:-}" ] || [ -d "$ANDROID_NDK_HOME" ] || echo "ANDROID_NDK_HOME=$ANDROID_NDK_HOME is no folder: looking elsewhere" >&2
  for folder in "${ANDROID_NDK_HOME:-}" "${ANDROID_NDK_ROOT:-}"; do
    [ -n "$folder" ] && [ -d "$folder" ] && { echo "$folder"; return; }
  done
  for folder in "${ANDROID_HOME:-}" "${ANDROID_SDK_ROOT:-}" ~/Android/Sdk ~/Library/Android/sdk /opt/android-sdk; do
    [ -n "$folder" ] && ls -d "$folder"/ndk/*/ 2>/dev/null | sort -V | tail -n 1
  done | head -n 1
}

android() {
  local triple=aarch64-linux-android ndk revision get="sdkmanager 'ndk;28.2.13676358', or https://developer.android.com/ndk/downloads"
  ndk=$(find_ndk)
  if [ -z "$ndk" ]; then
    miss "an Android NDK, r28 or later (none in ANDROID_NDK_HOME, in ANDROID_HOME or in ~/Android/Sdk)" "$get"
  else
    revision=$(sed -n 's/^Pkg.Revision *= *\([0-9]*\).*/\1/p' "$ndk/source.properties" 2>/dev/null)
    # Programs of older ones do not start on phones whose memory has pages of 16 KB.
    [ "${revision:-0}" -ge 28 ] || miss "an Android NDK, r28 or later ($ndk is r${revision:-?})" "$get"
  fi
  command -v cargo-ndk >/dev/null || miss "cargo-ndk" "cargo install cargo-ndk"
  needs_std "$triple"
  ready "$triple" || return
  # API 28: posix_spawn and getrandom are in the system's library from there on.
  ANDROID_NDK_HOME=$ndk build "$triple" candle,tract,ort cargo ndk -t arm64-v8a --platform 28 build
}

musl() {
  local triple=aarch64-unknown-linux-musl command=build
  if command -v aarch64-linux-musl-gcc >/dev/null; then
    export CC_aarch64_unknown_linux_musl=aarch64-linux-musl-gcc
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER=aarch64-linux-musl-gcc
  else
    command=zigbuild
    # In an environment of its own: the Python of many systems does not let pip install beside its own packages.
    local venv="python3 -m venv ~/ziglang && ~/ziglang/bin/pip install ziglang cargo-zigbuild && PATH=~/ziglang/bin:\$PATH"
    command -v cargo-zigbuild >/dev/null || miss "cargo-zigbuild" "$venv"
    command -v zig >/dev/null || command -v python-zig >/dev/null || python3 -c 'import ziglang' 2>/dev/null ||
      miss "zig, as the C compiler (or one named aarch64-linux-musl-gcc)" "$venv"
  fi
  needs_std "$triple"
  ready "$triple" || return
  build "$triple" candle,tract cargo "$command" --target "$triple"
}

case $what in
  android) android ;;
  musl) musl ;;
  all) android; musl ;;
  *) echo "usage: $0 [android|musl|all]" >&2; exit 2 ;;
esac
[ "$failed" = 0 ] || exit 3
