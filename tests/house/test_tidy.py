"""Style is a test: what a reviewer would otherwise have to say again and again."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.house.project import Module

MOST_LINES = 800
MOST_BYTES = 400_000
EMPTY_NAMES = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "base",
    "misc",
    "manager",
    "service",
    "services",
}
PURE = {
    "domain", "orders", "market", "ledger", "payouts", "pricing", "evidence", "compliance", "staff",
    "reconciliation",
}  # fmt: skip
MONEY_NAME = re.compile(r"(^|_)(fen|ppm)$")

# Addresses of package registries, in two pieces so that this file passes its own test.
REGISTRIES = [
    first + "." + last
    for first, last in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("npmmirror", "com"),
        ("jsdelivr", "net"),
        ("unpkg", "com"),
        ("deb.debian", "org"),
    )
]
# A folder of one person's machine at the start of a path.
MACHINE_PATH = re.compile(
    r"(?<![\w.~}$-])/(?:work/(?:main|shared)|root/\.|home/\w|Users/\w|opt/(?:wheels|pypi))"
)


def names_in(node: ast.AST) -> Iterator[str]:
    """Every plain or attribute name in an expression."""
    for child in ast.walk(node):
        if isinstance(child, ast.Name):
            yield child.id
        elif isinstance(child, ast.Attribute):
            yield child.attr


def text_files(root: Path, files: list[Path]) -> Iterator[tuple[Path, str]]:
    """Those files that are text, with it."""
    for path in files:
        try:
            yield path, (root / path).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):  # not text, or removed while we look
            continue


def test_no_module_is_too_long_to_read(modules: list[Module]) -> None:
    long = {str(m.path): lines for m in modules if (lines := m.text.count("\n")) > MOST_LINES}
    assert not long


def test_no_module_or_folder_has_a_name_that_says_nothing(files: list[Path]) -> None:
    empty = [
        str(path)
        for path in files
        if path.suffix in {".py", ".sql", ".js", ".css"}
        for part in (*path.parent.parts, path.name.split(".")[0])
        if EMPTY_NAMES & {part.lower(), part.lower().rpartition("_")[2]}
    ]
    assert not empty


def test_every_module_says_what_it_is_for(modules: list[Module]) -> None:
    silent = [str(m.path) for m in modules if not (ast.get_docstring(m.tree) or "").strip()]
    assert not silent


def test_every_folder_of_modules_is_a_package_that_says_what_it_is(root: Path, modules: list[Module]) -> None:
    folders = {m.path.parent for m in modules}
    assert not [str(folder) for folder in sorted(folders) if not (root / folder / "__init__.py").is_file()]


def test_domain_and_nouns_hold_no_float(modules: list[Module]) -> None:
    floats = []
    for module in modules:
        if module.package not in PURE:
            continue
        for node in ast.walk(module.tree):
            literal = isinstance(node, ast.Constant) and isinstance(node.value, float)
            named = isinstance(node, ast.Name) and node.id == "float"
            divided = isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div)
            if literal or named or divided:
                floats.append(f"{module.path}:{getattr(node, 'lineno', 0)}")
    assert not floats


def test_an_amount_or_a_rate_never_becomes_a_float_anywhere(modules: list[Module]) -> None:
    floats = []
    for module in modules:
        for node in ast.walk(module.tree):
            parts: list[ast.AST] = []
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
                parts = [node.left, node.right]
            elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
                sides = [node.left, node.right]
                if any(isinstance(side, ast.Constant) and isinstance(side.value, float) for side in sides):
                    parts = [*sides]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float":
                parts = [*node.args]
            if any(MONEY_NAME.search(name) for part in parts for name in names_in(part)):
                floats.append(f"{module.path}:{getattr(node, 'lineno', 0)}")
    assert not floats


def test_no_file_names_a_package_registry(root: Path, files: list[Path]) -> None:
    named = [
        f"{path}: {registry}"
        for path, text in text_files(root, files)
        for registry in REGISTRIES
        if registry in text
    ]
    assert not named


def test_no_file_names_a_folder_of_one_machine(root: Path, files: list[Path]) -> None:
    named = [
        f"{path}:{number}"
        for path, text in text_files(root, files)
        if path != Path("tests/house/test_tidy.py")
        for number, line in enumerate(text.splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert not named


def test_nothing_third_party_or_built_is_kept(root: Path, files: list[Path]) -> None:
    foreign = {".ttf", ".otf", ".woff", ".woff2", ".whl", ".so", ".jar", ".map", ".pyc", ".pem", ".key"}
    kept = [
        str(path)
        for path in files
        if path.suffix in foreign
        or ".min." in path.name
        or {"vendor", "node_modules"} & set(path.parts)
        or (root / path).stat().st_size > MOST_BYTES
    ]
    assert not kept
