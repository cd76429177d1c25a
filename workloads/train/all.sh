#!/bin/sh
# Trains nano from nothing, or goes on where it was stopped: workloads/train/all.sh WORK [NAMES]
# NAMES: train on the first so many names only (all, if not given). FROM=FOLDER: start from its checkpoint and encoder.
# FROM=FOLDER TUNE=1: as models/nano was made, the decoder and one latent for each picture instead of an autoencoder.
# DECODER_STEPS, STEPS, BATCH: how long that goes on. LATENT_RATE=0: the latents that FROM comes with stay.
# GRID=SHARE: so many of the noise levels are among those of 4 steps (0.5).
# AGAIN=N TIMES=T: the first N names come T times (1) more an epoch than the rest. KNOWN=N: FROM has no latents, and its denoiser knows the first N names.
# PROCESSES=N: the denoiser on N processes of one thread each (with OMP_NUM_THREADS=1).
set -eu
[ $# -ge 1 ] || { sed -n 2,8p "$0"; exit 2; }
mkdir -p "$1"
work=$(cd "$1" && pwd)
names=${2:+--names $2}
from=${FROM:+--from $(cd "$FROM" && pwd)}
known=${KNOWN:+--known $KNOWN}
again=${AGAIN:+--again $AGAIN --times ${TIMES:-1}}
cd "$(dirname "$0")"
# Steps for the whole data on a GPU; a CPU has to do with fewer.
ae_steps=${AE_STEPS:-60000} steps=${STEPS:-40000} distill_steps=${DISTILL_STEPS:-2000}
tune_steps=${TUNE_STEPS:-200}

if [ ! -x "$work/venv/bin/python" ]; then
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --require-hashes -r requirements.txt
    "$work/venv/bin/pip" install --require-hashes --no-deps -r requirements-judge.txt
fi
python=$work/venv/bin/python
train=${PROCESSES:+$work/venv/bin/torchrun --standalone --nproc-per-node $PROCESSES}
train=${train:-$python}
if [ ! -f "$work/data.npz" ]; then
    cp package.json package-lock.json "$work/"
    npm ci --prefix "$work"
    "$python" data.py --packages "$work/node_modules" --out "$work/data.npz"
fi
# shellcheck disable=SC2086  # no word, two or more
{
if [ -n "${TUNE:-}" ]; then
    "$python" tune_decoder.py --work "$work" $names $from $known $again --steps "${DECODER_STEPS:-10000}" \
        --batch 16 --square 10 --latent-rate "${LATENT_RATE:-0.01}"
    $train train.py --work "$work" $names $from $again --steps "${STEPS:-1900}" --batch "${BATCH:-16}" ${GRID:+--grid $GRID} --narrow-every 1 --bf16
    "$python" tune_on_samples.py --work "$work" $names $again --seeds 1 --steps "${SAMPLE_STEPS:-400}"
    made=denoiser.pt
else
    "$python" train_autoencoder.py --work "$work" $from --steps "$ae_steps" --batch 32
    $train train.py --work "$work" $names $from $again --steps "$steps" --batch "${BATCH:-128}" ${GRID:+--grid $GRID}
    "$python" distill.py --work "$work" $names --steps "$distill_steps"
    made=distilled.pt
fi
"$python" export.py --work "$work" --denoiser "$made" --out "$work/export"
for scheme in q8 q4 palette4 mixed; do
    "$python" tune.py --work "$work" $names --checkpoint "$work/export/nano.safetensors" --scheme $scheme --steps "$tune_steps"
done
"$python" evaluate.py --work "$work" --checkpoint "$work/export/nano.safetensors" --out "$work/export" --tuned
}
