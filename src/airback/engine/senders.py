"""senders: effects go out, questions are asked, and what far sides say comes back as answers for the writer.

Each far side has its own queue, concurrency, rate and breaker, so that a slow one delays nobody else. An effect is
sent once, after its commit, and only while its writer surely holds the book; what a writer that lost its book had
not sent is dropped, and the next writer asks about it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Protocol

import msgspec
import structlog

from airback.domain.effects import FINAL, Kind, Outcome, Result
from airback.domain.money import MAX_FEN
from airback.domain.ports.carrier import (
    Carrier,
    FarSideUnreachable,
    HoldRequest,
    RedeemRequest,
    ReleaseRequest,
    Subscribers,
    TransferRequest,
)
from airback.domain.ports.messenger import Message, Messenger
from airback.domain.ports.outlet import Notice, Outlet
from airback.domain.ports.rail import PayRequest, Rail
from airback.engine.policy import Policy
from airback.engine.records import Answer, OpenEffect
from airback.engine.verify import InspectRequest
from airback.orders.intake import PEOPLE

LOG: Final = structlog.get_logger(__name__)

#: Failures in a row after which a far side is left alone for a while, and for how long at first and at most.
_BREAK_AFTER: Final = 8
_REST_S: Final = 0.5
_REST_AT_MOST_S: Final = 15.0
_LEASE_LOOK_S: Final = 0.02
#: Starts may run so far ahead of their far side's rate: a sleep for each of many short gaps would take far longer.
_AHEAD_S: Final = 0.01
#: An adapter's call is given up after so many times its far side's limit: a question and a request, each of which may
#: first wait for a free connection.
PATIENCE: Final = 4

_TRANSPORT_CODES: Final = frozenset({"not_sent", "answer_lost", "carrier_unreachable"})

REQUESTS: Final[Mapping[Kind, type]] = {
    Kind.INSPECT: InspectRequest,
    Kind.HOLD: HoldRequest,
    Kind.TRANSFER: TransferRequest,
    Kind.REDEEM: RedeemRequest,
    Kind.RELEASE: ReleaseRequest,
    Kind.PAY: PayRequest,
    Kind.NOTIFY: Message,
    Kind.WEBHOOK: Notice,
}


def read_request(kind: Kind, plain: bytes) -> Any:
    """A frozen request out of the journal, as it was when it was written."""
    return msgspec.json.decode(plain, type=REQUESTS[kind])


def storable(value: Any) -> Any:
    """A value of a far side's without what no database text can hold: NUL and lone surrogates, at any depth."""
    if value is None:
        return None
    if isinstance(value, str):
        if value.isascii() and value.isprintable():
            return value
        return value.replace("\x00", "").encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {storable(str(key)): storable(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable(inner) for inner in value]
    return value


def _clean(outcome: Outcome) -> Outcome:
    """An outcome that can be stored; one that names an impossible amount tells nothing."""
    amount = outcome.amount_fen
    if not outcome.detail and not outcome.exchanges and (amount is None or 0 <= amount <= MAX_FEN):
        code, far_ref = storable(outcome.code), storable(outcome.far_ref)
        if code is outcome.code and far_ref is outcome.far_ref:
            return outcome  # nothing of it has to be changed
    exchanges = tuple(
        replace(
            one,
            method=storable(one.method),
            path=storable(one.path),
            request=storable(one.request),
            response=storable(one.response),
        )
        for one in outcome.exchanges
    )
    clean = replace(
        outcome,
        code=storable(outcome.code),
        far_ref=storable(outcome.far_ref),
        detail=storable(outcome.detail),
        exchanges=exchanges,
    )
    if amount is not None and not 0 <= amount <= MAX_FEN:
        return replace(clean, result=Result.UNKNOWN, code="far_side_error", amount_fen=None)
    return clean


@dataclass(frozen=True, slots=True)
class FarSides:
    """Everything outside that the engine speaks to; wired by `app`."""

    subscribers: Subscribers
    carriers: Mapping[str, Carrier]
    rails: Mapping[str, Rail]
    messenger: Messenger
    outlet: Outlet | None = None


OnAnswer = Callable[[Answer], None]

#: After so many of persons' requests in turn one of the files' goes out.
_PEOPLE_IN_TURN: Final = 4


class Sending(Protocol):
    """What a writer needs of its senders."""

    def send(self, effect: OpenEffect, request: Any) -> None:
        """Queue an effect that has just been committed."""

    def ask(self, effect: OpenEffect) -> None:
        """Queue a question about an effect."""

    async def close(self) -> None:
        """Stop. What has not been sent is dropped; requests under way are given up."""


@dataclass(slots=True)
class _Job:
    effect: OpenEffect
    request: Any
    asked: bool
    stood: Result  # when it was queued: a callback raises a question also about what has its final result


class Senders:
    """The senders of one book in one epoch."""

    def __init__(
        self,
        *,
        far_sides: FarSides,
        policy: Policy,
        clock: Callable[[], datetime],
        may_send: Callable[[], bool],
        on_answer: OnAnswer,
    ) -> None:
        self._far_sides = far_sides
        self._policy = policy
        self._clock = clock
        self._may_send = may_send
        self._on_answer = on_answer
        self._lanes: dict[str, _Lane] = {}

    def send(self, effect: OpenEffect, request: Any) -> None:
        """Queue an effect that has just been committed."""
        self._lane(effect.far_side).put(_Job(effect, request, asked=False, stood=effect.result))

    def ask(self, effect: OpenEffect) -> None:
        """Queue a question about an effect."""
        effect.asking = True
        self._lane(effect.far_side).put(_Job(effect, None, asked=True, stood=effect.result))

    async def close(self) -> None:
        """Stop. What has not been sent is dropped; requests under way are given up."""
        await asyncio.gather(*(lane.close() for lane in self._lanes.values()))

    def _lane(self, far_side: str) -> "_Lane":
        lane = self._lanes.get(far_side)
        if lane is None:
            capabilities = self._policy.capabilities_of(far_side)
            lane = self._lanes[far_side] = _Lane(
                concurrency=capabilities.concurrency if capabilities else self._policy.messages_at_once,
                requests_per_s=capabilities.requests_per_s if capabilities else self._policy.messages_per_s,
                perform=self._perform,
                idle=self._idle,
            )
        return lane

    def _idle(self, job: _Job) -> bool:
        """Whether a job needs nothing of its far side any more: it is done here and now."""
        effect = job.effect
        if effect.result in FINAL and not (job.asked and effect.result == job.stood):
            return True  # somebody else has said what became of it
        if job.asked or self._clock() <= effect.send_by:
            return False
        self._on_answer(Answer(effect, Outcome(Result.FAILED, code="sending_overdue"), asked=False))
        return True

    async def _perform(self, job: _Job) -> bool | None:
        """Do one job. Returns whether the far side could be reached, None when it was not tried."""
        while not self._may_send():
            # Heartbeats are late: nobody may know yet who holds the book. Losing it closes these senders.
            await asyncio.sleep(_LEASE_LOOK_S)
        effect = job.effect
        if self._idle(job):
            return None
        capabilities = self._policy.capabilities_of(effect.far_side)
        patience_s = PATIENCE * capabilities.timeout_s if capabilities else None
        try:
            async with asyncio.timeout(patience_s):
                outcome = _clean(await (self._ask(effect) if job.asked else self._send(effect, job.request)))
        except FarSideUnreachable:
            result = Result.FAILED if effect.kind is Kind.INSPECT else Result.UNKNOWN
            outcome = Outcome(result, code="carrier_unreachable")
        except Exception as error:
            # An adapter's bug tells nothing about what the far side did.
            LOG.error(
                "adapter_failed",
                far_side=effect.far_side,
                kind=str(effect.kind),
                error=type(error).__name__,
            )
            outcome = Outcome(Result.UNKNOWN, code="answer_lost")
        self._on_answer(Answer(effect, outcome, asked=job.asked))
        return outcome.code not in _TRANSPORT_CODES

    async def _send(self, effect: OpenEffect, request: Any) -> Outcome:
        port, _, name = effect.far_side.partition(":")
        if port == "rail":
            return await self._far_sides.rails[name].pay(request)
        if port == "messenger":
            return await self._far_sides.messenger.send(request)
        if port == "outlet":
            if self._far_sides.outlet is None:
                return Outcome(Result.UNKNOWN, code="not_sent")
            return await self._far_sides.outlet.tell(request)
        if effect.kind is Kind.INSPECT:
            return await self._inspect(request)
        carrier = self._far_sides.carriers[name]
        calls: dict[Kind, Callable[[Any], Awaitable[Outcome]]] = {
            Kind.HOLD: carrier.hold,
            Kind.TRANSFER: carrier.transfer,
            Kind.REDEEM: carrier.redeem,
            Kind.RELEASE: carrier.release,
        }
        return await calls[effect.kind](request)

    async def _ask(self, effect: OpenEffect) -> Outcome:
        port, _, name = effect.far_side.partition(":")
        if port == "rail":
            return await self._far_sides.rails[name].ask(ref=effect.ref)
        return await self._far_sides.carriers[name].ask(kind=effect.kind, ref=effect.ref, hold=effect.hold)

    async def _inspect(self, request: InspectRequest) -> Outcome:
        subscribers = self._far_sides.subscribers
        line = await subscribers.inspect(request.number)
        if line is None:
            return Outcome(Result.SUCCEEDED, detail={"known": False})
        swapped = None
        if request.sim_swap_hours > 0:
            swapped = await subscribers.sim_swapped(
                number=request.number, within_hours=request.sim_swap_hours
            )
        detail = {
            "known": True,
            "carrier": line.carrier,
            "status": str(line.status),
            "sellable_fen": line.sellable_fen,
            "sim_swapped": swapped,
        }
        return Outcome(Result.SUCCEEDED, detail=detail)


class _Lane:
    """One far side's queue: so many at once, so many a second, and a breaker that opens and closes by itself.

    Persons go before files, which may be long; of each few turns one is left to files.
    """

    def __init__(
        self,
        *,
        concurrency: int,
        requests_per_s: int,
        perform: Callable[[_Job], Awaitable[bool | None]],
        idle: Callable[[_Job], bool],
    ) -> None:
        self._concurrency = concurrency
        self._gap_s = 1 / requests_per_s
        self._perform = perform
        self._idle = idle
        self._people: deque[_Job] = deque()
        self._files: deque[_Job] = deque()
        self._in_turn = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._working = (
            0  # a task that has seen the queue empty does not, though for a moment it still stands there
        )
        self._next_start = 0.0
        self._failures = 0
        self._closed = False

    def put(self, job: _Job) -> None:
        """Queue a job and see that somebody does it."""
        (self._people if job.effect.lane == PEOPLE else self._files).append(job)
        wanted = self._concurrency if self._failures < _BREAK_AFTER else 1
        if self._working < wanted and not self._closed:
            self._working += 1
            task = asyncio.create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Drop what is queued and give up what is under way."""
        self._closed = True
        self._people.clear()
        self._files.clear()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self) -> None:
        try:
            await self._work_off()
        finally:
            self._working -= 1

    async def _work_off(self) -> None:
        while (queue := self._next()) and not self._closed:
            if self._idle(queue[0]):
                queue.popleft()
                continue
            await self._pace()
            queue = self._next()
            if not queue:
                return
            self._in_turn = self._in_turn + 1 if queue is self._people else 0
            reached = await self._perform(queue.popleft())
            if reached is None:
                continue  # nothing was asked of the far side: it says nothing of how it is
            if reached:
                if self._failures >= _BREAK_AFTER:
                    LOG.info("breaker_closed")
                self._failures = 0
            else:
                self._failures += 1

    def _next(self) -> deque[_Job]:
        """Whose turn it is: persons', and after some of theirs one of the files'."""
        if self._people and (self._in_turn < _PEOPLE_IN_TURN or not self._files):
            return self._people
        return self._files

    async def _pace(self) -> None:
        now = time.monotonic()
        start = max(now, self._next_start)
        if self._failures >= _BREAK_AFTER:
            rest = min(_REST_S * 2 ** min(self._failures - _BREAK_AFTER, 8), _REST_AT_MOST_S)
            start = max(start, now + rest)
        self._next_start = start + self._gap_s
        if start > now + _AHEAD_S:
            await asyncio.sleep(start - now)
