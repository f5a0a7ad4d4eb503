"""A batch's statements find their rows by key, whatever the planner believes of their tables (decision 0017).

A plan is kept until somebody analyses its tables, and may be made on the first day, when they are empty. So
each statement is planned as the writer's session plans it in each state that a table's statistics can be in.
"""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
import pytest

from airback.engine.writer import PLANNER
from airback.store.pool import connect_once
from tests.conftest import TestServer
from tests.store.plans import Node, generic_plan, statements

FILES: Final = [Path("engine/facts.sql"), Path("engine/persist.sql")]

#: Two thousand rows in each table that grows.
MANY_ROWS: Final = (Path(__file__).parent / "many_rows.sql").read_text("utf-8")

#: Tables that stay small however long a book is written; every other one grows.
SMALL: Final = {"books", "outlets", "rate_cards", "licences"}

#: Columns that many rows of a book share: a condition on nothing but these is no look-up.
COARSE: Final = {"book", "lane", "kind", "carrier", "far_side", "explanation"}

#: What is read from its beginning on purpose, once and never for each of something: (statement, table).
READ_THROUGH: Final = {
    ("open_effects", "open_effects"),  # all that a new epoch has to know
    ("letters", "inbox"),  # the oldest, up to a limit
}

#: Statements that look nothing up, by what is wrong with each.
PLANTED: Final = {
    "an update by a plain join": "UPDATE orders o SET state = v.state FROM unnest($2::bigint[], $3::text[]) AS v (id, state)"
    " WHERE o.book = $1 AND o.id = v.id",
    "open_effects": "SELECT e.id, o.result FROM open_effects o JOIN effects e ON e.book = o.book AND e.id = o.effect_id"
    " WHERE o.book = $1",
    "a table read through": "SELECT id FROM orders WHERE book = $1 AND state = $2",
    "a table without such an index": "SELECT order_id FROM payout_orders WHERE amount_fen = $1",
    "a key that many share": "DELETE FROM claims WHERE book = $1 AND kind = 'card' AND order_id + 0 = ANY($2::bigint[])",
    "a loop over a table": "SELECT (SELECT count(*) FROM events WHERE book = $1 AND action = v.action)"
    " FROM unnest($2::text[]) AS v (action)",
}

_READS: Final = {"Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Index Scan"}
_INDEXES: Final = """
SELECT c.relname::text AS index, t.relname::text AS table,
       ARRAY(SELECT pg_get_indexdef(c.oid, n, true) FROM generate_series(1, indnkeyatts) AS n ORDER BY n) AS columns
FROM pg_index JOIN pg_class c ON c.oid = indexrelid JOIN pg_class t ON t.oid = indrelid
WHERE t.relnamespace = 'public'::regnamespace
"""


@dataclass(frozen=True, slots=True)
class Index:
    """An index's table, and its columns in order."""

    table: str
    columns: list[str]

    def looked_up(self, condition: str) -> bool:
        """Whether an index condition leads to a few of its entries: by leading columns, not all of them coarse."""
        asked = columns_asked(condition)
        for column in self.columns:
            if column not in asked:
                return False
            if column not in COARSE:
                return True
        return False


def columns_asked(condition: str) -> set[str]:
    """The columns that an index condition, as EXPLAIN prints it, compares with something."""
    alone = re.findall(r"\((?:\w+\.)?(\w+) (?:=|<|>|<=|>=) ", condition)
    rows = re.findall(r"\(ROW\(([^()]*)\) (?:=|<|>|<=|>=) ", condition)
    return {*alone, *(column.rpartition(".")[2] for row in rows for column in row.split(", "))}


def faults(name: str, plan: list[Node], indexes: Mapping[str, Index]) -> list[str]:
    """Where the plan of statement `name` reads more of a growing table than its keys name."""
    found = []
    for node in plan:
        if node.kind not in _READS:
            continue
        index = indexes.get(node.index or "")
        table = index.table if index else node.relation
        if table is None or table in SMALL or (index and index.looked_up(node.index_condition)):
            continue
        if node.repeated or node.kind == "Seq Scan" or (name, table) not in READ_THROUGH:
            found.append(str(node))
    return found


async def indexes_of(conn: asyncpg.Connection) -> dict[str, Index]:
    """Every index of the schema by its name."""
    return {row["index"]: Index(row["table"], row["columns"]) for row in await conn.fetch(_INDEXES)}


async def bad_plans(conn: asyncpg.Connection) -> list[str]:
    """Where the plans of a batch's statements read too much."""
    indexes = await indexes_of(conn)
    return [
        f"{path}: {query.name}: {fault}"
        for path in FILES
        for query in statements(path)
        for fault in faults(query.name, await generic_plan(conn, query.text), indexes)
    ]


@pytest.fixture
def new_database(test_server: TestServer) -> Iterator[str]:
    """A database that has just been migrated, and never held a row or had statistics."""
    name = test_server.create(migrated=True)
    yield test_server.url(name)
    test_server.drop(name)


@pytest.fixture
async def conn(new_database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to it that plans as the writer's does, inside a transaction: nobody else analyses what it fills."""
    opened = await connect_once(new_database, application_name="airback tests")
    for setting, value in PLANNER.items():
        await opened.execute("SELECT set_config($1, $2, false)", setting, value)
    filling = opened.transaction()
    await filling.start()
    try:
        yield opened
    finally:
        await filling.rollback()
        await opened.close()


async def test_rows_of_analysed_tables_are_looked_up(conn: asyncpg.Connection) -> None:
    await conn.execute(MANY_ROWS)
    await conn.execute("ANALYZE")
    found = await bad_plans(conn)
    assert not found, "\n".join(found)


@pytest.mark.xfail(
    strict=True, reason="where a book is believed to be one row, any index that begins with it seems as good"
)
@pytest.mark.parametrize(
    "preparation",
    [
        pytest.param("SELECT 1", id="never held a row"),
        pytest.param("ANALYZE", id="analysed while empty"),
        pytest.param(MANY_ROWS, id="never analysed"),
    ],
)
async def test_rows_of_tables_without_statistics_are_looked_up(
    conn: asyncpg.Connection, preparation: str
) -> None:
    await conn.execute(preparation)
    found = await bad_plans(conn)
    assert not found, "\n".join(found)


async def test_what_reads_too_much_is_found(conn: asyncpg.Connection) -> None:
    await conn.execute("ANALYZE")
    indexes = await indexes_of(conn)
    found = {name: faults(name, await generic_plan(conn, sql), indexes) for name, sql in PLANTED.items()}
    assert {name for name, places in found.items() if not places} == set()


def test_the_columns_of_an_index_condition_are_read() -> None:
    condition = "((e.book = $1) AND (order_id = ANY ($2)) AND (price_ppm >= $3) AND (ROW(a.due_at, id) < ROW($4, $5)))"
    assert columns_asked(condition) == {"book", "order_id", "price_ppm", "due_at", "id"}
