#!/usr/bin/env bash
# Fetches the front-end libraries of the pages, in the versions below, into the package.
#
#   deploy/vendor-pages.sh
#
# What it writes is committed: a server needs neither npm nor an outside host. Run it after a change
# of a version. Only downloads: no script of a package runs. tests/server/pages/ checks the hashes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

vendor=server/pages/static/vendor

# package@version | licence | file of the package -> file here
libraries=(
    "preact@11.2.0|MIT|dist/preact.mjs:preact.js hooks/dist/hooks.mjs:preact-hooks.js"
    "htm@3.1.1|Apache-2.0|dist/htm.mjs:htm.js"
    "marked@18.2.1|MIT|lib/marked.esm.js:marked.js"
    "dompurify@3.5.0|MPL-2.0 OR Apache-2.0|dist/purify.es.mjs:purify.js"
    "swagger-ui-dist@5.35.0|Apache-2.0|swagger-ui-bundle.js:swagger-ui.js swagger-ui.css:swagger-ui.css"
)

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
rm -rf "$vendor"
mkdir -p "$vendor"
list=$scratch/list
for line in "${libraries[@]}"; do
    IFS='|' read -r package licence files <<<"$line"
    folder=$scratch/${package%@*}
    mkdir "$folder"
    (cd "$folder" && npm pack --ignore-scripts --silent "$package" >/dev/null && tar -xzf ./*.tgz)
    for pair in $files; do
        # Source maps are not shipped, so nothing refers to them.
        sed -E '/^\/[/*]# sourceMappingURL=/d' "$folder/package/${pair%:*}" >"$vendor/${pair#*:}"
        sum=$(sha256sum "$vendor/${pair#*:}" | cut -d ' ' -f 1)
        echo "${package%@*}|${package##*@}|$licence|${pair#*:}|$sum" >>"$list"
    done
    cat "$folder"/package/LICENSE* >"$vendor/${package%@*}.LICENSE"
done
{
    echo "# Front-end libraries"
    echo
    echo "Written by \`deploy/vendor-pages.sh\`; unchanged but for references to source maps."
    echo
    echo "| library | version | licence | file | SHA-256 |"
    echo "|---|---|---|---|---|"
    while IFS='|' read -r name version licence file sum; do
        echo "| $name | $version | $licence | \`$file\` | \`$sum\` |"
    done <"$list"
} >"$vendor/README.md"
