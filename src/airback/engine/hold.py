"""hold: outlets' money is earmarked first, then the amount is frozen at the carrier.

Without an outlet the order ends here, unharmed. A card has nothing to freeze: its demand is reserved and it goes
on to be redeemed.
"""

from airback.domain.effects import Kind, Outcome, Result
from airback.domain.ports.carrier import HoldKind, HoldRequest
from airback.engine.batch import Batch
from airback.engine.notify import notify
from airback.engine.records import OpenEffect, Order
from airback.engine.reserve import release_fills, reserve
from airback.engine.screen import out_of_time
from airback.ledger.postings import Phase
from airback.orders.intake import FILES
from airback.orders.states import State

#: Codes that say the far side never acted on the request; a new reference may be sent.
NEVER_ARRIVED = frozenset({"not_sent", "not_found", "sending_overdue"})


def hold(batch: Batch, order: Order) -> None:
    """verified → (card) routed, or the hold is journalled and the order waits for the carrier's word."""
    if batch.open_of(order, Kind.HOLD):
        batch.wait(order, batch.policy.look_again)
        return
    if order.cancel == "asked":
        release_fills(batch, order)
        order.cancel = "done"
        batch.move(order, State.CANCELLED, code="cancelled")
        return
    if order.attempts > batch.policy.attempts or out_of_time(batch, order):
        release_fills(batch, order)
        if order.attempts:
            batch.move(order, State.DECLINED, code="carrier_unreachable")
        else:
            batch.move(order, State.EXPIRED, code="order_expired")
        return
    if (f"carrier:{order.carrier}", order.lane) in batch.full:
        batch.wait(order, batch.policy.full_look)
        return
    if not order.live_fills and not reserve(batch, order, face_fen=order.face_fen):
        if batch.now < order.submitted_at + batch.policy.outlet_patience_of(order.lane):
            # Demands come all the time, and nothing was touched yet. A file may have thousands that wait: more rarely.
            files = order.lane == FILES
            batch.wait(order, batch.policy.full_look if files else batch.policy.retry_after)
        else:
            batch.move(order, State.DECLINED, code="no_outlet")
        return
    if order.hold_kind is HoldKind.NONE:
        batch.move(order, State.ROUTED)
        return
    if order.number is None:
        raise ValueError("a hold needs a number")
    ref = batch.new_ref()
    request = HoldRequest(ref, order.number, order.face_fen, batch.now + batch.policy.hold_valid)
    effect = batch.journal(
        Kind.HOLD,
        far_side=f"carrier:{order.carrier}",
        request=request,
        ref=ref,
        amount_fen=order.face_fen,
        order=order,
        hold=order.hold_kind,
    )
    _post(batch, order, effect, Phase.PENDING, order.face_fen)
    batch.wait(order, batch.policy.look_again)


def hold_answered(batch: Batch, order: Order, effect: OpenEffect, outcome: Outcome) -> None:
    """Fold the carrier's word on a hold: held; refused, which declines the order; or never arrived, tried anew."""
    if outcome.result is Result.SUCCEEDED:
        held = outcome.amount_fen if outcome.amount_fen is not None else effect.amount_fen
        if held == 0:
            _post(batch, order, effect, Phase.VOID, effect.amount_fen)
            release_fills(batch, order)
            batch.move(order, State.DECLINED, code="hold_refused")
            return
        _post(batch, order, effect, Phase.POST, held)
        order.hold_ref, order.hold_far_ref, order.held_fen = effect.ref, outcome.far_ref, held
        if order.state is State.IN_REVIEW:
            order.resume = str(State.HELD)  # people stopped it: it goes on from here when they say so
            order.changed = True
            return
        batch.move(order, State.HELD, amount_fen=held, hold=str(order.hold_kind))
        if order.cancel == "asked" or held != order.face_fen:
            end, code = (
                (State.CANCELLED, "cancelled")
                if order.cancel == "asked"
                else (State.DECLINED, "hold_refused")
            )
            release_fills(batch, order)
            batch.move(order, State.CANCELLING)
            order.resume, order.code = str(end), code
            return
        notify(batch, order, "held", held)
    elif outcome.result is Result.FAILED:
        _post(batch, order, effect, Phase.VOID, effect.amount_fen)
        if outcome.code in NEVER_ARRIVED:
            order.attempts += 1
            batch.wait(order, batch.policy.retry_after * order.attempts)
            return
        release_fills(batch, order)
        known = {"balance_insufficient", "number_dead", "number_suspended"}
        batch.move(order, State.DECLINED, code=outcome.code if outcome.code in known else "hold_refused")


def _post(batch: Batch, order: Order, effect: OpenEffect, phase: Phase, amount_fen: int) -> None:
    batch.post(
        "hold",
        subject=effect.id,
        debit=batch.airtime("held", order),
        credit=batch.airtime(f"source:{order.carrier}", order),
        amount_fen=amount_fen,
        phase=phase,
        order=order,
        settles_fen=0 if phase is Phase.PENDING else effect.amount_fen,
    )
