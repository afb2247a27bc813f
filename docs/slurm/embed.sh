#!/bin/bash
#SBATCH --job-name=desa-embed
#SBATCH --nodes=8
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=64
#SBATCH --time=06:00:00
# Embeddings and predictions of a survey on many nodes: on their GPUs where the job has any, else on every core.
#
#     SURVEY=... MODEL=... TABLES=... sbatch docs/slurm/embed.sh
#
# A job that ran out of time is submitted again, and goes on.
set -euo pipefail
export OMP_NUM_THREADS=1
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
everywhere=(
  srun torchrun --nnodes "$SLURM_NNODES" --nproc-per-node "${SLURM_GPUS_ON_NODE:-$SLURM_CPUS_PER_TASK}"
  --rdzv-backend c10d --rdzv-endpoint "$head:29500" --rdzv-id "$SLURM_JOB_ID" -m
)

"${everywhere[@]}" desa embed "$SURVEY" --model "$MODEL" -o "$TABLES/embeddings.parquet"
"${everywhere[@]}" desa predict "$SURVEY" --model "$MODEL" -o "$TABLES/predictions.parquet"
