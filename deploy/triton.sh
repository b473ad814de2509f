#!/usr/bin/env bash
# Installs Triton for the tests of the sampler's fused kernels, which run in its interpreter.
#
#   deploy/triton.sh
#
# Into .cache/triton, a folder of its own: in .venv, vLLM's CPU build would behave differently.
# The version and its hashes are those that a CUDA installation has. A second run does nothing: a
# stamp, written last, records what was installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=deploy/uv.sh
. deploy/uv.sh

folder=.cache/triton
# The requirement and its hashes: from its name to the next name.
requirement=$(awk '/^[a-zA-Z]/ {wanted = /^triton==/} wanted' deploy/requirements/cuda.txt)
[ -n "$requirement" ] || fail "deploy/requirements/cuda.txt does not name triton"
key=$(echo "$requirement" | key_of)

mkdir -p .cache
exec 9>.cache/triton.lock
flock 9 # two concurrent `make`: the second waits, then finds the work done
if has_stamp $folder "$key"; then exit 0; fi
say "installing ${requirement%% *} into $folder"
find_uv
settings_from_pip
rm -rf $folder
echo "$requirement" >$folder.lock.txt
"$uv" pip install --quiet --no-deps --require-hashes --python "${PYTHON:-.venv/bin/python}" \
    --target $folder --requirement $folder.lock.txt
rm $folder.lock.txt
echo "$key" >$folder/.installed
