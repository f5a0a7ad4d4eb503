"""What a worker does beside writing its books: it keeps the classes of their sellers."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from airback.app import working
from tests.engine.street import BOOK, open_street


async def until(pool: asyncpg.Pool, sql: str) -> Any:
    """The first answer that is something."""
    for _ in range(200):
        found = await pool.fetchval(sql, BOOK)
        if found is not None:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(sql)


async def test_the_sellers_of_a_held_book_are_classed_and_a_failure_is_tried_again(
    database_url: str, pool: asyncpg.Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    street = await open_street(database_url, pool, tmp_path / "keys")
    await street.demands("cmcc", *[30_000] * 4)
    await street.sell(street.ask_card(street.card(face_fen=10_000), seller="s1"))
    await street.settle()
    failures = [OSError("away"), ValueError("a bug")]
    classify = working.classify

    async def failing(conn: Any, **arguments: Any) -> int:
        if failures:
            raise failures.pop()
        return await classify(conn, **arguments)

    monkeypatch.setattr(working, "classify", failing)
    platform: Any = SimpleNamespace(pool=pool, now=lambda: datetime.now(UTC))
    stop = asyncio.Event()
    classing = asyncio.create_task(working._round(platform, {BOOK: None}, stop, working._class_sellers, 0.01))
    assert await until(pool, "SELECT face_fen FROM seller_days WHERE book = $1") == 10_000
    assert await until(pool, "SELECT seq FROM seller_counts WHERE book = $1 AND seq > 0") > 0
    stop.set()
    await classing
    assert failures == []
