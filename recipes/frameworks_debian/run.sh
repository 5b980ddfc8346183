#!/usr/bin/env bash
# Every contrastive framework on the same clips for the same number of steps, measured, with table and plots.
#
#   recipes/frameworks_debian/run.sh RUNS --music MUSIC --labels LABELS.csv [--score SCORE.py] [--only NAME,…]
#
# RUNS is the folder of the training runs: what is done is not done again, what was stopped is resumed. MUSIC and LABELS.csv
# are labelled music that is never trained on, as `mirclr evaluate` takes it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
"$python" "$here/run.py" "$@"
"$python" "$here/report.py"
