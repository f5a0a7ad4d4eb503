"""A book on a Citus cluster: migrated, distributed, an order sold through the engine, and verified.

AIRBACK_CITUS_URL names an empty database on the coordinator of a cluster that is made for this: the extension
is there, the workers are added, this user owns the database, and it is reached over loopback. What a test
made there is removed afterwards.
"""

import os
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import asyncpg
import pytest

from airback.engine.writer import PLANNER
from airback.queries.verify import verify
from airback.store.migrate import migrate
from airback.store.pool import connect, connect_once
from tests.engine.street import BOOK, open_street
from tests.store.distribution import SCRIPT, read_distribution

URL: Final = os.environ.get("AIRBACK_CITUS_URL", "")

#: Enough to be spread over workers, and quick to make.
SHARDS: Final = 4

_TABLES: Final = "SELECT format('%I', tablename) FROM pg_tables WHERE schemaname = 'public'"

pytestmark = pytest.mark.skipif(
    not URL, reason="THE TESTS ON A CITUS CLUSTER DID NOT RUN: AIRBACK_CITUS_URL names no coordinator"
)


async def distribute(conn: asyncpg.Connection) -> None:
    """What `psql --file deploy/citus/distribute.sql` does, with few shards."""
    await conn.execute(f"SET citus.shard_count = {SHARDS}")
    await conn.execute(SCRIPT.read_text("utf-8"))


@pytest.fixture
async def coordinator() -> AsyncIterator[asyncpg.Connection]:
    """A connection to a cluster with the product's schema, distributed and empty."""
    conn = await connect_once(URL, application_name="airback tests")
    try:
        if not await conn.fetchval("SELECT count(*) FROM pg_extension WHERE extname = 'citus'"):
            pytest.fail("the database of AIRBACK_CITUS_URL has no extension citus")
        if await conn.fetch(_TABLES):
            pytest.fail("the database of AIRBACK_CITUS_URL has tables: it is somebody's")
        try:
            await migrate(conn)
            await distribute(conn)
            yield conn
        finally:
            for (table,) in await conn.fetch(_TABLES):
                await conn.execute(f"DROP TABLE {table} CASCADE")
    finally:
        await conn.close()


async def test_each_table_goes_where_the_script_says_also_when_it_runs_again(
    coordinator: asyncpg.Connection,
) -> None:
    wanted = read_distribution()
    for _ in range(2):
        rows = await coordinator.fetch(
            "SELECT table_name::text AS name, citus_table_type AS type, distribution_column AS by, colocation_id AS beside"
            " FROM citus_tables"
        )
        assert {row["name"] for row in rows if row["type"] == "distributed"} == wanted.by_book
        assert {row["name"] for row in rows if row["type"] == "reference"} == wanted.everywhere
        distributed = [row for row in rows if row["type"] == "distributed"]
        assert {row["by"] for row in distributed} == {"book"}
        assert len({row["beside"] for row in distributed}) == 1, "a book's tables lie apart"
        await distribute(coordinator)


async def test_an_order_is_sold_and_verified(
    coordinator: asyncpg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Citus plans INSERT … SELECT for the values given, and raises where a session insists on generic plans.
    monkeypatch.setitem(PLANNER, "plan_cache_mode", "auto")
    pool = await connect(URL, max_size=4, application_name="airback tests")
    try:
        street = await open_street(URL, pool, tmp_path / "keys")
        await street.demands("cmcc", *[30_000] * 4)
        number = street.line("13800000000", "cmcc", 80_000)
        (order,) = await street.sell(street.ask_balance(number, 45_000, notify_number=number))
        assert await street.settle() == Counter({"closed": 1})
        paid = (await street.order(order))["paid_fen"]
        assert 0 < paid == await street.balance("clearing:alipay")
        findings = await verify(
            pool,
            book=BOOK,
            now=datetime.now(UTC),
            keys=street.keys,
            carriers=street.carriers,
            rails=street.rails,
        )
        assert {name: f.found for name, f in findings.items() if f.violations or f.unchecked} == {}
    finally:
        await pool.close()
