#!/usr/bin/env bash
# Resolves pyproject.toml into the locks of deploy/requirements/, and the third-party clients and
# peers in tests/sdk/requirements/ and benchmarks/serving/requirements/, and what builds the
# documentation in deploy/docs/requirements/ (`make lock`).
#
#   deploy/lock.sh [--upgrade | --upgrade-package NAME …]   (any option of `uv pip compile`)
#
# Without options, locked versions are kept as far as they still fit.
# Works the same on every machine: no GPU and no torch wheel is needed to resolve.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=deploy/uv.sh
. deploy/uv.sh
find_uv
settings_from_pip
unset UV_FIND_LINKS # local wheels of one machine must not end up in everyone's lock

locks=deploy/requirements
compile() {
    say "resolving $locks/$1.txt"
    "$uv" pip compile --quiet --no-annotate --generate-hashes --universal --python-version 3.11 \
        --custom-compile-command "make lock" --output-file "$locks/$1.txt" "${@:2}"
}

compile cuda --overrides $locks/overrides.txt \
    pyproject.toml --extra cuda --extra embedded --extra clients \
    --extra ledger --extra redis --extra telemetry "$@"
compile cpu --overrides $locks/overrides.txt --overrides $locks/overrides-cpu.txt \
    pyproject.toml $locks/cpu.in --extra cpu --extra embedded --extra clients \
    --extra ledger --extra redis --extra telemetry "$@"
# Constrained, so that one environment can hold the tools and the server.
compile dev --constraints $locks/cpu.txt --group dev "$@"

# Constrained likewise: a replica has Ray and the server in one process.
say "resolving deploy/ray/requirements/ray.txt"
"$uv" pip compile --quiet --no-annotate --no-header --universal --python-version 3.11 \
    --constraints $locks/cpu.txt --output-file deploy/ray/requirements/ray.txt \
    deploy/ray/requirements/ray.in "$@"

say "resolving tests/sdk/open_webui/open-webui.txt"
"$uv" pip compile --quiet --no-annotate --no-header --universal --python-version 3.11 \
    --overrides tests/sdk/open_webui/overrides.txt \
    --output-file tests/sdk/open_webui/open-webui.txt tests/sdk/open_webui/open-webui.in "$@"

# Without hashes: these run beside the server in tests, and each is only as large as its list.
for input in {tests/sdk,benchmarks/serving,deploy/docs}/requirements/*.in; do
    say "resolving ${input%.in}.txt"
    "$uv" pip compile --quiet --no-annotate --no-header --universal --python-version 3.11 \
        --output-file "${input%.in}.txt" "$input" "$@"
done
