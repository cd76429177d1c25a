#!/usr/bin/env bash
# Does a program still compile for another system? Nothing is linked, so nothing of that system is needed, and a stand-in serves as the C compiler.
#
#   scripts/checks/compiles_for.sh TRIPLE PACKAGE FEATURES
#   scripts/checks/compiles_for.sh aarch64-apple-darwin ditbench candle,tract,metal
#
# The standard library for that system is rustup's, where it is there; else it is built from Debian's sources of
# it, with the compiler that they belong to. Where neither can be had, this says NOT RUN and ends with 3.
set -uo pipefail
cd "$(dirname "$0")/../.."
[ $# -eq 3 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
triple=$1 package=$2 features=$3
target=${CARGO_TARGET_DIR:-target}
target=$(realpath -m "$target")
work=$target/compiles-for
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
name=${triple//-/_}
export "CC_$name=$work/cc" "CXX_$name=$work/cc" "AR_$name=$work/cc"
# Where Apple's compiler would be asked for its libraries, if it were there.
export SDKROOT=$work

check() {
  cargo check --release -p "$package" --target "$triple" --no-default-features --features "$features"
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
  3) echo "NOT RUN: the check for $triple: no standard library for $triple (rustup target add $triple), and $why" >&2; exit 3 ;;
  *) echo "$why" >&2; exit 1 ;;
esac
export RUSTC=$root/rustc RUSTC_BOOTSTRAP=1 CARGO_UNSTABLE_BUILD_STD=std,panic_abort
"$RUSTC" --version || exit 1
check
