"""A quote as anybody reads it: from the face value down to what is paid, each step with its name, rate and source.

The breakdown stands beside the signed quote it was made from, so that whoever has both and the rate card makes all of
it again: `faults` does, without a database.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

from airback.domain.canonical import canonical
from airback.domain.money import PPM
from airback.domain.ports.keys import Verifier
from airback.domain.refusals import Refused
from airback.pricing.cards import Factor, RateCard
from airback.pricing.formula import CHINA
from airback.pricing.quotes import MARK, read_quote, read_signed, replay

#: So begins what `faults` says of a price that another rate card may explain.
OF_THE_CARD: Final = (
    *("card_version:", "price:", "rate_ppm:", "gross_fen:", "fee_fen:", "rail_cost_fen:"),
    *("net_fen:", "components", "priced_at:"),
)


def breakdown(quote: Mapping[str, Any], card: RateCard) -> dict[str, Any]:
    """What a signed quote comes to: `{"pays_fen", "rate_ppm", "face_fen", "card_version", "components", "facts",
    "valid_until", "key_id", "signature", "quote"}`.

    `components` are `{"name", "zh", "en", "ppm", "fen", "source"}`: the face value first, what is taken off below zero,
    and their `fen` sum to `pays_fen`. A factor without data counts for nothing and says so. `ppm` is of face value, a
    rail's of the payment. `rate_ppm` is what is paid of a million of face value, rounded down. `facts` are what the
    factors read. Raises Refused `quote_invalid` when it is no quote.
    """
    quote = {key: value for key, value in quote.items() if key != MARK}
    known = read_quote(quote)
    face_fen, net_fen = known.face_fen, known.net_fen
    components = [_line("face_value", "面值", "Face value", PPM, face_fen, "ask")]
    lines = {line["name"] for line in known.components}
    for line in known.components:
        whole = line["name"] == card.base.factor.name
        components.append(
            _line(
                line["name"],
                line["zh"],
                line["en"],
                line["rate_ppm"] - (PPM if whole else 0),
                line["amount_fen"] - (face_fen if whole else 0),
                line["source"],
            )
        )
    factors = (
        *(card.face.factor, card.validity.factor, card.region.factor),
        *(card.promotion.factor, card.competition.factor),
    )
    for place, factor in enumerate(factors, start=2):
        if factor.name not in lines:
            components.insert(place, _neutral(factor))
    facts: dict[str, Any] = {}
    if known.v > 1:  # a breakdown from before there were facts stays as it was made
        facts = known.facts.document()
        _with_facts(components, card, facts)
    return {
        "pays_fen": net_fen,
        "rate_ppm": net_fen * PPM // face_fen,
        "face_fen": face_fen,
        "card_version": known.card_version,
        "components": components,
        "facts": {
            "product": known.product,
            "carrier": known.carrier,
            "expires_on": None if known.expires_on is None else known.expires_on.isoformat(),
            "validity_days": _days(known.expires_on, known.priced_at),
            "place": known.province,
            "city_tier": None if known.province is None else card.region.tier(known.province),
            "rail": known.rail,
            "priced_at": quote["priced_at"],
            **facts,
        },
        "valid_until": quote["valid_until"],
        "key_id": quote["key_id"],
        "signature": quote["signature"],
        "quote": quote,
    }


def faults(document: object, *, card: RateCard, keys: Verifier) -> list[str]:
    """What does not hold of a signed quote, or of its breakdown with the quote in it; empty when all does.

    The price is made again from `card`, the breakdown from the quote; never
    raises, whatever the document is.
    """
    if not isinstance(document, dict):
        return ["shape: no object"]
    quote = document.get("quote", document)
    if not isinstance(quote, dict):
        return ["quote: no object"]
    bare = {key: value for key, value in quote.items() if key != MARK}
    try:
        known = read_quote(bare)
    except Refused as refused:
        return [f"quote: {refused.code}"]
    try:
        read_signed(bare, keys)
    except Refused:  # nothing is made from what nobody vouches for
        return ["signature: does not stand under the key that is known by its id"]
    found = replay(bare, card)
    if known.priced_at < card.effective_from or (
        card.effective_until is not None and known.priced_at >= card.effective_until
    ):
        found.append("priced_at: the rate card was not in force then")
    if quote is not document and not found:
        made = breakdown(bare, card)
        if document.keys() != made.keys():
            found.append("fields: not those of a breakdown")
        found += [
            f"{name}: not what the quote in this file comes to"
            for name in made
            if name in document and not _same(document[name], made[name])
        ]
    return found


def _same(one: object, other: object) -> bool:
    """Whether both are written alike: in Python 1, 1.0 and True are equal."""
    try:
        return canonical(one) == canonical(other)
    except (TypeError, ValueError, RecursionError):
        return False


def _with_facts(components: list[dict[str, Any]], card: RateCard, facts: Mapping[str, Any]) -> None:
    """Put the factors that read facts where the formula has them, before the fee; those without a line say why."""
    stand = {line["name"]: place for place, line in enumerate(components)}
    place = stand["competition"] + 1
    for part, fact in (
        (card.standing, "seller_class"),
        (card.demand, "demand_fen"),
        (card.bounds, None),
        (card.cap, "cap"),
        (card.outlet, "outlet_ppm"),
    ):
        if part is None:
            continue
        factor = part.factor
        if factor.name not in stand:
            if fact is None:
                continue
            components.insert(place, _neutral(factor, known=facts[fact] is not None))
        place += 1


def _neutral(factor: Factor, *, known: bool = False) -> dict[str, Any]:
    return _line(
        factor.name,
        f"{factor.zh}({'未启用或未触及' if known else '未启用或无数据'},不计)",
        f"{factor.en} ({'off or not reached' if known else 'off or no data'}: neutral)",
        0,
        0,
        factor.source,
    )


def _line(name: str, zh: str, en: str, ppm: int, fen: int, source: str) -> dict[str, Any]:
    return {"name": name, "zh": zh, "en": en, "ppm": ppm, "fen": fen, "source": source}


def _days(expires_on: date | None, at: datetime) -> int | None:
    return None if expires_on is None else (expires_on - at.astimezone(CHINA).date()).days
