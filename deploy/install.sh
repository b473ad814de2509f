#!/usr/bin/env bash
# Installs thinking-server and its dependencies into .venv, exactly as locked.
#
#   deploy/install.sh [--no-dev]
#
#   DEVICE=cpu|cuda       build of the engine; default: cuda if nvidia-smi finds a GPU
#   DEVICE=preinstalled   the system's Python already has vLLM (its published image): install
#                         the server beside it, without an environment
#   PYTHON=python3.12     the interpreter; default: python3 if new enough, else uv fetches one
#
# `make setup` and the images run this file. A second run does nothing: a stamp, written last,
# records what was installed. After an interruption the next run continues. Does not know of
# models: the server fetches and prepares those.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=deploy/uv.sh
. deploy/uv.sh

# If bytecode cannot be written later (an image sets this variable), it has to be compiled now:
# otherwise each of the server's processes compiles its imports of torch and vLLM at every start.
if [ -n "${PYTHONDONTWRITEBYTECODE:-}" ]; then export UV_COMPILE_BYTECODE=1; fi

locks=deploy/requirements
venv=.venv
stamp=$venv/.installed

dev=yes
for argument in "$@"; do
    case $argument in
    --no-dev) dev=no ;;
    *) fail "unknown argument $argument; usage: deploy/install.sh [--no-dev]" ;;
    esac
done

device=${DEVICE:-auto}
if [ "$device" = auto ]; then
    device=cpu
    if nvidia-smi -L 2>/dev/null | grep -q '^GPU'; then device=cuda; fi
fi

hash_of() { sha256sum | cut -d' ' -f1; }

# Everything that decides which packages are in .venv; also the path, which scripts there contain.
packages_key="$({ echo "$PWD $device $dev ${PYTHON:-}"
    cat deploy/install.sh deploy/uv.sh "$locks"/*.txt; } | hash_of)"
# Separate, so that a new entry point or a linter setting does not reinstall all packages.
project_key="$(hash_of <pyproject.toml)"

stamped() { [ "$(cut -d' ' -f"$1" "$stamp" 2>/dev/null)" = "$2" ]; }
up_to_date() { stamped 1 "$packages_key" && stamped 2 "$project_key"; }

# The only system library that vLLM's CPU extension needs; torch ships its own OpenMP.
check_libraries() {
    if [[ $(PATH="$PATH:/sbin:/usr/sbin" ldconfig -p) != *libnuma.so.1* ]]; then
        apt_install libnuma1
    fi
}

supported() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' 2>/dev/null; }

make_environment() {
    if [ -z "${PYTHON:-}" ] && supported "$venv/bin/python"; then return; fi
    local python=${PYTHON:-python3}
    if ! supported "$python"; then
        [ -z "${PYTHON:-}" ] || fail "PYTHON=$PYTHON: needs Python 3.11 to 3.14"
        python=3.12 # uv fetches one
    fi
    say "creating $venv with $python"
    "$uv" venv --quiet --clear --no-project --python "$python" "$venv"
}

install_locked() {
    local files=("$locks/$device.txt")
    if [ $dev = yes ]; then files+=("$locks/dev.txt"); fi
    say "installing what is locked in ${files[*]#"$locks/"}"
    if [ "$device" = cpu ]; then
        sync_with_cpu_torch "${files[@]}"
    else
        "$uv" pip sync "${files[@]}"
    fi
}

install_project() {
    say "installing thinking-server itself"
    # With the locked setuptools, so that nothing is fetched for the build.
    "$uv" pip install --quiet --no-deps --no-build-isolation -e .
    compile_sources "$venv/bin/python"
}

# uv compiles only installed packages, not our own sources.
compile_sources() {
    if [ -n "${UV_COMPILE_BYTECODE:-}" ]; then "$1" -m compileall -q -x examples thinker thinking server clients; fi
}

if [ "$device" = preinstalled ]; then
    find_uv
    settings_from_pip
    say "installing thinking-server beside the system's vLLM"
    # Fails if that is not the version that we need.
    "$uv" pip install --system --break-system-packages --no-build-isolation \
        --overrides "$locks/overrides.txt" -e '.[cuda,embedded,ledger,redis,telemetry]'
    compile_sources python3
    exit
fi

case $device in
cpu | cuda) ;;
*) fail "DEVICE=$device: must be auto, cpu, cuda or preinstalled" ;;
esac
if up_to_date; then exit 0; fi
[ "$(uname -sm)" = "Linux x86_64" ] || fail "the locks are for Linux on x86_64, this is $(uname -sm)"

mkdir -p .cache
exec 9>.cache/install.lock
flock 9 # two concurrent `make`: the second waits, then finds the work done
if up_to_date; then exit 0; fi

started=$SECONDS
find_uv
settings_from_pip
export VIRTUAL_ENV=$PWD/$venv
if ! stamped 1 "$packages_key"; then
    rm -f "$stamp"
    if [ "$device" = cpu ]; then check_libraries; fi
    make_environment
    install_locked
fi
install_project
echo "$packages_key $project_key" >"$stamp.new"
mv "$stamp.new" "$stamp"
say "ready after $((SECONDS - started)) s"
