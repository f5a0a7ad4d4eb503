"""Plans that PostgreSQL keeps for named statements: made before any value is known, as a prepared statement's are.

`EXPLAIN (GENERIC_PLAN)` came with PostgreSQL 16; explaining an EXECUTE under `force_generic_plan` shows the
same on 15.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg

import airback
from airback.store.named_sql import Queries, parse

PRODUCT: Final = Path(airback.__file__).parent

_CONDITIONS: Final = ("Index Cond", "Recheck Cond", "TID Cond", "Filter")


@dataclass(frozen=True, slots=True)
class Node:
    """One node of a plan: what it asks of its rows, and whether it runs again for each row of something else."""

    kind: str
    relation: str | None
    alias: str | None
    index: str | None
    index_condition: str
    conditions: tuple[str, ...]
    repeated: bool

    def __str__(self) -> str:
        words = [self.kind, *dict.fromkeys(name for name in (self.relation, self.alias, self.index) if name)]
        return f"{'repeated ' if self.repeated else ''}{' '.join(words)}: {' '.join(self.conditions) or 'all of it'}"

    def asks(self, column: str, value: str) -> bool:
        """Whether `column = value` must hold for each of its rows."""
        wanted = {f"({column} = {value})", f"({self.alias}.{column} = {value})"}
        return any(wanted & set(conjuncts(condition)) for condition in self.conditions)


def sql_files() -> list[Path]:
    """The product's files of named statements, below its package; a bench has tables and databases of its own."""
    return sorted(
        path.relative_to(PRODUCT)
        for path in PRODUCT.rglob("*.sql")
        if path.parent.name not in {"migrations", "bench"}
    )


def statements(path: Path) -> Queries:
    """The named statements of one of them."""
    return parse((PRODUCT / path).read_text("utf-8"), source=str(path))


async def generic_plan(conn: asyncpg.Connection, sql: str) -> list[Node]:
    """The nodes of the plan that is kept for `sql`, each before those below it. Made by `connect_once`, `conn` reads JSON."""
    await conn.execute("SET plan_cache_mode = force_generic_plan")
    await conn.execute(f"PREPARE explained AS {sql}")
    try:
        types = await conn.fetchval(
            "SELECT parameter_types FROM pg_prepared_statements WHERE name = 'explained'"
        )
        values = f"({', '.join(['NULL'] * len(types))})" if types else ""
        ((plan,),) = await conn.fetch(f"EXPLAIN (FORMAT JSON) EXECUTE explained{values}")
    finally:
        await conn.execute("DEALLOCATE explained")
    return list(_nodes(plan[0]["Plan"], repeated=False))


def _nodes(node: dict[str, Any], *, repeated: bool) -> Iterator[Node]:
    yield Node(
        kind=node["Node Type"],
        relation=node.get("Relation Name"),
        alias=node.get("Alias"),
        index=node.get("Index Name"),
        index_condition=node.get("Index Cond", ""),
        conditions=tuple(node[name] for name in _CONDITIONS if name in node),
        repeated=repeated,
    )
    for child in node.get("Plans", ()):
        place = child["Parent Relationship"]
        again = place == "SubPlan" or (
            place == "Inner" and node["Node Type"] in ("Nested Loop", "Recursive Union")
        )
        yield from _nodes(child, repeated=repeated or again)


def conjuncts(condition: str) -> list[str]:
    """The parts of a condition, as EXPLAIN prints it, that must all hold."""
    parts, depth, quoted, begin = [], 0, False, 1
    for at, letter in enumerate(condition):
        if letter == "'":
            quoted = not quoted
        elif not quoted and letter in "()":
            depth += 1 if letter == "(" else -1
        elif not quoted and depth == 1 and condition.startswith(" OR ", at):
            return [condition]
        elif not quoted and depth == 1 and condition.startswith(" AND ", at):
            parts.append(condition[begin:at])
            begin = at + len(" AND ")
    return [*parts, condition[begin:-1]] if parts else [condition]
