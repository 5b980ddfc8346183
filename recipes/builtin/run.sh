#!/usr/bin/env bash
# The built-in encoder and heads, from nothing; what is there already is not made again.
#
#   recipes/builtin/run.sh RUN [--music DIR --labels LABELS.csv --score SCORE.py]
#   recipes/builtin/run.sh --smoke [RUN]
#
# RUN       folder of the examples and of the training runs; some hours on two cores
# --music … labelled music that is never trained on, to measure with
# --smoke   the whole of it in minutes, on the four songs of tests/audio: it shows that every step works, not that
#           anything is learned. musicnn is the teacher where it has been imported, else the built-in encoder is.
#           Nothing is written outside RUN.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
cores=${CORES:-2}
smoke=
if [ "${1:-}" = --smoke ]; then
  smoke=1
  shift
  run=${1:-$(mktemp -d)}
  [ $# -eq 0 ] || shift
else
  run=${1:?usage: run.sh RUN [--music DIR --labels LABELS.csv --score SCORE.py], or run.sh --smoke [RUN]}
  shift
fi
mkdir -p "$run"
run=$(cd "$run" && pwd)
# glibc would give the memory of each large tensor back, and fault it in again at the next step
export OMP_NUM_THREADS=1 MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=4294967296
mirclr() { "$python" -m mirclr "$@"; }

corpus=() # manifests with their audio roots
settings=() # of training that differ from the recipe
if [ -n "$smoke" ]; then
  shards=2 more=2 size=96
  "$python" "$here/smoke.py" "$run/tracks.jsonl"
  corpus+=(--corpus "$run/tracks.jsonl" "$here/../../tests/audio")
  settings+=(training.steps=12 training.batch=16 training.warmup=2 training.log_every=4)
  settings+=("encoder.widths=[8, 16]" "encoder.blocks=[1, 1]" encoder.freq_collapse=16)
  if "$python" -c "from mirclr.training.teacher import load_teacher; load_teacher('musicnn')" 2> "$run/teacher.txt"; then
    teacher=musicnn
  else
    teacher=builtin
    echo "smoke: musicnn has not been imported (mirclr teacher import musicnn); the built-in encoder is the teacher"
    settings+=("distillation.targets=[{name: tags, weight: 40.0}, {name: embedding, loss: mse}]")
  fi
  ship=(--output "$run/builtin.safetensors" --shortest 4)
  heads=(--encoder "$run/builtin.safetensors" --output "$run/builtin.heads.safetensors" --results "$run/heads.json")
else
  shards=${SHARDS:-55} more=$((${SHARDS:-55} + 7)) size=1024 teacher=musicnn
  for name in debian-games debian-more; do
    mirclr corpus fetch "$name"
    root=$("$python" -c "from mirclr.provenance import data_dir; print(data_dir() / 'corpora' / '$name')")
    corpus+=(--corpus "$here/../../data_manifests/$name/tracks.jsonl" "$root")
  done
  mirclr teacher import musicnn
  ship=() heads=()
fi

# examples FOLDER FIRST SHARDS: by as many processes as there are cores
examples() {
  local pids=() i
  for ((i = 0; i < cores; i++)); do
    "$python" "$here/examples.py" "$1" --first "$2" --shards "$3" --size "$size" --teacher "$teacher" \
      --worker "$i/$cores" "${corpus[@]}" &
    pids+=($!)
  done
  for i in "${pids[@]}"; do wait "$i"; done
}
# train FOLDER [KEY=VALUE …]: on the examples there
train() {
  local folder=$1 sets=() one
  shift
  for one in "data.train=$folder/examples" ${settings[@]+"${settings[@]}"} "$@"; do sets+=(--set "$one"); done
  [ -f "$folder/training/encoder.safetensors" ] ||
    mirclr train "$here/recipe.yaml" -o "$folder/training" --resume --nproc "$cores" "${sets[@]}"
}

first=$run second=$run/second third=$run/third
"$python" "$here/examples.py" "$first" --shards 0 --teacher "$teacher" "${corpus[@]}" # decodes
examples "$first" 0 "$shards"
train "$first"
# Twice more, each time from there: on as many new examples, then on these and as many again.
again=(training.lr=1e-3)
[ -n "$smoke" ] || again+=(training.warmup=200)
mkdir -p "$second" "$third"
ln -sfn "$first/decoded" "$second/decoded"
ln -sfn "$first/decoded" "$third/decoded"
examples "$second" "$shards" "$more"
steps() { [ -n "$smoke" ] || echo "training.steps=$1"; }
train "$second" "training.init=$first/training/state.safetensors" "${again[@]}" $(steps 4200)
ln -sfn "$second/examples" "$third/examples"
examples "$third" "$((shards + more))" "$more"
train "$third" "training.init=$second/training/state.safetensors" "${again[@]}" $(steps 4400)

"$python" "$here/ship.py" "$third" ${ship[@]+"${ship[@]}"}
if [ "$teacher" = musicnn ]; then
  "$python" "$here/heads.py" "$third" "${corpus[@]}" ${heads[@]+"${heads[@]}"}
else
  echo "smoke: heads are made of the tags of musicnn: left out"
fi
if [ $# -gt 0 ]; then
  "$python" "$here/measure.py" "$third" --encoder builtin "$@" "${corpus[@]}"
  "$python" "$here/report.py"
fi
if [ -n "$smoke" ]; then
  "$python" "$here/../collect.py" "$third/training" "$run/results.json"
  echo "smoke: all steps were made; results: $run/results.json"
fi
