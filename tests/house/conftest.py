"""What the house's tests look at."""

import ast
import subprocess
from pathlib import Path

import pytest
from tests.house.project import ROOT, Module


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root."""
    return ROOT


@pytest.fixture(scope="session")
def files() -> list[Path]:
    """Every file of the project that git keeps or would keep, relative to the root."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode == 0:
        found = {Path(name) for name in listing.stdout.split("\0") if name}
    else:  # an unpacked archive: no history, so everything that is there but what setup and Python made
        made = {".venv", "vendor", "__pycache__", "node_modules", "build", "dist"}
        found = {
            path.relative_to(ROOT)
            for path in ROOT.rglob("*")
            if not made & set(path.relative_to(ROOT).parts) and ".egg-info" not in str(path)
        }
    return sorted(path for path in found if (ROOT / path).is_file())


@pytest.fixture(scope="session")
def modules() -> list[Module]:
    """Every Python module below `src/airback`."""
    found = []
    for path in sorted((ROOT / "src/airback").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        found.append(Module(path.relative_to(ROOT), text, ast.parse(text)))
    return found
