#!/usr/bin/env bash
# Writes the software bills of materials, CycloneDX in JSON, of the locked run-time dependencies.
#
#   deploy/sbom.sh [FOLDER]    default: dist
#
# One for CPUs and one for CUDA, with the versions, the hashes and the server itself. The tool runs in
# an environment of its own: it requires more than the server's tools do.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=deploy/uv.sh
. deploy/uv.sh

CYCLONEDX_VERSION=7.5.0
folder=${1:-dist}
locks=deploy/requirements
mkdir -p "$folder"
find_uv
settings_from_pip
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat $locks/cpu.txt >"$work/cpu.txt"
grep '^torch==' $locks/torch-cpu.txt >>"$work/cpu.txt"
cp $locks/cuda.txt "$work/cuda.txt"
for device in cpu cuda; do
    "$uv" tool run --quiet --from "cyclonedx-bom==$CYCLONEDX_VERSION" cyclonedx-py requirements \
        "$work/$device.txt" --pyproject pyproject.toml --output-reproducible \
        --output-format JSON --output-file "$folder/sbom-$device.cdx.json"
    echo "$folder/sbom-$device.cdx.json"
done
