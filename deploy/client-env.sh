#!/usr/bin/env bash
# Installs third-party clients, each into a separate environment: their pinned versions need not
# be compatible with the server or with each other.
#
#   deploy/client-env.sh NAME …   (a NAME.txt of the folders below, `node`, `agents` or `curl`)
#
# Installs into .cache/clients/NAME; curl and jq into the system. A second run does nothing: a
# stamp, written last, records what was installed. Does not know what the clients are for; the
# peer of the benchmarks is installed like them, and so are what builds the documentation (docs) and
# Ray, whose workers also see the server's packages.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=deploy/uv.sh
. deploy/uv.sh

server_locks=deploy/ray/requirements # locked against the server's own packages
locks=(tests/sdk/requirements tests/sdk/open_webui benchmarks/serving/requirements deploy/docs/requirements "$server_locks")
npm_locks=tests/sdk # a folder for each, with package.json and package-lock.json

find_lock() {
    local folder
    for folder in "${locks[@]}"; do
        if [ -f "$folder/$1.txt" ]; then echo "$folder/$1.txt"; fi
    done
}

install_python_client() {
    local venv=.cache/clients/$1 lock=$2 key
    key=$(key_of <"$lock")
    if has_stamp "$venv" "$key"; then return; fi
    say "installing $(grep -cE '^[a-z]' "$lock") packages of the client $1 into $venv"
    find_uv
    settings_from_pip
    "$uv" venv --quiet --clear --no-project --python "${PYTHON:-.venv/bin/python}" "$venv"
    VIRTUAL_ENV=$PWD/$venv "$uv" pip sync --quiet "$lock"
    if [[ $lock = "$server_locks"/* ]]; then add_server_packages "$venv"; fi
    echo "$key" >"$venv/.installed"
}

# Lets the Python of environment $1 import what .venv has, after its own packages.
add_server_packages() {
    local site='import sysconfig; print(sysconfig.get_path("purelib"))'
    "${PYTHON:-.venv/bin/python}" -c "$site" >"$("$1/bin/python" -c "$site")/server.pth"
}

install_npm_clients() {
    local folder=.cache/clients/$1 lock=$npm_locks/$1 key
    key=$(cat "$lock/package.json" "$lock/package-lock.json" | key_of)
    if has_stamp "$folder" "$key"; then return; fi
    command -v npm >/dev/null || fail "the clients in $lock need node 20 or newer, with npm"
    say "installing the npm clients of $lock into $folder"
    mkdir -p "$folder"
    cp "$lock/package.json" "$lock/package-lock.json" "$folder"
    # None of the packages needs its install scripts, so none is run.
    (cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
    echo "$key" >"$folder/.installed"
}

list_names() {
    local folder
    for folder in "${locks[@]}"; do basename -s .txt "$folder"/*.txt; done | xargs
}

[ $# -gt 0 ] || fail "which client? $(list_names) node agents curl"
mkdir -p .cache/clients
exec 9>.cache/clients/.lock
flock 9 # two concurrent `make`: the second waits, then finds the work done
for name in "$@"; do
    if [ -f "$npm_locks/$name/package-lock.json" ]; then
        install_npm_clients "$name"
    elif [ "$name" = curl ]; then
        { command -v curl && command -v jq; } >/dev/null || apt_install curl jq
    else
        lock=$(find_lock "$name")
        [ -n "$lock" ] || fail "unknown client $name: there is no $name.txt in ${locks[*]}"
        install_python_client "$name" "$lock"
    fi
done
