"""close: an order ends when it is paid and its delivery can no longer be reversed; its receipt is written and signed."""

from datetime import datetime, timedelta

import msgspec

from airback.domain import ids
from airback.engine.batch import Batch, Proof
from airback.engine.pay import Payee
from airback.engine.records import Order
from airback.evidence.receipts import Delivery, ReceiptFacts, make_receipt, mask_payee, sign_receipt
from airback.orders.states import State
from airback.payouts.states import FINAL as FINAL_PAYOUTS
from airback.payouts.states import State as PayoutState


def close(batch: Batch, order: Order) -> None:
    """credited → closed, once paid and final. What no payout pays, because one came to nothing, is paid anew."""
    under_way = any(payout.state not in FINAL_PAYOUTS for payout in order.payouts)
    if under_way:
        batch.wait(order, batch.policy.look_again)
        return
    if order.paid_fen < order.credited_fen:
        waits = order.attempts > 0 and order.due_at is not None and order.due_at > batch.now
        if order.id not in batch.to_pay and not waits:
            batch.to_pay[order.id] = order
            batch.wait(order, batch.policy.look_again)
        return
    if order.final_at is not None and order.final_at > batch.now:
        batch.wait(order, order.final_at - batch.now)
        return
    proof = batch.proofs.get(order.id)
    if proof is None:
        batch.wait(order, timedelta(0))  # its past was not read for this batch; the next one has it
        return
    batch.move(order, State.CLOSED, paid_fen=order.paid_fen)
    batch.receipts[order.id] = sign_receipt(make_receipt(_facts(batch, order, proof)), keys=batch.keys)


def _facts(batch: Batch, order: Order, proof: Proof) -> ReceiptFacts:
    payee = msgspec.json.decode(
        batch.keys.unseal(purpose="payee", sealed=order.payee, where=f"orders/payee/{order.id}".encode()),
        type=Payee,
    )
    times = {
        action.rpartition(":")[2]: at
        for _, action, at, _ in proof.events
        if action.startswith("engine:order:")
    }
    paid_at: list[datetime] = [at for _, action, at, _ in proof.events if action == "engine:payout:paid"]
    now = batch.events_of.get(order.id, [])
    paid_at += [event.at for event in now if event.action == "engine:payout:paid"]
    fills = {fill.id: fill for fill in order.fills}
    return ReceiptFacts(
        book=batch.book,
        order=ids.public("ord", order.id),
        operator=batch.policy.operator,
        product=order.product,
        carrier=order.carrier,
        number=order.number or order.card_number or "",
        face_fen=order.face_fen,
        delivered_fen=order.delivered_fen,
        quote=order.quote,
        first_quote=order.first_quote,
        paid_fen=order.paid_fen,
        payee=mask_payee(account=payee.account, name=payee.name),
        rail=order.rail,
        rail_refs=[p.far_ref for p in order.payouts if p.state is PayoutState.PAID and p.far_ref is not None],
        deliveries=[
            Delivery(
                fill=ids.public("fil", row["fill_id"]),
                amount_fen=fills[row["fill_id"]].delivered_fen,
                carrier_ref=row["far_ref"],
                target=fills[row["fill_id"]].number,
                before_fen=row["detail"].get("before_fen"),
                after_fen=row["detail"].get("after_fen"),
                at=row["at"],
            )
            for row in proof.deliveries
            if row["fill_id"] in fills
        ],
        submitted_at=order.submitted_at,
        held_at=times.get("held"),
        delivered_at=order.delivered_at,
        credited_at=times.get("credited"),
        paid_at=max(paid_at, default=None),
        closed_at=batch.now,
        agreement=order.agreement,
        language=order.language,
        events=[(seq, leaf) for seq, _, _, leaf in proof.events] + [(event.seq, event.leaf) for event in now],
    )
