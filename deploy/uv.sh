# shellcheck shell=bash
# Sourced by install.sh and lock.sh: messages, Debian packages, and a uv to work with.
#
# uv rather than pip, because only uv can leave out requirements of others (overrides) and
# make an environment on a Debian without python3-venv. Knows nothing of what is installed.

UV_VERSION=0.13.9

say() { printf '==> %s\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Installs Debian packages where that needs no question (root), else says what to type.
apt_install() {
    command -v apt-get >/dev/null || fail "please install first: $*"
    [ "$(id -u)" -eq 0 ] || fail "please run first: sudo apt-get install -y $*"
    say "installing Debian packages: $*"
    # A machine whose package list is fresh needs no update; a bare image has none at all.
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >&2 ||
        { apt-get update >&2 && DEBIAN_FRONTEND=noninteractive \
            apt-get install -y --no-install-recommends "$@" >&2; }
}

# A setting of pip's (`find-links`), from its environment variable or its files: who has
# told pip about a mirror or a folder of wheels need not tell uv again.
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

# Sets $uv: the one on PATH where it is new enough, else a private copy in .uv/.
# `pip --target` needs neither a virtual environment nor Debian's leave to touch its Python.
find_uv() {
    uv=.uv/bin/uv
    if [ -x "$uv" ] && usable_uv "$uv"; then return; fi
    if command -v uv >/dev/null && usable_uv uv; then uv=uv; return; fi
    python3 -m pip --version >/dev/null 2>&1 || apt_install python3 python3-pip
    say "getting uv $UV_VERSION into .uv/"
    rm -rf .uv .uv.partial
    python3 -m pip install --quiet --disable-pip-version-check --no-warn-script-location \
        --target .uv.partial "uv==$UV_VERSION"
    mv .uv.partial .uv # whole or not there: an interrupted download leaves no half a uv
}

# uv reads none of pip's settings by itself.
settings_from_pip() {
    local found
    export UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-300}" # some wheels have hundreds of megabytes
    if [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ]; then
        found="$(pip_setting index-url)"
        if [ -n "$found" ]; then export UV_DEFAULT_INDEX="$found"; fi
    fi
    if [ -z "${UV_FIND_LINKS:-}" ]; then
        found="$(pip_setting find-links)"
        if [ -n "$found" ]; then export UV_FIND_LINKS="${found//[[:space:]]/,}"; fi
    fi
}
