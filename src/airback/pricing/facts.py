"""What a price depends on beside the ask: facts of the market and of the seller's class, as they stood at that moment.

They are gathered elsewhere and passed in. They stand on the quote, so that whoever replays it needs nothing else. What
is not known is None, and the factor that would read it is neutral. No fact is about a person's risk or behaviour:
two sellers of one class are offered the same price.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec


class Cap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A live anti-arbitrage cap of one asset: the most of face value that is paid, ppm, and the promotion it answers."""

    most_ppm: int
    promotion: str


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`seller_class`: name of the class in the rate card. `demand_fen`: face value that outlets want open right now of the
    carrier. `outlet_ppm`: the best price an outlet bids for the carrier now, ppm of face. `cap`: the live cap of the asset.
    """

    seller_class: str | None = None
    demand_fen: int | None = None
    outlet_ppm: int | None = None
    cap: Cap | None = None

    def document(self) -> dict[str, Any]:
        """As it stands on a quote."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document


#: Nothing is known: every factor that reads a fact is neutral.
NEUTRAL: Final = Facts()

#: (carrier, product) → facts.
FactsOf = Callable[[str, str], Facts]


def neutral(carrier: str, product: str) -> Facts:
    """No facts, whatever the asset."""
    del carrier, product
    return NEUTRAL
