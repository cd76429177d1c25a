#!/usr/bin/env bash
# Debian's newest compiler with the sources of its standard library, unpacked into a folder: for targets whose standard library
# this machine lacks. Nothing is installed.
#
#   scripts/android/debian-rust.sh [FOLDER]        default: target/debian-rust
#
# Afterwards FOLDER/rustc is the compiler. Where it cannot be had, this says why and ends with 3.
set -uo pipefail
here=$PWD
cd "$(dirname "$0")/../.."
root=$(realpath -m "${CARGO_TARGET_DIR:-target}/debian-rust")
if [ $# -gt 0 ]; then root=$(cd "$here" && realpath -m "$1"); fi
[ -x "$root/rustc" ] && exit 0
# Debian's compiler for its web browsers is recent; its sources of the standard library are of the same version.
packages=(rustc-web libstd-rust-web-dev rust-web-src)
command -v apt-get >/dev/null 2>&1 || { echo "this is not a Debian system: ${packages[*]} cannot be had" >&2; exit 3; }
# What an interrupted run left; nothing else that is in the folder.
rm -rf "$root/debs" "$root/unpacked" "$root/rustc.new" && mkdir -p "$root/debs" || exit 1
apt-get update -qq >/dev/null 2>&1
# What the compiler itself is linked to: its driver, and the LLVM of its version.
needs=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances \
  "${packages[@]}" 2>/dev/null | grep -E '^(libstd-rust-web|libllvm)' | sort -u)
(cd "$root/debs" && apt-get download -qq "${packages[@]}" $needs) >/dev/null 2>&1 ||
  { echo "Debian's sources of the standard library (${packages[*]}) cannot be had" >&2; exit 3; }
for deb in "$root"/debs/*.deb; do dpkg-deb -x "$deb" "$root/unpacked" || exit 1; done
rm -r "$root/debs"
cat >"$root/rustc.new" <<RUSTC
#!/bin/sh
LD_LIBRARY_PATH=$(echo "$root"/unpacked/usr/lib/*-linux-gnu) exec "$root/unpacked/usr/bin/rustc" "\$@"
RUSTC
# Last, so that what was interrupted is begun anew.
chmod +x "$root/rustc.new" && mv "$root/rustc.new" "$root/rustc"
