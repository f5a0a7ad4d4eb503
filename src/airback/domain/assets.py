"""Assets: carrier × product. CNY is the asset money is counted in; airtime is counted in fen of face value."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

CNY: Final = "CNY"


@dataclass(frozen=True, slots=True)
class CarrierName:
    """A carrier as people name it. `code` is what is stored."""

    code: str
    zh: str
    en: str
    words: frozenset[str]


CARRIERS: Final[dict[str, CarrierName]] = {
    carrier.code: carrier
    for carrier in (
        CarrierName("cmcc", "中国移动", "China Mobile", frozenset({"移动", "中移动", "mobile", "cm"})),
        CarrierName("ctcc", "中国电信", "China Telecom", frozenset({"电信", "telecom", "ct"})),
        CarrierName("cucc", "中国联通", "China Unicom", frozenset({"联通", "unicom", "cu"})),
        CarrierName("cbn", "中国广电", "China Broadnet", frozenset({"广电", "broadnet", "cbnet"})),
    )
}

BALANCE: Final = "balance"
CARD: Final = "card"
PRODUCTS: Final = (BALANCE, CARD)


def parse_carrier(text: str) -> str | None:
    """Carrier code of a code or a name in either language, or None."""
    word = text.strip().lower()
    for carrier in CARRIERS.values():
        if word in (carrier.code, carrier.zh, carrier.en.lower()) or word in carrier.words:
            return carrier.code
    return None


@lru_cache(maxsize=1000)
def airtime(carrier: str, product: str) -> str:
    """Asset code of a carrier's product: `cmcc.balance`, `ctcc.card`."""
    return f"{carrier}.{product}"


def carrier_of(asset: str) -> str:
    """Carrier code of an airtime asset code."""
    return asset.partition(".")[0]
