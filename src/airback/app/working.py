"""`airback work`: a worker takes every book that has no living writer, and writes it."""

import asyncio
import os
import socket
from collections.abc import Callable, Collection

import structlog

from airback.app import presence
from airback.app.platform import Platform, database, open_platform, wait_for_sandbox
from airback.app.settings import Settings
from airback.engine import watch_arbitrage
from airback.engine.tenure import Pace, Tenure, described
from airback.store import books
from airback.store.problems import TROUBLE

LOG = structlog.get_logger(__name__)
_LOOK_EVERY_S = 0.5


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
    watching = asyncio.create_task(_watch(platform, held, stop))
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
        await asyncio.gather(watching, *held.values(), return_exceptions=True)


async def _watch(platform: Platform, held: Collection[int], stop: asyncio.Event) -> None:
    """Look at the promotions of the books that are written here, every minute, until `stop`."""
    while not stop.is_set():
        for book in tuple(held):
            try:
                async with platform.pool.acquire() as conn:
                    await watch_arbitrage.watch_book(
                        conn, book=book, now=platform.now(), entropy=platform.entropy
                    )
            except Exception as error:
                LOG.error("arbitrage_watch_failed", book=book, **described(error))
        await _sleep(stop, watch_arbitrage.EVERY_S if held else _LOOK_EVERY_S)


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
