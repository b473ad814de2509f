#!/usr/bin/env bash
# Installs the lm-evaluation-harness into .cache/lm-eval, an environment of its own: what it
# pins need not suit the server. `python -m benchmarks.proof` runs this; again: does nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=deploy/uv.sh
. deploy/uv.sh

REQUIREMENT="lm-eval[api]==0.4.13"
venv=.cache/lm-eval
stamp=$venv/.installed

if [ "$(cat "$stamp" 2>/dev/null)" = "$PWD $REQUIREMENT" ]; then exit 0; fi
find_uv
settings_from_pip
say "installing $REQUIREMENT into $venv"
"$uv" venv --quiet --clear --no-project --python "${PYTHON:-.venv/bin/python}" "$venv"
VIRTUAL_ENV=$PWD/$venv "$uv" pip install --quiet "$REQUIREMENT"
echo "$PWD $REQUIREMENT" >"$stamp"
