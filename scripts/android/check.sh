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

root=$target/debian-rust
why=$(scripts/android/debian-rust.sh "$root" 2>&1)
case $? in
  0) ;;
  3) echo "NOT RUN: the check for Android: no standard library for $triple (rustup target add $triple), and $why" >&2; exit 3 ;;
  *) echo "$why" >&2; exit 1 ;;
esac
export RUSTC=$root/rustc RUSTC_BOOTSTRAP=1 CARGO_UNSTABLE_BUILD_STD=std,panic_abort
"$RUSTC" --version || exit 1
check
