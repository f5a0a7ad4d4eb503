"""Prices as a seller reads them: an estimate while typing, the signed quote, the public table. No database."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import msgspec

from airback.domain import ids
from airback.domain.assets import BALANCE, CARD, CARRIERS
from airback.domain.canonical import canonical
from airback.domain.money import percent
from airback.domain.refusals import Refused
from airback.pricing.cards import RateCard
from airback.pricing.facts import FactsOf, neutral
from airback.pricing.quotes import (
    Quote,
    QuoteAsk,
    check_quote,
    make_quote,
    public_rate_table,
    read_quote,
    sign_quote,
)
from airback.queries.platform import Platform
from airback.web.seller.draft import Draft

CLIENT: Final = "web"
RAIL_SHOWN: Final = "alipay"
_PLACE: Final = re.compile(r"[0-9]{2,6}", re.ASCII)
_MOST_QUOTE_CHARACTERS: Final = 12_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """What somebody would receive, before they say who they are."""

    net_fen: int


@dataclass(frozen=True, slots=True)
class Part:
    """One line of a price in the reader's language: its name, its rate as text, its amount and its source."""

    name: str
    rate: str
    amount_fen: int
    source: str


async def estimate(
    platform: Platform,
    *,
    product: str,
    carrier: str,
    face_fen: int,
    expires_on: date | None,
    province: str | None,
    rail: str,
    now: datetime,
) -> Estimate:
    """The net of a price that is not offered yet, to a seller of the lowest class. Raises `Refused`."""
    market = await platform.price_facts()
    await _bought(platform, carrier=carrier, province=province, rail=rail, now=now)
    body = make_quote(
        book=platform.book,
        card=await platform.rate_card(),
        ask=QuoteAsk(
            product=product,
            carrier=carrier,
            face_fen=face_fen,
            number=None,
            card_number=None,
            expires_on=expires_on,
            province=place(province),
            rail=rail,
            seller=f"{CLIENT}/estimate",
            facts=market.of(carrier, product, market.class_of(f"{CLIENT}/estimate")),
        ),
        quote_id=ids.new_reference(entropy=platform.entropy),
        issued_at=now,
    )
    return Estimate(body["net_fen"])


async def offer(platform: Platform, draft: Draft, *, seller_ref: str, now: datetime) -> Quote:
    """A fresh signed quote for a draft. Raises `Refused`."""
    market, seller = await platform.price_facts(), f"{CLIENT}/{seller_ref}"
    await _bought(platform, carrier=draft.carrier, province=draft.province, rail=draft.rail, now=now)
    body = make_quote(
        book=platform.book,
        card=await platform.rate_card(),
        ask=QuoteAsk(
            product=draft.product,
            carrier=draft.carrier,
            face_fen=draft.face_fen,
            number=draft.number,
            card_number=draft.card_number,
            expires_on=draft.expires_on,
            province=place(draft.province),
            rail=draft.rail,
            seller=seller,
            facts=market.of(draft.carrier, draft.product, market.class_of(seller)),
        ),
        quote_id=ids.new_reference(entropy=platform.entropy),
        issued_at=now,
    )
    return read_quote(sign_quote(body, keys=platform.keys))


async def _bought(
    platform: Platform, *, carrier: str, province: str | None, rail: str, now: datetime
) -> None:
    """Raise `Refused` `paused`, with its reason, when this is not bought or paid out that way now."""
    paused = (await platform.pauses()).buying(carrier=carrier, province=province, rail=rail, at=now)
    if paused is not None:
        raise paused.at(field=None)


def pack(quote: Quote) -> str:
    """A quote as a form carries it."""
    return base64.urlsafe_b64encode(canonical(quote.document)).decode()


def unpack(text: str, *, platform: Platform, now: datetime) -> Quote:
    """The quote a form brought back. Raises `Refused` `quote_invalid` or `quote_expired`."""
    if not 0 < len(text) <= _MOST_QUOTE_CHARACTERS:
        raise Refused("quote_invalid")
    try:
        document = msgspec.json.decode(base64.b64decode(text, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise Refused("quote_invalid") from None
    return check_quote(document, keys=platform.keys, now=now, book=platform.book)


def parts(quote: Mapping[str, Any], *, language: str, sources: Mapping[str, str]) -> list[Part]:
    """The lines of a quote for a reader."""
    return [
        Part(
            name=line["zh"] if language == "zh" else line["en"],
            rate=_rate(line["rate_ppm"], first=place == 0),
            amount_fen=line["amount_fen"],
            source=sources.get(line["source"], line["source"]),
        )
        for place, line in enumerate(quote["components"])
    ]


def _rate(rate_ppm: int, *, first: bool) -> str:
    """A line's rate with its sign; the first is the rate that the others change."""
    if rate_ppm == 0:
        return ""
    sign = "−" if rate_ppm < 0 else "" if first else "+"
    return f"{sign}{percent(abs(rate_ppm))} %"


def place(province: str | None) -> str | None:
    """A place's code as the price formula knows it; a name or nonsense counts as not stated."""
    return province if province and _PLACE.fullmatch(province) else None


@dataclass(frozen=True, slots=True)
class CarrierPrices:
    """What a hundred yuan nets at one carrier; None where it is not bought."""

    carrier: str
    name: str
    balance_fen: int | None
    card_fen: int | None


@dataclass(frozen=True, slots=True)
class TableRow:
    """Nets of one face value, one for each carrier of the table."""

    face_fen: int
    nets: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class TablePart:
    """The table of one product."""

    product: str
    carriers: tuple[str, ...]
    rows: tuple[TableRow, ...]


@dataclass(frozen=True, slots=True)
class FactorLine:
    """A factor of the price as anybody may read it."""

    name: str
    on: bool
    figures: str
    source: str


@dataclass(frozen=True, slots=True)
class ClassLine:
    """A published class of sellers: what it takes and what it adds to the list rate."""

    name: str
    least_face_fen: int
    least_orders: int
    rate: str


@dataclass(frozen=True, slots=True)
class DemandLine:
    """A band of demand, and what it adds to the list rate."""

    from_fen: int
    rate: str


@dataclass(frozen=True, slots=True)
class Table:
    """The published rate table. `days` is the term that classes look back over."""

    version: int
    since: datetime
    parts: tuple[TablePart, ...]
    factors: tuple[FactorLine, ...]
    days: int
    classes: tuple[ClassLine, ...]
    demand: tuple[DemandLine, ...]


def hundred(card: RateCard, *, language: str, now: datetime, facts: FactsOf = neutral) -> list[CarrierPrices]:
    """What a hundred yuan nets, by carrier."""
    nets = _nets(card, now, facts)
    rows = [
        CarrierPrices(
            carrier.code,
            carrier.zh if language == "zh" else carrier.en,
            nets.get((BALANCE, carrier.code, 10_000)),
            nets.get((CARD, carrier.code, 10_000)),
        )
        for carrier in CARRIERS.values()
    ]
    return [row for row in rows if row.balance_fen is not None or row.card_fen is not None]


def table(card: RateCard, *, language: str, now: datetime, facts: FactsOf = neutral) -> Table:
    """The whole table in the reader's language, to a seller whose class is not known."""
    nets = _nets(card, now, facts)
    zh = language == "zh"
    classes = () if card.standing is None or not card.standing.factor.counts(now) else card.standing.classes
    bands = () if card.demand is None or not card.demand.factor.counts(now) else card.demand.bands
    names = tuple(
        carrier.zh.removeprefix("中国") if language == "zh" else carrier.en.removeprefix("China ")
        for carrier in CARRIERS.values()
    )  # the short names: four columns have to fit a phone
    made = []
    for product in (BALANCE, CARD):
        faces = sorted({face for what, _, face in nets if what == product})
        rows = tuple(
            TableRow(face, tuple(nets.get((product, code, face)) for code in CARRIERS)) for face in faces
        )
        made.append(TablePart(product, names, rows))
    return Table(
        card.version,
        card.effective_from,
        tuple(made),
        tuple(_factors(card, language, now)),
        0 if card.standing is None else card.standing.days,
        tuple(
            ClassLine(
                one.zh if zh else one.en,
                one.least_face_fen,
                one.least_orders,
                _rate(one.rate_ppm, first=False),
            )
            for one in classes
        ),
        tuple(DemandLine(from_fen, _rate(ppm, first=False)) for from_fen, ppm in bands),
    )


def _nets(card: RateCard, now: datetime, facts: FactsOf) -> dict[tuple[str, str, int], int]:
    return {
        (row["product"], row["carrier"], row["face_fen"]): row["net_fen"]
        for row in public_rate_table(card, at=now, facts=facts)
        if row["rail"] == RAIL_SHOWN
    }


def _factors(card: RateCard, language: str, now: datetime) -> list[FactorLine]:
    zh = language == "zh"
    to = "至" if zh else "to"

    def span(values: list[int]) -> str:
        low, high = (percent(value).replace("-", "−") for value in (min(values), max(values)))
        return f"{low} %" if low == high else f"{low} % {to} {high} %"

    steps = (
        f"每少 {card.validity.step_days} 天减 {percent(card.validity.step_ppm)} %"
        if zh
        else f"{percent(card.validity.step_ppm)} % less for each {card.validity.step_days} days missing"
    )
    lines = [
        (card.base.factor, span(list(card.base.rates_ppm.values()))),
        (card.face.factor, span([rate for _, rate in card.face.bands])),
        (card.validity.factor, steps),
        (card.region.factor, span(list(card.region.tiers_ppm.values()) or [0])),
        (card.promotion.factor, span(list(card.promotion.carriers_ppm.values()) or [0])),
        (card.competition.factor, f"{percent(card.competition.rate_ppm)} %"),
    ]
    if card.standing is not None:
        shares = [one.rate_ppm for one in card.standing.classes]
        lines.append((card.standing.factor, span(shares)))
    if card.demand is not None:
        lines.append((card.demand.factor, span([rate for _, rate in card.demand.bands])))
    lines.append((card.bounds.factor, span([card.bounds.least_ppm, card.bounds.most_ppm])))
    if card.cap is not None:
        lines.append((card.cap.factor, "按公告" if zh else "as announced"))
    if card.outlet is not None:
        less = percent(card.outlet.margin_ppm - card.outlet.subsidy_ppm).replace("-", "−")
        lines.append((card.outlet.factor, f"最高求购价减 {less} %" if zh else f"the best bid less {less} %"))
    lines += [
        (card.fee.factor, f"{percent(card.fee.rate_ppm)} %"),
    ]
    if RAIL_SHOWN in card.rails:
        rail = card.rails[RAIL_SHOWN]
        lines.append((rail.factor, f"{percent(rail.rate_ppm)} %"))
    return [
        FactorLine(
            factor.zh if zh else factor.en,
            factor.counts(now),
            figures,
            card.sources.get(factor.source, factor.source),
        )
        for factor, figures in lines
    ]
