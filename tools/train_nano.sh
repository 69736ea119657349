#!/usr/bin/env bash
# Train upocr_nano on a bare machine, or continue where the last session stopped.
#
#     tools/train_nano.sh WORK_FOLDER            # e.g. ../training; everything is written there
#     HOURS=2 tools/train_nano.sh WORK_FOLDER    # stop after two hours; the last checkpoint stays
#     PHOTOGRAPHS=photos tools/train_nano.sh WORK_FOLDER materials    # only one of the stages
#
# Stages, each of which skips what exists already:
#
#     materials   fonts and background photographs from Debian packages, unpacked in the work folder;
#                 nothing is installed into the system
#     corpora     synthetic images in shards; an interrupted shard is started again
#     train       training at 256 pixels for four fifths of the plan, then at 512 pixels, from the
#                 newest checkpoint in the work folder, else from WEIGHTS
#     export      mean of the last checkpoints as WORK_FOLDER/upocr_nano.safetensors; by itself also
#                 beside a running copy
#
# Without a stage materials, train and export run. Training starts as soon as the first shard is
# there; the other shards are synthesized beside it, and training then restarts once with all of
# them. The images of 1,024 pixels are made before the second part, or by `corpora`.
#
# For a copy that is running:
#
#     pause, continue   freeze and thaw it, for measurements beside it. After a pause of more than 25
#                 minutes its processes may give each other up; start it again then
#     stop        end it, as SIGTERM does
#
# Every process runs at idle priority (SCHED_IDLE and nice 19; the same for its session, where the
# kernel groups processes by session) and yields to other work. `pause` it for measurements.
# SIGTERM or SIGINT stops everything; at most EPOCH_STEPS steps are lost. Start the same command
# again to continue. Only one copy per work folder can run.
#
# Environment (default):
#
#     CODE (this checkout)          checkout whose commands run; name a pinned one for long training
#     PYTHON (CODE/.venv, python3)  interpreter with the packages of requirements.txt
#     PHOTOGRAPHS ()                more folders of text-free photographs, separated by colons
#     SCANS ()                      folders of real documents, separated by colons: images and, beside
#                                   each, a .txt file of lines x1,y1,x2,y2,word
#     HELD_OUT ()                   patterns of file names in all of them, separated by spaces, that are
#                                   never trained on: 'one.jpg *_shop_*'
#     WEIGHTS (CODE/pretrained/upocr_nano.safetensors)   start of the training
#     SEEDS (909 910 911 912 913)   one shard of SHARD_SAMPLES per seed
#     SHARD_SAMPLES (500)           training samples per task and shard
#     LARGE_SEED (1010)             seed of the images of 1,024 pixels for the second part
#     LARGE_SAMPLES (360)           their number
#     HOURS ()                      wall-clock limit; without it training runs to the end of the plan
#     EPOCHS, LARGE_EPOCHS (900, 60)   the plan: epochs of EPOCH_STEPS at 256 and at 512 pixels; 20 hours
#                                   on two cores that others use, too (1,400 and 360 steps per hour)
#     DONE (0)                      epochs at 256 pixels that WEIGHTS have behind them: on a new machine
#                                   the learning rate goes on from where it was. `export` prints it
#     EPOCH_STEPS (25)              a checkpoint is written after every epoch
#     LEARNING_RATE, LARGE_LEARNING_RATE (6e-4, 2.5e-4)   peaks; both parts decay to 1e-5
#     PROCESSES (cores, GPUs)       training processes
#     BATCH (1; 16 on a GPU)        samples per configuration and process
#     COMPILE (true)                torch.compile
#     EXPORT_CHECKPOINTS (10)       checkpoints in the exported mean

set -euo pipefail

# --- Settings -------------------------------------------------------------------------------------

readonly FONT_PACKAGES=(
  # As listed on the model card.
  fonts-noto-core fonts-noto-cjk fonts-noto-extra fonts-liberation fonts-freefont-ttf
  fonts-roboto-unhinted fonts-open-sans fonts-lato fonts-dejavu-core fonts-dejavu-extra
  fonts-tlwg-{garuda,kinnari,laksaman,loma,mono,norasi,purisa,sawasdee,typewriter,typist,typo}-ttf
  fonts-tlwg-{umpush,waree}-ttf
  # Handwriting and brush.
  fonts-aoyagi-kouzan-t fonts-aoyagi-soseki fonts-arphic-ukai fonts-blankenburg fonts-breip
  fonts-bwht fonts-comic-neue fonts-dkg-handwriting fonts-ecolier-court fonts-femkeklaver
  fonts-gamaliel fonts-gfs-theokritos fonts-havana fonts-humor-sans fonts-isabella fonts-joscelyn
  fonts-kaushanscript fonts-klaudia-berenika fonts-klee fonts-leckerli-one fonts-levien-typoscript
  fonts-lxgw-wenkai fonts-nanum fonts-nanum-extra fonts-rufscript fonts-sjfonts fonts-tomsontalks
  fonts-woowa-bm fonts-yozvox-yozfont-standard-kana fonts-yusei-magic
  # Display, signs, typewriters.
  fonts-apropal fonts-bajaderka fonts-bebas-neue fonts-cabinsketch fonts-cherrybomb fonts-compagnon
  fonts-courier-prime fonts-dseg fonts-dustin fonts-engadget fonts-essays1743 fonts-f500
  fonts-fantasma fonts-ferrite-core fonts-georgewilliams fonts-gnutypewriter fonts-goudybookletter
  fonts-le-murmure fonts-league-spartan fonts-national-park fonts-ocr-b fonts-okolaks fonts-opendin
  fonts-play fonts-radisnoir fonts-rampart fonts-reggae fonts-roadgeek fonts-rocknroll
  fonts-smiley-sans fonts-solide-mirage fonts-staypuft fonts-stick fonts-summersby fonts-train
  fonts-triod-postnaja fonts-ubuntu-title fonts-yanone-kaffeesatz
)
readonly PICTURE_PACKAGES=(
  gcompris-qt-data gnome-backgrounds lomiri-wallpapers-16.04 lomiri-wallpapers-20.04
  mate-backgrounds palapeli-data plasma-workspace-wallpapers ukui-wallpapers xfdesktop4-data
)

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly HERE
CODE=$(cd "${CODE:-$HERE/..}" && pwd)
PYTHON=${PYTHON:-$CODE/.venv/bin/python}
[[ -x $PYTHON ]] || PYTHON=$(command -v python3)
PHOTOGRAPHS=${PHOTOGRAPHS:-}
SCANS=${SCANS:-}
HELD_OUT=${HELD_OUT:-}
WEIGHTS=${WEIGHTS:-$CODE/pretrained/upocr_nano.safetensors}
SEEDS=${SEEDS:-909 910 911 912 913}
SHARD_SAMPLES=${SHARD_SAMPLES:-500}
LARGE_SEED=${LARGE_SEED:-1010}
LARGE_SAMPLES=${LARGE_SAMPLES:-360}
HOURS=${HOURS:-}
EPOCHS=${EPOCHS:-900}
LARGE_EPOCHS=${LARGE_EPOCHS:-60}
DONE=${DONE:-0}
EPOCH_STEPS=${EPOCH_STEPS:-25}
LEARNING_RATE=${LEARNING_RATE:-6e-4}
LARGE_LEARNING_RATE=${LARGE_LEARNING_RATE:-2.5e-4}
readonly REMAINING=$((EPOCHS - DONE))
COMPILE=${COMPILE:-true}
EXPORT_CHECKPOINTS=${EXPORT_CHECKPOINTS:-10}
GPUS=$(nvidia-smi --list-gpus 2>/dev/null | wc -l || true)
PROCESSES=${PROCESSES:-$((GPUS > 0 ? GPUS : $(nproc)))}
BATCH=${BATCH:-$((GPUS > 0 ? 16 : 1))}

# --- The commands of the checkout, each in one place ----------------------------------------------

# The first two run in the background: `exec setsid` makes each the leader of a process group, so
# that a signal to the group reaches loaders and workers, too. The new session must yield as well.

# The photographs were looked at, and none shows text. `--avoid_text true` would pass over their
# crops with foliage, railings and tiles, which the network must learn to leave alone.
synthesize() { # synthesize OUTPUT_DIR SEED SAMPLES SIZE
  local scans=()
  if compgen -G "$MATERIALS/scans/*.txt" >/dev/null; then
    scans=(--scans "$MATERIALS/scans" --scan_share 0.35)
  fi
  cd "$CODE"
  exec setsid "$HERE/yielding.sh" "$PYTHON" -m synthesis.synthesize --output_dir "$1" --overwrite true \
    --seed "$2" --num_train "$3" --num_test 0 --size "$4" \
    --text_free 0.1 --pages 0.2 --distractors 0.25 --untampered 0.3 --postprocessed 0.5 \
    --avoid_text false "${scans[@]}" \
    --backgrounds "$MATERIALS/backgrounds" --test_backgrounds "$MATERIALS/backgrounds" \
    --fonts "$MATERIALS/fonts" --workers "$((GPUS > 0 ? $(nproc) : 0))"
}

main_py() { # main_py OUTPUT_DIR OPTION...; resumes from the last checkpoint in OUTPUT_DIR
  local output_dir=$1 start
  shift
  start=(--pretrained_model "$START")
  if [[ -e $output_dir/checkpoint_last.pth ]]; then
    start=(--resume "$output_dir/checkpoint_last.pth")
  fi
  cd "$CODE"
  exec setsid "$HERE/yielding.sh" "$PYTHON" -m torch.distributed.run --standalone --nproc_per_node "$PROCESSES" main.py \
    --variant upocr_nano --vgg16_weights none --amp true --amp_dtype bfloat16 \
    --compile "$COMPILE" --batch_size "$BATCH" --iter_per_epoch "$EPOCH_STEPS" \
    --print_freq "$EPOCH_STEPS" --num_workers "$((GPUS > 0 ? 12 : 1))" --lr_encoder_ratio 1 \
    --task_weights text_removal=1.5 tampered_text_detection=1.2 text_segmentation=5 \
    --data_root "$WORK/data" --output_dir "$output_dir" "${start[@]}" "$@"
}

export_mean() { # export_mean OUTPUT CHECKPOINT...
  local output=$1
  shift
  (cd "$CODE" && "$PYTHON" -m tools.export "$@" --output "$output" --dtype float16 --image_size 512)
}

# --- Materials ------------------------------------------------------------------------------------

unpack() { # unpack FOLDER PACKAGE...: every package into a folder of its name
  local folder=$1 package missing=()
  shift
  mkdir -p "$folder" "$MATERIALS/debs"
  for package in "$@"; do
    [[ -d $folder/$package ]] || missing+=("$package")
  done
  [[ ${#missing[@]} -gt 0 ]] || return 0
  # Refreshing the package lists needs root; without it those of the system are used.
  apt-get update -qq || echo "apt-get update failed: using the package lists as they are" >&2
  download "${missing[@]}"
  for package in "${missing[@]}"; do
    compgen -G "$MATERIALS/debs/${package}_*.deb" >/dev/null || continue
    rm -rf "$folder/$package.new"
    dpkg -x "$MATERIALS/debs/${package}"_*.deb "$folder/$package.new"
    mv "$folder/$package.new" "$folder/$package"
    rm "$MATERIALS/debs/${package}"_*.deb
  done
}

download() { # download PACKAGE...: into debs; all at once, or one by one where some are unknown
  local package
  cd "$MATERIALS/debs"
  if ! apt-get download -qq -o APT::Sandbox::User=root "$@" 2>/dev/null; then
    for package in "$@"; do
      apt-get download -qq -o APT::Sandbox::User=root "$package" ||
        echo "$package is not available here, left out" >&2
    done
  fi
  cd - >/dev/null
}

held_out() { # held_out NAME: whether a pattern of HELD_OUT matches the file name
  local patterns pattern
  read -ra patterns <<<"$HELD_OUT"
  for pattern in "${patterns[@]}"; do
    # shellcheck disable=SC2053 # a pattern
    [[ $1 != $pattern ]] || return 0
  done
  return 1
}

add_files() { # add_files TARGET FOLDERS: images and their word boxes, without those held out
  local folder folders path image
  IFS=: read -ra folders <<<"$2"
  mkdir -p "$1"
  for folder in "${folders[@]}"; do
    for path in "$folder"/*.{jpg,jpeg,png}; do
      if [[ ! -e $path ]] || held_out "${path##*/}"; then continue; fi
      cp -n "$path" "$1/"
      image=${path%.*}
      [[ ! -e $image.txt ]] || cp -n "$image.txt" "$1/"
    done
  done
}

materials() {
  unpack "$MATERIALS/fonts" "${FONT_PACKAGES[@]}"
  unpack "$MATERIALS/pictures" "${PICTURE_PACKAGES[@]}"
  if [[ ! -e $MATERIALS/backgrounds/.complete ]]; then
    "$PYTHON" "$HERE/collect_backgrounds.py" "$MATERIALS/pictures" "$MATERIALS/backgrounds" \
      --exclude "$HERE/backgrounds_with_text.txt"
    touch "$MATERIALS/backgrounds/.complete"
  fi
  add_files "$MATERIALS/backgrounds" "$PHOTOGRAPHS"
  rm -rf "$MATERIALS/scans" # so that HELD_OUT may grow
  add_files "$MATERIALS/scans" "$SCANS"
}

# --- Corpora --------------------------------------------------------------------------------------

shard() { # shard NAME SEED SAMPLES SIZE
  local folder=$WORK/data/shards/$1
  [[ ! -e $folder/.complete ]] || return 0
  synthesize "$folder" "$2" "$3" "$4" &
  synthesis=$!
  wait "$synthesis" # unlike a foreground command, this lets the trap run at once
  synthesis=
  touch "$folder/.complete"
}

small_shards() {
  local seed
  for seed in $SEEDS; do
    shard "$seed" "$seed" "$SHARD_SAMPLES" 512
  done
}

large_shard() { shard "large_$LARGE_SEED" "$LARGE_SEED" "$LARGE_SAMPLES" 1024; }

corpora() {
  small_shards
  large_shard
}

readonly SMALL='*/shards/[0-9]*' LARGE='*/shards/large_*' # patterns of their paths

complete_shards() { # complete_shards PATTERN
  find "$WORK/data/shards" -mindepth 2 -maxdepth 2 -path "$1" -name .complete -printf '%h\n' | sort
}

merge() { # merge NAME PATTERN: the finished shards as one corpus, if that is not its state already
  local corpora
  mapfile -t corpora < <(complete_shards "$2")
  [[ ${#corpora[@]} -gt 0 ]] || return 0
  if [[ "${corpora[*]##*/}" != "$(cat "$WORK/data/$1/.corpora" 2>/dev/null)" ]]; then
    (cd "$HERE/.." && "$PYTHON" -m tools.merge_corpora --overwrite true \
      "$WORK/data/$1" "${corpora[@]}")
    echo "${corpora[*]##*/}" >"$WORK/data/$1/.corpora"
  fi
}

# --- Training -------------------------------------------------------------------------------------

write_configs() { # data configurations for both sizes, from those of the checkout
  local from=$CODE/data_configs/train to=$WORK/data_configs task
  mkdir -p "$to"
  for task in removal segmentation; do
    sed 's/min_ratio: 0.4,/min_ratio: 0.2,/' "$from/synthetic-text-$task.yaml" >"$to/$task.yaml"
    sed 's/min_ratio: .*, max_ratio: .*}/min_ratio: 0.5, max_ratio: 1.0}/' \
      "$from/synthetic-text-$task.yaml" >"$to/$task-512.yaml"
  done
  cp "$from/synthetic-tampered-text-detection-scaled.yaml" "$to/detection.yaml"
  # At 512 pixels detection sees images of 1,024 pixels, at half to full resolution.
  sed 's|root: synthetic/|root: synthetic_large/|' "$to/detection.yaml" >"$to/detection-512.yaml"
}

fast_part() {
  local configs=$WORK/data_configs peak
  # The learning rate falls in a straight line, so what remains of it is a shorter line.
  peak=$(awk "BEGIN { print $LEARNING_RATE * $REMAINING / $EPOCHS }")
  START=$WEIGHTS main_py "$WORK/run_256" --pix2pix_size 256 --epochs "$REMAINING" \
    --seed "$((9 + DONE))" --lr "$peak" --warmup_epochs 12 --warmup_min_lr 1e-4 --save_interval 5 \
    --data_cfg_paths "$configs/removal.yaml" "$configs/removal.yaml" "$configs/detection.yaml" \
    "$configs/segmentation.yaml"
}

large_part() {
  local configs=$WORK/data_configs
  START=$WORK/run_256/checkpoint_last.pth main_py "$WORK/run_512" --pix2pix_size 512 \
    --epochs "$LARGE_EPOCHS" --seed 10 --lr "$LARGE_LEARNING_RATE" --warmup_epochs 2 \
    --warmup_min_lr 1e-4 --save_interval 1 --data_cfg_paths "$configs/removal-512.yaml" \
    "$configs/removal-512.yaml" "$configs/detection-512.yaml" "$configs/segmentation-512.yaml"
}

finished() { [[ -e $WORK/$1/$(printf 'checkpoint_%04d.pth' "$2") ]]; }

remember() { # remember PROCESS: as the training that runs in the background
  training=$1
  echo "$training" >"$WORK/training.pid"
}

stop_after_checkpoint() { # stop_after_checkpoint FOLDER: end the training once it has saved
  local now=$WORK/.now
  touch "$now"
  while kill -0 "$training" 2>/dev/null && [[ ! $1/checkpoint_last.pth -nt $now ]]; do
    sleep 2
  done
  kill -TERM -- "-$training" 2>/dev/null || true
  wait "$training" || true
}

train() {
  local seeds first
  write_configs
  read -ra seeds <<<"$SEEDS"
  first=${seeds[0]}
  shard "$first" "$first" "$SHARD_SAMPLES" 512
  merge synthetic "$SMALL"
  if ! finished run_256 "$REMAINING"; then
    fast_part &
    remember $!
    small_shards
    if [[ $(complete_shards "$SMALL" | wc -l) -ne $(wc -w <"$WORK/data/synthetic/.corpora") ]]; then
      stop_after_checkpoint "$WORK/run_256"
      merge synthetic "$SMALL"
      fast_part &
      remember $!
    fi
    wait "$training"
  fi
  corpora
  merge synthetic "$SMALL"
  merge synthetic_large "$LARGE"
  if ! finished run_512 "$LARGE_EPOCHS"; then
    large_part &
    remember $!
    wait "$training"
  fi
  training=
}

# The name must not be `export`, which is a builtin.
export_weights() {
  local folder=$WORK/run_512 checkpoints
  compgen -G "$folder/checkpoint_0*.pth" >/dev/null || folder=$WORK/run_256
  mapfile -t checkpoints < <(find "$folder" -name 'checkpoint_[0-9]*.pth' | sort |
    tail -n "$EXPORT_CHECKPOINTS")
  [[ ${#checkpoints[@]} -gt 0 ]] || checkpoints=("$folder/checkpoint_last.pth")
  export_mean "$WORK/upocr_nano.safetensors" "${checkpoints[@]}"
  echo "to go on elsewhere with these weights: DONE=$((DONE + $(wc -l <"$WORK/run_256/log.txt")))"
}

# --- Start ----------------------------------------------------------------------------------------

usage() { # the header of this file
  sed -n '2,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
  exit 2
}

lock() { # one copy per work folder; processes below inherit the lock
  exec 9>"$WORK/.lock"
  flock --nonblock 9 || {
    echo "$WORK: another copy of this script, or its training, is running there" >&2
    exit 2
  }
}

require_running() {
  if [[ ! -e $WORK/script.pid ]] || flock --nonblock "$WORK/.lock" true; then
    echo "$WORK: nothing is running there" >&2
    exit 2
  fi
}

signal_running() { # signal_running SIGNAL: to the running copy and everything below it
  local tree=() level
  require_running
  mapfile -t level <"$WORK/script.pid"
  while [[ ${#level[@]} -gt 0 ]]; do
    tree+=("${level[@]}")
    mapfile -t level < <(IFS=, && pgrep -P "${level[*]}")
  done
  kill "-$1" "${tree[@]}"
}

yield_to_others() {
  renice -n 19 -p $$ >/dev/null
  chrt --idle --pid 0 $$ || echo "no SCHED_IDLE here: running with nice 19 only" >&2
  export OMP_NUM_THREADS=$((GPUS > 0 ? 4 : 1))
}

# shellcheck disable=SC2317 # called by the trap
stop_all() { # ends everything that was started below; the exit status stays
  local leader
  trap - EXIT TERM INT
  for leader in $deadline $synthesis $training; do
    kill -TERM -- "-$leader" 2>/dev/null || true
  done
  wait || true
}

main() {
  local stage
  [[ $# -ge 1 && $1 != -* ]] || usage
  mkdir -p "$1/data/shards"
  WORK=$(cd "$1" && pwd)
  MATERIALS=$WORK/materials
  readonly WORK MATERIALS
  shift
  [[ $# -gt 0 ]] || set -- materials train export

  case $1 in
    pause) signal_running STOP ;;
    continue) signal_running CONT ;;
    stop) require_running && kill -TERM "$(cat "$WORK/script.pid")" ;;
  esac
  [[ $1 != @(pause|continue|stop) ]] || exit 0

  yield_to_others
  if [[ $* == export ]]; then # only reads, so it may run beside a training
    export_weights
    exit
  fi
  lock
  export TORCHINDUCTOR_CACHE_DIR=$WORK/compiled # compiled code survives a restart
  echo $$ >"$WORK/script.pid"
  training='' synthesis='' deadline=''
  trap stop_all EXIT
  trap 'echo "stopped; the same command continues"; exit 143' TERM INT
  if [[ -n $HOURS ]]; then
    setsid bash -c "sleep ${HOURS}h && kill -TERM $$" 9>&- &
    deadline=$!
  fi

  for stage in "$@"; do
    case $stage in
      materials) materials ;;
      corpora) corpora ;;
      train) train ;;
      export) export_weights ;;
      *) usage ;;
    esac
  done
}

# On one line: bash reads a script while it runs it, and this file may change during a long training.
main "$@"; exit
