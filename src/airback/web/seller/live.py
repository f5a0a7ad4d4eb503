"""Orders followed live: one poller for a whole process, however many people watch.

Every second it reads all watched orders in one query and rings for those that changed. It runs while somebody
watches. A page that cannot be served live (too many watchers, no database) falls back to asking by itself.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Final

import asyncpg
import structlog

from airback.queries import orders
from airback.queries.orders import OrderView
from airback.store.problems import TROUBLE

EVERY_S: Final = 1.0
HEARTBEAT_S: Final = 15.0
MOST_WATCHERS: Final = 5_000
_LONGEST_PAUSE_S: Final = 15.0

_log = structlog.get_logger("airback.web.seller")


class TooManyWatchers(Exception):
    """This process follows as many orders as it may."""


class Live:
    """The poller of one process."""

    def __init__(self, *, pool: asyncpg.Pool, book: int) -> None:
        self._pool = pool
        self._book = book
        self._bells: defaultdict[int, set[asyncio.Event]] = defaultdict(set)
        self._views: dict[int, OrderView] = {}
        self._watchers = 0
        self._poller: asyncio.Task[None] | None = None

    async def follow(self, order_id: int) -> AsyncIterator[OrderView | None]:
        """The order each time it changed since the call, None as a sign of life. Raises `TooManyWatchers`."""
        async with self._bell(order_id) as bell:
            while True:
                try:
                    await asyncio.wait_for(bell.wait(), HEARTBEAT_S)
                except TimeoutError:
                    yield None
                else:
                    bell.clear()
                    yield self._views[order_id]

    @contextlib.asynccontextmanager
    async def _bell(self, order_id: int) -> AsyncIterator[asyncio.Event]:
        if self._watchers >= MOST_WATCHERS:
            raise TooManyWatchers
        bell = asyncio.Event()
        self._watchers += 1
        self._bells[order_id].add(bell)
        if order_id in self._views:
            bell.set()
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll(), name="seller-live")
        try:
            yield bell
        finally:
            self._watchers -= 1
            self._bells[order_id].discard(bell)
            if not self._bells[order_id]:
                del self._bells[order_id]
                self._views.pop(order_id, None)
            if not self._bells and self._poller is not None:
                self._poller.cancel()
                self._poller = None  # it ends a moment later: whoever watches meanwhile needs another

    async def _poll(self) -> None:
        pause_s = EVERY_S
        while self._bells and self._poller is asyncio.current_task():
            try:
                async with self._pool.acquire() as conn:
                    found = await orders.get_orders(conn, book=self._book, order_ids=list(self._bells))
            except TROUBLE as error:
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
                _log.warning("live_poll_failed", error=type(error).__name__, pause_s=pause_s)
            else:
                pause_s = EVERY_S
                for order_id, view in found.items():
                    if self._views.get(order_id) != view and order_id in self._bells:
                        self._views[order_id] = view
                        for bell in self._bells[order_id]:
                            bell.set()
            await asyncio.sleep(pause_s)
