#!/usr/bin/env bash
# A plan over the nodes of a Slurm cluster: one task a part, each alone on its node.
#
#   sbatch --array=1-8 scripts/ci/slurm-array.sh plan.toml /shared/runs
#   ditbench merge /shared/runs/part-* --out /shared/runs/all        (when all are done)
#
#SBATCH --job-name=ditbench
#SBATCH --exclusive
#SBATCH --time=01:00:00
set -euo pipefail
plan=${1:?a plan file} runs=${2:?a folder that all nodes see}
parts=${SLURM_ARRAY_TASK_COUNT:?start it with --array=1-N}
ditbench run --plan "$plan" --shard "$SLURM_ARRAY_TASK_ID/$parts" --out "$runs/part-$SLURM_ARRAY_TASK_ID"
