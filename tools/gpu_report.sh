#!/usr/bin/env bash
# Try everything that needs a GPU, in under ten minutes, and write one table.
#
#     tools/gpu_report.sh                 # writes output/gpu_report/report.md, and a log per run
#     tools/gpu_report.sh FOLDER
#
# First the tests marked gpu; then short trainings on the small data set of the tests with random
# weights: float32, TF32, float16 with its scaler, bfloat16, torch.compile, gradient checkpointing,
# and NCCL in one and in two processes. All take fused AdamW, the only optimizer there is. Samples
# per second are those of the second epoch, without the first steps.
#
# Exit status: 0 if everything succeeded, 1 if something failed, 2 without a GPU.
#
# Environment (default): PYTHON (.venv/bin/python, python3), VARIANT (upocr), BATCH (1) samples per
# task and process, SIDE (512), STEPS (12) per epoch, LIMIT (50) seconds per run
set -uo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
FOLDER=${1:-$ROOT/output/gpu_report}
PYTHON=${PYTHON:-$ROOT/.venv/bin/python}
[[ -x $PYTHON ]] || PYTHON=$(command -v python3)
VARIANT=${VARIANT:-upocr}
BATCH=${BATCH:-1}
SIDE=${SIDE:-512}
STEPS=${STEPS:-12}
LIMIT=${LIMIT:-50}
readonly ROOT PYTHON VARIANT BATCH SIDE STEPS LIMIT
readonly TASKS=3

count_gpus() { # as PyTorch sees them
  "$PYTHON" -c 'import torch; print(torch.cuda.device_count())' 2>/dev/null || echo 0
}

GPUS=$(count_gpus | tail -n 1)
if [[ $GPUS -eq 0 ]]; then
  echo "tools/gpu_report.sh: PyTorch sees no NVIDIA GPU on this machine; nothing was run" >&2
  exit 2
fi

mkdir -p "$FOLDER"
FOLDER=$(cd "$FOLDER" && pwd)
REPORT=$FOLDER/report.md
WORK=$(mktemp -d)
readonly GPUS FOLDER REPORT WORK
trap 'rm -rf "$WORK"' EXIT
cd "$ROOT" || exit 1
failed=0

row() { # row CELL...
  printf '| %s | %s | %s | %s |\n' "$@" | tee -a "$REPORT"
}

outcome() { # outcome STATUS
  case $1 in
    0) echo ok ;;
    124) echo "stopped at its time limit" ;;
    *) echo "failed, exit code $1" ;;
  esac
}

run_tests() {
  local log=$FOLDER/tests.log status
  timeout 120 "$PYTHON" -m pytest -m gpu -p no:cacheprovider >"$log" 2>&1
  status=$?
  [[ $status -eq 0 ]] || failed=1
  row "tests marked gpu: $(tail -n 1 "$log")" - - "$(outcome $status)"
}

# The last line of a log names seconds per step and the peak memory of the main process.
last() { # last LOG PATTERN: the number behind the pattern in the last line that has one
  grep -oE "$2 [0-9.]+" "$1" | tail -n 1 | grep -oE '[0-9.]+$'
}

train() { # train NAME PROCESSES OPTION...
  local name=$1 processes=$2 log status seconds rate=- memory=-
  shift 2
  log=$FOLDER/${name//[^a-z0-9]/_}.log
  local launch=("$PYTHON")
  if [[ $processes -gt 0 ]]; then
    launch+=(-m torch.distributed.run --standalone "--nproc_per_node=$processes")
  fi
  timeout "${limit:-$LIMIT}" "${launch[@]}" main.py --device cuda --variant "$VARIANT" \
    --data_root tests/data --data_cfg_paths data_configs/train/scut-enstext.yaml \
    data_configs/train/tampered-ic13.yaml data_configs/train/textseg.yaml \
    --pix2pix_size "$SIDE" --batch_size "$BATCH" --vgg16_weights random --scratch_init true \
    --epochs 2 --iter_per_epoch "$STEPS" --print_freq "$STEPS" --num_workers 2 \
    --output_dir "$WORK/run" --overwrite true "$@" >"$log" 2>&1
  status=$?
  [[ $status -eq 0 ]] || failed=1
  seconds=$(last "$log" '  time')
  if [[ $status -eq 0 && -n $seconds ]]; then
    memory=$(last "$log" 'memory')
    rate=$(awk "BEGIN { printf \"%.1f\", $TASKS * $BATCH * ($processes > 1 ? $processes : 1) / $seconds }")
  fi
  row "$name" "$rate" "$memory" "$(outcome $status)"
}

{
  echo "# GPU report"
  echo
  nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader 2>/dev/null
  "$PYTHON" -c 'import torch; print("torch", torch.__version__)'
  echo
  echo "$VARIANT, $TASKS x $BATCH samples of $SIDE x $SIDE per process and step"
  echo
  echo "| run | samples per second | peak memory, MiB | outcome |"
  echo "| --- | --- | --- | --- |"
} | tee "$REPORT"

run_tests
train "float32" 0
train "float32, TF32" 0 --tf32 true
train "float16 with scaler" 0 --amp true --amp_dtype float16
train "bfloat16" 0 --amp true --amp_dtype bfloat16
train "bfloat16, checkpointed" 0 --amp true --amp_dtype bfloat16 --swin_use_checkpoint true
train "bfloat16, NCCL, one process" 1 --amp true --amp_dtype bfloat16
if [[ $GPUS -ge 2 ]]; then
  train "bfloat16, NCCL, two processes" 2 --amp true --amp_dtype bfloat16
else
  row "bfloat16, NCCL, two processes" - - "skipped: one GPU"
fi
limit=120 train "bfloat16, compiled" 0 --amp true --amp_dtype bfloat16 --compile true

echo "written to $REPORT"
exit $failed
