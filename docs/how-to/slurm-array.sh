#!/bin/bash
#SBATCH --job-name=microg-bench
#SBATCH --gpus=1
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --requeue

# One shard of a run a task. SHARDS is the number of shards, --array says which of them to start:
#
#   SHARDS=8 sbatch --array=1-8 slurm-array.sh run --model qwen2.5-vl --data microg-4m --run runs/qwen
#
# A task that has failed is started again by the same command with --array=3.
set -euo pipefail
exec microg-bench "$@" --shard "$SLURM_ARRAY_TASK_ID/$SHARDS"
