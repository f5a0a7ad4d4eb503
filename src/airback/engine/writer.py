"""The writer of one book: gather, decide, persist, perform.

It keeps in memory only what its epoch makes true: the open effects, orders under way, balances and the next sequence
number. `begin` forgets all of it and reads the book again.

Persons go before files. A step folds either what persons wait for, of which there is little, or a bite of the files; while
persons are about, that bite takes no longer than a person may wait for it, and after a few steps of theirs files have one.

After a failure things are folded one at a time, from one source at a time, so that the one answer, letter or order that a bug
stops is found and set aside for a person while the others go on.
"""

import contextlib
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg
import msgspec
import structlog

from airback.domain import ids
from airback.domain.effects import FINAL as FINAL_RESULTS
from airback.domain.effects import Kind, Outcome, Result
from airback.domain.ports.keys import KeyProvider
from airback.domain.refusals import Refused
from airback.engine import gather, outlets, stand
from airback.engine.advance import advance
from airback.engine.batch import Batch
from airback.engine.meet import meet
from airback.engine.memory import Memory
from airback.engine.persist import SQL as PERSIST
from airback.engine.persist import Fenced, fence, persist, write
from airback.engine.policy import Policy
from airback.engine.records import Answer, Letter, OpenEffect
from airback.engine.senders import PATIENCE, OnAnswer, Sending, read_request, storable
from airback.ledger.split import Agreement, parse_shares
from airback.market.pauses import Pauses
from airback.orders.intake import FILES, PEOPLE
from airback.pricing.cards import RateCard, card_in_force, parse_card
from airback.store import books, offers, pauses, statements
from airback.store import outlets as store_of_outlets
from airback.store.outlets import Hook

LOG: Final = structlog.get_logger(__name__)

#: Plans for arrays of unknown length must stay index look-ups: they are kept for a connection's life, and may be made
#: while a table is a page long (a merge join, or a loop over the whole table for each element, is the trap).
PLANNER: Final = {
    "enable_seqscan": "off",
    "enable_mergejoin": "off",
    "enable_hashjoin": "off",
    "plan_cache_mode": "force_generic_plan",
}

#: How often price lists, licences and expired demands are looked at.
REFRESH_S: Final = 2.0

#: How often what is left of the outlets' limits is counted; in between each fill is taken off it.
_COUNT_S: Final = 30.0

#: Plans are thrown away after so long at first, then after ever longer: one that was made while a table was empty may
#: read all of a book for each row, and statistics come later (decision 0017).
_REPLAN_S: Final = 2.0
_REPLAN_AT_MOST_S: Final = 300.0

#: What is set aside is looked at again after this.
ASIDE: Final = timedelta(hours=1)

#: After a failure, so many things are folded alone before bites grow again: one from each source.
_ALONE: Final = 4

#: Persons are about for so long after they were last seen.
_ABOUT_S: Final = 60.0
#: How long a step of the files may take meanwhile, the least it folds, and how a bite grows that took less.
_BITE_S: Final = 0.05
_LEAST_BITE: Final = 20
_BITE_GROWS: Final = 1.25
#: After so many steps of persons' in turn files have one.
_PEOPLE_IN_TURN: Final = 4

#: SQL states that tell of the data, not of the connection or the server: data, integrity, syntax or access.
_OF_THE_DATA: Final = ("22", "23", "42")


@dataclass(slots=True)
class _Hint:
    """Callbacks about an effect that had its final result.

    Their letters stay in the inbox until the far side has answered the question they raise, so that whoever writes
    the book next asks it again.
    """

    effect: OpenEffect
    letters: list[int]
    ask_at: datetime


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
        self._alone = 0
        self._turn = 0
        self._answers: dict[int, deque[Answer]] = {PEOPLE: deque(), FILES: deque()}
        self._in_turn = 0
        self._people_until = 0.0
        self._bite = _LEAST_BITE
        self._open: dict[int, OpenEffect] = {}
        self._by_ref: dict[str, OpenEffect] = {}
        self._by_order: dict[int, dict[int, OpenEffect]] = {}
        self._under_way: Counter[tuple[str, int]] = Counter()
        self._notices: Counter[str] = Counter()
        self._aside: dict[int, datetime] = {}
        self._hints: dict[str, _Hint] = {}
        self._memory = Memory()
        self._epoch = 0
        self._seq = 1
        self._routing = True
        self._sending = True
        self._rate_cards: dict[int, RateCard] = {}
        self._licensed: frozenset[str] = frozenset()
        self._agreements: dict[str, list[Agreement]] = {}
        self._agreed_up_to = 0
        self._pauses = Pauses()
        self._told: dict[str, Hook] = {}
        self._after_seller = 0
        self._refresh_at = 0.0
        self._count_at = 0.0
        self._counted = store_of_outlets.Counted()
        self._replan_at = 0.0
        self._replan_s = _REPLAN_S
        self._meet_after = datetime.min.replace(tzinfo=UTC)
        self._senders: Sending | None = None

    async def begin(self, conn: Any, epoch: int) -> None:
        """Start an epoch from nothing but the database."""
        if self._senders is not None:
            await self._senders.close()
        for answers in self._answers.values():
            answers.clear()
        self._memory = Memory()
        self._count_at = 0.0
        self._epoch = epoch
        self._seq = await books.next_seq(conn, book=self._book)
        self._routing, self._sending = await books.switches(conn, book=self._book)
        self._replan_s = _REPLAN_S
        self._replan_at = self._monotonic() + _REPLAN_S
        await self._refresh(conn)
        self._senders = self._open_senders(self._answered)
        self._open, self._by_ref, self._by_order = {}, {}, {}
        self._under_way.clear()
        self._notices.clear()
        self._hints.clear()
        now = self._clock()
        self._aside = {effect_id: until for effect_id, until in self._aside.items() if until > now}
        for effect in await gather.open_effects(conn, book=self._book, epoch=epoch):
            self._remember(effect)
            # Whoever sent it, or still does, began before now and before it was overdue.
            effect.left_at = min(effect.send_by, now) + timedelta(seconds=self._timeout_s(effect))
            if effect.id in self._aside:
                effect.ask_at = self._aside[effect.id]
            elif effect.kind in (Kind.INSPECT, Kind.NOTIFY):
                # Nothing to ask about: a reading is made anew, a message may or may not have gone.
                outcome = Outcome(Result.FAILED, code="answer_lost", detail={"taken_over": True})
                self._answers[effect.lane].append(Answer(effect, outcome, asked=False))
            else:
                effect.ask_at = now

    def failed(self) -> None:
        """A step failed: take the smallest bites next, so that the one thing that cannot be folded is found."""
        self._limit = 1
        self._alone = _ALONE

    async def close(self) -> None:
        """Stop sending."""
        if self._senders is not None:
            await self._senders.close()

    @property
    def next_question_at(self) -> datetime | None:
        """When the next open effect is to be asked about; None when there is none."""
        due = [
            max(e.ask_at, self._surely_out(e)) if e.under_way else e.ask_at
            for e in self._open.values()
            if e.ask_at is not None and not e.asking
        ]
        return min(due + [hint.ask_at for hint in self._hints.values()], default=None)

    # -- one pass

    async def step(self, conn: Any) -> bool:
        """One batch. False when there was nothing to do."""
        now = self._clock()
        if self._monotonic() >= self._refresh_at:
            await self._refresh(conn)
            await self._meet(conn, now)
        self._ask_due(now)
        began = self._monotonic()
        answers, letters, due = await self._take(conn, now)
        if not (answers or letters or due):
            return False
        batch = self._new_batch(now)
        done: list[int] = []
        try:
            answers = await self._fresh(conn, answers)
            await self._gather(conn, batch, answers, letters, due)
            done = self._hints_answered(answers)
            await self._call_back(conn, letters, now)
            advance(batch, answers=answers, letters=letters, due=due)
            waiting = {letter_id for hint in self._hints.values() for letter_id in hint.letters}
            batch.letters = [letter_id for letter_id in batch.letters if letter_id not in waiting] + done
            await persist(conn, batch)
        except Exception as error:
            if self._limit == 1 and _of_the_data(error):
                kinds = {letter.id: letter.kind for letter in letters} | dict.fromkeys(done, "callback")
                await self._set_aside(conn, answers, kinds, due, now)
            raise
        self._commit(batch)
        if not self._in_turn:
            self._bitten(self._monotonic() - began, len(answers) + len(due))
        if self._alone:
            self._alone -= 1
        elif self._limit < self._most:
            self._limit = min(self._most, self._limit * 2)
        return True

    async def _take(self, conn: Any, now: datetime) -> tuple[list[Answer], list[Letter], list[int]]:
        """What the next batch folds: persons' work and letters, or a bite of the files'."""
        if self._limit == 1:
            return await self._take_one(conn, now)
        if self._in_turn < _PEOPLE_IN_TURN:
            letters = await self._take_letters(conn)
            due = await self._take_due(conn, now, PEOPLE, self._limit)
            answers = self._take_answers(
                PEOPLE, self._limit
            )  # last: some come in while the database is asked
            if answers or letters or due:
                self._in_turn += 1
                if answers or due:
                    self._people_until = self._monotonic() + _ABOUT_S
                return answers, letters, due
        begun, self._in_turn = self._in_turn, 0
        bite = min(self._limit, self._bite) if self._monotonic() < self._people_until else self._limit
        due = await self._take_due(conn, now, FILES, bite)
        answers = self._take_answers(FILES, bite)
        if begun and not (answers or due):
            return await self._take(conn, now)
        return answers, [], due

    async def _take_one(self, conn: Any, now: datetime) -> tuple[list[Answer], list[Letter], list[int]]:
        """One thing from one source, sources in turn."""
        for _ in range(_ALONE):
            turn, self._turn = self._turn, (self._turn + 1) % _ALONE
            if turn == 0 and any(self._answers.values()):
                return self._take_answers(PEOPLE, 1) or self._take_answers(FILES, 1), [], []
            if turn == 1 and (letters := await self._take_letters(conn)):
                return [], letters, []
            if turn > 1 and (due := await self._take_due(conn, now, (PEOPLE, FILES)[turn - 2], 1)):
                return [], [], due
        return [], [], []

    def _bitten(self, took_s: float, things: int) -> None:
        """A step of the files took so long for so many things: the next bite is to take as long as it may."""
        if took_s > _BITE_S:
            self._bite = max(_LEAST_BITE, int(min(things, self._bite) * _BITE_S / took_s))
        elif things >= self._bite:
            self._bite = min(self._most, int(self._bite * _BITE_GROWS))

    def _take_answers(self, lane: int, limit: int) -> list[Answer]:
        waiting = self._answers[lane]
        return [waiting.popleft() for _ in range(min(len(waiting), limit))]

    async def _take_letters(self, conn: Any) -> list[Letter]:
        hinting = [letter_id for hint in self._hints.values() for letter_id in hint.letters]
        return await gather.letters(conn, book=self._book, limit=self._limit, but=hinting)

    async def _take_due(self, conn: Any, now: datetime, lane: int, limit: int) -> list[int]:
        if not self._sending:
            # After a restore no order moves by itself: what it would do next may have been done already.
            return []
        if lane == PEOPLE:
            return await gather.due_people(conn, book=self._book, now=now, limit=limit)
        due, self._after_seller = await gather.due_files(
            conn, book=self._book, now=now, limit=limit, after_seller=self._after_seller
        )
        return due

    def _new_batch(self, now: datetime) -> Batch:
        return Batch(
            book=self._book,
            epoch=self._epoch,
            now=now,
            entropy=self._entropy,
            keys=self._keys,
            policy=self._policy,
            rate_card=self._rate_card(now),
            rate_cards_known=self._rate_cards,
            routing=self._routing,
            next_seq=self._seq,
            licensed=self._licensed,
            agreements=self._agreements,
            pauses=self._pauses,
            hooks=self._told,
            notices=Counter(self._notices),
            by_ref=self._by_ref,
            full=frozenset(queue for queue, n in self._under_way.items() if n >= self._most_in_flight),
        )

    def _rate_card(self, now: datetime) -> RateCard:
        """The card in force; while none is, orders already accepted go on by the last one published."""
        try:
            return card_in_force(self._rate_cards.values(), now)
        except Refused:
            return self._rate_cards[max(self._rate_cards)]

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
        accounts = set[str]()
        breaks = list[int]()
        corrections = list[int]()
        licences: list[str] = []
        caps: list[int] = []
        effects = [answer.effect for answer in answers]
        for letter in letters:
            if letter.order_id is not None:
                order_ids.add(letter.order_id)
            if letter.body.get("action") == "operations:effect:resolve":
                effect = batch.open_by_ref(str(letter.body["after"].get("effect")))
                effects += [effect] if effect else []
            action = letter.body.get("action")
            if action == "reconciliation:break:resolve":
                found = ids.parse_public("brk", str(letter.body["after"]["break"]))
                breaks += [] if found is None else [found]
            elif action == "finance:correction:settle":
                found = ids.parse_public("cor", str(letter.body["after"]["correction"]))
                corrections += [] if found is None else [found]
            elif action in outlets.OF_MONEY:
                deposits.add(str(letter.body["after"]["outlet"]))
            elif action == "finance:party:pay":
                accounts.add(str(letter.body["after"]["account"]))
            elif action == "compliance:licence:record":
                licences.append(str(letter.body["after"].get("number")))
            elif action == "pricing:cap:override":
                found = ids.parse_public("prm", str(letter.body["after"].get("promotion")))
                caps += [] if found is None else [found]
            elif action == "operations:order:decide":
                order_id = ids.parse_public("ord", str(letter.body["after"].get("order")))
                order_ids |= {order_id} if order_id is not None else set()
        for effect in effects:
            # A message changes nothing of its order.
            if effect.order_id is not None and effect.kind is not Kind.NOTIFY:
                order_ids.add(effect.order_id)
            if effect.payout_id is not None:
                payout_ids.add(effect.payout_id)
        if corrections:
            order_ids |= await gather.corrections(conn, batch, corrections)
        await gather.facts(
            conn,
            batch,
            self._memory,
            order_ids=order_ids,
            payout_ids=sorted(payout_ids),
            deposits=deposits,
            accounts=accounts,
        )
        if breaks:
            await gather.open_breaks(conn, batch, breaks)
        await gather.redeemed(conn, batch, answers)
        await outlets.gather(conn, batch, letters)
        again = {str(one.body["subject"]) for one in letters if one.body.get("action") == outlets.RESEND}
        if again:
            notices = await gather.effects_by_ref(conn, book=self._book, epoch=self._epoch, refs=again)
            batch.notices_again = {effect.ref: effect for effect in notices}
        if licences:
            await gather.licences(conn, batch, licences)
        if caps:
            await gather.caps(conn, batch, caps)
        if any(letter.body.get("action") == "operations:book:resume" for letter in letters):
            batch.restored_at = await books.restored_at(conn, book=self._book)
            batch.statements_awaited = await statements.unstated(conn, book=self._book) is not None
        for order_id in batch.orders:
            if order_id in self._by_order:
                batch.open_effects[order_id] = list(self._by_order[order_id].values())

    def _commit(self, batch: Batch) -> None:
        """perform: what was decided is now true; the new effects go out."""
        self._memory.keep(batch)
        self._seq = batch.next_seq
        self._sending = batch.sending
        if "routing" in batch.switches:
            self._routing = batch.switches["routing"][0]
        if batch.rate_cards or batch.licences or batch.agreed or batch.outlets.lifted:
            self._refresh_at = 0.0
        if batch.outlets.terms:
            self._refresh_at = self._count_at = 0.0
        for effect_id in batch.final_effects:
            self._forget(effect_id)
        for effect in batch.effects:
            if effect.result in FINAL_RESULTS:
                continue
            self._remember(effect)
            self._send(effect, batch.requests[effect.id])
        for effect in batch.resend:
            self._send(effect, self._request_of(effect))

    def _request_of(self, effect: OpenEffect) -> Any:
        """The frozen request, as it was journalled."""
        plain = self._keys.unseal(
            purpose="effect", sealed=effect.sealed, where=f"effects/request/{effect.id}".encode()
        )
        return read_request(effect.kind, plain)

    def _send(self, effect: OpenEffect, request: Any) -> None:
        if self._senders is None or not self._sending:
            # It never left. Once sending is on again, the answer to a question is that it is not known.
            effect.asking, effect.ask_at = False, self._clock()
            if effect.kind is Kind.NOTIFY:
                self._answered(Answer(effect, Outcome(Result.FAILED, code="not_sent"), asked=False))
            return
        effect.under_way = True
        self._under_way[effect.far_side, effect.lane] += 1
        self._senders.send(effect, request)

    # -- small parts

    def _remember(self, effect: OpenEffect) -> None:
        self._open[effect.id] = self._by_ref[effect.ref] = effect
        if effect.kind is Kind.WEBHOOK:
            self._notices[effect.far_side] += 1
        if effect.order_id is not None:
            self._by_order.setdefault(effect.order_id, {})[effect.id] = effect

    def _forget(self, effect_id: int) -> None:
        effect = self._open.pop(effect_id, None)
        if effect is None:
            return
        self._came_back(effect)
        if effect.kind is Kind.WEBHOOK:
            self._notices[effect.far_side] -= 1
        del self._by_ref[effect.ref]
        if effect.order_id is not None:
            of_order = self._by_order[effect.order_id]
            del of_order[effect_id]
            if not of_order:
                del self._by_order[effect.order_id]

    def _came_back(self, effect: OpenEffect) -> None:
        if effect.under_way:
            effect.under_way = False
            self._under_way[effect.far_side, effect.lane] -= 1

    def _timeout_s(self, effect: OpenEffect) -> int:
        capabilities = self._policy.capabilities_of(effect.far_side)
        return capabilities.timeout_s if capabilities else 0

    def _surely_out(self, effect: OpenEffect) -> datetime:
        """When a request that the senders took can be with them no longer, whatever became of their answer."""
        return effect.send_by + timedelta(seconds=PATIENCE * self._timeout_s(effect) + 1)

    async def _refresh(self, conn: Any) -> None:
        now = self._clock()
        self._routing, self._sending = await books.switches(conn, book=self._book)
        for row in await conn.fetch(books.SQL.rate_cards, self._book, max(self._rate_cards, default=0)):
            self._rate_cards[row["version"]] = parse_card(row["document"])
        for row in await conn.fetch(books.SQL.agreements, self._book, self._agreed_up_to):
            agreement = Agreement(
                row["version"], row["scope"], row["effective_at"], parse_shares(row["document"])
            )
            self._agreements.setdefault(agreement.scope, []).append(agreement)
            self._agreed_up_to = agreement.version
        self._licensed = frozenset(
            r["capability"] for r in await conn.fetch(books.SQL.licensed, self._book, now)
        )
        self._pauses = await pauses.standing(conn, book=self._book, now=now)
        self._told = await store_of_outlets.hooks(conn, book=self._book)
        await conn.execute(PERSIST.expire_demands, self._book, now)
        await stand.refill(conn, book=self._book, now=now, entropy=self._entropy)
        await offers.expire(conn, book=self._book, now=now)
        now_s = self._monotonic()
        self._refresh_at = now_s + REFRESH_S
        if now_s >= self._count_at:
            standings = await store_of_outlets.standings(
                conn, book=self._book, now=now, counted=self._counted
            )
            self._memory.channels = [outlets.channel_of(one) for one in standings.values()]
            self._count_at = now_s + _COUNT_S
        if now_s >= self._replan_at:
            await conn.execute("DISCARD PLANS")
            self._replan_s = min(self._replan_s * 2, _REPLAN_AT_MOST_S)
            self._replan_at = now_s + self._replan_s

    async def _meet(self, conn: Any, now: datetime) -> None:
        """Offers that a demand meets now become orders: a batch of its own, before the next one takes them further."""
        if not self._routing or not self._sending or now < self._meet_after:
            return
        wanted = await offers.wanted(conn, book=self._book, now=now)
        if not wanted:
            return
        batch = self._new_batch(now)
        try:
            async with conn.transaction():
                await fence(conn, batch)
                met = await meet(conn, batch, self._memory, wanted)
                if met:
                    await write(conn, batch)
        except Exception as error:
            if _of_the_data(error):
                # what is wrong with an offer must not stop the book: the others wait with it until a person has looked
                self._meet_after = now + ASIDE
                with contextlib.suppress(Exception):
                    await self._alarm(conn, "offers_set_aside", type(error).__name__, {}, now)
            raise
        if met:
            self._commit(batch)

    def _ask_due(self, now: datetime) -> None:
        if self._senders is None or not self._sending:
            return
        for hint in self._hints.values():
            if hint.ask_at <= now:
                capabilities = self._policy.capabilities_of(hint.effect.far_side)
                hint.ask_at = now + timedelta(
                    seconds=capabilities.ask_at_most_every_s if capabilities else 3600
                )
                self._senders.ask(hint.effect)
        for effect in self._open.values():
            if (
                effect.ask_at is not None
                and effect.ask_at <= now
                and not effect.asking
                and effect.kind is not Kind.NOTIFY
            ):
                if effect.under_way:
                    if now < self._surely_out(effect):
                        continue
                    self._came_back(effect)
                    effect.left_at = max(effect.left_at, effect.send_by)
                if effect.kind is Kind.WEBHOOK:
                    self._send(effect, self._request_of(effect))
                elif effect.kind is Kind.INSPECT:
                    effect.asking = True
                    self._answered(Answer(effect, Outcome(Result.FAILED, code="answer_lost"), asked=False))
                else:
                    self._senders.ask(effect)

    async def _call_back(self, conn: Any, letters: Iterable[Letter], now: datetime) -> None:
        """A callback is a hint: the far side is asked at once, also about what had its final result."""
        refs: dict[str, list[int]] = {}
        for letter in letters:
            if letter.kind == "callback" and letter.ref is not None:
                refs.setdefault(letter.ref, []).append(letter.id)
        for ref in sorted(refs.keys() & self._by_ref.keys()):
            self._by_ref[ref].ask_at = now
            del refs[ref]
        if not refs:
            return
        for effect in await gather.effects_by_ref(conn, book=self._book, epoch=self._epoch, refs=refs):
            if effect.result in FINAL_RESULTS and effect.kind not in (
                Kind.INSPECT,
                Kind.NOTIFY,
                Kind.WEBHOOK,  # an outlet is told, never asked
            ):
                hint = self._hints.setdefault(effect.ref, _Hint(effect, [], now))
                hint.letters += refs[effect.ref]
                hint.ask_at = now

    def _hints_answered(self, answers: Iterable[Answer]) -> list[int]:
        """Letters whose question has its answer now."""
        refs = {a.effect.ref for a in answers if a.asked and a.outcome.result in FINAL_RESULTS}
        found = [self._hints.pop(ref) for ref in sorted(refs & self._hints.keys())]
        return [letter_id for hint in found for letter_id in hint.letters]

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
        effect = answer.effect
        if not answer.asked:
            if effect.under_way and answer.outcome.code != "sending_overdue":
                effect.left_at = self._clock()
            self._came_back(effect)
            effect.asking = True  # nobody needs to ask: what it says is about to be folded
        self._answers[effect.lane].append(answer)
        self._wake()

    async def _set_aside(
        self, conn: Any, answers: list[Answer], letters: dict[int, str], due: list[int], now: datetime
    ) -> None:
        """Put the one thing that cannot be folded out of the way, where a person finds all of it."""
        with contextlib.suppress(Exception):
            async with conn.transaction():
                row = await conn.fetchrow(PERSIST.fence, self._book)
                if row is None or row["epoch"] != self._epoch:
                    return
                for answer in answers:
                    effect, outcome = answer.effect, answer.outcome
                    self._aside[effect.id] = now + ASIDE
                    said = {
                        "result": str(outcome.result),
                        "code": storable(outcome.code),
                        "far_ref": storable(outcome.far_ref),
                        "amount_fen": outcome.amount_fen,
                        "far_side": effect.far_side,
                    }
                    await self._alarm(conn, "answer_set_aside", effect.ref, said, now)
                for letter_id, kind in letters.items():
                    await conn.execute(PERSIST.set_letter_aside, self._book, letter_id, now)
                    await self._alarm(conn, "letter_set_aside", str(letter_id), {"kind": kind}, now)
                for order_id in due:
                    await books.park(conn, book=self._book, order_id=order_id, until=now + ASIDE)
                    await self._alarm(conn, "order_set_aside", ids.public("ord", order_id), {}, now)

    async def _alarm(self, conn: Any, kind: str, subject: str, detail: dict[str, Any], now: datetime) -> None:
        LOG.error(kind, book=self._book, subject=subject)
        (fresh,) = ids.new_ids(now=now, entropy=self._entropy)
        await conn.execute(
            PERSIST.insert_alarms,
            self._book,
            now,
            [fresh],
            [kind],
            [subject],
            [msgspec.json.encode(detail).decode()],
            [now + self._policy.review_within],
        )


def _of_the_data(error: Exception) -> bool:
    """Whether a failure may lie in what was folded, not in the connection, the server or a lost book."""
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "").startswith(_OF_THE_DATA)
    if isinstance(error, asyncpg.InterfaceError):
        return isinstance(
            error, ValueError
        )  # a value that cannot be encoded; the others tell of the connection
    return not isinstance(error, (OSError, TimeoutError, Fenced))
