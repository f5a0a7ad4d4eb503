"""offer: a seller names a price and a deadline; what they say is checked, put on record, changed or withdrawn.

The number is proved when the offer is made. When it is met its carrier is asked whether the SIM was changed since
(`verify.SINCE_PROOF_H`), so that both together say of that moment what a fresh code would.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Final

import asyncpg

from airback.domain.assets import BALANCE
from airback.domain.canonical import canonical
from airback.domain.ids import new_ids
from airback.domain.money import MAX_FEN, PPM
from airback.domain.numbers import parse_mobile
from airback.domain.ports.carrier import FarSideUnreachable, Line, Subscribers
from airback.domain.ports.keys import KeyProvider
from airback.domain.ports.rail import RailCapabilities
from airback.domain.refusals import Refused
from airback.engine.identify import living_line
from airback.engine.verify import SINCE_PROOF_H
from airback.market import offers as noun
from airback.market.offers import LONGEST, SHORTEST, State
from airback.market.pauses import NO_PAUSES, Pauses
from airback.orders.intake import (
    AGREEMENTS,
    MOST_CLIENT_REF,
    MOST_SELLER_REF,
    check_ref,
    notify_number,
    payee,
    seller_id,
    seller_of,
)
from airback.orders.proofs import check_proof
from airback.pricing.cards import RateCard
from airback.pricing.facts import Facts, Market
from airback.pricing.formula import CHINA, Terms, agreed_ppm
from airback.pricing.quotes import QuoteAsk, make_quote
from airback.store import intake, offers
from airback.store.offers import StoredOffer

#: A quote is made only to be compared: nobody is given it.
_COMPARED: Final = "0" * 26


@dataclass(frozen=True, slots=True)
class OfferAsk:
    """An offer as it was sent. `net_fen` is the least the seller wants to receive, or `net_ppm` the same of face value."""

    number: str = field(repr=False)
    proof: str = field(repr=False)
    face_fen: int
    deadline_at: datetime
    rail: str
    payee_account: str = field(repr=False)
    payee_name: str = field(repr=False)
    seller_ref: str
    language: str
    agreement: str
    net_fen: int | None = None
    net_ppm: int | None = None
    client_ref: str | None = None
    notify_number: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Prices:
    """What an offer is compared with: the rate card in force, the facts of the moment, what is paused."""

    card: RateCard
    market: Market
    pauses: Pauses = NO_PAUSES


class _KeyTaken(Exception):
    """Another request stored its answer under our idempotency key meanwhile."""


async def place(
    pool: asyncpg.Pool,
    *,
    book: int,
    client: str,
    ask: OfferAsk,
    prices: Prices,
    carriers: Mapping[str, object],
    rails: Mapping[str, RailCapabilities],
    subscribers: Subscribers,
    keys: KeyProvider,
    now: datetime,
    entropy: Callable[[int], bytes],
    idempotency: tuple[str, bytes] | None,
) -> tuple[int, bool]:
    """Let an offer rest. Returns its id, and whether it was placed before under the same key.

    Raises `Refused`: what an order is refused with for its form, proof, payee and number, what a quote is for its amount
    and asset, `paused`, `balance_insufficient`, `offer_deadline_invalid`, `offer_below_price`, `offer_above_bounds`,
    `offer_resting`, `offer_unwatched`, `client_ref_used`, `idempotency_key_reused`.
    """
    async with pool.acquire() as conn:
        replay = await _replay(conn, book=book, client=client, idempotency=idempotency)
    if replay is not None:
        return replay, True
    number, proved_at = _form(ask, keys=keys, now=now)
    check_deadline(ask.deadline_at, proved_at=proved_at, now=now)
    line = await living_line(subscribers, number)
    if line.carrier not in carriers:
        raise Refused("carrier_unknown", field="number")
    await _watched(subscribers, number)
    if ask.face_fen > line.sellable_fen:
        raise Refused("balance_insufficient", field="face_fen")
    paused = prices.pauses.buying(carrier=line.carrier, province=line.province, rail=ask.rail, at=now)
    if paused is not None:
        raise paused
    net_fen = _net_fen(ask)
    (offer_id,) = new_ids(now=now, entropy=entropy)
    account, name = payee(
        rail=ask.rail, account=ask.payee_account, name=ask.payee_name, net_fen=net_fen, rails=rails
    )
    offer = StoredOffer(
        id=offer_id,
        client=client,
        client_ref=ask.client_ref,
        seller=seller_id(client=client, seller_ref=ask.seller_ref, keys=keys),
        seller_ref=ask.seller_ref,
        carrier=line.carrier,
        number=number,
        province=line.province,
        expires_on=_last_day(line),
        face_fen=ask.face_fen,
        net_fen=net_fen,
        net_ppm=noun.net_ppm(ask.face_fen, net_fen),
        rail=ask.rail,
        payee=_seal(offer_id, account, name, keys=keys),
        notify_number=notify_number(ask.notify_number, number),
        language=ask.language,
        agreement=ask.agreement,
        proved_at=proved_at,
        deadline_at=ask.deadline_at,
        state=State.RESTING,
        order_id=None,
        created_at=now,
    )
    check_price(offer, net_fen=net_fen, prices=prices, book=book, now=now)
    async with pool.acquire() as conn:
        try:
            async with conn.transaction():
                known = await intake.sellers(
                    conn, book=book, client=client, wanted={offer.seller_ref: offer.seller}, at=now
                )
                offer = replace(offer, seller=known[offer.seller_ref])
                if not await offers.insert(conn, book=book, offer=offer):
                    rests = await offers.number_rests(conn, book=book, client=client, number=number)
                    raise Refused(
                        "offer_resting" if rests else "client_ref_used",
                        field="number" if rests else "client_ref",
                    )
                if idempotency is not None and not await intake.keep_answer(
                    conn,
                    book=book,
                    client=client,
                    key=idempotency[0],
                    request_hash=idempotency[1],
                    answer=[{"offer": offer_id}],
                    at=now,
                ):
                    raise _KeyTaken
        except (_KeyTaken, Refused):
            # the same request may have been placed while this one was being checked
            replay = await _replay(conn, book=book, client=client, idempotency=idempotency)
            if replay is None:
                raise
            return replay, True
    return offer_id, False


async def revise(
    conn: asyncpg.Connection,
    *,
    book: int,
    client: str,
    offer_id: int,
    net_fen: int | None,
    net_ppm: int | None,
    deadline_at: datetime | None,
    prices: Prices,
    now: datetime,
) -> None:
    """Give a resting offer another price, another deadline or both. It keeps its place among equals by when it was made.

    Raises `Refused`: `not_found`, `offer_closed`, `field_missing` when nothing is named, and those of `place` for price and
    deadline.
    """
    found = await offers.get(conn, book=book, client=client, offer_id=offer_id, now=now)
    if found is None:
        raise Refused("not_found", field="id")
    if found.state is not State.RESTING:
        raise Refused("offer_closed")
    if net_fen is None and net_ppm is None and deadline_at is None:
        raise Refused("field_missing", field="net_fen")
    if deadline_at is not None:
        check_deadline(deadline_at, proved_at=found.proved_at, now=now)
    wanted_fen = found.net_fen
    if net_fen is not None or net_ppm is not None:
        wanted_fen = named_fen(found.face_fen, net_fen=net_fen, net_ppm=net_ppm)
        check_price(found, net_fen=wanted_fen, prices=prices, book=book, now=now)
    if not await offers.revise(
        conn,
        book=book,
        client=client,
        offer_id=offer_id,
        net_fen=wanted_fen,
        net_ppm=noun.net_ppm(found.face_fen, wanted_fen),
        deadline_at=deadline_at or found.deadline_at,
        now=now,
    ):
        raise Refused("offer_closed")


async def withdraw(conn: asyncpg.Connection, *, book: int, client: str, offer_id: int, now: datetime) -> None:
    """Take an offer back; one that was taken back before stays so. Raises `Refused` `not_found`, `offer_closed`."""
    if await offers.withdraw(conn, book=book, client=client, offer_id=offer_id, now=now):
        return
    found = await offers.get(conn, book=book, client=client, offer_id=offer_id, now=now)
    if found is None:
        raise Refused("not_found", field="id")
    if found.state is not State.WITHDRAWN:
        raise Refused("offer_closed")


def check_deadline(deadline_at: datetime, *, proved_at: datetime, now: datetime) -> None:
    """Raise `Refused` `offer_deadline_invalid` for one too near, or too far from the number's proof."""
    if not now + SHORTEST <= deadline_at <= proved_at + LONGEST:
        raise Refused("offer_deadline_invalid", field="deadline_at")


def named_fen(face_fen: int, *, net_fen: int | None, net_ppm: int | None) -> int:
    """The least the seller wants to receive, named as an amount or as a rate. Raises `Refused`."""
    if (net_fen is None) == (net_ppm is None):
        raise Refused("field_missing" if net_fen is None else "field_invalid", field="net_fen")
    if net_ppm is not None:
        if not 1 <= net_ppm <= PPM:
            raise Refused("field_invalid", field="net_ppm")
        return noun.net_fen(face_fen, net_ppm)
    assert net_fen is not None
    if net_fen <= 0:
        raise Refused("amount_not_positive", field="net_fen")
    if net_fen > face_fen:
        raise Refused("offer_above_bounds", field="net_fen")
    return net_fen


def check_price(offer: StoredOffer, *, net_fen: int, prices: Prices, book: int, now: datetime) -> None:
    """Raise `Refused` for a price that is no higher than the published one, or that nothing could ever meet."""
    seller = seller_of(client=offer.client, seller_ref=offer.seller_ref)
    facts = prices.market.of(offer.carrier, BALANCE, prices.market.class_of(seller))
    published = make_quote(
        book=book,
        card=prices.card,
        ask=quote_ask(offer, facts=facts),
        quote_id=_COMPARED,
        issued_at=now,
    )
    if net_fen <= published["net_fen"]:
        raise Refused("offer_below_price", field="net_fen")
    bounds = prices.card.bounds
    most_ppm = bounds.most_ppm if bounds.factor.counts(now) else PPM
    if agreed_ppm(prices.card, terms(offer, at=now), net_fen=net_fen) > min(most_ppm, PPM):
        raise Refused("offer_above_bounds", field="net_fen")


def quote_ask(offer: StoredOffer, *, facts: Facts) -> QuoteAsk:
    """An offer as a price is asked for it."""
    return QuoteAsk(
        product=BALANCE,
        carrier=offer.carrier,
        face_fen=offer.face_fen,
        number=offer.number,
        card_number=None,
        expires_on=offer.expires_on,
        province=offer.province,
        rail=offer.rail,
        seller=seller_of(client=offer.client, seller_ref=offer.seller_ref),
        facts=facts,
    )


def terms(offer: StoredOffer, *, at: datetime) -> Terms:
    """What an offer's price depends on but for facts."""
    return Terms(
        BALANCE,
        offer.carrier,
        offer.face_fen,
        offer.expires_on,
        offer.province,
        offer.rail,
        at,
        offer.face_fen,
    )


def unseal_payee(offer: StoredOffer, *, keys: KeyProvider) -> bytes:
    """Account and name, as canonical JSON."""
    return keys.unseal(purpose="payee", sealed=offer.payee, where=_where(offer.id))


def _seal(offer_id: int, account: str, name: str, *, keys: KeyProvider) -> bytes:
    plain = canonical({"account": account, "name": name})
    return keys.seal(purpose="payee", plain=plain, where=_where(offer_id))


def _where(offer_id: int) -> bytes:
    return f"offers/payee/{offer_id}".encode()


def _form(ask: OfferAsk, *, keys: KeyProvider, now: datetime) -> tuple[str, datetime]:
    """The number in plain form, and when it was proved."""
    check_ref(ask.seller_ref, field="seller_ref", most=MOST_SELLER_REF)
    if ask.client_ref is not None:
        check_ref(ask.client_ref, field="client_ref", most=MOST_CLIENT_REF)
    if ask.language not in ("zh", "en"):
        raise Refused("field_invalid", field="language")
    number = parse_mobile(ask.number)
    if number is None:
        raise Refused("number_malformed", field="number")
    if ask.face_fen <= 0:
        raise Refused("amount_not_positive", field="face_fen")
    if ask.face_fen > MAX_FEN:
        raise Refused("amount_above_limit", field="face_fen")
    if ask.agreement not in AGREEMENTS:
        raise Refused("agreement_missing", field="agreement")
    return number, min(now, check_proof(ask.proof, number, now, keys))


async def _watched(subscribers: Subscribers, number: str) -> None:
    """Raise `Refused` for a number whose carrier could not say, when the offer is met, that its SIM is still the same."""
    try:
        if await subscribers.sim_swapped(number=number, within_hours=SINCE_PROOF_H) is not None:
            return
    except FarSideUnreachable:
        raise Refused("carrier_unreachable", field="number") from None
    raise Refused("offer_unwatched", field="number")


def _net_fen(ask: OfferAsk) -> int:
    return named_fen(ask.face_fen, net_fen=ask.net_fen, net_ppm=ask.net_ppm)


def _last_day(line: Line) -> date | None:
    return None if line.expires_at is None else line.expires_at.astimezone(CHINA).date()


async def _replay(
    conn: asyncpg.Connection, *, book: int, client: str, idempotency: tuple[str, bytes] | None
) -> int | None:
    if idempotency is None:
        return None
    stored = await intake.answer_of(conn, book=book, client=client, key=idempotency[0])
    if stored is None:
        return None
    if stored[0] != idempotency[1]:
        raise Refused("idempotency_key_reused", field="Idempotency-Key")
    return int(stored[1][0]["offer"])
