#!/usr/bin/env bash
#SBATCH --job-name=mirclr
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#SBATCH --requeue
# Training on several nodes by Slurm: one torchrun a node, which starts a process for each GPU. RUN lies where all nodes see
# it. A worker that is lost is started again with the others, from the last state; a job that is queued again goes on too.
#
#   sbatch recipes/cluster/slurm.sh RECIPE.yaml RUN [more words for mirclr train]
set -euo pipefail
recipe=$1 run=$2
shift 2
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun --kill-on-bad-exit=0 torchrun \
  --nnodes="$SLURM_JOB_NUM_NODES" --nproc-per-node="${PROCESSES:-gpu}" --max-restarts=10 \
  --rdzv-id="$SLURM_JOB_ID" --rdzv-backend=c10d --rdzv-endpoint="$first:${PORT:-29400}" \
  -m mirclr train "$recipe" -o "$run" --resume "$@"
