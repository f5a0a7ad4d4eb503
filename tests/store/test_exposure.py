"""Live quotes told by one process to another through the database."""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from airback.domain.refusals import Refused
from airback.ledger.accounts import account
from airback.pricing.exposure import Exposure, Limits
from airback.store.exposure import share

BOOK = 1
NOW = datetime(2026, 11, 2, 4, 0, tzinfo=UTC)
UNTIL_S = int(NOW.timestamp()) + 600
LIMITS = Limits(seller_fen=100_000, times=2, carrier_least_fen=1_000)


async def told(
    pool: asyncpg.Pool, *processes: Exposure, now: datetime = NOW, wanted: dict[str, int] | None = None
) -> None:
    for _ in range(2):  # the first has heard the last as well
        for n, process in enumerate(processes):
            await share(pool, process, book=BOOK, process=f"p{n}", wanted=wanted or {}, now=now)


def take(process: Exposure, fen: int, *, now: datetime = NOW, seller: str = "acme/1") -> None:
    process.take(
        client=seller.partition("/")[0],
        seller=seller,
        carrier="cmcc",
        face_fen=fen,
        until_s=UNTIL_S,
        now_s=int(now.timestamp()),
    )


async def test_two_processes_keep_one_limit(pool: asyncpg.Pool) -> None:
    first, second = Exposure(LIMITS), Exposure(LIMITS)
    take(first, 60_000)
    take(second, 30_000)
    await told(pool, first, second)
    for process in (first, second):
        with pytest.raises(Refused):
            take(process, 10_001)
    second.used(client="acme", seller="acme/1", carrier="cmcc", face_fen=60_000, until_s=UNTIL_S)
    await told(pool, first, second)
    take(first, 70_000)
    await told(pool, first, second)
    later = NOW + timedelta(seconds=630)
    await told(pool, first, second, now=later)
    assert {one.live_fen("seller:acme/1", now_s=int(later.timestamp())) for one in (first, second)} == {0}


async def test_what_a_process_signed_before_it_died_counts_until_it_expires(pool: asyncpg.Pool) -> None:
    gone = Exposure(LIMITS)
    take(gone, 100_000)
    await share(pool, gone, book=BOOK, process="gone", wanted={}, now=NOW)
    fresh = Exposure(LIMITS)
    await share(pool, fresh, book=BOOK, process="fresh", wanted={}, now=NOW)
    with pytest.raises(Refused) as refused:
        take(fresh, 1)
    assert refused.value.retry_after_s  # also where only others know when
    after = NOW + timedelta(seconds=631)
    await share(pool, fresh, book=BOOK, process="fresh", wanted={}, now=after)
    fresh.take(
        client="acme",
        seller="acme/1",
        carrier="cmcc",
        face_fen=50_000,
        until_s=UNTIL_S + 900,
        now_s=int(after.timestamp()),
    )
    cleared = NOW + timedelta(seconds=1000)
    await share(pool, fresh, book=BOOK, process="fresh", wanted={}, now=cleared)
    assert {row["process"] for row in await pool.fetch("SELECT process FROM live_exposure")} == {"fresh"}


async def test_rooms_are_what_outlets_want_and_the_float_can_take(pool: asyncpg.Pool) -> None:
    process = Exposure(LIMITS)
    await told(pool, process)
    assert process.room_fen("cmcc") is None  # no outlet, nothing known
    await told(pool, process, wanted={"cmcc": 40_000})
    assert (process.room_fen("cmcc"), process.room_fen("cbn")) == (80_000, 1_000)
    own = account("float")
    await pool.execute(
        "INSERT INTO accounts (book, id, code, asset, side, bounded, credits_posted, debits_pending)"
        " VALUES ($1, $2, $3, $4, $5, $6, 30000, 10000)",
        BOOK, own.id, own.code, own.asset, own.side, own.bounded,
    )  # fmt: skip
    await told(pool, process, wanted={"cmcc": 40_000})
    assert (process.room_fen("cmcc"), process.room_fen("cbn")) == (120_000, 40_000)
    await pool.execute(
        "INSERT INTO outlets (book, outlet, name, created_at) VALUES ($1, 'north', 'North', $2)", BOOK, NOW
    )
    await told(pool, process)  # an outlet that wants nothing now is something known
    assert process.room_fen("cmcc") == 40_000
