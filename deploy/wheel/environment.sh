#!/usr/bin/env bash
# Makes an environment that has the server's wheel and what it requires on a CPU, for the tests.
#
#   deploy/wheel/environment.sh
#
# Into .cache/wheel, anew each time, by the commands of docs/installing.md: uv links the packages
# from its cache. Prints the environment's path.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=deploy/uv.sh
. deploy/uv.sh

dist=.cache/wheel/dist
venv=.cache/wheel/venv
mkdir -p .cache/wheel
exec 9>.cache/wheel/lock
flock 9
find_uv
settings_from_pip
rm -rf $dist
wheel=$(deploy/wheel/build.sh $dist)
"$uv" venv --quiet --clear --no-project --python "${PYTHON:-.venv/bin/python}" $venv
export VIRTUAL_ENV=$PWD/$venv
install=("$uv" pip install --quiet --constraints "$dist/constraints-cpu.txt"
    --overrides "$dist/overrides-cpu.txt" "${wheel}[cpu,embedded,clients]")
torch_from=""
find_torch
case $torch_from in
here) "${install[@]}" ;;
*) "${install[@]}" --torch-backend=cpu ;;
esac
echo "$PWD/$venv"
