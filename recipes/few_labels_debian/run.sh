#!/usr/bin/env bash
# How far few labels go: pre-train without labels, then compare with training on the labels alone. Writes results.json
# and curve.png beside this file.
#
#   recipes/few_labels_debian/run.sh RUN [LIBRARY LABELS.csv]
#
# RUN      folder of the training run; it is resumed if it was stopped
# LIBRARY  vectors of labelled music that is for measuring only, LABELS.csv its labels: probes alone are fitted on it
set -euo pipefail
run=${1:?usage: run.sh RUN [LIBRARY LABELS.csv]}
library=${2:-} labels=${3:-}
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
mirclr() { "$python" -m mirclr "$@"; }

mirclr corpus fetch debian-games
root=$("$python" "$here/part.py" "$run")
[ -f "$run/encoder.safetensors" ] || mirclr train "$here/recipe.yaml" -o "$run" --resume \
  --set data.train="$(cd "$run" && pwd)/unlabelled.jsonl" --set data.audio_root="$root"
mirclr embed "$root" --library "$run/debian.db" --checkpoint "$run/encoder.safetensors"
mirclr evaluate labels-curve --library "$run/debian.db" --labels "$run/labels.csv" --test "$run/test.csv" \
  --fractions 0.1,0.25,0.5,1 --repeats 3 --from-scratch "$here/recipe.yaml" --set training.steps=200 --plot "$here/curve.png" --json > "$run/curve.json"
if [ -n "$library" ]; then
  mirclr evaluate labels-curve --library "$library" --labels "$labels" --repeats 5 --plot "$here/curve-emotify.png" \
    --json > "$run/curve-emotify.json"
fi
"$python" "$here/collect.py" "$run" "$here/results.json"
