"""An outlet's terms: what it pays for which airtime, within which limits, and how its money comes.

Terms are a document, approved by two people, with a time from which they count; this is its form. Prices are in ppm of
face value, amounts in fen. What a limit is not known of stays empty in a profile and has to be filled in: an outlet
whose limits nobody stated is refused (`outlet_without_limits`), since routing would send it anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeVar

from airback.domain.assets import CARRIERS, PRODUCTS
from airback.domain.money import MAX_FEN, PPM
from airback.domain.refusals import Refused

MOST_RATES: Final = 100
MOST_TEXT: Final = 300
#: A channel that brings its money later than this is no channel (S2 knows T+0 to T+3 working days).
MOST_SETTLE_DAYS: Final = 30


class ChannelKind(StrEnum):
    """Types of channel: three of S1 by platform, three of S2 by route; a reseller bids for itself."""

    SECOND_HAND = "second_hand"
    PAYMENT = "payment"
    VERTICAL = "vertical"
    CARRIER_OWN = "carrier_own"
    THIRD_PARTY = "third_party"
    SOCIAL = "social"
    RESELLER = "reseller"


class FundsOutlet(StrEnum):
    """Where the outlet's money arrives (S2: carrier wallet; bank account or digital currency; platform credit)."""

    CARRIER_WALLET = "carrier_wallet"
    BANK = "bank"
    ECNY = "ecny"
    PLATFORM_CREDIT = "platform_credit"


_Choice = TypeVar("_Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Rate:
    """`price_ppm` of face value for a carrier's product, of faces from `least_fen` to `most_fen`, both included."""

    carrier: str
    product: str
    least_fen: int
    most_fen: int
    price_ppm: int


@dataclass(frozen=True, slots=True)
class Terms:
    """What an outlet agreed to.

    `monthly_fen` None: no monthly limit. `own_network`: the one carrier it serves, None for all. `delay_s`: how long it
    takes to take a delivery. Money comes `settle_from_days` to `settle_to_days` working days later; it charges `fee_ppm`
    of face and `fee_fen` a fill. `per_minute`: deliveries it takes.
    """

    kind: ChannelKind
    rates: tuple[Rate, ...]
    order_least_fen: int
    order_most_fen: int
    daily_fen: int
    monthly_fen: int | None
    own_network: str | None
    delay_s: int
    fee_ppm: int
    fee_fen: int
    funds: FundsOutlet
    per_minute: int
    settle_from_days: int
    settle_to_days: int
    source: str

    def price_ppm(self, *, carrier: str, product: str, face_fen: int) -> int | None:
        """What it pays of face value; None when it does not take this at all."""
        if not self.order_least_fen <= face_fen <= self.order_most_fen:
            return None
        for rate in self.rates:
            if (rate.carrier, rate.product) == (
                carrier,
                product,
            ) and rate.least_fen <= face_fen <= rate.most_fen:
                return rate.price_ppm
        return None

    @property
    def carriers(self) -> frozenset[str]:
        """Whose airtime it takes."""
        return frozenset(rate.carrier for rate in self.rates)


def parse_terms(document: Any) -> Terms:
    """Terms out of their document. Raises `Refused` with the field: `field_missing`, `field_invalid`,
    `outlet_source_missing`, `outlet_rates_missing`, `outlet_rate_above_face`, `outlet_rates_overlap`,
    `outlet_without_limits`, `outlet_limits_contradict`, `outlet_settlement_malformed`.
    """
    if not isinstance(document, Mapping):
        raise Refused("field_invalid", field="document")
    unknown = sorted(set(map(str, document)) - _KEYS)
    if unknown:
        raise Refused("field_invalid", field=unknown[0])
    source = document.get("source")
    if not isinstance(source, str) or not source.strip() or len(source) > MOST_TEXT or "\x00" in source:
        raise Refused("outlet_source_missing", field="source")
    kind = _one_of(document, "kind", ChannelKind)
    funds = _one_of(document, "funds", FundsOutlet)
    own_network = document.get("own_network")
    if own_network is not None and own_network not in CARRIERS:
        raise Refused("carrier_unknown", field="own_network")
    if kind is ChannelKind.CARRIER_OWN and own_network is None:
        raise Refused("field_missing", field="own_network")
    for key in ("order_most_fen", "daily_fen"):
        if document.get(key) is None:
            raise Refused("outlet_without_limits", field=key)
    least, most, daily = (
        _whole(document, key, least=1, most=MAX_FEN)
        for key in ("order_least_fen", "order_most_fen", "daily_fen")
    )
    monthly = (
        None
        if document.get("monthly_fen") is None
        else _whole(document, "monthly_fen", least=1, most=MAX_FEN)
    )
    if least > most:
        raise Refused("outlet_limits_contradict", field="order_least_fen")
    if most > daily:
        raise Refused("outlet_limits_contradict", field="order_most_fen")
    if monthly is not None and daily > monthly:
        raise Refused("outlet_limits_contradict", field="daily_fen")
    settle_from = _whole(document, "settle_from_days", least=0, most=MOST_SETTLE_DAYS)
    settle_to = _whole(document, "settle_to_days", least=0, most=MOST_SETTLE_DAYS)
    if settle_from > settle_to:
        raise Refused("outlet_settlement_malformed", field="settle_from_days")
    return Terms(
        kind=kind,
        rates=_rates(document.get("rates"), own_network=own_network, least=least, most=most),
        order_least_fen=least,
        order_most_fen=most,
        daily_fen=daily,
        monthly_fen=monthly,
        own_network=own_network,
        delay_s=_whole(document, "delay_s", least=0, most=30 * 86_400),
        fee_ppm=_whole(document, "fee_ppm", least=0, most=PPM),
        fee_fen=_whole(document, "fee_fen", least=0, most=MAX_FEN),
        funds=funds,
        per_minute=_whole(document, "per_minute", least=1, most=1_000_000),
        settle_from_days=settle_from,
        settle_to_days=settle_to,
        source=source.strip(),
    )


_KEYS: Final = frozenset(
    {
        "kind", "rates", "order_least_fen", "order_most_fen", "daily_fen", "monthly_fen", "own_network", "delay_s",
        "fee_ppm", "fee_fen", "funds", "per_minute", "settle_from_days", "settle_to_days", "source",
    }
)  # fmt: skip
_RATE_KEYS: Final = frozenset({"carrier", "product", "least_fen", "most_fen", "price_ppm"})


def _rates(value: Any, *, own_network: str | None, least: int, most: int) -> tuple[Rate, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise Refused("outlet_rates_missing", field="rates")
    if len(value) > MOST_RATES:
        raise Refused("field_invalid", field="rates")
    rates: list[Rate] = []
    for place, one in enumerate(value):
        field = f"rates[{place + 1}]"
        if not isinstance(one, Mapping) or set(map(str, one)) - _RATE_KEYS:
            raise Refused("field_invalid", field=field)
        carrier, product = one.get("carrier"), one.get("product")
        if carrier not in CARRIERS:
            raise Refused("carrier_unknown", field=f"{field}.carrier")
        if own_network is not None and carrier != own_network:
            raise Refused("outlet_limits_contradict", field=f"{field}.carrier")
        if product not in PRODUCTS:
            raise Refused("field_invalid", field=f"{field}.product")
        price = one.get("price_ppm")
        if isinstance(price, int) and not isinstance(price, bool) and price > PPM:
            raise Refused("outlet_rate_above_face", field=f"{field}.price_ppm")
        rate = Rate(
            carrier=carrier,
            product=product,
            least_fen=_whole(one, "least_fen", least=1, most=MAX_FEN, of=f"{field}."),
            most_fen=_whole(one, "most_fen", least=1, most=MAX_FEN, of=f"{field}."),
            price_ppm=_whole(one, "price_ppm", least=1, most=PPM, of=f"{field}."),
        )
        if rate.least_fen > rate.most_fen or rate.least_fen > most or rate.most_fen < least:
            raise Refused("outlet_limits_contradict", field=field)
        for other in rates:
            same = (other.carrier, other.product) == (rate.carrier, rate.product)
            if same and rate.least_fen <= other.most_fen and other.least_fen <= rate.most_fen:
                raise Refused("outlet_rates_overlap", field=field)
        rates.append(rate)
    return tuple(rates)


def _whole(document: Mapping[str, Any], key: str, *, least: int, most: int, of: str = "") -> int:
    value = document.get(key)
    if value is None:
        raise Refused("field_missing", field=of + key)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Refused("field_invalid", field=of + key)
    return value


def _one_of(document: Mapping[str, Any], key: str, choices: type[_Choice]) -> _Choice:
    value = document.get(key)
    if value is None:
        raise Refused("field_missing", field=key)
    try:
        return choices(value)
    except ValueError:
        raise Refused("field_invalid", field=key) from None
