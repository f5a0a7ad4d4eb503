"""Domain and nouns decide from what they are given: no clock, no chance, no file, no network.

The import contract in `pyproject.toml` refuses whole modules. This refuses what it cannot see: the calls that
read a clock or draw at random from modules which are otherwise welcome, and imports inside functions.
"""

import ast

import pytest
from tests.house.project import Module

PURE = {
    "domain",
    "orders",
    "market",
    "ledger",
    "payouts",
    "pricing",
    "evidence",
    "compliance",
    "staff",
    "reconciliation",
}
REFUSED_CALLS = {
    "open", "io.open", "io.FileIO", "input", "print", "exec", "eval", "breakpoint", "id", "hash",
    "datetime.now", "datetime.utcnow", "datetime.today", "date.today",
    "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.date.today",
    "time.time", "time.monotonic", "time.perf_counter", "time.time_ns", "time.sleep",
    "uuid.uuid1", "uuid.uuid4", "uuid4", "uuid1", "os.urandom", "urandom",
}  # fmt: skip
REFUSED_MODULES = {
    "asyncio", "asyncpg", "httpx", "litestar", "multiprocessing", "os", "pathlib", "pyreqwest", "random",
    "secrets", "shutil", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time", "uvicorn",
}  # fmt: skip
# The receipt's printer reads the page and the fonts it is given: the same document, the same bytes.
ALLOWED = {("receipt_pdf.py", "threading"), ("receipt_pdf.py", "pathlib")}


def impurities(tree: ast.AST) -> list[str]:
    """What in the tree reads a clock, draws at random or leaves the process, as `line what`."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (name := ast.unparse(node.func)) in REFUSED_CALLS:
            found.append(f"{node.lineno} {name}()")
        elif isinstance(node, ast.Import):
            found += [
                f"{node.lineno} {a.name}" for a in node.names if a.name.split(".")[0] in REFUSED_MODULES
            ]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in REFUSED_MODULES:
            found.append(f"{node.lineno} {node.module}")
        elif isinstance(node, ast.AsyncFunctionDef | ast.Await):
            found.append(f"{node.lineno} async")
    return found


def is_protocol_method(module: Module) -> bool:
    """Whether the module declares ports: their methods are asynchronous, and have no body."""
    return "ports" in module.path.parts


def test_domain_and_nouns_read_no_clock_draw_no_chance_and_touch_nothing_outside(
    modules: list[Module],
) -> None:
    impure = [
        f"{module.path}:{found}"
        for module in modules
        if module.package in PURE
        for found in impurities(module.tree)
        if not (found.endswith("async") and is_protocol_method(module))
        if (module.path.name, found.split()[-1]) not in ALLOWED
    ]
    assert not impure


@pytest.mark.parametrize(
    "line",
    [
        "from datetime import datetime; datetime.now()",
        "import random",
        "def f():\n    from secrets import token_hex",
        "open('x')",
        "async def f(): ...",
        "import uuid; uuid.uuid4()",
    ],
)
def test_the_check_sees_each_way_of_leaving(line: str) -> None:
    assert impurities(ast.parse(line))
