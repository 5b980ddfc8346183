#!/usr/bin/env bash
# The built-in encoder and heads, from nothing: run.sh RUN [--music DIR --labels CSV --score SCORE.py]. What is there
# already is not made again. The last three name labelled music that is never trained on, to measure with.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
RUN=$1
shift
PYTHON=${PYTHON:-python3}
CORES=${CORES:-2}
SHARDS=${SHARDS:-55}
# glibc would give the memory of each large tensor back, and fault it in again at the next step
export OMP_NUM_THREADS=1 MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=4294967296
CORPUS=()
for name in debian-games debian-more; do
  "$PYTHON" -m mirclr corpus fetch "$name"
  root=$("$PYTHON" -c "from mirclr.provenance import data_dir; print(data_dir() / 'corpora' / '$name')")
  CORPUS+=(--corpus "$HERE/../../data_manifests/$name/tracks.jsonl" "$root")
done
"$PYTHON" -m mirclr teacher import musicnn
# lessons DIR FIRST SHARDS, by as many processes as there are cores
lessons() {
  for ((i = 0; i < CORES; i++)); do
    "$PYTHON" "$HERE/lessons.py" "$1" --first "$2" --shards "$3" --worker "$i/$CORES" "${CORPUS[@]}" &
  done
  wait
}
train() {
  "$PYTHON" -m torch.distributed.run --standalone --nproc-per-node "$CORES" "$HERE/train.py" "$@"
}
"$PYTHON" "$HERE/lessons.py" "$RUN" --shards 0 "${CORPUS[@]}" # decodes
lessons "$RUN" 0 "$SHARDS"
train "$RUN"
# Twice more, each time from there: on as many new lessons, then on these and as many again.
again() { # FROM TO SHARDS STEPS
  mkdir -p "$2"
  ln -sfn ../decoded "$2/decoded"
  lessons "$2" "$SHARDS" "$3"
  train "$2" --from-checkpoint "$1/encoder.safetensors" --set training.steps="$4" --set training.lr=1e-3 \
    --set training.warmup=200
}
again "$RUN" "$RUN/second" "$((SHARDS + 7))" 4200
mkdir -p "$RUN/third"
ln -sfn ../second/lessons "$RUN/third/lessons"
again "$RUN/second" "$RUN/third" "$((2 * (SHARDS + 7)))" 4400
RUN=$RUN/third
"$PYTHON" "$HERE/ship.py" "$RUN"
"$PYTHON" "$HERE/heads.py" "$RUN" --shards "$((SHARDS + 7))" "${CORPUS[@]}"
if [ $# -gt 0 ]; then
  "$PYTHON" "$HERE/measure.py" "$RUN" --encoder builtin "$@" "${CORPUS[@]}"
fi
