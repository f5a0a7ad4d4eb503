"""Bugs to be found: each wraps a part of the engine for the length of one simulation. The engine has no switch for them."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

from airback.domain.effects import Kind, Outcome, Result
from airback.engine import advance, cancel, credit, decide, persist, writer
from airback.engine.batch import Batch
from airback.engine.records import Answer, Letter, Order
from airback.engine.senders import read_request
from airback.engine.writer import Writer
from airback.ledger.postings import Balances
from airback.orders.states import State

Plant = Callable[[], contextlib.AbstractContextManager[None]]


@contextlib.contextmanager
def _instead(owner: Any, name: str, replacement: Any) -> Iterator[None]:
    original = getattr(owner, name)
    setattr(owner, name, replacement)
    try:
        yield
    finally:
        setattr(owner, name, original)


def _doubtful(answer: Answer, *kinds: Kind) -> bool:
    return not answer.asked and answer.outcome.result is Result.UNKNOWN and (answer.effect.kind in kinds)


def repeat_after_unknown() -> contextlib.AbstractContextManager[None]:
    """A delivery whose answer was lost is sent again."""
    original = Writer._answered

    def answered(self: Writer, answer: Answer) -> None:
        if _doubtful(answer, Kind.TRANSFER, Kind.REDEEM) and self._senders is not None:
            plain = self._keys.unseal(
                purpose="effect",
                sealed=answer.effect.sealed,
                where=f"effects/request/{answer.effect.id}".encode(),
            )
            self._senders.send(answer.effect, read_request(answer.effect.kind, plain))
        else:
            original(self, answer)

    return _instead(Writer, "_answered", answered)


def _unknown_fails(*kinds: Kind) -> contextlib.AbstractContextManager[None]:
    original = Writer._answered

    def answered(self: Writer, answer: Answer) -> None:
        if _doubtful(answer, *kinds):
            answer = replace(answer, outcome=Outcome(Result.FAILED, code="not_sent"))
        original(self, answer)

    return _instead(Writer, "_answered", answered)


def unknown_delivery_fails() -> contextlib.AbstractContextManager[None]:
    """A delivery whose answer was lost counts as failed, and is made anew."""
    return _unknown_fails(Kind.TRANSFER, Kind.REDEEM)


def unknown_payment_fails() -> contextlib.AbstractContextManager[None]:
    """A payment whose answer was lost counts as failed, and is made anew."""
    return _unknown_fails(Kind.PAY)


def forget_hold() -> contextlib.AbstractContextManager[None]:
    """A cancelled order ends, and what was held for it stays held."""

    def cancelling(batch: Batch, order: Order) -> None:
        cancel._end(batch, order)

    verbs = MappingProxyType({**advance.VERBS, State.CANCELLING: cancelling})
    return _instead(advance, "VERBS", verbs)


def post_twice() -> contextlib.AbstractContextManager[None]:
    """Balances are moved twice for one posting."""
    original = persist._ledger

    async def ledger(conn: Any, batch: Batch) -> None:
        await original(conn, batch)
        for delta in batch.balances.deltas.values():
            row = [[delta.account.id], [delta.debits_posted], [delta.credits_posted], [0], [0], [0]]
            await conn.execute(persist.SQL.update_accounts, batch.book, *row)

    return _instead(persist, "_ledger", ledger)


def drop_posting() -> contextlib.AbstractContextManager[None]:
    """Now and then a posting moves balances and is not written down."""
    original = persist._ledger

    async def ledger(conn: Any, batch: Batch) -> None:
        batch.transfers = [t for i, t in enumerate(batch.transfers) if i % 50 != 49]
        await original(conn, batch)

    return _instead(persist, "_ledger", ledger)


def skip_bound_check() -> contextlib.AbstractContextManager[None]:
    """An outlet without money counts as one with."""
    return _instead(Balances, "room_fen", lambda _self, _account: 10**15)


def stale_epoch_writes() -> contextlib.AbstractContextManager[None]:
    """A writer that lost its book writes on."""
    original = persist.persist

    async def unfenced(conn: Any, batch: Batch) -> None:
        batch.epoch = await conn.fetchval("SELECT epoch FROM books WHERE book = $1", batch.book)
        await original(conn, batch)

    return _instead(writer, "persist", unfenced)


def forget_question() -> contextlib.AbstractContextManager[None]:
    """What became of an effect is asked about next year."""
    original = Batch.ask_later

    def ask_later(self: Batch, effect: Any) -> None:
        original(self, effect)
        effect.ask_at = self.now + timedelta(days=365)

    return _instead(Batch, "ask_later", ask_later)


def credit_by_declared_face() -> contextlib.AbstractContextManager[None]:
    """A card is paid for by what the seller said it is worth."""
    original = credit.credit

    def credited(batch: Batch, order: Order) -> None:
        delivered, order.delivered_fen = order.delivered_fen, order.face_fen
        original(batch, order)
        order.delivered_fen = delivered

    verbs = MappingProxyType({**advance.VERBS, State.DELIVERED: credited})
    return _instead(advance, "VERBS", verbs)


def gap_in_log() -> contextlib.AbstractContextManager[None]:
    """Now and then a sequence number is not used."""
    original = Batch.record

    def record(self: Batch, action: str, **facts: Any) -> None:
        original(self, action, **facts)
        if self.next_seq % 100 == 0:
            self.next_seq += 1

    return _instead(Batch, "record", record)


def change_an_event() -> contextlib.AbstractContextManager[None]:
    """Now and then an event says something else than what its leaf stands for."""
    original = Batch.record

    def record(self: Batch, action: str, **facts: Any) -> None:
        original(self, action, **facts)
        if self.next_seq % 100 == 0:
            self.events[-1] = replace(self.events[-1], body=self.events[-1].body + b" ")

    return _instead(Batch, "record", record)


def forget_payee() -> contextlib.AbstractContextManager[None]:
    """The payee a seller corrected is read and forgotten."""
    return _instead(advance, "payee_given", lambda _batch, _order, _letter: None)


def resume_without_statements() -> contextlib.AbstractContextManager[None]:
    """A restored book sends again as soon as somebody says so."""
    original = decide._possible

    def possible(batch: Batch, letter: Letter, after: dict[str, Any]) -> bool:
        batch.statements_awaited = False
        return original(batch, letter, after)

    return _instead(decide, "_possible", possible)


def ignore_reversal() -> contextlib.AbstractContextManager[None]:
    """A delivery that was undone still counts."""
    original = Writer._answered

    def answered(self: Writer, answer: Answer) -> None:
        if answer.outcome.result is Result.REVERSED:
            answer.effect.asking = False
            return
        original(self, answer)

    return _instead(Writer, "_answered", answered)


PLANTS: Final[dict[str, Plant]] = {
    plant.__name__: plant
    for plant in (
        repeat_after_unknown,
        unknown_delivery_fails,
        unknown_payment_fails,
        forget_hold,
        post_twice,
        drop_posting,
        skip_bound_check,
        stale_epoch_writes,
        forget_question,
        credit_by_declared_face,
        gap_in_log,
        change_an_event,
        forget_payee,
        resume_without_statements,
        ignore_reversal,
    )
}
