#!/bin/sh
# Put on this machine what the tests need and Python cannot bring: the browser Chromium.
#
# On Debian and its kin, as root or with a sudo that asks nothing, it is installed; elsewhere this says loudly
# what is missing, and the browser tests say that they did not run. It never fails: the other tests can run.
# AIRBACK_CHROMIUM names a browser in an unusual place.
set -u

for browser in "${AIRBACK_CHROMIUM:-}" chromium chromium-browser google-chrome; do
    [ -n "$browser" ] && "$browser" --version </dev/null >/dev/null 2>&1 && exit 0
done

loudly() {
    printf '\n%s\n' "**********************************************************************" >&2
    printf '**  %s\n' "$@" >&2
    printf '%s\n\n' "**********************************************************************" >&2
}

if ! command -v apt-get >/dev/null 2>&1; then
    loudly "THE BROWSER TESTS CANNOT RUN: Chromium is not installed," \
        "and there is no apt-get here to install it with." \
        "Install Chromium, or name it: AIRBACK_CHROMIUM=/path/to/chromium"
    exit 0
fi
if [ "$(id -u)" -eq 0 ]; then
    as_root=
elif sudo -n true 2>/dev/null; then
    as_root='sudo -n'
else
    loudly "THE BROWSER TESTS CANNOT RUN: Chromium is not installed," \
        "and only root may install it. Please run once:" \
        "    sudo apt-get update && sudo apt-get install chromium"
    exit 0
fi

echo "test: installing Chromium for the browser tests (apt-get install chromium)" >&2
log=$(mktemp)
if ! { $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update &&
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install chromium; } \
    >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    loudly "THE BROWSER TESTS CANNOT RUN: apt-get could not install Chromium (see above)."
elif ! chromium --version >/dev/null 2>&1 </dev/null; then
    loudly "THE BROWSER TESTS CANNOT RUN: the Chromium that apt-get installed does not start."
fi
rm -f "$log"
