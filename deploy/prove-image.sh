#!/usr/bin/env bash
# Builds an image without a Docker engine, tests it, then removes everything.
#
#   deploy/prove-image.sh [options of `buildah build`]
#   TARGET=cuda deploy/prove-image.sh …
#
# Needs root, buildah, podman, runc and curl; also debootstrap, unless PYTHON_IMAGE names an
# available base image. Takes more than ten minutes and 20 GB of $TMPDIR. Settings of a package
# index are given as options: --build-arg PIP_FIND_LINKS=… --volume /wheels:/wheels:ro …
# It tests: the build, a start with a read-only root file system as an ordinary user, an answer
# within its budget, the health check, exit status 0 after SIGTERM, and that it refuses to start
# on all addresses without keys.
#
# With TARGET=cuda it builds that image: on VLLM_IMAGE, or, if the published one is not available,
# on a substitute, a Debian with vLLM's CUDA wheel in the system's Python. It tests that our
# packages install beside it and that the server reads its options; no GPU, so no answer.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

work=$(mktemp -d "${TMPDIR:-/tmp}/thinking-image.XXXXXX")
storage=(--storage-driver vfs --root "$work/storage" --runroot "$work/run")
image=localhost/thinking-server:proof
container=thinking-server-proof-$$
port=${PORT:-18431}
limits=(--ulimit nofile=1024:1024 --ulimit nproc=1024:1024)

say() { printf '==> %s\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
with_podman() { podman "${storage[@]}" "$@"; }
with_buildah() { buildah "${storage[@]}" build --isolation chroot --format docker --layers=false "$@"; }
run_image() { with_podman run --runtime runc "${limits[@]}" --no-healthcheck --read-only "$@"; }

clean_up() {
    with_podman rm --force --time 5 "$container" >/dev/null 2>&1 || true
    rm -rf --one-file-system "$work"
}
trap clean_up EXIT

make_base() {
    say "creating a base image with debootstrap"
    debootstrap --variant=minbase --include=python3,python3-pip,ca-certificates \
        bookworm "$work/base" http://deb.debian.org/debian >"$work/debootstrap.log" ||
        { tail "$work/debootstrap.log" >&2; fail "debootstrap"; }
    tar -C "$work/base" -c . | with_podman import - localhost/thinking-base:bookworm >/dev/null
    rm -rf --one-file-system "$work/base"
    PYTHON_IMAGE=localhost/thinking-base:bookworm
}

# build TARGET VARIABLE [options]: on the base image that the variable names.
build() {
    local target=$1 base=$2
    shift 2
    say "building from ${!base}"
    with_buildah --build-arg "$base=${!base}" "$@" --target "$target" --tag "$image" .
}

# Installs vLLM where the published image has it: in the system's Python.
make_vllm_base() {
    local version
    version=$(sed -n 's/^ARG VLLM_VERSION=//p' Dockerfile)
    say "creating a substitute for vLLM's image, with vllm==$version"
    mkdir "$work/context"
    with_buildah "$@" --tag localhost/thinking-vllm --file - "$work/context" <<END
FROM $PYTHON_IMAGE
ARG PIP_CERT
RUN python3 -m pip install --no-cache-dir --break-system-packages vllm==$version
END
    VLLM_IMAGE=localhost/thinking-vllm
}

read_options_beside_vllm() {
    run_image --rm --network=none --entrypoint python3 "$image" -c 'import importlib.metadata as m, server.cli
print(m.version("thinking-server"), m.version("vllm"), m.version("torch"))'
    # grep reads all of it: a pipe closed early would end the container with an error.
    run_image --rm --network=none "$image" --help | grep -- --max-thinking-tokens >/dev/null ||
        fail "--help"
}

start() {
    say "starting the container"
    install --directory --owner 10001 "$work/models"
    run_image --detach --name "$container" --network=host --shm-size 1g \
        --volume "$work/models:/models" --env THINKING_SERVER_PORT="$port" "$image" --host 127.0.0.1 >/dev/null
}

wait_healthy() {
    local attempt
    for ((attempt = 0; attempt < 300; attempt++)); do
        if THINKING_SERVER_PORT=$port python3 deploy/healthcheck.py; then return; fi
        [ "$(with_podman inspect --format '{{.State.Running}}' "$container")" = true ] || break
        sleep 1
    done
    with_podman logs "$container" >&2
    fail "the container does not become healthy"
}

request_reply() {
    local reply
    reply=$(curl --silent --show-error --fail --max-time 120 \
        "http://127.0.0.1:$port/v1/chat/completions" --header 'Content-Type: application/json' \
        --data '{"model": "smollm2-135m-instruct", "max_thinking_tokens": 16,
                 "max_completion_tokens": 48, "messages": [{"role": "user", "content": "Hi"}]}')
    python3 -c 'import json, sys
usage = json.load(sys.stdin)["usage"]
thought = usage["completion_tokens_details"]["reasoning_tokens"]
assert 0 < thought <= 16 < usage["completion_tokens"] + 16, usage' <<<"$reply" ||
        fail "unexpected reply: $reply"
}

stop() {
    with_podman kill --signal TERM "$container" >/dev/null
    local code
    code=$(timeout 60 podman "${storage[@]}" wait "$container")
    [ "$code" = 0 ] || fail "exit status $code after SIGTERM"
}

refuse_to_be_open() {
    local code=0 said
    said=$(run_image --rm --network=host --env THINKING_SERVER_PORT="$port" "$image" 2>&1) || code=$?
    [ "$code" = 2 ] || fail "exit status $code without keys on all addresses: $said"
}

if [ "${TARGET:-cpu}" = cuda ]; then
    if [ -z "${VLLM_IMAGE:-}" ]; then
        if [ -z "${PYTHON_IMAGE:-}" ]; then make_base; fi
        make_vllm_base "$@"
    fi
    build cuda VLLM_IMAGE "$@"
    read_options_beside_vllm
    refuse_to_be_open
    say "the CUDA image builds, reads its options beside vLLM, and refuses to be open"
    exit
fi
if [ -z "${PYTHON_IMAGE:-}" ]; then make_base; fi
build cpu PYTHON_IMAGE "$@"
start
wait_healthy
request_reply
stop
refuse_to_be_open
say "the image builds, starts read-only, answers within its budget, exits with 0, and refuses to be open"
