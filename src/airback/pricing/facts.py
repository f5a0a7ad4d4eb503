"""What a price depends on beside the ask: facts of the market and of the seller's class, as they stood at that moment.

They are gathered elsewhere and passed in. They stand on the quote, so that whoever replays it needs nothing else. What
is not known is None, and the factor that would read it is neutral. No fact is about a person's risk or behaviour:
two sellers of one class are offered the same price.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

#: The longest name of a promotion that stands on a quote.
MOST_PROMOTION: Final = 60


class Cap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A live anti-arbitrage cap of one asset: the most of face value that is paid, ppm, and the promotion it answers."""

    most_ppm: int
    promotion: str


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`seller_class`: name of the class in the rate card. `demand_fen`: face value that outlets want open right now of the
    carrier. `outlet_ppm`: the best price an outlet bids for the carrier now, ppm of face. `cap`: the live cap of the asset.
    `agreed_ppm`: the gross rate that an offer's own price comes to, when a demand met it.
    """

    seller_class: str | None = None
    demand_fen: int | None = None
    outlet_ppm: int | None = None
    cap: Cap | None = None
    agreed_ppm: int | None = None

    def document(self) -> dict[str, Any]:
        """As it stands on a quote; only one that was agreed to names an agreed rate."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        if self.agreed_ppm is None:
            del document["agreed_ppm"]
        return document


#: Nothing is known: every factor that reads a fact is neutral.
NEUTRAL: Final = Facts()

#: (carrier, product) → facts.
FactsOf = Callable[[str, str], Facts]


def neutral(carrier: str, product: str) -> Facts:
    """No facts, whatever the asset."""
    del carrier, product
    return NEUTRAL


class Market:
    """The facts of one moment, gathered for all asks at once.

    `wanted`: by carrier, what outlets want open (fen of face value) and the best price bid (ppm). `caps`: live caps by
    (carrier, product). `classes`: sellers ("client/ref") above the lowest class. `lowest`: the class of everybody else,
    None when the rate card has no classes. Facts that are equal are one object, so that prices by them are found again.
    """

    def __init__(
        self,
        *,
        wanted: Mapping[str, tuple[int, int]] | None = None,
        caps: Mapping[tuple[str, str], Cap] | None = None,
        classes: Mapping[str, str] | None = None,
        lowest: str | None = None,
    ) -> None:
        self._wanted = wanted or {}
        self._caps = caps or {}
        self._classes = classes or {}
        self._lowest = lowest
        self._known: dict[tuple[str, str, str | None], Facts] = {}

    @property
    def empty(self) -> bool:
        """Whether nobody is known to want anything."""
        return not self._wanted

    def class_of(self, seller: str) -> str | None:
        """The class of a seller."""
        return self._classes.get(seller, self._lowest)

    def wanted_fen(self) -> dict[str, int]:
        """Face value that outlets want open, by carrier."""
        return {carrier: open_fen for carrier, (open_fen, _) in self._wanted.items()}

    def published(self, carrier: str, product: str) -> Facts:
        """The facts a price is published by: those of a seller who has sold nothing yet."""
        return self.of(carrier, product, self._lowest)

    def of(self, carrier: str, product: str, seller_class: str | None = None) -> Facts:
        """The facts for an asset and a class of sellers; None leaves the class out."""
        key = (carrier, product, seller_class)
        found = self._known.get(key)
        if found is None:
            demand_fen, outlet_ppm = self._wanted.get(carrier, (None, None))
            cap = self._caps.get((carrier, product))
            found = self._known[key] = Facts(seller_class, demand_fen, outlet_ppm, cap)
        return found
