#!/usr/bin/env bash
# Does the program for phones still compile for Android? No NDK is needed: nothing is linked, so a stand-in serves as the C compiler.
#
#   scripts/android/check.sh              without candle and tract, which know nothing of systems and take long
#   scripts/android/check.sh FEATURES     with these features: candle,tract,ort
#
# The standard library for Android is rustup's, where it is there; else it is built from Debian's sources of
# it, with the compiler that they belong to. Where neither can be had, this says NOT RUN and ends with 3.
set -uo pipefail
cd "$(dirname "$0")/../.."
triple=aarch64-linux-android
features=${1:-ort}
target=${CARGO_TARGET_DIR:-target}
target=$(realpath -m "$target")
work=$target/android-check
mkdir -p "$work"

# Writes the file that it is told to, and nothing into it: enough for what is never linked.
cat >"$work/cc" <<'CC'
#!/bin/sh
while [ $# -gt 0 ]; do
  case $1 in
    -o) : >"$2"; shift ;;
    *.a) : >"$1" ;;
  esac
  shift
done
CC
chmod +x "$work/cc"
export CC_aarch64_linux_android=$work/cc AR_aarch64_linux_android=$work/cc

check() {
  cargo check --release -p ditbench-phone --target "$triple" --no-default-features --features "$features"
}

has_std() {
  ls "$(rustc --print sysroot)/lib/rustlib/$triple/lib/"libstd-*.rlib >/dev/null 2>&1
}

if has_std; then
  check
  exit
fi

# Debian's compiler for its web browsers is recent; its sources of the standard library are of the same version.
packages=(rustc-web libstd-rust-web-dev rust-web-src)
root=$work/debian
if [ ! -x "$root/rustc" ]; then
  not_run() {
    echo "NOT RUN: the check for Android: $1" >&2
    exit 3
  }
  command -v apt-get >/dev/null 2>&1 || not_run "no standard library for $triple (rustup target add $triple), and this is no Debian"
  rm -rf "$root" && mkdir -p "$root/debs"
  apt-get update -qq >/dev/null 2>&1
  # What the compiler itself is linked to: its driver, and the LLVM of its version.
  needs=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances \
    "${packages[@]}" 2>/dev/null | grep -E '^(libstd-rust-web|libllvm)' | sort -u)
  (cd "$root/debs" && apt-get download -qq "${packages[@]}" $needs) >/dev/null 2>&1 ||
    not_run "no standard library for $triple (rustup target add $triple), and Debian's sources of it (${packages[*]}) cannot be had"
  for deb in "$root"/debs/*.deb; do dpkg-deb -x "$deb" "$root/unpacked" || exit 1; done
  rm -r "$root/debs"
  cat >"$root/rustc.new" <<RUSTC
#!/bin/sh
LD_LIBRARY_PATH=$(echo "$root"/unpacked/usr/lib/*-linux-gnu) exec "$root/unpacked/usr/bin/rustc" "\$@"
RUSTC
  chmod +x "$root/rustc.new" && mv "$root/rustc.new" "$root/rustc"
fi
export RUSTC=$root/rustc RUSTC_BOOTSTRAP=1 CARGO_UNSTABLE_BUILD_STD=std,panic_abort
"$RUSTC" --version || exit 1
check
