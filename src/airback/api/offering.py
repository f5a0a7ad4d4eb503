"""What is offered in one second: by one rate card and the facts of one moment, to whoever asks.

Many ask for the same faces, so all of a quote that is the same for everybody is made once (`airback.pricing.offers`).
"""

from dataclasses import replace
from datetime import datetime
from typing import Any, Final, NamedTuple

from airback.api.documents import QuoteRequest
from airback.domain.assets import BALANCE, CARD, parse_carrier
from airback.domain.ids import new_reference
from airback.domain.money import MoneyError, parse_yuan
from airback.domain.numbers import parse_card_number, parse_mobile
from airback.domain.refusals import Refused
from airback.market.pauses import Pauses
from airback.orders.intake import MOST_SELLER_REF, check_ref, seller_of
from airback.pricing.cards import RateCard
from airback.pricing.facts import Market
from airback.pricing.offers import Offer
from airback.pricing.quotes import QuoteAsk, make_quote
from airback.queries.platform import Platform

_MOST_OFFERS: Final = 2000


class _Offered(NamedTuple):
    """An offer with what counts as exposure."""

    offer: Offer
    carrier: str
    face_fen: int
    until_s: int


class Offering:
    """Quotes of one second. A card takes effect at a whole second, so that the one in force is the same throughout."""

    def __init__(
        self, platform: Platform, *, card: RateCard, market: Market, pauses: Pauses, now: datetime
    ) -> None:
        self._platform = platform
        self._card = card
        self._market = market
        self._pauses = pauses
        self._issued_at = now
        self._second = int(now.timestamp())
        self._offers: dict[tuple[Any, ...], _Offered] = {}

    def lasts(self, now: datetime, pauses: Pauses) -> bool:
        """Whether it is still that second, and the same is paused."""
        return int(now.timestamp()) == self._second and pauses is self._pauses

    def quote(self, one: QuoteRequest, *, client: str, carrier: str | Refused | None) -> bytes:
        """The signed quote for one ask. Raises `Refused`.

        What was offered before only lacks its seller and number. Whatever is not plainly in order is looked at in full,
        and only there refused.
        """
        seller = seller_of(client=client, seller_ref=one.seller_ref)
        seller_class = self._market.class_of(seller)
        asked = (
            *(one.product, carrier, one.face_fen, one.face_yuan, one.expires_on, one.province, one.rail),
            seller_class,
        )
        offered = self._offers.get(asked)
        number = None if one.number is None else parse_mobile(one.number)
        card_number = None if one.card_number is None else parse_card_number(one.card_number)
        entropy = self._platform.entropy
        if (
            offered is None
            or (one.number is not None and (number is None or one.product == CARD))
            or (one.card_number is not None and (card_number is None or one.product == BALANCE))
        ):
            ask = _ask(one, client=client, carrier=carrier)
            paused = self._pauses.buying(
                carrier=ask.carrier, province=ask.province, rail=ask.rail, at=self._issued_at
            )
            if paused is not None:
                raise paused
            body = make_quote(
                book=self._platform.book,
                card=self._card,
                ask=replace(ask, facts=self._market.of(ask.carrier, ask.product, seller_class)),
                quote_id=new_reference(entropy=entropy),
                issued_at=self._issued_at,
            )
            until_s = int(datetime.fromisoformat(body["valid_until"]).timestamp())
            offered = _Offered(Offer(body), ask.carrier, ask.face_fen, until_s)
            if len(self._offers) < _MOST_OFFERS:
                self._offers[asked] = offered
        else:
            check_ref(one.seller_ref, field="seller_ref", most=MOST_SELLER_REF)
        self._platform.exposure.take(
            client=client,
            seller=seller,
            carrier=offered.carrier,
            face_fen=offered.face_fen,
            until_s=offered.until_s,
            now_s=self._second,
        )
        return offered.offer.quote(
            quote_id=new_reference(entropy=entropy),
            number=number,
            card_number=card_number,
            seller=seller,
            keys=self._platform.keys,
        )


def _ask(one: QuoteRequest, *, client: str, carrier: str | Refused | None) -> QuoteAsk:
    """The ask as pricing takes it. Raises `Refused` for what pricing does not look at."""
    check_ref(one.seller_ref, field="seller_ref", most=MOST_SELLER_REF)
    if one.number is not None and parse_mobile(one.number) is None:
        raise Refused("number_malformed", field="number")
    if isinstance(carrier, Refused):
        raise carrier
    if one.carrier is not None:
        carrier = parse_carrier(one.carrier)
        if carrier is None:
            raise Refused("carrier_unknown", field="carrier")
    if carrier is None:
        raise Refused("field_missing", field="carrier")
    return QuoteAsk(
        product=one.product,
        carrier=carrier,
        face_fen=_face_fen(one),
        number=one.number,
        card_number=one.card_number,
        expires_on=one.expires_on,
        province=one.province,
        rail=one.rail,
        seller=seller_of(client=client, seller_ref=one.seller_ref),
    )


def _face_fen(one: QuoteRequest) -> int:
    if (one.face_fen is None) == (one.face_yuan is None):
        raise Refused("field_missing" if one.face_fen is None else "field_invalid", field="face_fen")
    if one.face_fen is not None:
        return one.face_fen
    try:
        return parse_yuan(one.face_yuan or "")
    except MoneyError as error:
        raise Refused(error.code, field="face_yuan") from None
