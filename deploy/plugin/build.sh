#!/usr/bin/env bash
# Builds the plugin's wheel (docs/plugin.md) and prints its path.
#
#   deploy/plugin/build.sh [FOLDER]    default: dist
#
# Needs no environment and not vLLM. The package itself is that of the checkout, through a link.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=deploy/uv.sh
. deploy/uv.sh

folder=${1:-dist}
find_uv
settings_from_pip
# Left by an earlier build: a module that is gone by now would still be packed.
rm -rf deploy/plugin/build deploy/plugin/*.egg-info
"$uv" build --quiet --wheel --out-dir "$folder" deploy/plugin
rm -rf deploy/plugin/build deploy/plugin/*.egg-info
ls "$folder"/thinking_server_plugin-*.whl
