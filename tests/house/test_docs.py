"""What the pages say is true: commands exist, links lead somewhere, pictures show the tables."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tests.house.project import ROOT, Module

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
MAKE = re.compile(r"\bmake ([a-z]+)\b")
AIRBACK = re.compile(r"(?:\.venv/bin/|`|^ {4})airback ([a-z][a-z-]*)", re.MULTILINE)
SETTING = re.compile(r"\bAIRBACK_[A-Z_]+\b")


def pages() -> list[Path]:
    """Every page of ours."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def anchors(page: Path) -> set[str]:
    """The anchors that the page's headings make."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def code_of(text: str) -> str:
    """Only what stands in code: indented and fenced blocks, and between backticks."""
    fenced = re.findall(r"```.*?```", text, re.DOTALL)
    indented = re.findall(r"^ {4}.*$", text, re.MULTILINE)
    inline = re.findall(r"`[^`\n]+`", text)
    return "\n".join([*fenced, *indented, *inline])


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_local_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_make_command_on_a_page_is_a_target(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(MAKE.findall(code_of(page.read_text(encoding="utf-8"))))
    assert named <= targets, named - targets


def test_every_airback_command_on_a_page_exists() -> None:
    named = {name for page in pages() for name in AIRBACK.findall(code_of(page.read_text(encoding="utf-8")))}
    usage = subprocess.run(
        [sys.executable, "-c", "from airback.cli.main import main; import sys; sys.exit(main())", "--help"],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert usage.returncode == 0, usage.stderr
    missing = {
        name for name in named if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", usage.stdout)
    }
    assert named and not missing


def test_every_address_of_the_api_is_on_its_page() -> None:
    code = "".join(path.read_text("utf-8") for path in sorted((ROOT / "src/airback/api").glob("*.py")))
    page = re.sub(r"{[a-z_]+}", "{}", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"))
    served = {
        (verb.upper(), re.sub(r"{[a-z_]+:[a-z]+}", "{}", path))
        for verb, path in re.findall(r'@(get|post|delete)\(\s*"(/[^"]*)"', code)
        if path not in ("/healthz", "/readyz")
        and not path.startswith("/notifications/")  # a rail calls those
    }
    assert len(served) > 25
    verbs = {path: {verb for verb, other in served if other == path} for _, path in served}
    assert not {path for path in verbs if not re.search(rf"/v1{re.escape(path)}(?![/\w-])", page)}


def test_every_setting_on_a_page_is_read_by_the_code(modules: list[Module]) -> None:
    named = {name for page in pages() for name in SETTING.findall(page.read_text(encoding="utf-8"))}
    elsewhere = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "tools").iterdir()]
    code = "".join(m.text for m in modules) + "".join(
        path.read_text(encoding="utf-8") for path in elsewhere if path.is_file() and path != Path(__file__)
    )
    assert not {name for name in named if name not in code}


def test_every_decision_is_in_the_index_and_has_a_number_of_its_own() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    decisions = sorted(path.name for path in folder.glob("*.md") if path.name != "README.md")
    numbers = [name.split("-")[0] for name in decisions]
    assert sorted(set(LINK.findall(index)) & set(decisions)) == decisions
    assert len(set(numbers)) == len(numbers)
    assert all(re.fullmatch(r"\d{4}", number) for number in numbers)


@pytest.fixture(scope="module")
def draw_states() -> ModuleType:
    """The program that draws the pictures."""
    spec = importlib.util.spec_from_file_location("draw_states", ROOT / "tools" / "draw_states.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pictures_of_the_states_show_the_tables(draw_states: ModuleType) -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert draw_states.drawn_page(page) == page, "run `make docs`"


def test_every_transition_table_is_drawn(draw_states: ModuleType, modules: list[Module]) -> None:
    declared = {
        (".".join(m.path.with_suffix("").parts[1:]), name)
        for m in modules
        for name in re.findall(r"^((?:[A-Z]+_)?TRANSITIONS)\b[^=\n]*=", m.text, re.MULTILINE)
    }
    assert declared == {(module, name) for _, module, name in draw_states.DRAWN}


def test_a_table_draws_its_beginning_its_ends_and_each_transition(draw_states: ModuleType) -> None:
    from airback.payouts.states import TRANSITIONS

    lines = draw_states.diagram(TRANSITIONS).splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> planned"]
    assert "    paid --> returned" in lines
    assert "    failed --> [*]" in lines
    assert len(lines) == 2 + sum(max(1, len(following)) for following in TRANSITIONS.values())
