#!/bin/sh
# Run the checks that need no running program, all of them even when one fails; then the command after --then.
# The result is a failure when anything failed.
set -u
cd "$(dirname "$0")/.."
bin=.venv/bin
failed=

check() {
    name=$1
    shift
    if output=$("$@" 2>&1); then
        printf 'ok      %s\n' "$name"
    else
        printf '%s\nFAILED  %s\n' "$output" "$name"
        failed="$failed $name"
    fi
}

check style "$bin/ruff" check --quiet src tests tools deploy
check form "$bin/ruff" format --quiet --check src tests tools deploy
check types "$bin/mypy" src/airback tools deploy
check layers "$bin/lint-imports"

status=0
if [ "${1:-}" = --then ]; then
    shift
    "$@" || status=$?
fi
if [ -n "$failed" ]; then
    printf 'These checks failed (their output is above the tests):%s\n' "$failed" >&2
    [ "$status" -ne 0 ] || status=1
fi
exit "$status"
