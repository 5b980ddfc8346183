#!/usr/bin/env bash
# Train this recipe and, where labelled music is at hand, measure the encoder on it; writes results.json beside this file.
#
#   recipes/debian_ntxent/run.sh RUN [MUSIC LABELS.csv [SCORE.py]]
#
# RUN       folder of the training run; it is resumed if it was stopped
# MUSIC     folder of labelled music that was not trained on; LABELS.csv as `mirclr evaluate` reads it
# SCORE.py  another scorer: called as SCORE.py LABELS.csv VECTORS.npz --json, its figures are stored too
set -euo pipefail
run=${1:?usage: run.sh RUN [MUSIC LABELS.csv [SCORE.py]]}
music=${2:-} labels=${3:-} score=${4:-}
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
mirclr() { "$python" -m mirclr "$@"; }

mirclr corpus fetch debian-games
[ -f "$run/encoder.safetensors" ] || mirclr train "$here/recipe.yaml" -o "$run" --resume
if [ -n "$music" ]; then
  library=$run/measured.db
  mirclr embed "$music" --library "$library" --checkpoint "$run/encoder.safetensors"
  mirclr evaluate retrieval --library "$library" --labels "$labels" --json > "$run/retrieval.json"
  mirclr evaluate probe --library "$library" --labels "$labels" --json > "$run/probe.json"
  if [ -n "$score" ]; then
    mirclr export --library "$library" --vectors "$run/vectors.npz"
    "$python" "$score" "$labels" "$run/vectors.npz" --json > "$run/score.json"
  fi
fi
"$python" "$here/../collect.py" "$run" "$here/results.json"
