# shellcheck shell=bash
# Sourced by install.sh, lock.sh, client-env.sh, triton.sh, plugin/, wheel/ and others: messages, Debian packages,
# stamps, uv, and where torch's CPU build comes from.
#
# uv rather than pip, because only uv can drop requirements of other packages (overrides) and
# create an environment on a Debian without python3-venv. Knows nothing of what is installed.

UV_VERSION=0.13.9

say() { printf '==> %s\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Prints the key of a folder to install into; standard input holds what decides its content.
key_of() { { echo "$PWD ${PYTHON:-}" && cat; } | sha256sum | cut -d' ' -f1; }
# Whether the stamp of folder $1, which is written last, has the key $2.
has_stamp() { [ "$(cat "$1/.installed" 2>/dev/null)" = "$2" ]; }

# Installs Debian packages as root; otherwise prints the command to run.
apt_install() {
    command -v apt-get >/dev/null || fail "please install first: $*"
    [ "$(id -u)" -eq 0 ] || fail "please run first: sudo apt-get install -y $*"
    say "installing Debian packages: $*"
    # Without `update` first: a package list is often fresh; a bare image has none.
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >&2 ||
        { apt-get update >&2 && DEBIAN_FRONTEND=noninteractive \
            apt-get install -y --no-install-recommends "$@" >&2; }
}

# Prints a setting of pip (`find-links`), from its environment variable or its files, so that a
# mirror or a folder of wheels need not be configured again for uv.
pip_setting() {
    local variable
    variable="PIP_$(printf '%s' "$1" | tr 'a-z-' 'A-Z_')"
    if [ -n "${!variable:-}" ]; then
        printf '%s' "${!variable}"
    else
        python3 -m pip config get "global.$1" 2>/dev/null || true
    fi
}

usable_uv() { "$1" pip sync --help 2>/dev/null | grep -q -- --torch-backend; }

# Sets $uv: the one on PATH if it is new enough, else a private copy in .uv/. `pip --target`
# needs no virtual environment, and Debian's externally managed Python allows it.
find_uv() {
    uv=.uv/bin/uv
    if [ -x "$uv" ] && usable_uv "$uv"; then return; fi
    if command -v uv >/dev/null && usable_uv uv; then uv=uv; return; fi
    # Somebody else's virtual environment may come first on PATH, and have no pip.
    local python=python3
    python3 -m pip --version >/dev/null 2>&1 || python=/usr/bin/python3
    "$python" -m pip --version >/dev/null 2>&1 || apt_install python3 python3-pip
    say "installing uv $UV_VERSION into .uv/"
    rm -rf .uv .uv.partial
    "$python" -m pip install --quiet --disable-pip-version-check --no-warn-script-location \
        --target .uv.partial "uv==$UV_VERSION"
    mv .uv.partial .uv # atomic: an interrupted download leaves no partial uv
}

# Passes pip's settings to uv, which does not read them.
settings_from_pip() {
    local found
    export UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-300}" # some wheels are hundreds of megabytes large
    if [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ]; then
        found="$(pip_setting index-url)"
        if [ -n "$found" ]; then export UV_DEFAULT_INDEX="$found"; fi
    fi
    if [ -z "${UV_FIND_LINKS:-}" ]; then
        found="$(pip_setting find-links)"
        if [ -n "$found" ]; then export UV_FIND_LINKS="${found//[[:space:]]/,}"; fi
    fi
}

# Sets $torch_from: the source of torch's CPU build, which PyPI does not have.
find_torch() {
    local probe=("$uv" pip install --quiet --dry-run --no-deps -r deploy/requirements/torch-cpu.txt)
    say "looking for torch's CPU build${UV_FIND_LINKS:+ in $UV_FIND_LINKS}"
    torch_from=here
    if "${probe[@]}" 2>/dev/null; then return; fi
    say "not found; looking in PyTorch's own index"
    torch_from=pytorch
    if "${probe[@]}" --torch-backend=cpu 2>/dev/null; then return; fi
    say "not found; using PyPI's CUDA build, which also runs on a CPU but is 3 GB larger"
    torch_from=pypi
}

# Installs exactly what the files $@ list, and torch for a CPU, into $VIRTUAL_ENV.
# `sync`, not `install`: that would follow the packages' own requirements and bring back what the
# lists leave out on purpose.
sync_with_cpu_torch() {
    local lock=deploy/requirements/torch-cpu.txt torch_from=""
    find_torch
    case $torch_from in
    here) "$uv" pip sync "$@" "$lock" ;;
    pytorch) "$uv" pip sync --torch-backend=cpu "$@" "$lock" ;;
    pypi)
        "$uv" pip sync "$@"
        "$uv" pip install "$(sed -n 's/^\(torch==[^+]*\)+cpu$/\1/p' "$lock")"
        ;;
    esac
}
