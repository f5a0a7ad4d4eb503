"""cancel: free until a delivery is committed. A release never overtakes the hold it releases."""

from airback.domain import ids
from airback.domain.effects import Kind, Outcome, Result
from airback.domain.ports.carrier import HoldKind, ReleaseRequest
from airback.engine.batch import Batch
from airback.engine.hold import NEVER_ARRIVED
from airback.engine.records import OpenEffect, Order
from airback.engine.reserve import release_fills
from airback.orders.states import FINAL, State


def cancel_asked(batch: Batch, order: Order) -> None:
    """Fold a seller's wish to cancel: done at once, done when the hold is final, or too late."""
    if order.state in FINAL:
        return
    batch.record("seller:order:cancel_asked", order=order, state=str(order.state))
    order.changed = True
    if order.state in (State.SUBMITTED, State.SCREENED) or (
        order.state is State.VERIFIED and not batch.open_of(order, Kind.HOLD)
    ):
        release_fills(batch, order)
        order.cancel = "done"
        batch.move(order, State.CANCELLED, code="cancelled")
    elif order.state is State.VERIFIED:
        order.cancel = "asked"
    elif order.state is not State.CANCELLING:
        order.cancel = "too_late"
        batch.record("engine:order:too_late", order=order, state=str(order.state), code="too_late")


def cancelling(batch: Batch, order: Order) -> None:
    """Give the hold back, then end as `resume` says. Ends in review when the contract gives nothing back."""
    if batch.open_of(order, Kind.RELEASE):
        batch.wait(order, batch.policy.look_again)
        return
    remaining = order.held_fen - order.delivered_fen
    if remaining <= 0:
        _end(batch, order)
        return
    gives_back = order.hold_kind is HoldKind.NATIVE or batch.capabilities(order).custody_given_back
    if not gives_back or order.attempts > batch.policy.attempts:
        batch.alarm("release_failed", ids.public("ord", order.id), remaining_fen=remaining)
        batch.move(order, State.IN_REVIEW, code="hold_refused")
        batch.wait(order, batch.policy.review_within)
        return
    ref = batch.new_ref()
    request = ReleaseRequest(
        ref=ref,
        number=order.number or "",
        amount_fen=remaining,
        hold=order.hold_kind,
        hold_ref=order.hold_ref or "",
        hold_far_ref=order.hold_far_ref or "",
    )
    batch.journal(
        Kind.RELEASE,
        far_side=f"carrier:{order.carrier}",
        request=request,
        ref=ref,
        amount_fen=remaining,
        order=order,
        hold=order.hold_kind,
    )
    batch.wait(order, batch.policy.look_again)


def release_answered(batch: Batch, order: Order, effect: OpenEffect, outcome: Outcome) -> None:
    """Fold the carrier's word on a release. A reservation that the carrier says it does not know has lapsed: it is released."""
    lapsed = outcome.code == "hold_unknown" and order.hold_kind is HoldKind.NATIVE
    if outcome.result is Result.SUCCEEDED or (outcome.result is Result.FAILED and lapsed):
        batch.post(
            "release",
            subject=effect.id,
            debit=batch.airtime(f"source:{order.carrier}", order),
            credit=batch.airtime("held", order),
            amount_fen=effect.amount_fen,
            order=order,
        )
        order.held_fen -= effect.amount_fen
        order.changed = True
    elif outcome.result is Result.FAILED:
        order.attempts += 1 if outcome.code in NEVER_ARRIVED else batch.policy.attempts + 1
        batch.wait(order, batch.policy.retry_after)


def _end(batch: Batch, order: Order) -> None:
    end, code = State(order.resume or State.CANCELLED), order.code
    if end is State.CANCELLED:
        order.cancel = "done"
    batch.move(order, end, code=code or "cancelled")
