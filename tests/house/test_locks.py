"""The locks install the same files for everybody: each pinned, each with its hash, no address, nothing missing."""

import json
import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from tests.house.project import ROOT

PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s\\;]+)", re.MULTILINE)
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
SYSTEMS = (
    {"sys_platform": "linux", "platform_system": "Linux"},
    {"sys_platform": "darwin", "platform_system": "Darwin"},
)


def text(name: str) -> str:
    """The lock's text."""
    return Path(ROOT, "requirements", f"{name}.txt").read_text(encoding="utf-8")


def pins(name: str) -> dict[str, str]:
    """Version by package."""
    return {canonicalize_name(package): version for package, version in PIN.findall(text(name))}


def declared(name: str) -> list[Requirement]:
    """What `pyproject.toml` asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = list(project["dependencies"])
    if name == "dev":
        wanted += project["optional-dependencies"]["dev"]
    return [Requirement(line) for line in wanted]


@pytest.mark.parametrize("name", ["runtime", "dev"])
def test_every_pin_has_a_hash_and_nothing_else_is_installed(name: str) -> None:
    entries = re.split(r"^(?=[A-Za-z0-9])", text(name), flags=re.MULTILINE)[1:]
    assert len(entries) == len(pins(name))
    assert all("--hash=sha256:" in entry for entry in entries)
    assert not re.search(r"^-|://|@ ", text(name), re.MULTILINE)


@pytest.mark.parametrize("name", ["runtime", "dev"])
def test_everything_the_project_asks_for_is_pinned_to_a_version_it_accepts(name: str) -> None:
    locked = pins(name)
    wrong = [
        str(wanted)
        for wanted in declared(name)
        if (version := locked.get(canonicalize_name(wanted.name))) is None
        or Version(version) not in wanted.specifier
    ]
    assert not wrong, "run `make lock`"


def test_the_two_locks_agree() -> None:
    assert pins("runtime").items() <= pins("dev").items()


@pytest.mark.parametrize("name", ["runtime", "dev"])
def test_no_supported_python_or_system_needs_a_package_that_the_lock_lacks(name: str) -> None:
    """The lock was resolved on one interpreter; each installed package says what it would need on the others."""
    locked = pins(name)
    missing = set()
    extras = {canonicalize_name(wanted.name): wanted.extras for wanted in declared(name)}
    for package in locked:
        try:
            requires = metadata.requires(package) or []
        except metadata.PackageNotFoundError:
            continue
        for line in requires:
            wanted = Requirement(line)
            for python in PYTHONS:
                for system in SYSTEMS:
                    for extra in ("", *extras.get(canonicalize_name(package), set())):
                        where = {
                            "python_version": python,
                            "python_full_version": f"{python}.0",
                            "implementation_name": "cpython",
                            "platform_python_implementation": "CPython",
                            "os_name": "posix",
                            "extra": extra,
                            **system,
                        }
                        needed = wanted.marker is None or wanted.marker.evaluate(where)
                        if needed and canonicalize_name(wanted.name) not in locked:
                            missing.add(f"{package} needs {wanted.name} ({line}) on {python}")
    assert not missing


def test_every_browser_package_has_a_hash_and_no_address() -> None:
    content = (ROOT / "package-lock.json").read_text(encoding="utf-8")
    packages = {name: entry for name, entry in json.loads(content)["packages"].items() if name}
    assert packages
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())
    assert "resolved" not in content
    assert "://" not in content


def test_every_browser_package_is_pinned_to_one_version() -> None:
    wanted = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))
    named = wanted["dependencies"] | wanted["devDependencies"]
    locked = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert {name: locked[f"node_modules/{name}"]["version"] for name in named} == named
