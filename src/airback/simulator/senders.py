"""Senders of a simulation: what is sent arrives later or never, and so do the answers. One thread, no network."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from airback.domain.effects import Kind, Outcome, Result
from airback.engine.records import Answer, OpenEffect
from airback.engine.senders import OnAnswer
from airback.simulator.faults import Fault

if TYPE_CHECKING:
    from airback.simulator.world import World

_THERE_S: Final = 0.3
_BACK_S: Final = 0.3
_TIMEOUT_S: Final = 20.0
_MINUTES_S: Final = 240.0
_HOURS_S: Final = 5 * 3600.0
_UNKNOWN: Final = Outcome(Result.UNKNOWN, code="answer_lost")
_NOT_SENT: Final = Outcome(Result.FAILED, code="not_sent")


class SimulatedSenders:
    """The senders of one epoch. When their worker dies, what is under way at a far side goes on; its answers reach nobody."""

    def __init__(self, world: "World", *, may_send: Callable[[], bool], on_answer: OnAnswer) -> None:
        self._world = world
        self._may_send = may_send
        self._on_answer = on_answer
        self._jobs = 0
        self.dead = False

    def send(self, effect: OpenEffect, request: Any) -> None:
        """Put an effect on its way."""
        self._jobs += 1
        self._world.agenda.after(_THERE_S, lambda: self._arrive(effect, request))

    def ask(self, effect: OpenEffect) -> None:
        """Put a question on its way."""
        effect.asking = True
        self._jobs += 1
        self._world.agenda.after(_THERE_S, lambda: self._asked(effect))

    @property
    def in_flight(self) -> int:
        """Effects and questions under way."""
        return self._jobs

    async def close(self) -> None:
        """Nobody listens any more."""
        self.dead = True

    # -- on the way there

    def _arrive(self, effect: OpenEffect, request: Any) -> None:
        if self.dead or not self._may_send():
            self._jobs -= 1
            return
        world = self._world
        if world.agenda.wall() > effect.send_by:
            self._answer(effect, Outcome(Result.FAILED, code="sending_overdue"), after=0.0)
            return
        if effect.kind is Kind.NOTIFY:
            self._answer(effect, _UNKNOWN if world.befalls(effect) else Outcome(Result.SUCCEEDED))
            return
        fault = world.befalls(effect)
        if effect.kind is Kind.INSPECT:
            outcome = world.far_sides.inspect(request.number)
            if fault is Fault.UNSENT:
                outcome = Outcome(Result.FAILED, code="carrier_unreachable")
            self._answer(effect, outcome)
            if fault is Fault.TWICE:
                self._answer(effect, outcome, after=_BACK_S * 2, again=True)
            return
        self._deliver(effect, request, fault)

    def _deliver(self, effect: OpenEffect, request: Any, fault: Fault | None) -> None:
        world = self._world
        side = world.far_sides.sides[effect.far_side]
        now_s = world.agenda.monotonic()
        match fault:
            case Fault.UNSENT:
                self._answer(effect, _NOT_SENT)
                return
            case Fault.VANISHED:
                self._answer(effect, _UNKNOWN, after=_TIMEOUT_S)
                return
            case Fault.NEVER:
                side.silent.add(effect.ref)
            case Fault.HOURS:
                side.silent.add(effect.ref)
                world.agenda.after(_HOURS_S, lambda: side.silent.discard(effect.ref))
            case Fault.LATE | Fault.REORDERED:
                side.busy_until[effect.ref] = now_s + _MINUTES_S
            case _:
                pass
        short = effect.amount_fen // 3 if fault is Fault.SHORT else 0
        outcome = world.far_sides.execute(
            effect.far_side, effect.kind, request, at=world.agenda.wall(), short_fen=short
        )
        match fault:
            case Fault.LOST | Fault.HOURS | Fault.NEVER:
                self._answer(effect, _UNKNOWN, after=_TIMEOUT_S)
            case Fault.LATE:
                self._answer(effect, Outcome(Result.PROCESSING))
            case Fault.REORDERED:
                self._answer(effect, outcome, after=_MINUTES_S)
                self._answer(effect, Outcome(Result.PROCESSING), after=_MINUTES_S + 1, again=True)
            case Fault.TWICE:
                self._answer(effect, outcome)
                self._answer(effect, outcome, after=2.0, again=True)
            case Fault.CONTRADICTED:
                self._answer(effect, outcome)
                self._answer(effect, Outcome(Result.FAILED, code="not_found"), after=2.0, again=True)
            case Fault.CALLBACK_FIRST:
                world.calls_back(effect)
                self._answer(effect, outcome, after=3.0)
            case Fault.REFUSED_YET_DONE if outcome.result is Result.SUCCEEDED:
                side.lied.add(effect.ref)
                code = "rail_refused" if effect.kind is Kind.PAY else "delivery_failed"
                self._answer(effect, Outcome(Result.FAILED, code=code))
                world.agenda.after(60.0, lambda: world.calls_back(effect))
            case Fault.REVERSED_EARLY | Fault.REVERSED_LATE if outcome.result is Result.SUCCEEDED:
                self._answer(effect, outcome)
                world.reverses(effect, after_s=3_600.0 if fault is Fault.REVERSED_LATE else 120.0)
            case Fault.RETURNED if outcome.result is Result.SUCCEEDED:
                self._answer(effect, outcome)
                world.reverses(effect, after_s=120.0 if effect.amount_fen % 2 else 3_600.0)
            case _:
                self._answer(effect, outcome)

    def _asked(self, effect: OpenEffect) -> None:
        if self.dead or not self._may_send():
            self._jobs -= 1
            effect.asking = False
            return
        side = self._world.far_sides.sides[effect.far_side]
        outcome = side.answer_of(effect.ref, at_s=self._world.agenda.monotonic())
        self._world.agenda.after(_BACK_S, lambda: self._hear(effect, outcome, asked=True, again=False))

    # -- on the way back

    def _answer(
        self, effect: OpenEffect, outcome: Outcome, *, after: float = _BACK_S, again: bool = False
    ) -> None:
        if after == 0.0:
            self._hear(effect, outcome, asked=False, again=again)
        else:
            self._world.agenda.after(after, lambda: self._hear(effect, outcome, asked=False, again=again))

    def _hear(self, effect: OpenEffect, outcome: Outcome, *, asked: bool, again: bool) -> None:
        if not again:
            self._jobs -= 1
        if not self.dead:
            self._on_answer(Answer(effect, outcome, asked=asked))
