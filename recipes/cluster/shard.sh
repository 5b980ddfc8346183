#!/usr/bin/env bash
#SBATCH --job-name=mirclr-shards
#SBATCH --array=1-16
#SBATCH --cpus-per-task=16
#SBATCH --time=08:00:00
# Clips into shards by an array of Slurm jobs, each of which makes its part; the last that ends writes shards.json. What was
# stopped goes on where it was.
#
#   sbatch recipes/cluster/shard.sh RECIPE.yaml s3://bucket/clips [more words for mirclr clips shard]
set -euo pipefail
recipe=$1 folder=$2
shift 2
mirclr clips shard "$recipe" -o "$folder" --part "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" \
  --workers "${SLURM_CPUS_PER_TASK:-0}" "$@"
