"""Tenure: one worker's hold of one book: its lease, its heartbeat, and a new epoch after every failure.

A failure of whatever kind discards what the writer holds in memory and begins a new epoch, which settles a commit of
unknown fate; then the book is read again.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg
import structlog

from airback.domain.ports.keys import KeyProvider
from airback.engine.persist import Fenced
from airback.engine.policy import Policy
from airback.engine.senders import FarSides, OnAnswer, Senders
from airback.engine.writer import PLANNER, Writer
from airback.store import books
from airback.store.pool import at_start, prepare_connection, session_settings
from airback.store.problems import TROUBLE

LOG: Final = structlog.get_logger(__name__)

#: The database gives a statement up after so long; a little later we give the connection up, which may be gone
#: without a word. A heartbeat is worth nothing when it comes late.
_STATEMENT_S: Final = 30
_ANSWER_S: Final = 35.0
_BEAT_ANSWER_S: Final = 5.0


def described(error: BaseException) -> dict[str, str]:
    """What of an error may be logged: its type and, for the database's, its state and constraint. Never its text,
    which may quote a row."""
    said = {"error": type(error).__name__}
    if isinstance(error, asyncpg.PostgresError):
        said |= {
            name: str(value)
            for name in ("sqlstate", "constraint_name")
            if (value := getattr(error, name, None)) is not None
        }
    return said


async def writer_connection(url: str, *, answer_s: float = _ANSWER_S) -> asyncpg.Connection:
    """A connection with a writer's settings; a statement is given up after `answer_s`."""
    settings = session_settings(
        statement_timeout_s=_STATEMENT_S,
        lock_timeout_s=10,
        idle_in_transaction_timeout_s=60,
        application_name="airback writer",
    )
    conn = await asyncpg.connect(
        url, timeout=10, command_timeout=answer_s, server_settings=at_start(settings)
    )
    try:
        await prepare_connection(conn, settings=settings | PLANNER)
    except BaseException:
        conn.terminate()
        raise
    return conn


@dataclass(frozen=True, slots=True)
class Pace:
    """How a worker spends its time. `lease`: a book whose writer was not seen for so long may be taken. `in_flight`: the
    most requests that may wait for one far side; what needs it waits, the rest goes on.

    Looks at a book where nothing happens come `idle_s` apart at first, then ever more rarely, up to `idle_most_s`.
    """

    batch: int = 500
    in_flight: int = 2000
    idle_s: float = 0.03
    idle_most_s: float = 0.2
    lease: timedelta = timedelta(seconds=3)
    beat_s: float = 0.7


class Tenure:
    """Holds one book and writes it as long as it may."""

    def __init__(
        self,
        *,
        url: str,
        book: int,
        worker: str,
        far_sides: FarSides,
        policy: Policy,
        keys: KeyProvider,
        clock: Callable[[], datetime],
        entropy: Callable[[int], bytes],
        pace: Pace | None = None,
    ) -> None:
        self._url = url
        self._book = book
        self._worker = worker
        self._far_sides = far_sides
        self._policy = policy
        self._clock = clock
        self._pace = pace or Pace()
        self._wake = asyncio.Event()
        self._seen_at = 0.0
        self._lost = False
        self._writer = Writer(
            book=book,
            policy=policy,
            keys=keys,
            clock=clock,
            monotonic=time.monotonic,
            entropy=entropy,
            open_senders=self._open_senders,
            wake=self._wake.set,
            batch=self._pace.batch,
            in_flight=self._pace.in_flight,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Take the book, write it until `stop`, sign off. Returns at once when another worker holds it."""
        conn = await writer_connection(self._url)
        beat = None
        try:
            began = time.monotonic()
            epoch = await books.take(conn, book=self._book, worker=self._worker, lease=self._pace.lease)
            if epoch is None:
                return
            self._seen_at = began
            LOG.info("book_taken", book=self._book, epoch=epoch)
            beat = asyncio.create_task(self._beat(stop))
            await self._writer.begin(conn, epoch)
            idle = 0.0
            while not stop.is_set() and not self._lost:
                try:
                    idle = 0.0 if await self._writer.step(conn) else idle * 2 or self._pace.idle_s
                    if idle:
                        await self._idle(min(idle, self._pace.idle_most_s))
                except Fenced:
                    return
                except Exception as error:
                    LOG.error("batch_failed", book=self._book, **described(error))
                    conn = await self._again(conn, stop)
        finally:
            if beat is not None:
                beat.cancel()
                await asyncio.gather(beat, return_exceptions=True)
            await self._writer.close()
            with contextlib.suppress(Exception):
                if not self._lost:
                    if (
                        conn.is_closed()
                    ):  # it was to stop in the midst of a failure: nobody shall wait for its lease
                        conn = await writer_connection(self._url)
                    await books.sign_off(conn, book=self._book, worker=self._worker)
            with contextlib.suppress(Exception):
                await conn.close(timeout=2)

    def _open_senders(self, on_answer: OnAnswer) -> Senders:
        return Senders(
            far_sides=self._far_sides,
            policy=self._policy,
            clock=self._clock,
            may_send=self._may_send,
            on_answer=on_answer,
        )

    async def _again(self, conn: Any, stop: asyncio.Event) -> asyncpg.Connection:
        """After a failure: a fresh connection, a new epoch, the book read again. Tries until it can or has lost the book."""
        self._writer.failed()
        with contextlib.suppress(Exception):
            await conn.close(timeout=2)
        while not stop.is_set():
            try:
                conn = await writer_connection(self._url)
                epoch = await books.retake(conn, book=self._book, worker=self._worker)
                if epoch is None:
                    self._lost = True
                else:
                    await self._writer.begin(conn, epoch)
                return conn
            except TROUBLE as error:
                LOG.warning("database_away", error=type(error).__name__)
                await asyncio.sleep(0.3)
        return conn

    async def _beat(self, stop: asyncio.Event) -> None:
        """Say now and then that this worker lives; a book that was lost is noticed here as well."""
        conn: asyncpg.Connection | None = None
        try:
            while not stop.is_set() and not self._lost:
                began = time.monotonic()
                try:
                    conn = conn or await writer_connection(self._url, answer_s=_BEAT_ANSWER_S)
                    if await books.seen(conn, book=self._book, worker=self._worker):
                        self._seen_at = began
                    else:
                        self._lost = True
                        self._wake.set()
                except TROUBLE:
                    if conn is not None:
                        conn.terminate()
                    conn = None
                await asyncio.sleep(self._pace.beat_s)
        finally:
            if conn is not None:
                conn.terminate()

    def _may_send(self) -> bool:
        """Whether this writer can be sure that nobody has taken the book from it."""
        return not self._lost and time.monotonic() - self._seen_at < self._pace.lease.total_seconds()

    async def _idle(self, most_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), most_s)
        self._wake.clear()
