#!/usr/bin/env bash
# Writes deploy/requirements/LICENSES.md: every locked run-time dependency with its licence.
#
#   deploy/licenses.sh
#
# The licences are those that the packages' metadata names, as the index has it: pip reads it without
# downloading the packages, so that those for CUDA are listed on any machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=deploy/uv.sh
. deploy/uv.sh
find_uv

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for device in cpu cuda; do
    say "reading the licences of $device.txt"
    "$uv" tool run --quiet pip install --quiet --dry-run --no-deps \
        --ignore-installed --report "$work/$device.json" -r deploy/requirements/$device.txt
done
python3 deploy/licenses.py "$work"/*.json >"$work/LICENSES.md"
mv "$work/LICENSES.md" deploy/requirements/LICENSES.md
