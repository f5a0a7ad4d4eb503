"""`airback arbitrage` at a terminal, and the worker that looks by itself."""

import asyncio
import contextlib
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from airback.app import working
from airback.cli.main import main
from airback.pricing.default_card import DEFAULT_CARD
from airback.store import books, price_caps
from airback.store.pool import connect_once
from tests.engine.test_watch_arbitrage import new


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any], str]:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    told = capsys.readouterr()
    lines = told.out.splitlines()
    return int(str(ended.value.code)), json.loads(lines[-1]) if lines else {}, told.err


async def _record(url: str) -> None:
    """A promotion on record that nobody has looked at yet."""
    conn = await connect_once(url)
    try:
        now = datetime.now(UTC)
        promotion = new(product="balance", since=now - timedelta(hours=1), until=now + timedelta(days=1))
        await price_caps.record_promotion(
            conn, book=1, promotion_id=5, promotion=promotion, by="chen", now=now
        )
    finally:
        await conn.close()


def test_the_report_has_the_profit_before_and_after_and_sets_the_cap(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    monkeypatch.setenv("AIRBACK_DATABASE_URL", database_url)
    data = ("--data", str(tmp_path))
    status, answer, told = run(capsys, "arbitrage", *data)
    assert (status, answer) == (0, {}) and "No promotion on record" in told
    asyncio.run(_record(database_url))
    status, answer, _ = run(capsys, "arbitrage", *data, "--json")
    assert status == 0
    (one,) = answer["promotions"]
    assert one["state"] == "live" and one["cap"]["most_ppm"] < 800_000
    of_100 = next(trade for trade in one["trades"] if trade["face_fen"] == 10_000)
    assert (of_100["profit_fen"], of_100["profit_capped_fen"]) == (1_598, 120)
    assert one["cut_ppm"] >= 500_000
    status, _, told = run(capsys, "arbitrage", *data)
    assert "15.98" in told and "1.20" in told and "takes" in told


async def test_a_worker_looks_at_the_books_it_writes_and_goes_on_after_a_failure(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    async with pool.acquire() as conn:
        await books.create(conn, book=1, name="x", now=now)
        await books.publish_first(conn, book=1, document=DEFAULT_CARD, now=now)
        promotion = new(since=now - timedelta(hours=1), until=now + timedelta(days=1))
        await price_caps.record_promotion(
            conn, book=1, promotion_id=5, promotion=promotion, by="chen", now=now
        )
    failures = 0

    def clock() -> datetime:
        nonlocal failures
        failures += 1
        if failures == 1:
            raise RuntimeError("the first look fails")
        return datetime.now(UTC)

    platform: Any = SimpleNamespace(pool=pool, now=clock, entropy=os.urandom)
    stop = asyncio.Event()
    looking = asyncio.create_task(working._round(platform, {1: None}, stop, working._watch_promotions, 0.05))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(20):
            while not await pool.fetchval("SELECT count(*) FROM price_caps"):
                await asyncio.sleep(0.05)
    stop.set()
    await looking
    assert await pool.fetchval("SELECT count(*) FROM price_caps") == 1
    assert failures >= 2
