#!/usr/bin/env bash
# Builds the server's wheel and source distribution and what installs them (docs/releasing.md).
#
#   deploy/wheel/build.sh [FOLDER]    default: dist
#
# Needs no environment. Beside the two: the locked versions as constraints, and what uv has to leave
# out of other packages' requirements, for CPUs and for CUDA. Prints the wheel's path.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=deploy/uv.sh
. deploy/uv.sh

folder=${1:-dist}
locks=deploy/requirements
find_uv
settings_from_pip
# Left by an earlier build: a module that is gone by now would still be packed.
rm -rf build
"$uv" build --quiet --out-dir "$folder" .
rm -rf build
for device in cpu cuda; do
    cp $locks/$device.txt "$folder/constraints-$device.txt"
    cp $locks/overrides.txt "$folder/overrides-$device.txt"
done
# The lock leaves torch to the installer; here vLLM's requirement names the build.
grep -v '^torch;' $locks/overrides-cpu.txt >>"$folder/overrides-cpu.txt"
ls "$folder"/thinking_server-*.whl
