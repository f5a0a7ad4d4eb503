"""What pricing tests start from: a key, a moment, an ask, a card with changes."""

import copy
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, Final

from airback.pricing.cards import DEFAULT_CARD, RateCard, parse_card
from airback.pricing.quotes import QuoteAsk

NOW: Final = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
QUOTE_ID: Final = "7H3K9QW2MZ4XV6T8RBN5CPYD0E"
OTHER_ID: Final = "0123456789ABCDEFGHJKMNPQRS"

#: A machine that does other things meanwhile must not fail a property.

BALANCE: Final = QuoteAsk(
    product="balance",
    carrier="cmcc",
    face_fen=10_000,
    number="13800138000",
    card_number=None,
    expires_on=date(2027, 1, 10),
    province="4401",
    rail="alipay",
    seller="street/s-1",
)
CARD: Final = replace(BALANCE, product="card", number=None, card_number="12345678901234567")


#: The default card with the figures that were worked by hand; those of the default card itself are free to change.
_WORKED: Final[dict[str, Any]] = {
    "factors__base__rates_ppm": {
        "cmcc.balance": 900_000,
        "ctcc.balance": 890_000,
        "cucc.balance": 890_000,
        "cbn.balance": 860_000,
        "cmcc.card": 920_000,
        "ctcc.card": 910_000,
        "cucc.card": 910_000,
        "cbn.card": 880_000,
    },
    "factors__validity__full_days": 180,
    "factors__region__tiers_ppm": {"1": 0, "2": 30_000, "3": 60_000},
}


def document(**changes: Any) -> dict[str, Any]:
    """The worked card's document; `factors__face__switch=True` sets the field at that path."""
    copied = copy.deepcopy(DEFAULT_CARD)
    for path, value in copy.deepcopy(_WORKED | changes).items():
        *way, last = path.split("__")
        place = copied
        for step in way:
            place = place[step]
        place[last] = value
    return copied


def card(**changes: Any) -> RateCard:
    """The worked card with changes, as `document` takes them."""
    return parse_card(document(**changes))
