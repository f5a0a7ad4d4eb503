"""correct: what a far side takes back after it was final for us. Nothing is rewritten: a correction stands beside it.

A delivery that is reversed makes the outlet whole at once. While the connector says that a delivery can still be
reversed, the seller bears what they were paid for it, as a claim on them; afterwards the platform bears all of it.
A payment that comes back makes the seller's money payable again. Each correction says who bears what, and is a
person's work until it is settled: a delivery's by two people, a payment's by paying the seller again.
"""

from typing import Any

from airback.domain import ids
from airback.domain.effects import Kind, Outcome, Result
from airback.engine.batch import Batch
from airback.engine.notify import notify
from airback.engine.records import Letter, OpenEffect, Order, Payout
from airback.engine.reserve import HOUSE, payer
from airback.ledger.accounts import Account, account, payable
from airback.orders.corrections import Bearer, Correction, Settlement
from airback.orders.corrections import Kind as CorrectionKind
from airback.orders.states import State
from airback.payouts.states import State as PayoutState


def after_the_end(batch: Batch, effect: OpenEffect, outcome: Outcome, *, asked: bool) -> list[int]:
    """A far side speaks of an effect that had its final result. Orders concerned.

    Success that was reversed is corrected. Success of what it had refused (what needed it may have been done anew) and
    refusal of what had succeeded are for a person; anything else is an old answer that came late.
    """
    if effect.kind in (Kind.INSPECT, Kind.NOTIFY, Kind.WEBHOOK):
        return []
    if outcome.result is Result.REVERSED and effect.result is Result.SUCCEEDED:
        batch.settle(effect, outcome)
        return _reversed(batch, effect, outcome)
    kind = None
    if outcome.result is Result.SUCCEEDED and effect.result is Result.FAILED:
        kind = "done_after_failure"
    elif asked and outcome.result is Result.FAILED and effect.result is Result.SUCCEEDED:
        kind = "failed_after_success"
    if kind is not None:
        batch.settle(effect, outcome)
        batch.alarm(
            kind,
            effect.ref,
            far_side=effect.far_side,
            effect=str(effect.kind),
            amount_fen=outcome.amount_fen,
            order=ids.public("ord", effect.order_id) if effect.order_id else None,
        )
    return []


def _reversed(batch: Batch, effect: OpenEffect, outcome: Outcome) -> list[int]:
    if effect.payout_id is not None:
        return _payment_returned(batch, batch.payouts[effect.payout_id], effect)
    order = batch.orders.get(effect.order_id or 0)
    if order is None or effect.kind not in (Kind.TRANSFER, Kind.REDEEM):
        batch.alarm("reversed", effect.ref, far_side=effect.far_side, effect=str(effect.kind))
        return []
    _delivery_reversed(batch, order, effect, outcome)
    return [order.id]


def _delivery_reversed(batch: Batch, order: Order, effect: OpenEffect, outcome: Outcome) -> None:
    fill = next(fill for fill in order.fills if fill.id == effect.fill_id)
    refund_fen = fill.pays_fen
    final = order.final_at is not None and batch.now >= order.final_at
    share_fen = (
        order.net_fen * fill.delivered_fen // order.delivered_fen if order.credited_fen else refund_fen
    )
    claim_fen = 0 if final else min(share_fen, refund_fen)
    correction = _open(
        batch,
        order,
        effect,
        kind=CorrectionKind.DELIVERY_REVERSED,
        bearer=Bearer.SELLER if claim_fen else Bearer.PLATFORM,
        amount_fen=refund_fen,
        claim_fen=claim_fen,
    )
    batch.post(
        "reversal",
        subject=correction.id,
        debit=batch.airtime(f"source:{order.carrier}", order),
        credit=batch.airtime("stock" if fill.outlet == HOUSE else "delivered", order),
        amount_fen=fill.delivered_fen,
        order=order,
    )
    for leg, (bearing, amount_fen) in enumerate(
        (
            (_bearing(Bearer.SELLER, order), claim_fen),
            (_bearing(Bearer.PLATFORM, order), refund_fen - claim_fen),
        ),
        start=1,
    ):
        batch.post(
            "reversal",
            subject=correction.id,
            leg=leg,
            debit=bearing,
            credit=payer(fill),
            amount_fen=amount_fen,
            order=order,
        )
    if fill.outlet != HOUSE:
        # The outlet's deposit is client money again, and the seller has been paid: the operator's own cash stands in.
        batch.post(
            "reversal_backing",
            subject=correction.id,
            debit=account("cash:safeguarded"),
            credit=account("cash:own"),
            amount_fen=refund_fen,
            order=order,
        )


def _payment_returned(batch: Batch, payout: Payout, effect: OpenEffect) -> list[int]:
    if payout.state is not PayoutState.PAID:
        return []
    batch.post(
        "returned",
        subject=payout.id,
        debit=account(f"clearing:{payout.rail}"),
        credit=payable(payout.seller),
        amount_fen=payout.amount_fen,
    )
    batch.move_payout(payout, PayoutState.RETURNED, code="payment_returned")
    for order_id, share_fen in payout.orders.items():
        order = batch.orders[order_id]
        order.paid_fen -= share_fen
        order.changed = True
        _open(
            batch,
            order,
            effect,
            kind=CorrectionKind.PAYMENT_RETURNED,
            bearer=Bearer.SELLER,
            amount_fen=share_fen,
            claim_fen=0,
        )
        if order.state is State.CREDITED:
            batch.move(order, State.AWAITING_SELLER, code="payment_returned")
            batch.wait(order, batch.policy.seller_patience)
        notify(batch, order, "returned", share_fen)
    return list(payout.orders)


def settle_correction(
    batch: Batch, correction: Correction | None, after: dict[str, Any], *, letter: Letter
) -> None:
    """Make good a part of a reversed delivery, as two people decided. The decision's letter names the posting.

    Money that came back is the operator's own: it made the outlet whole with its own. It takes the claim on the seller
    away, or the loss. Writing off turns a claim into loss; what is the operator's loss already needs no posting.
    """
    if correction is None:
        return
    order = batch.orders[correction.order_id]
    settlement, amount_fen = Settlement(after["settlement"]), int(after["amount_fen"])
    stands = _bearing(correction.bearer, order)
    against = account("cash:own") if settlement is Settlement.RECOVERED else _bearing(Bearer.PLATFORM, order)
    if against != stands:
        kind = "recovery" if settlement is Settlement.RECOVERED else "write_off"
        batch.post(kind, subject=letter.id, debit=against, credit=stands, amount_fen=amount_fen, order=order)
    batch.settle_correction(
        correction, settlement, amount_fen, order=order, proposal=str(letter.body["proposal"])
    )


def repaid(batch: Batch, order: Order) -> None:
    """An order is paid in full: what was returned of its payments is made good."""
    for correction in list(batch.corrections_known.values()):
        if (
            correction.order_id == order.id
            and correction.kind is CorrectionKind.PAYMENT_RETURNED
            and correction.closed_at is None
        ):
            batch.settle_correction(correction, Settlement.REPAID, correction.left_fen, order=order)


def _bearing(bearer: Bearer, order: Order) -> Account:
    """Where what somebody bears stands: a claim on the seller, or the operator's loss."""
    return account(f"recourse:{order.seller}") if bearer is Bearer.SELLER else account("loss")


def _open(
    batch: Batch,
    order: Order,
    effect: OpenEffect,
    *,
    kind: CorrectionKind,
    bearer: Bearer,
    amount_fen: int,
    claim_fen: int,
) -> Correction:
    correction = Correction(
        id=batch.new_id(),
        order_id=order.id,
        effect_id=effect.id,
        kind=kind,
        bearer=bearer,
        amount_fen=amount_fen,
        claim_fen=claim_fen,
        opened_at=batch.now,
    )
    batch.corrections.append(correction)
    facts = {
        "amount_fen": amount_fen,
        "bearer": str(bearer),
        "claim_fen": claim_fen,
        "state": str(order.state),
    }
    batch.record(
        "engine:correction:opened",
        order=order,
        correction=ids.public("cor", correction.id),
        kind=str(kind),
        **facts,
    )
    batch.alarm(str(kind), ids.public("cor", correction.id), order=ids.public("ord", order.id), **facts)
    return correction
