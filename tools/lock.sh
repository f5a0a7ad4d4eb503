#!/bin/sh
# Resolve requirements/runtime.txt and requirements/dev.txt from pyproject.toml, with the hashes of every file.
#
# Only the default index counts: a file from a machine's own index or folder of wheels may differ from the one
# that everybody else gets. So pip's configuration is left out; PIP_CERT and proxies keep working. No address is
# written. Run it under the oldest Python we support: what a newer one brings itself is then pinned as well.
# Versions that are pinned already stay; `sh tools/lock.sh --upgrade` moves them.
set -eu
cd "$(dirname "$0")/.."

unset PIP_FIND_LINKS PIP_EXTRA_INDEX_URL PIP_INDEX_URL
export PIP_CONFIG_FILE=/dev/null CUSTOM_COMPILE_COMMAND='make lock'

resolve() {
    .venv/bin/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe \
        --no-emit-index-url --no-emit-find-links --no-emit-trusted-host "$@"
}

resolve "$@" --output-file requirements/runtime.txt pyproject.toml
resolve "$@" --extra dev --constraint requirements/runtime.txt --output-file requirements/dev.txt pyproject.toml
