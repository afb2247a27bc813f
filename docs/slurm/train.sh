#!/bin/bash
#SBATCH --job-name=desa-train
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=16
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@300
# Both encoders and their alignment on the GPUs of two nodes.
#
#     SURVEY=... RUNS=... sbatch docs/slurm/train.sh
#
# Five minutes before the end every process is told to stop, and leaves a checkpoint: submitted again, also
# with another number of nodes, the job goes on. Stages that are finished are not trained again.
set -euo pipefail
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
everywhere=(
  srun torchrun --nnodes "$SLURM_NNODES" --nproc-per-node "$SLURM_GPUS_ON_NODE" --max-restarts 3
  --rdzv-backend c10d --rdzv-endpoint "$head:29500" --rdzv-id "$SLURM_JOB_ID" -m
)

"${everywhere[@]}" desa pretrain spectrum "$SURVEY" --preset published -o "$RUNS/spectrum"
"${everywhere[@]}" desa pretrain lightcurve "$SURVEY" --preset published -o "$RUNS/lightcurve"
"${everywhere[@]}" desa align "$SURVEY" --preset published -o "$RUNS/joint" \
  --spectrum "$RUNS/spectrum/model" --lightcurve "$RUNS/lightcurve/model"
