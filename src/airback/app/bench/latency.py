"""How long one person waits: submitting, and from there to being paid, while nothing else happens and while a company's file
is worked off in the same book.

Far sides answer at once, so that what is measured is the platform. Persons come one by one at random intervals, whether the
one before is served or not. Times are those that stand in the book: when the order was accepted and when its payment was
known to have been made.
"""

import asyncio
import random
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import asyncpg

from airback.adapters.keys.files import FileKeys
from airback.app.bench.instant import InstantFarSides, read_books
from airback.app.bench.lifecycle import Worker, checked, open_book, sell
from airback.app.bench.own_database import own_database
from airback.app.platform import Platform
from airback.app.settings import Settings
from airback.pricing.cards import parse_card
from airback.pricing.default_card import DEFAULT_CARD
from airback.store import pool as pools
from airback.store.migrate import migrate
from airback.store.named_sql import load

_SQL: Final = load("bench.sql", package="airback.app.bench")
#: A person's order may wait so many times longer beside a file.
GOAL: Final = 3.0
#: The first persons of a quiet book find a worker that has planned none of its statements yet; they count for nothing.
_WARM: Final = 30
_SEED: Final = 20_261_123
_PATIENCE_S: Final = 120.0

Progress = Callable[[str, int, int], None]


async def bench(
    server_url: str,
    directory: Path,
    *,
    persons: int,
    per_s: float,
    file_orders: int,
    progress: Progress,
) -> dict[str, Any]:
    """`{"idle", "beside_file": {"submit_ms", "paid_ms": {"p50", "p99"}}, "p99_ratio", "goal", "file", "violations"}`.

    `persons` of each kind come at `per_s`; the file has so many orders, and persons come only while it is worked off:
    `beside_file.persons` says how many came.
    """
    async with own_database(server_url, "latency") as url:
        await migrate(url)
        await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
        settings = Settings(data_dir=directory, database_url=url, sandbox=False)
        keys = FileKeys(settings.keys_dir)
        sides = InstantFarSides()
        connected = sides.connected(operator=settings.operator)
        card = parse_card(DEFAULT_CARD)
        async with await pools.connect(url, max_size=8) as pool:
            await open_book(pool, settings, keys, now=datetime.now(UTC))
            street = _Street(pool, settings.book, {"card": card, "keys": keys, "connected": connected}, per_s)
            worker = Worker(url, directory, number=0, batch=None, far_side=None)
            try:
                await worker.start()
                worker.go()
                progress("idle", 0, 1)
                await street.persons(_WARM, while_=None)
                idle = await street.persons(persons, while_=None)
                progress("idle", 1, 1)
                progress("file", 0, 1)
                begun = time.perf_counter()
                sold = await sell(
                    pool,
                    book=settings.book,
                    orders=file_orders,
                    begin=50_000_000,
                    company="company",
                    **street.terms,
                )
                beside = await street.persons(persons, while_=sold)
                seconds = await street.wait(sold, begun)
                progress("file", 1, 1)
            finally:
                await worker.stop()
            found = await checked(
                Platform(settings, url, pool, keys, connected), [read_books(worker.books_file)]
            )
    return {
        "idle": idle,
        "beside_file": beside,
        "p99_ratio": round(beside["paid_ms"]["p99"] / idle["paid_ms"]["p99"], 2),
        "goal": GOAL,
        "file": {"orders": file_orders, "seconds": round(seconds, 1)},
        "violations": found["violations"],
    }


class _Street:
    """Persons who come by, and what became of their orders."""

    def __init__(self, pool: asyncpg.Pool, book: int, terms: dict[str, Any], per_s: float) -> None:
        self.terms = terms
        self._pool = pool
        self._book = book
        self._per_s = per_s
        self._chance = random.Random(_SEED)
        self._came = 0

    async def persons(self, count: int, *, while_: Sequence[int] | None) -> dict[str, Any]:
        """Let `count` come, or as many as do while an order of `while_` is still open; wait until all are paid."""
        coming: list[asyncio.Task[tuple[int, float]]] = []
        async with asyncio.TaskGroup() as group:
            for n in range(count):
                if while_ is not None and n % 20 == 0 and not await self._open(while_):
                    break
                coming.append(group.create_task(self._one()))
                await asyncio.sleep(self._chance.expovariate(self._per_s))
        served = [task.result() for task in coming]
        orders = [order for order, _ in served]
        await self.wait(orders, time.perf_counter())
        waited = [
            1000 * row["waited"].total_seconds()
            for row in await self._pool.fetch(_SQL.waited_for_money, self._book, orders)
        ]
        return {
            "persons": len(orders),
            "submit_ms": _percentiles([1000 * seconds for _, seconds in served]),
            "paid_ms": _percentiles(waited),
        }

    async def wait(self, orders: Sequence[int], begun: float) -> float:
        """Until none of the orders is open; seconds since `begun`. Raises TimeoutError."""
        async with asyncio.timeout(_PATIENCE_S + len(orders) / 50):
            while await self._open(orders):
                await asyncio.sleep(0.05)
        return time.perf_counter() - begun

    async def _one(self) -> tuple[int, float]:
        self._came += 1
        begun = time.perf_counter()
        (order,) = await sell(self._pool, book=self._book, orders=1, begin=self._came, **self.terms)
        return order, time.perf_counter() - begun

    async def _open(self, orders: Sequence[int]) -> bool:
        return bool(await self._pool.fetchval(_SQL.still_open, self._book, list(orders)))


def _percentiles(samples: Sequence[float]) -> dict[str, float]:
    cuts = statistics.quantiles(samples, n=100, method="inclusive")
    return {"p50": round(cuts[49], 1), "p99": round(cuts[98], 1)}
