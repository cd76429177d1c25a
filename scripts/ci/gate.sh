#!/usr/bin/env bash
# Is this checkout slower, bigger or wrong? Builds a base revision and this one, and holds them against each other on this
# machine, launch by launch. Exit code: 0 no, 1 yes, 2 it could not be done, 3 it cannot be told with so many launches.
#
#   scripts/ci/gate.sh [BASE_REV] [ditbench ab's own flags…]
#
# --count counts instructions in valgrind in place of timing: other people's work does not change them.
#
# On a shared runner most of the noise is other people's work: start with the strict numbers only (gate.toml), let
# `ditbench aa` tell what the runner's noise is, and treat exit code 3 as a question, not as a failure.
set -euo pipefail
cd "$(dirname "$0")/../.."
# Where this checkout left main: what others have done to main since does not count.
[ $# -gt 0 ] || set -- origin/main --merge-base
base=$1
shift
out=${DITBENCH_OUT:-target/gate}
rm -rf "$out"
cargo build --release
exec target/release/ditbench ab --base-rev "$base" --out "$out" --junit "$out.xml" --markdown "$out.md" "$@"
