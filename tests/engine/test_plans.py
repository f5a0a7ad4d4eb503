"""A batch's statements find their rows by key, whatever the planner believes of their tables (decision 0017).

A plan may be made on the first day, when tables are empty and every index seems as good as another; no way of writing a
statement prevents that. So the writer throws its plans away, soon at first, and what they become is held to the rule here.
"""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest

from airback.engine.writer import PLANNER
from airback.store import books
from airback.store.pool import connect_once
from tests.conftest import TestServer
from tests.engine.street import BOOK, Street
from tests.store.plans import Node, generic_plan, statements

FILES: Final = [Path("engine/facts.sql"), Path("engine/persist.sql")]

#: Two thousand rows in each table that grows.
MANY_ROWS: Final = (Path(__file__).parent / "many_rows.sql").read_text("utf-8")

#: Tables that stay small however long a book is written; every other one grows.
SMALL: Final = {"books", "outlets", "outlet_health", "rate_cards", "licences", "split_agreements"}

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


class _Heard:
    """A connection that notes when plans are thrown away."""

    def __init__(self, conn: asyncpg.Connection, clock: list[float]) -> None:
        self._conn = conn
        self._clock = clock
        self.at: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._conn, name)

    async def execute(self, statement: str, *values: Any) -> Any:
        if statement == "DISCARD PLANS":
            self.at.append(self._clock[0])
        return await self._conn.execute(statement, *values)


async def test_plans_of_a_young_book_are_made_anew_soon_and_then_ever_more_rarely(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    writer = street.writer()._writer
    monkeypatch.setattr(writer, "_monotonic", lambda: clock[0])
    async with street.pool.acquire() as conn:
        heard = _Heard(conn, clock)
        epoch = await books.take(heard, book=BOOK, worker="w1", lease=timedelta(0))
        await writer.begin(heard, epoch)
        while clock[0] < 5000.0:
            clock[0] += 2.0
            await writer.step(heard)
    gaps = [later - earlier for earlier, later in zip(heard.at, heard.at[1:], strict=False)]
    assert heard.at[0] <= 104.0
    assert gaps == sorted(gaps) and gaps[0] <= 8.0 and gaps[-1] == 300.0


async def test_a_plan_made_on_empty_tables_does_not_outlive_the_next_discard(
    conn: asyncpg.Connection,
) -> None:
    indexes = await indexes_of(conn)
    sql = statements(FILES[1]).update_orders
    assert faults("update_orders", await generic_plan(conn, sql), indexes), "the trap is gone: say so in 0017"
    await conn.execute(MANY_ROWS)
    await conn.execute("ANALYZE")
    await conn.execute("DISCARD PLANS")
    assert faults("update_orders", await generic_plan(conn, sql), indexes) == []


async def test_what_reads_too_much_is_found(conn: asyncpg.Connection) -> None:
    await conn.execute("ANALYZE")
    indexes = await indexes_of(conn)
    found = {name: faults(name, await generic_plan(conn, sql), indexes) for name, sql in PLANTED.items()}
    assert {name for name, places in found.items() if not places} == set()


def test_the_columns_of_an_index_condition_are_read() -> None:
    condition = "((e.book = $1) AND (order_id = ANY ($2)) AND (price_ppm >= $3) AND (ROW(a.due_at, id) < ROW($4, $5)))"
    assert columns_asked(condition) == {"book", "order_id", "price_ppm", "due_at", "id"}
