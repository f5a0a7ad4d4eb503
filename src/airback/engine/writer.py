"""The writer of one book: gather, decide, persist, perform, over and over, while it holds the book.

It keeps in memory only what its epoch makes true: the open effects and the next sequence number. Any failure
discards that memory, begins a new epoch (which settles a commit of unknown fate) and reads the book again.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg
import structlog

from airback.domain import ids
from airback.domain.effects import FINAL as FINAL_RESULTS
from airback.domain.effects import Kind, Outcome, Result
from airback.domain.ports.keys import KeyProvider
from airback.engine import gather
from airback.engine.advance import advance
from airback.engine.batch import Batch
from airback.engine.persist import SQL as PERSIST
from airback.engine.persist import Fenced, persist
from airback.engine.policy import Policy
from airback.engine.records import Answer, Letter, OpenEffect
from airback.engine.senders import FarSides, Senders, read_request
from airback.pricing.cards import RateCard, card_in_force, parse_card
from airback.store import books
from airback.store.pool import prepare_connection, session_settings

LOG: Final = structlog.get_logger(__name__)

#: Plans for arrays of unknown length must stay index look-ups (a merge join over a whole table is the trap).
_PLANNER: Final = {
    "enable_mergejoin": "off",
    "enable_hashjoin": "off",
    "plan_cache_mode": "force_generic_plan",
}


@dataclass(frozen=True, slots=True)
class Pace:
    """How a writer spends its time. `lease`: a book whose writer was not seen for so long may be taken."""

    batch: int = 500
    in_flight: int = 2000
    idle_s: float = 0.03
    lease: timedelta = timedelta(seconds=3)
    beat_s: float = 0.7
    refresh_s: float = 2.0


class Writer:
    """Writes one book as long as it may."""

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
        self._keys = keys
        self._clock = clock
        self._entropy = entropy
        self._pace = pace or Pace()
        self._limit = self._pace.batch
        self._answers: deque[Answer] = deque()
        self._wake = asyncio.Event()
        self._open: dict[int, OpenEffect] = {}
        self._epoch = 0
        self._seq = 1
        self._routing = True
        self._sending = True
        self._rate_cards: dict[int, RateCard] = {}
        self._licensed: frozenset[str] = frozenset()
        self._after_seller = 0
        self._seen_at = 0.0
        self._refresh_at = 0.0
        self._lost = False
        self._senders: Senders | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Take the book, write it until `stop`, sign off. Returns at once when another worker holds it."""
        conn = await self._connect()
        beat = None
        try:
            epoch = await books.take(
                conn, book=self._book, worker=self._worker, now=self._clock(), lease=self._pace.lease
            )
            if epoch is None:
                return
            self._seen_at = time.monotonic()
            LOG.info("book_taken", book=self._book, epoch=epoch)
            beat = asyncio.create_task(self._beat(stop))
            await self._begin(conn, epoch)
            while not stop.is_set() and not self._lost:
                try:
                    if not await self._pass(conn):
                        await self._idle()
                except Fenced:
                    return
                except Exception as error:
                    LOG.error("batch_failed", book=self._book, error=f"{type(error).__name__}: {error}"[:300])
                    conn = await self._again(conn, stop)
        finally:
            if beat is not None:
                beat.cancel()
                await asyncio.gather(beat, return_exceptions=True)
            if self._senders is not None:
                await self._senders.close()
            with contextlib.suppress(Exception):
                if not self._lost:
                    await books.sign_off(conn, book=self._book, worker=self._worker)
            with contextlib.suppress(Exception):
                await conn.close(timeout=2)

    # -- holding the book

    async def _connect(self) -> asyncpg.Connection:
        settings = session_settings(
            statement_timeout_s=30,
            lock_timeout_s=10,
            idle_in_transaction_timeout_s=60,
            application_name="airback writer",
        )
        conn = await asyncpg.connect(self._url, timeout=10, server_settings=settings | _PLANNER)
        await prepare_connection(conn)
        return conn

    async def _begin(self, conn: Any, epoch: int) -> None:
        """Start an epoch from nothing but the database."""
        if self._senders is not None:
            await self._senders.close()
        self._answers.clear()
        self._epoch = epoch
        self._seq = await books.next_seq(conn, book=self._book)
        self._routing, self._sending = await books.switches(conn, book=self._book)
        await self._refresh(conn)
        self._senders = Senders(
            far_sides=self._far_sides,
            policy=self._policy,
            clock=self._clock,
            may_send=self._may_send,
            on_answer=self._answered,
        )
        self._open = {e.id: e for e in await gather.open_effects(conn, book=self._book, epoch=epoch)}
        for effect in self._open.values():
            if effect.kind in (Kind.INSPECT, Kind.NOTIFY):
                # Nothing to ask about: a reading is made anew, a message may or may not have gone.
                outcome = Outcome(Result.FAILED, code="answer_lost", detail={"taken_over": True})
                self._answers.append(Answer(effect, outcome, asked=False))
            else:
                effect.ask_at = self._clock()

    async def _again(self, conn: Any, stop: asyncio.Event) -> asyncpg.Connection:
        """After a failure: a fresh connection, a new epoch, the book read again. Tries until it can or has lost the book."""
        self._limit = 1 if self._limit > 1 else self._limit
        with contextlib.suppress(Exception):
            await conn.close(timeout=2)
        while not stop.is_set():
            try:
                conn = await self._connect()
                epoch = await books.retake(conn, book=self._book, worker=self._worker)
                if epoch is None:
                    self._lost = True
                else:
                    await self._begin(conn, epoch)
                return conn
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
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
                    conn = conn or await self._connect()
                    if await books.seen(conn, book=self._book, worker=self._worker, now=self._clock()):
                        self._seen_at = began
                    else:
                        self._lost = True
                        self._wake.set()
                except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
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

    # -- one pass

    async def _pass(self, conn: Any) -> bool:
        """One batch. False when there was nothing to do."""
        now = self._clock()
        if time.monotonic() >= self._refresh_at:
            await self._refresh(conn)
        self._ask_due(now)
        answers = [self._answers.popleft() for _ in range(min(len(self._answers), self._limit))]
        letters = await gather.letters(conn, book=self._book, limit=self._limit)
        due: list[int] = []
        if self._senders is not None and self._senders.in_flight < self._pace.in_flight:
            due, self._after_seller = await gather.due_orders(
                conn, book=self._book, now=now, limit=self._limit, after_seller=self._after_seller
            )
        if not (answers or letters or due):
            return False
        alone = answers == [] and letters == [] and len(due) == 1
        batch = self._new_batch(now)
        try:
            await self._gather(conn, batch, answers, letters, due)
            self._call_back(letters, now)
            advance(batch, answers=answers, letters=letters, due=due)
        except Exception:
            if alone and self._limit == 1:
                await self._park(conn, due[0], now)
            raise
        await persist(conn, batch)
        self._commit(batch)
        if self._limit < self._pace.batch:
            self._limit = min(self._pace.batch, self._limit * 2)
        return True

    def _new_batch(self, now: datetime) -> Batch:
        return Batch(
            book=self._book,
            epoch=self._epoch,
            now=now,
            entropy=self._entropy,
            keys=self._keys,
            policy=self._policy,
            rate_card=card_in_force(self._rate_cards.values(), now),
            rate_cards_known=self._rate_cards,
            routing=self._routing,
            next_seq=self._seq,
            licensed=self._licensed,
            by_ref={effect.ref: effect for effect in self._open.values()},
        )

    async def _gather(
        self,
        conn: Any,
        batch: Batch,
        answers: Iterable[Answer],
        letters: Iterable[Letter],
        due: Iterable[int],
    ) -> None:
        order_ids = set(due)
        payout_ids = set[int]()
        deposits = set[str]()
        breaks = list[int]()
        effects = [answer.effect for answer in answers]
        for letter in letters:
            if letter.order_id is not None:
                order_ids.add(letter.order_id)
            if letter.body.get("action") == "operations:effect:resolve":
                effect = batch.open_by_ref(str(letter.body["after"].get("effect")))
                effects += [effect] if effect else []
            if letter.body.get("action") == "reconciliation:break:resolve":
                found = ids.parse_public("brk", str(letter.body["after"]["break"]))
                breaks += [] if found is None else [found]
            if letter.body.get("action") == "finance:deposit:credit":
                deposits.add(str(letter.body["after"]["outlet"]))
        for effect in effects:
            if effect.order_id is not None:
                order_ids.add(effect.order_id)
            if effect.payout_id is not None:
                payout_ids.add(effect.payout_id)
        await gather.facts(conn, batch, order_ids=order_ids, payout_ids=sorted(payout_ids), deposits=deposits)
        if breaks:
            await gather.open_breaks(conn, batch, breaks)
        for effect in self._open.values():
            if effect.order_id in batch.orders:
                batch.open_effects.setdefault(effect.order_id, []).append(effect)

    def _commit(self, batch: Batch) -> None:
        """perform: what was decided is now true; the new effects go out."""
        self._seq = batch.next_seq
        if "routing" in batch.switches:
            self._routing = batch.switches["routing"][0]
        if batch.rate_cards or batch.licences:
            self._refresh_at = 0.0
        for effect_id in batch.final_effects:
            self._open.pop(effect_id, None)
        senders = self._senders
        for effect in batch.effects:
            if effect.result in FINAL_RESULTS:
                continue
            self._open[effect.id] = effect
            if senders is not None and self._sending:
                senders.send(effect, batch.requests[effect.id])
        for effect in batch.resend:
            plain = self._keys.unseal(
                purpose="effect", sealed=effect.sealed, where=f"effects/request/{effect.id}".encode()
            )
            if senders is not None and self._sending:
                senders.send(effect, read_request(effect.kind, plain))

    # -- small parts

    async def _refresh(self, conn: Any) -> None:
        now = self._clock()
        for row in await conn.fetch(books.SQL.rate_cards, self._book, max(self._rate_cards, default=0)):
            self._rate_cards[row["version"]] = parse_card(row["document"])
        self._licensed = frozenset(
            r["capability"] for r in await conn.fetch(books.SQL.licensed, self._book, now)
        )
        await conn.execute(PERSIST.expire_demands, self._book, now)
        self._refresh_at = time.monotonic() + self._pace.refresh_s

    def _ask_due(self, now: datetime) -> None:
        if self._senders is None or not self._sending:
            return
        for effect in self._open.values():
            if (
                effect.ask_at is not None
                and effect.ask_at <= now
                and not effect.asking
                and effect.kind is not Kind.NOTIFY
            ):
                if effect.kind is Kind.INSPECT:
                    effect.asking = True
                    self._answered(Answer(effect, Outcome(Result.FAILED, code="answer_lost"), asked=False))
                else:
                    self._senders.ask(effect)

    def _call_back(self, letters: Iterable[Letter], now: datetime) -> None:
        """A callback is a hint: the far side is asked at once."""
        refs = {letter.ref for letter in letters if letter.kind == "callback"}
        for effect in self._open.values():
            if effect.ref in refs:
                effect.ask_at = now

    def _answered(self, answer: Answer) -> None:
        self._answers.append(answer)
        self._wake.set()

    async def _idle(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), self._pace.idle_s)
        self._wake.clear()

    async def _park(self, conn: Any, order_id: int, now: datetime) -> None:
        LOG.error("order_parked", book=self._book, order_id=order_id)
        with contextlib.suppress(Exception):
            await books.park(conn, book=self._book, order_id=order_id, until=now + timedelta(hours=1))
            detail = '{"reason": "the engine could not decide this order"}'
            await conn.execute(
                PERSIST.insert_alarms,
                self._book,
                now,
                [order_id],
                ["order_parked"],
                [str(order_id)],
                [detail],
                [now + self._policy.review_within],
            )
