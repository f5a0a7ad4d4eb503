"""advance: fold answers, letters and due work, in order, into a batch's decisions. Pure: the batch is all it knows.

Answers and letters go first, in the order they came; then each order takes as many steps as need nobody outside, so
steps that call nothing share one transaction.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from airback.domain.effects import FINAL as FINAL_RESULTS
from airback.domain.effects import Kind, Outcome, Resend, Result
from airback.engine.batch import Batch
from airback.engine.cancel import cancel_asked, cancelling, release_answered
from airback.engine.close import close
from airback.engine.correct import after_the_end
from airback.engine.credit import credit
from airback.engine.decide import decided, payee_given
from airback.engine.deliver import deliver, delivery_answered, route
from airback.engine.hold import NEVER_ARRIVED, hold, hold_answered
from airback.engine.pay import paid_answered, plan_payouts
from airback.engine.reconcile import settle_statement
from airback.engine.records import Answer, Letter, OpenEffect, Order
from airback.engine.screen import screen
from airback.engine.verify import inspected, verify
from airback.orders.states import FINAL, State

#: The verb of each state that the engine itself takes further.
VERBS: Final[Mapping[State, Callable[[Batch, Order], None]]] = MappingProxyType(
    {
        State.SUBMITTED: screen,
        State.SCREENED: verify,
        State.VERIFIED: hold,
        State.HELD: route,
        State.ROUTED: deliver,
        State.DELIVERED: credit,
        State.CREDITED: close,
        State.CANCELLING: cancelling,
    }
)


def advance(
    batch: Batch, *, answers: Sequence[Answer], letters: Sequence[Letter], due: Iterable[int]
) -> None:
    """Decide the whole batch: every answer, every letter, every due order, then payouts of what was credited.

    Who cancels while the answer about the hold is on its way comes first: nothing has been delivered yet.
    """
    touched: dict[int, None] = {}
    for letter in letters:
        if letter.kind == "cancel" and letter.order_id in batch.orders:
            cancel_asked(batch, batch.orders[letter.order_id])
            touched[letter.order_id] = None
    for answer in answers:
        for order_id in _fold_answer(batch, answer):
            touched[order_id] = None
    for letter in letters:
        batch.letters.append(letter.id)
        if letter.kind == "payee" and letter.order_id in batch.orders:
            payee_given(batch, batch.orders[letter.order_id], letter)
            touched[letter.order_id] = None
        elif letter.kind == "statement":
            settle_statement(batch, letter)
        elif letter.kind == "decision":
            given, order_ids = decided(batch, letter)
            touched.update(dict.fromkeys(order_ids))
            for answer in given:
                touched.update(dict.fromkeys(_fold_answer(batch, answer)))
        elif letter.kind == "withdraw" and letter.ref is not None:
            batch.demands.withdraw(int(letter.ref))
    for order_id in due:
        touched[order_id] = None
    for order_id in touched:
        order = batch.orders.get(order_id)
        if order is not None:
            _step(batch, order)
    plan_payouts(batch)


def _step(batch: Batch, order: Order) -> None:
    if order.state in (State.AWAITING_SELLER, State.IN_REVIEW):
        _overdue(batch, order)
        return
    while order.state in VERBS:  # until it has ended or waits for a person
        before = order.state
        VERBS[before](batch, order)
        if order.state is before:
            return


def _overdue(batch: Batch, order: Order) -> None:
    """A wait for a person has run out: the seller's becomes ours, ours is shown again."""
    if order.due_at is not None and order.due_at > batch.now:
        return
    if order.state is State.AWAITING_SELLER:
        batch.alarm("seller_silent", str(order.id))
        batch.move(order, State.IN_REVIEW, code=order.code)
    batch.wait(order, batch.policy.review_within)


def _fold_answer(batch: Batch, answer: Answer) -> list[int]:
    """Fold one far side's word; the orders it concerns."""
    effect, outcome = answer.effect, answer.outcome
    if effect.result in FINAL_RESULTS:
        return after_the_end(batch, effect, outcome, asked=answer.asked)
    if answer.asked and outcome.result is Result.FAILED and outcome.code == "not_found":
        capabilities = batch.policy.capabilities_of(effect.far_side)
        grace = timedelta(seconds=capabilities.not_found_final_after_s if capabilities else 0)
        if batch.now < effect.left_at + grace:
            batch.ask_later(effect)
            return []
        if capabilities and capabilities.resend is Resend.SAME_REFERENCE and batch.now < effect.send_by:
            effect.asking = effect.resent = True
            batch.resend.append(effect)
            return []
    if effect.resent and not answer.asked and outcome.code in NEVER_ARRIVED:
        # The repeat did not leave; what became of the first sending is as unknown as before.
        batch.ask_later(effect)
        return []
    if effect.kind is Kind.REDEEM and outcome.code == "card_used" and effect.order_id in batch.redeemed:
        # An earlier request may have used the card itself, for us: the carrier's word decides nothing here.
        outcome = replace(outcome, result=Result.UNKNOWN)
    if outcome.result is Result.REVERSED and effect.result not in FINAL_RESULTS:
        # Done and given back before we heard that it was done: for us it came to nothing.
        outcome = Outcome(
            Result.FAILED, code="rail_refused", far_ref=outcome.far_ref, exchanges=outcome.exchanges
        )
    if effect.kind is Kind.NOTIFY and outcome.result not in FINAL_RESULTS:
        # Nothing depends on a message and no messenger can be asked: its doubt ends here.
        outcome = Outcome(Result.FAILED, code="answer_lost", exchanges=outcome.exchanges)
    elif answer.asked and outcome.result is effect.result:
        batch.ask_later(effect)
        _too_long(batch, effect)
        return []
    if not batch.settle(effect, outcome) or effect.kind is Kind.NOTIFY:
        return []
    _too_long(batch, effect)
    if outcome.detail.get("executions", 1) != 1:
        batch.alarm("delivered_more", effect.ref, executions=outcome.detail["executions"])
    return _deal(batch, effect, outcome)


def _deal(batch: Batch, effect: OpenEffect, outcome: Outcome) -> list[int]:
    if effect.payout_id is not None:
        payout = batch.payouts[effect.payout_id]
        paid_answered(batch, payout, effect, outcome)
        return list(payout.orders)
    order = batch.orders.get(effect.order_id or 0)
    if order is None:
        return []
    due_at = order.due_at
    if effect.kind is Kind.INSPECT:
        inspected(batch, order, outcome)
    elif effect.kind is Kind.HOLD:
        hold_answered(batch, order, effect, outcome)
    elif effect.kind in (Kind.TRANSFER, Kind.REDEEM):
        delivery_answered(batch, order, effect, outcome)
    elif effect.kind is Kind.RELEASE:
        release_answered(batch, order, effect, outcome)
    waits = order.due_at is not None and order.due_at != due_at and order.due_at > batch.now
    if order.state not in FINAL and waits and order.attempts:
        return []  # it waits before it tries again
    return [order.id]


def _too_long(batch: Batch, effect: OpenEffect) -> None:
    """What stays unknown for long becomes a person's work; the asking goes on."""
    if effect.result not in FINAL_RESULTS and batch.now > effect.at + batch.policy.unknown_to_people:
        batch.alarm("effect_unresolved", effect.ref, far_side=effect.far_side, effect=str(effect.kind))
