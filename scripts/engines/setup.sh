#!/usr/bin/env bash
# Makes the Python that scripts/engines/engines.toml names, with the packages of its engine: scripts/engines/setup.sh
# Where they cannot be had it says so and makes nothing; the checks then say that they did not run.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=target/engines/venv
packages=(onnxruntime==1.31.1 numpy==2.4.6)
[ -e "$venv/complete" ] && [ "$(cat "$venv/complete")" = "${packages[*]}" ] && exit 0
command -v python3 >/dev/null 2>&1 || { echo "not installed: python3; the Python engine is not set up" >&2; exit 0; }
rm -rf "$venv"
mkdir -p target/engines
if python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary=:all: "${packages[@]}"; then
  echo "${packages[*]}" >"$venv/complete"
else
  rm -rf "$venv"
  echo "not to be had: ${packages[*]}; the Python engine is not set up" >&2
fi
