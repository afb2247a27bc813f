#!/bin/bash
#SBATCH --job-name=desa-ingest
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --mem-per-cpu=3G
#SBATCH --time=12:00:00
# Archive files into a survey, by the workers of a Dask cluster that lives as long as the job.
#
#     LIGHTCURVES=... SPECTRA=... SURVEY=... sbatch docs/slurm/ingest.sh
#
# All three are folders that every node sees. A job that ran out of time is submitted again, and goes on.
set -euo pipefail
export OMP_NUM_THREADS=1
scheduler=tcp://$(hostname):8786

dask scheduler --port 8786 --no-dashboard &
srun dask worker "$scheduler" --nworkers "$SLURM_CPUS_PER_TASK" --nthreads 1 --no-dashboard \
  --local-directory "${TMPDIR:-/tmp}" &
trap 'kill $(jobs -p) || true' EXIT

desa ingest --lightcurves "$LIGHTCURVES" --spectra "$SPECTRA" --scheduler "$scheduler" -o "$SURVEY"
