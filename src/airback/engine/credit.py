"""credit: delivered airtime becomes money owed to the seller, split as the quote in force says.

When another amount was delivered than was quoted (a card of another face, a part that came to nothing), the same
terms are quoted anew for what was delivered, signed, and that quote is what the seller is paid by.

Where an agreement stood when the order was submitted, what of the operator's own part is others' goes to them at once.
"""

from airback.domain import ids
from airback.domain.assets import CNY
from airback.domain.refusals import Refused
from airback.engine.batch import Batch
from airback.engine.records import Order
from airback.ledger.accounts import account, payable
from airback.ledger.split import deductions, in_force, split
from airback.orders.intake import FILES
from airback.orders.states import FillState, State
from airback.pricing.quotes import read_quote, requote, sign_quote


def credit(batch: Batch, order: Order) -> None:
    """delivered → credited: proceeds are split into payable, fee, rail cost and spread."""
    if order.delivered_fen != order.face_fen:
        first = order.quote
        quoted = read_quote(first)
        try:
            body = requote(
                quoted,
                card=batch.rate_cards_known.get(quoted.card_version, batch.rate_card),
                face_fen=order.delivered_fen,
                quote_id=batch.new_ref(),
                issued_at=batch.now,
            )
        except Refused as refused:
            batch.alarm("requote_refused", ids.public("ord", order.id), code=refused.code)
            batch.move(order, State.IN_REVIEW, code=refused.code)
            batch.wait(order, batch.policy.review_within)
            return
        order.first_quote = order.first_quote or first
        order.quote = sign_quote(body, keys=batch.keys)
        order.net_fen = int(body["net_fen"])
        order.requoted = True
        batch.record(
            "engine:order:requoted",
            order=order,
            quoted_face_fen=order.face_fen,
            delivered_fen=order.delivered_fen,
            net_fen=order.net_fen,
            quote=body["id"],
            first_quote=first["id"],
        )
    quote = order.quote
    proceeds_fen = sum(fill.pays_fen for fill in order.fills if fill.state is FillState.DELIVERED)
    spread_fen = proceeds_fen - int(quote["gross_fen"])
    parts = (
        (payable(order.seller), order.net_fen),
        (account("fee", CNY), int(quote["fee_fen"])),
        (account("rail_cost", CNY), int(quote["rail_cost_fen"])),
    )
    proceeds, spread = account("proceeds"), account("spread")
    if spread_fen < 0:
        batch.post(
            "credit",
            subject=order.id,
            leg=0,
            debit=spread,
            credit=proceeds,
            amount_fen=-spread_fen,
            order=order,
        )
    for leg, (to, amount) in enumerate(parts, start=1):
        batch.post(
            "credit", subject=order.id, leg=leg, debit=proceeds, credit=to, amount_fen=amount, order=order
        )
    if spread_fen > 0:
        batch.post(
            "credit",
            subject=order.id,
            leg=9,
            debit=proceeds,
            credit=spread,
            amount_fen=spread_fen,
            order=order,
        )
    if order.net_fen > proceeds_fen:
        # A card of another face may be worth more to its seller than its outlet's price for it: what the seller is owed beyond
        # what was paid is client money too, so the operator's own cash moves beside it.
        batch.post(
            "backing",
            subject=order.id,
            debit=account("cash:safeguarded"),
            credit=account("cash:own"),
            amount_fen=order.net_fen - proceeds_fen,
            order=order,
        )
    if batch.agreements:
        _share_out(batch, order, spread_fen)
    order.credited_fen = order.net_fen
    if order.product == "card":
        order.card_code = None
        batch.claims_kept.append(order.id)
    batch.move(order, State.CREDITED, net_fen=order.net_fen)
    batch.to_pay[order.id] = order


def _share_out(batch: Batch, order: Order, spread_fen: int) -> None:
    """Give parties their shares of fee and spread. What they are is not the seller's to read: no event of the order."""
    agreement = in_force(
        batch.agreements, client=order.client, files=order.lane == FILES, at=order.submitted_at
    )
    if agreement is None:
        return
    quote = order.quote
    found = split(
        agreement.shares,
        fee_fen=int(quote["fee_fen"]),
        spread_fen=spread_fen,
        face_fen=order.delivered_fen,
        net_fen=order.net_fen,
        lines=deductions(quote),
    )
    for leg, part in enumerate(found.parts, start=1):
        batch.post(
            "split",
            subject=order.id,
            leg=leg,
            debit=account(f"shared:{part.share.kind}"),
            credit=account(part.share.account),
            amount_fen=part.amount_fen,
            order=order,
        )
    batch.record(
        "engine:split:posted",
        of=ids.public("ord", order.id),
        agreement=agreement.version,
        platform_fen=found.platform_fen,
        parts=[
            {
                "kind": part.share.kind,
                "to": part.share.account,
                "amount_fen": part.amount_fen,
                "short_fen": part.short_fen,
            }
            for part in found.parts
        ],
    )
