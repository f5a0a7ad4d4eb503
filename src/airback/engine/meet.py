"""meet: offers that a demand meets become ordinary orders, at the price their sellers named.

For the book's writer, every few seconds. The lowest price comes first, of equals the oldest. A demand is reserved and its
outlet's money earmarked in the same transaction, so that no other order comes between; then the order goes the way of all.
The seller is never paid less than the published price of that moment, and never out of a subsidy: what an outlet gives less
the operator's margin is the most, whatever the seller said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from airback.domain import ids
from airback.domain.assets import BALANCE
from airback.domain.ids import public
from airback.domain.refusals import Refused
from airback.engine import gather, offer
from airback.engine.batch import Batch, Met
from airback.engine.inbox import seal_payee
from airback.engine.memory import Memory
from airback.engine.records import Order
from airback.engine.reserve import reserve
from airback.orders.intake import PEOPLE
from airback.orders.states import State
from airback.pricing.facts import Cap, Facts
from airback.pricing.formula import CHINA, agreed_ppm
from airback.pricing.quotes import make_quote, sign_quote
from airback.store import offers, price_caps
from airback.store.intake import NewOrder
from airback.store.offers import StoredOffer, Wanted

#: So many of a carrier are looked at in one pass, the best.
MOST: Final = 200


@dataclass(frozen=True, slots=True)
class _Market:
    """What prices and daily limits read, beside the offer."""

    wanted: Mapping[str, Wanted]
    caps: Mapping[str, Cap]
    limits: Mapping[str, int]
    sold: dict[tuple[str, int], int] = field(default_factory=dict)


async def meet(conn: Any, batch: Batch, memory: Memory, wanted: Sequence[Wanted]) -> bool:
    """Decide which resting offers are met now, within the transaction that will write it. False when none is.

    `wanted`: what outlets want of carriers of which something is offered, as the quotes will say.
    """
    market = await _facts(conn, batch, {one.carrier: one for one in wanted})
    candidates: list[tuple[StoredOffer, Order]] = []
    for one in wanted:
        found = await offers.best(
            conn, book=batch.book, carrier=one.carrier, below_ppm=one.best_ppm, now=batch.now, limit=MOST
        )
        for resting in found:
            order = _order(batch, resting, market)
            if order is not None:
                candidates.append((resting, order))
    if not candidates:
        return False
    await _sold(conn, batch, market, [resting for resting, _ in candidates])
    batch.orders = {order.id: order for _, order in candidates}
    await gather.for_offers(conn, batch, memory, [order for _, order in candidates])
    for resting, order in candidates:
        if not _within_limit(market, resting) or not reserve(batch, order, face_fen=order.face_fen):
            del batch.orders[order.id]
            continue
        _becomes(batch, resting, order)
        asset = resting.carrier, resting.seller
        market.sold[asset] = market.sold.get(asset, 0) + order.face_fen
    return bool(batch.met)


async def _facts(conn: Any, batch: Batch, wanted: Mapping[str, Wanted]) -> _Market:
    """The facts of this moment; of two caps of one carrier the lower counts, of two limits the lesser."""
    caps: dict[str, Cap] = {}
    limits: dict[str, int] = {}
    for cap in await price_caps.live(conn, batch.book, batch.now):
        if cap.product != BALANCE:
            continue
        known = caps.get(cap.carrier)
        if known is None or cap.most_ppm < known.most_ppm:
            caps[cap.carrier] = Cap(cap.most_ppm, public("prm", cap.promotion))
        limit = cap.per_seller_fen_per_day
        if limit is not None:
            limits[cap.carrier] = min(limit, limits.get(cap.carrier, limit))
    return _Market(wanted, caps, limits)


async def _sold(conn: Any, batch: Batch, market: _Market, resting: list[StoredOffer]) -> None:
    """What sellers brought today of what they may bring only so much of. The day is China's."""
    day = batch.now.astimezone(CHINA).replace(hour=0, minute=0, second=0, microsecond=0)
    for carrier in sorted(market.limits.keys() & {one.carrier for one in resting}):
        sellers = sorted({one.seller for one in resting if one.carrier == carrier})
        found = await price_caps.sold_since(
            conn, book=batch.book, sellers=sellers, since=day, carrier=carrier, product=BALANCE
        )
        market.sold.update(((carrier, seller), fen) for seller, fen in found.items())


def _within_limit(market: _Market, resting: StoredOffer) -> bool:
    limit = market.limits.get(resting.carrier)
    sold_fen = market.sold.get((resting.carrier, resting.seller), 0)
    return limit is None or sold_fen + resting.face_fen <= limit


def _order(batch: Batch, resting: StoredOffer, market: _Market) -> Order | None:
    """The order that an offer would become at its own price now, its quote unsigned; None where that may not be paid."""
    if batch.pauses.buying(
        carrier=resting.carrier, province=resting.province, rail=resting.rail, at=batch.now
    ):
        return None
    rail = batch.policy.rails.get(resting.rail)
    if resting.carrier not in batch.policy.carriers or rail is None:
        return None
    if rail.licence is not None and rail.licence not in batch.licensed:
        return None
    wanted, card = market.wanted[resting.carrier], batch.rate_card
    at = batch.now.replace(microsecond=0)
    lowest = None if card.standing is None else card.standing.classes[0].name
    try:
        agreed = agreed_ppm(card, offer.terms(resting, at=at), net_fen=resting.net_fen)
        if agreed > wanted.best_ppm - batch.policy.margin_ppm:
            return None
        facts = Facts(
            seller_class=None if card.standing is None else resting.seller_class or lowest,
            demand_fen=wanted.open_fen,
            outlet_ppm=wanted.best_ppm,
            cap=market.caps.get(resting.carrier),
            agreed_ppm=agreed,
        )
        body = make_quote(
            book=batch.book,
            card=card,
            ask=offer.quote_ask(resting, facts=facts),
            quote_id=batch.new_ref(),
            issued_at=at,
        )
    except Refused:  # not bought any more, or not paid out that way
        return None
    if body["net_fen"] < resting.net_fen:
        return None
    return Order(
        id=batch.new_id(),
        client=resting.client,
        seller=resting.seller,
        lane=PEOPLE,
        product=BALANCE,
        carrier=resting.carrier,
        number=resting.number,
        card_number=None,
        card_code=None,
        face_fen=resting.face_fen,
        net_fen=body["net_fen"],
        quote=body,
        first_quote=None,
        rail=resting.rail,
        payee=b"",
        notify_number=resting.notify_number,
        language=resting.language,
        agreement=resting.agreement,
        state=State.SUBMITTED,
        resume=None,
        code=None,
        hold_kind=batch.policy.carriers[resting.carrier].hold,
        hold_ref=None,
        hold_far_ref=None,
        held_fen=0,
        delivered_fen=0,
        credited_fen=0,
        paid_fen=0,
        attempts=0,
        cancel=None,
        submitted_at=batch.now,
        delivered_at=None,
        final_at=None,
        closed_at=None,
        due_at=batch.now,
    )


def _becomes(batch: Batch, resting: StoredOffer, order: Order) -> None:
    """The offer is met: the order's quote is signed, its payee sealed for it, and it is to be written."""
    order.quote = sign_quote(order.quote, keys=batch.keys)
    known = msgspec.json.decode(offer.unseal_payee(resting, keys=batch.keys))
    order.payee = seal_payee(order_id=order.id, account=known["account"], name=known["name"], keys=batch.keys)
    batch.record(
        "engine:offer:met",
        order=order,
        offer=ids.public("off", resting.id),
        asked_fen=resting.net_fen,
        net_fen=order.net_fen,
        quote=order.quote["id"],
    )
    new = NewOrder(
        id=order.id,
        client_ref=None,
        seller=order.seller,
        lane=order.lane,
        product=order.product,
        carrier=order.carrier,
        number=order.number,
        card_number=None,
        card_code=None,
        face_fen=order.face_fen,
        net_fen=order.net_fen,
        quote=msgspec.json.encode(order.quote).decode(),
        rail=order.rail,
        payee=order.payee,
        notify_number=order.notify_number,
        language=order.language,
        agreement=order.agreement,
        hold_kind=str(order.hold_kind),
    )
    batch.met.append(Met(resting.id, order.client, order.quote["id"], new))
