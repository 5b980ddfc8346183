#!/usr/bin/env bash
# Trains the recipe into the folder given and prints its result: recipes/smoke/run.sh RUN [--set key=value …]
set -euo pipefail
run=${1:?name a folder for the run}
shift
exec mirclr train "$(dirname "$0")/recipe.yaml" -o "$run" --json "$@"
