"""`airback work`: a worker takes every book that has no living writer, and writes it."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Mapping

import asyncpg
import structlog

from airback.app import presence
from airback.app.platform import Platform, database, open_platform, wait_for_sandbox
from airback.app.settings import Settings
from airback.engine import watch_arbitrage
from airback.engine.classify import classify
from airback.engine.tenure import Pace, Tenure, described
from airback.store import books
from airback.store.problems import TROUBLE

LOG = structlog.get_logger(__name__)
_LOOK_EVERY_S = 0.5
_CLASS_EVERY_S = 20.0

#: Something done for one book now and then.
Job = Callable[[Platform, asyncpg.Connection, int], Awaitable[object]]


async def work(
    settings: Settings,
    *,
    stop: asyncio.Event,
    ready: Callable[[], None] | None = None,
    pace: Pace | None = None,
    most: int | None = None,
) -> None:
    """Write books, at most so many, until `stop`. A second worker on the same database waits, and takes over what a
    dead one wrote."""
    async with database(settings) as url:
        await wait_for_sandbox(settings)
        async with open_platform(settings, url=url, connections=2) as platform:
            with presence.announce(settings.run_dir, f"work-{os.getpid()}"):
                if ready is not None:
                    ready()
                await hold_books(platform, stop=stop, pace=pace or Pace(), most=most)


async def hold_books(platform: Platform, *, stop: asyncio.Event, pace: Pace, most: int | None = None) -> None:
    """Take every book without a living writer, at most so many, and write them until `stop`."""
    worker = f"{socket.gethostname()}-{os.getpid()}-{os.urandom(3).hex()}"
    held: dict[int, asyncio.Task[None]] = {}
    rounds = [
        asyncio.create_task(_round(platform, held, stop, job, every_s))
        for job, every_s in ((_class_sellers, _CLASS_EVERY_S), (_watch_promotions, watch_arbitrage.EVERY_S))
    ]
    try:
        while not stop.is_set():
            for book, task in list(held.items()):
                if task.done():
                    del held[book]
                    if (error := task.exception()) is not None:
                        LOG.error("writer_ended", book=book, **described(error))
            try:
                free = await books.candidates(platform.pool, lease=pace.lease)
            except TROUBLE as error:
                LOG.warning("database_away", error=type(error).__name__)
                free = []
            for book in free:
                if book not in held and (most is None or len(held) < most):
                    held[book] = asyncio.create_task(_writer(platform, book, worker, pace).run(stop))
            await _sleep(stop, _LOOK_EVERY_S)
    finally:
        stop.set()
        await asyncio.gather(*rounds, *held.values(), return_exceptions=True)


async def _round(
    platform: Platform, held: Mapping[int, object], stop: asyncio.Event, job: Job, every_s: float
) -> None:
    """Do a job for each book that is held here, again and again. What fails is tried again; the book goes on without."""
    while not stop.is_set():
        for book in list(held):
            try:
                async with platform.pool.acquire() as conn:
                    await job(platform, conn, book)
            except TROUBLE as error:
                LOG.warning("round_failed", job=job.__name__, book=book, error=type(error).__name__)
            except Exception as error:
                LOG.error("round_failed", job=job.__name__, book=book, **described(error))
        await _sleep(stop, every_s if held else _LOOK_EVERY_S)


async def _class_sellers(platform: Platform, conn: asyncpg.Connection, book: int) -> None:
    await classify(conn, book=book, now=platform.now())


async def _watch_promotions(platform: Platform, conn: asyncpg.Connection, book: int) -> None:
    await watch_arbitrage.watch_book(conn, book=book, now=platform.now(), entropy=platform.entropy)


def _writer(platform: Platform, book: int, worker: str, pace: Pace) -> Tenure:
    return Tenure(
        url=platform.url,
        book=book,
        worker=worker,
        far_sides=platform.connected.far_sides,
        policy=platform.connected.policy,
        keys=platform.keys,
        clock=platform.now,
        entropy=platform.entropy,
        pace=pace,
    )


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
