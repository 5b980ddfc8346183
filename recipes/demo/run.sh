#!/usr/bin/env bash
# The whole demo: music, encoder, library, recommendations.
set -euo pipefail
exec "${PYTHON:-python3}" -m mirclr demo "$@"
