#!/usr/bin/env bash
# Train on several machines: start this script on each of them. Arguments are overrides, such as train.iterations=1000.
#
# All machines need the same code and data, and a run folder that they share: every process reads checkpoints from it.
# If a process dies, torchrun starts all processes again, up to three times, and they resume from the newest checkpoint.
# A machine that disappears for good ends the run; the same commands resume it, with any number of machines.
set -euo pipefail

# EDIT: the file to train, and a run folder that all machines share.
FILE=${FILE:-recipes/photo_sr.yml}
RUN_DIR=${RUN_DIR:-/shared/runs/photo_sr}
# EDIT: the number of machines, and the name of one of them with a free port.
NODES=${NODES:-2}
ENDPOINT=${ENDPOINT:-node0.example.com:29400}
# Processes of each machine: one per GPU, or a number.
PROCESSES=${PROCESSES:-gpu}

# Lets processes meet again after a restart over gloo. NCCL does not need it.
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
exec torchrun \
  --nnodes "$NODES" --nproc-per-node "$PROCESSES" --max-restarts 3 \
  --rdzv-id artschool --rdzv-backend c10d --rdzv-endpoint "$ENDPOINT" \
  -m artschool train "$FILE" --run-dir "$RUN_DIR" "$@"
