#!/usr/bin/env bash
# Fetches the programs that the tests of operation run: Prometheus, Alertmanager, Redis, nginx.
#
#   deploy/test-tools.sh
#
# From Debian's or Ubuntu's own packages, unpacked into .cache/tools: nothing is installed in
# the system, and no service is started. Programs that the system has are used as they are.
# Where neither is possible it says so, and the tests that need them are skipped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools=.cache/tools
programs=(prometheus promtool prometheus-alertmanager redis-server nginx)
packages=(prometheus prometheus-alertmanager redis-server redis-tools nginx-light nginx
    libjemalloc2 liblzf1 liblua5.1-0 libatomic1 libsystemd0)

say() { echo "==> $*" >&2; }

missing() {
    local program
    for program in "${programs[@]}"; do
        PATH=$PWD/$tools/usr/bin:$PWD/$tools/usr/sbin:$PATH:/usr/sbin \
            command -v "$program" >/dev/null || echo "$program"
    done
}

fetch() {
    local archives=$tools/archives package
    mkdir -p $archives
    for package in "${packages[@]}"; do
        # One by one: what another release calls differently is not needed there.
        (cd $archives && apt-get download -qq "$package" 2>/dev/null) || true
    done
    for package in "$archives"/*.deb; do
        dpkg-deb --extract "$package" $tools
    done
    rm -rf $archives
}

mkdir -p .cache
exec 9>.cache/tools.lock
flock 9
[ -n "$(missing)" ] || exit 0
if command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then
    say "fetching $(missing | xargs) into $tools"
    if [ "$(id -u)" = 0 ]; then apt-get update -qq >&2 || true; fi
    fetch
fi
[ -z "$(missing)" ] || say "not to be had here: $(missing | xargs); tests that need them are skipped"
