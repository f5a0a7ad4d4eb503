"""The writer of one book: gather, decide, persist, perform.

It keeps in memory only what its epoch makes true: the open effects and the next sequence number. `begin` forgets all
of it and reads the book again.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from airback.domain import ids
from airback.domain.effects import FINAL as FINAL_RESULTS
from airback.domain.effects import Kind, Outcome, Result
from airback.domain.ports.keys import KeyProvider
from airback.engine import gather
from airback.engine.advance import advance
from airback.engine.batch import Batch
from airback.engine.persist import SQL as PERSIST
from airback.engine.persist import persist
from airback.engine.policy import Policy
from airback.engine.records import Answer, Letter, OpenEffect
from airback.engine.senders import OnAnswer, Sending, read_request
from airback.pricing.cards import RateCard, card_in_force, parse_card
from airback.store import books

LOG: Final = structlog.get_logger(__name__)

#: Plans for arrays of unknown length must stay index look-ups (a merge join over a whole table is the trap).
PLANNER: Final = {
    "enable_mergejoin": "off",
    "enable_hashjoin": "off",
    "plan_cache_mode": "force_generic_plan",
}

#: How often price lists, licences and expired demands are looked at.
REFRESH_S: Final = 2.0


class Writer:
    """Writes one book, a batch a step. Whoever drives it holds the book and gives it a connection."""

    def __init__(
        self,
        *,
        book: int,
        policy: Policy,
        keys: KeyProvider,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
        entropy: Callable[[int], bytes],
        open_senders: Callable[[OnAnswer], Sending],
        wake: Callable[[], None],
        batch: int,
        in_flight: int,
    ) -> None:
        self._book = book
        self._policy = policy
        self._keys = keys
        self._clock = clock
        self._monotonic = monotonic
        self._entropy = entropy
        self._open_senders = open_senders
        self._wake = wake
        self._most = batch
        self._most_in_flight = in_flight
        self._limit = batch
        self._answers: deque[Answer] = deque()
        self._open: dict[int, OpenEffect] = {}
        self._epoch = 0
        self._seq = 1
        self._routing = True
        self._sending = True
        self._rate_cards: dict[int, RateCard] = {}
        self._licensed: frozenset[str] = frozenset()
        self._after_seller = 0
        self._refresh_at = 0.0
        self._senders: Sending | None = None

    async def begin(self, conn: Any, epoch: int) -> None:
        """Start an epoch from nothing but the database."""
        if self._senders is not None:
            await self._senders.close()
        self._answers.clear()
        self._epoch = epoch
        self._seq = await books.next_seq(conn, book=self._book)
        self._routing, self._sending = await books.switches(conn, book=self._book)
        await self._refresh(conn)
        self._senders = self._open_senders(self._answered)
        self._open = {e.id: e for e in await gather.open_effects(conn, book=self._book, epoch=epoch)}
        for effect in self._open.values():
            if effect.kind in (Kind.INSPECT, Kind.NOTIFY):
                # Nothing to ask about: a reading is made anew, a message may or may not have gone.
                outcome = Outcome(Result.FAILED, code="answer_lost", detail={"taken_over": True})
                self._answers.append(Answer(effect, outcome, asked=False))
            else:
                effect.ask_at = self._clock()

    def failed(self) -> None:
        """A step failed: take a small bite next, so that one bad order is found and set aside."""
        self._limit = 1

    async def close(self) -> None:
        """Stop sending."""
        if self._senders is not None:
            await self._senders.close()

    @property
    def next_question_at(self) -> datetime | None:
        """When the next open effect is to be asked about; None when there is none."""
        return min(
            (e.ask_at for e in self._open.values() if e.ask_at is not None and not e.asking), default=None
        )

    # -- one pass

    async def step(self, conn: Any) -> bool:
        """One batch. False when there was nothing to do."""
        now = self._clock()
        if self._monotonic() >= self._refresh_at:
            await self._refresh(conn)
        self._ask_due(now)
        answers = [self._answers.popleft() for _ in range(min(len(self._answers), self._limit))]
        letters = await gather.letters(conn, book=self._book, limit=self._limit)
        due: list[int] = []
        if self._senders is not None and self._senders.in_flight < self._most_in_flight:
            due, self._after_seller = await gather.due_orders(
                conn, book=self._book, now=now, limit=self._limit, after_seller=self._after_seller
            )
        if not (answers or letters or due):
            return False
        alone = answers == [] and letters == [] and len(due) == 1
        batch = self._new_batch(now)
        try:
            answers = await self._fresh(conn, answers)
            await self._gather(conn, batch, answers, letters, due)
            await self._call_back(conn, letters, now)
            advance(batch, answers=answers, letters=letters, due=due)
        except Exception:
            if alone and self._limit == 1:
                await self._park(conn, due[0], now)
            raise
        await persist(conn, batch)
        self._commit(batch)
        if self._limit < self._most:
            self._limit = min(self._most, self._limit * 2)
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
        self._refresh_at = self._monotonic() + REFRESH_S

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

    async def _call_back(self, conn: Any, letters: Iterable[Letter], now: datetime) -> None:
        """A callback is a hint: the far side is asked at once, also about what had its final result."""
        refs = {letter.ref for letter in letters if letter.kind == "callback" and letter.ref is not None}
        if not refs:
            return
        for effect in self._open.values():
            if effect.ref in refs:
                effect.ask_at = now
                refs.discard(effect.ref)
        if refs and self._senders is not None and self._sending:
            for effect in await gather.effects_by_ref(conn, book=self._book, epoch=self._epoch, refs=refs):
                if effect.result in FINAL_RESULTS and effect.kind not in (Kind.INSPECT, Kind.NOTIFY):
                    self._senders.ask(effect)

    async def _fresh(self, conn: Any, answers: list[Answer]) -> list[Answer]:
        """Answers about effects that had their final result are folded into what the database has of them."""
        late = {
            a.effect.ref
            for a in answers
            if a.effect.result in FINAL_RESULTS and a.outcome.result is not a.effect.result
        }
        if not late:
            return answers
        found = await gather.effects_by_ref(conn, book=self._book, epoch=self._epoch, refs=late)
        by_ref = {effect.ref: effect for effect in found}
        return [replace(a, effect=by_ref.get(a.effect.ref, a.effect)) for a in answers]

    def _answered(self, answer: Answer) -> None:
        self._answers.append(answer)
        self._wake()

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
