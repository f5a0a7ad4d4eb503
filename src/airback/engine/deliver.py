"""deliver: the held airtime goes to the demands' numbers, a card's code is redeemed onto one.

From here the order cannot be cancelled. What an outlet's number refuses goes to another demand or to the house; a
request that surely never arrived is sent anew under a new reference; an unknown one is only ever asked about.
"""

from datetime import timedelta

from airback.domain import ids
from airback.domain.effects import Kind, Outcome, Result
from airback.domain.money import share_floor
from airback.domain.ports.carrier import HoldKind, RedeemRequest, TransferRequest
from airback.engine.batch import Batch
from airback.engine.hold import NEVER_ARRIVED
from airback.engine.notify import notify
from airback.engine.records import Fill, OpenEffect, Order
from airback.engine.reserve import HOUSE, release_fills, reopen, reserve, reserve_house, settle_earmark
from airback.engine.tell import tell_filled
from airback.engine.watch import ended, took
from airback.ledger.postings import Phase
from airback.orders.states import FillState, State

#: A carrier's final word on a card: it is worth nothing here, and no other number will change that.
CARD_REFUSED = frozenset({"card_used", "card_expired", "card_unknown"})


def route(batch: Batch, order: Order) -> None:
    """held → routed: the reserved fills are committed."""
    batch.move(order, State.ROUTED)


def deliver(batch: Batch, order: Order) -> None:
    """routed: send what has not been sent, find takers for what lost its own, and go on when all is delivered."""
    open_fills = {effect.fill_id for effect in batch.open_of(order, Kind.TRANSFER, Kind.REDEEM)}
    if order.attempts > batch.policy.attempts:
        release_fills(batch, order)
        batch.alarm("delivery_failed", ids.public("ord", order.id))
        batch.move(order, State.IN_REVIEW, code="delivery_failed")
        batch.wait(order, batch.policy.review_within)
        return
    committed = sum(
        fill.delivered_fen if fill.state is FillState.DELIVERED else fill.face_fen
        for fill in order.live_fills
    )
    missing = (
        order.face_fen - committed
        if order.product == "balance"
        else (0 if order.live_fills else order.face_fen)
    )
    unsent = any(f.state is not FillState.DELIVERED and f.id not in open_fills for f in order.live_fills)
    if (missing > 0 or unsent) and (f"carrier:{order.carrier}", order.lane) in batch.full:
        batch.wait(order, batch.policy.full_look)
        return
    if missing > 0 and not (
        reserve(batch, order, face_fen=missing) or reserve_house(batch, order, face_fen=missing)
    ):
        batch.alarm("no_taker", ids.public("ord", order.id), missing_fen=missing)
        batch.wait(order, batch.policy.retry_after * 30)
        return
    waiting = False
    for fill in order.live_fills:
        if fill.state is FillState.RESERVED:
            batch.move_fill(fill, FillState.DELIVERING)
        if fill.state is FillState.DELIVERING:
            waiting = True
            if fill.id not in open_fills:
                _dispatch(batch, order, fill)
    if waiting:
        batch.wait(order, batch.policy.look_again)
    else:
        batch.move(order, State.DELIVERED, amount_fen=order.delivered_fen)
        notify(batch, order, "delivered", order.delivered_fen)


def delivery_answered(batch: Batch, order: Order, effect: OpenEffect, outcome: Outcome) -> None:
    """Fold the carrier's word on one delivery."""
    fill = next(fill for fill in order.fills if fill.id == effect.fill_id)
    if outcome.result is Result.SUCCEEDED:
        _delivered(batch, order, fill, effect, outcome)
        if order.state is State.IN_REVIEW and order.code == "card_used":
            batch.move(order, State.ROUTED)
            batch.wait(order, timedelta(0))
    elif outcome.result is Result.UNKNOWN and outcome.code == "card_used":
        if order.state is State.ROUTED:
            batch.alarm("card_in_doubt", ids.public("ord", order.id), effect=effect.ref)
            batch.move(order, State.IN_REVIEW, code="card_used")
            batch.wait(order, batch.policy.review_within)
    elif outcome.result is Result.FAILED:
        _undo_dispatch(batch, order, effect)
        order.changed = True
        if outcome.code in NEVER_ARRIVED:
            order.attempts += 1
            batch.wait(order, batch.policy.retry_after * order.attempts)
            return
        batch.move_fill(fill, FillState.FAILED)
        if fill.outlet != HOUSE:
            ended(batch, fill, outcome.code)
        settle_earmark(batch, order, fill, pays_fen=0)
        batch.record("engine:fill:failed", order=order, fill=ids.public("fil", fill.id), code=outcome.code)
        doubted = order.state is State.IN_REVIEW and order.code == "card_used"
        if outcome.code in CARD_REFUSED or doubted:
            reopen(batch, order, fill, fill.face_fen)
            release_fills(batch, order)
            batch.move(order, State.FAILED, code=order.code if doubted else outcome.code)
        elif order.state is State.ROUTED:
            order.attempts += 1
            batch.wait(order, timedelta(0))


def _dispatch(batch: Batch, order: Order, fill: Fill) -> None:
    ref = batch.new_ref()
    purpose = ids.public("fil", fill.id)
    far_side = f"carrier:{order.carrier}"
    if order.product == "balance":
        request: TransferRequest | RedeemRequest = TransferRequest(
            ref=ref,
            from_number=order.number or "",
            to_number=fill.number,
            amount_fen=fill.face_fen,
            hold=order.hold_kind,
            hold_ref=order.hold_ref or "",
            hold_far_ref=order.hold_far_ref or "",
            purpose=purpose,
        )
        kind = Kind.TRANSFER
    else:
        if order.card_code is None:
            raise ValueError("a card without its code cannot be redeemed")
        code = batch.keys.unseal(
            purpose="card_code", sealed=order.card_code, where=f"orders/card_code/{order.id}".encode()
        ).decode()
        request = RedeemRequest(
            ref=ref,
            to_number=fill.number,
            card_number=order.card_number or "",
            card_code=code,
            face_fen=order.face_fen,
            purpose=purpose,
        )
        kind = Kind.REDEEM
    effect = batch.journal(
        kind,
        far_side=far_side,
        request=request,
        ref=ref,
        amount_fen=fill.face_fen,
        order=order,
        fill=fill,
        hold=order.hold_kind,
    )
    if order.hold_kind is HoldKind.NONE:
        _card_intake(batch, order, effect, Phase.PENDING, effect.amount_fen)
    else:
        batch.post(
            "dispatch",
            subject=effect.id,
            debit=batch.airtime("transit", order),
            credit=batch.airtime("held", order),
            amount_fen=fill.face_fen,
            order=order,
        )


def _undo_dispatch(batch: Batch, order: Order, effect: OpenEffect) -> None:
    if order.hold_kind is HoldKind.NONE:
        _card_intake(batch, order, effect, Phase.VOID, effect.amount_fen)
    else:
        _back_to_held(batch, order, effect, effect.amount_fen)


def _back_to_held(batch: Batch, order: Order, effect: OpenEffect, amount_fen: int) -> None:
    batch.post(
        "dispatch_back",
        subject=effect.id,
        debit=batch.airtime("held", order),
        credit=batch.airtime("transit", order),
        amount_fen=amount_fen,
        order=order,
    )


def _card_intake(batch: Batch, order: Order, effect: OpenEffect, phase: Phase, amount_fen: int) -> None:
    batch.post(
        "intake",
        subject=effect.id,
        debit=batch.airtime("transit", order),
        credit=batch.airtime(f"source:{order.carrier}", order),
        amount_fen=amount_fen,
        phase=phase,
        order=order,
        settles_fen=0 if phase is Phase.PENDING else effect.amount_fen,
    )


def _delivered(batch: Batch, order: Order, fill: Fill, effect: OpenEffect, outcome: Outcome) -> None:
    moved = outcome.amount_fen if outcome.amount_fen is not None else effect.amount_fen
    if order.hold_kind is HoldKind.NONE:
        _card_intake(batch, order, effect, Phase.POST, moved)
        counted = moved
    else:
        counted = min(moved, fill.face_fen)
        _back_to_held(batch, order, effect, fill.face_fen - counted)
        if moved > counted:
            # The carrier moved more than it was told to: a fact, and somebody's work.
            batch.post(
                "excess",
                subject=effect.id,
                debit=batch.airtime("delivered", order),
                credit=batch.airtime(f"source:{order.carrier}", order),
                amount_fen=moved - counted,
                order=order,
            )
            batch.alarm("delivered_more", ids.public("fil", fill.id), excess_fen=moved - counted)
    batch.post(
        "deliver",
        subject=fill.id,
        debit=batch.airtime("stock" if fill.outlet == HOUSE else "delivered", order),
        credit=batch.airtime("transit", order),
        amount_fen=counted,
        order=order,
    )
    reopen(batch, order, fill, fill.face_fen - counted)
    pays = fill.pays_fen if counted == fill.face_fen else max(1, share_floor(counted, fill.price_ppm))
    settle_earmark(batch, order, fill, pays_fen=pays)
    batch.move_fill(fill, FillState.DELIVERED)
    if fill.outlet != HOUSE:
        took(batch, fill)
    fill.delivered_fen = counted
    fill.pays_fen = pays
    order.delivered_fen += counted
    order.delivered_at = batch.now
    after = timedelta(seconds=batch.capabilities(order).final_after_s)
    order.final_at = max(order.final_at or batch.now, batch.now + after)
    order.changed = True
    batch.record(
        "engine:fill:delivered",
        order=order,
        fill=ids.public("fil", fill.id),
        amount_fen=counted,
        far_ref=outcome.far_ref,
    )
    if batch.hooks:
        tell_filled(batch, order, fill)
