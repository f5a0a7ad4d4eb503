"""What past orders would have come to by another rate card and another routing margin. Pure: rows in, sums out.

Each order of a period is priced again from the quote it was sold by, and its outlets pay what they paid. So both sides
of the comparison are the same orders; `ASSUMPTIONS` says what that leaves out. Amounts are integer fen, rates integer
ppm of face value, means rounded down.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from airback.domain.assets import CARD, CARRIERS, PRODUCTS, airtime
from airback.domain.money import PPM
from airback.domain.refusals import Refused
from airback.pricing.cards import RateCard
from airback.pricing.formula import CHINA, Price, Terms, price
from airback.pricing.quotes import Quote, read_quote, terms_of

#: What a replay takes for granted, each in zh-CN and English.
ASSUMPTIONS: Final = MappingProxyType(
    {
        "sellers_sell": (
            "凡当时成交的卖家,按新价仍然成交;净得比当时少的订单计入「卖家少得」。",
            "Everybody who sold then would have sold at the new price; whoever would get less is counted as "
            "`sellers_worse`.",
        ),
        "unsold_stays": (
            "当时未成交的订单仍按未成交计:另一个价格能否成交,历史中没有依据。",
            "What was not sold then stays unsold: history does not tell whether another price would have sold it.",
        ),
        "outlets_pay": (
            "渠道仍按当时的成交价付款;新价加保留毛利率高于该价的订单,计为无渠道接收。",
            "Outlets pay what they paid; an order that the new price and margin put above that is refused as "
            "`no_outlet`. What the operator took for its own float it takes at cost.",
        ),
        "facts_stay": (
            "求购、渠道最高价、促销上限与卖家等级,按各报价上当时所记的计;报价上没有的,对应因素视同没有数据。",
            "Demand, outlets' best bids, caps and sellers' classes count as they stand on each quote; what a quote does "
            "not hold, of an earlier version for one, is no data to its factor.",
        ),
        "left_out": (
            "尚在途的订单,以及报价无法读取的订单,两边都不计,只报数目。",
            "Orders still under way, and those whose quote cannot be read, count on neither side but by number.",
        ),
        "before_overheads": (
            "毛利为渠道付款减卖家净得与支付通道费,未计退回、坏账、合规与反欺诈成本。",
            "Profit is what outlets pay less what sellers get and what paying costs, before reversals, bad debt, "
            "compliance and anti-fraud.",
        ),
    }
)

#: Face values that DOMAIN's sources draw lines at (S1: 50 and 100 yuan), and one above, inclusive upper ends in fen.
_FACE_BANDS: Final = ((5_000, "0-50"), (9_999, "50-100"), (30_000, "100-300"))
_LAST_BAND: Final = "300+"
#: The tier of an order whose place is not stated, or not in the card.
NO_TIER: Final = "-"

SOLD: Final = "sold"
UNSOLD: Final = "unsold"
UNDER_WAY: Final = "under_way"


@dataclass(frozen=True, slots=True)
class PastOrder:
    """One order as it stands in the book.

    `quote` is the quote it was paid by, `first_quote` the one its seller accepted where another took its place. Of what
    was delivered: `outlets_pay_fen` is paid by outlets, of whom the least gave `least_ppm` of face (None: no outlet),
    `house_face_fen` was taken for the operator's own float and cost `house_pays_fen`.
    """

    ended: str
    code: str | None
    quote: Mapping[str, Any]
    first_quote: Mapping[str, Any] | None = None
    outlets_pay_fen: int = 0
    least_ppm: int | None = None
    house_face_fen: int = 0
    house_pays_fen: int = 0


@dataclass(slots=True)
class Side:
    """The sums of one side: what happened, or what would have been. `refused` counts orders by refusal."""

    orders: int = 0
    face_fen: int = 0
    proceeds_fen: int = 0
    sellers_fen: int = 0
    rail_cost_fen: int = 0
    fee_fen: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def profit_fen(self) -> int:
        """What is left to the operator: fee and spread."""
        return self.proceeds_fen - self.sellers_fen - self.rail_cost_fen

    @property
    def spread_fen(self) -> int:
        """Profit without the fee."""
        return self.profit_fen - self.fee_fen

    @property
    def sellers_rate_ppm(self) -> int:
        """Mean share of face value that sellers got, weighted by face, rounded down."""
        return self.sellers_fen * PPM // self.face_fen if self.face_fen else 0

    def add(self, *, face_fen: int, proceeds_fen: int, found: Price | Quote) -> None:
        """One order that was sold at that price."""
        self.orders += 1
        self.face_fen += face_fen
        self.proceeds_fen += proceeds_fen
        self.sellers_fen += found.net_fen
        self.rail_cost_fen += found.rail_cost_fen
        self.fee_fen += found.fee_fen

    def figures(self) -> dict[str, Any]:
        """The sums as they are reported; `refused` sorted, the commonest first."""
        return {
            "orders": self.orders,
            "face_fen": self.face_fen,
            "sellers_fen": self.sellers_fen,
            "sellers_rate_ppm": self.sellers_rate_ppm,
            "proceeds_fen": self.proceeds_fen,
            "rail_cost_fen": self.rail_cost_fen,
            "fee_fen": self.fee_fen,
            "spread_fen": self.spread_fen,
            "profit_fen": self.profit_fen,
            "refusals": self.refused.total(),
            "refused": dict(sorted(self.refused.items(), key=lambda item: (-item[1], item[0]))),
        }


@dataclass(slots=True)
class Comparison:
    """Two sides over the same orders, and how their sellers fare: of those bought on both."""

    happened: Side = field(default_factory=Side)
    would_be: Side = field(default_factory=Side)
    sellers_worse: int = 0
    sellers_better: int = 0
    sellers_same: int = 0

    def difference(self) -> dict[str, int]:
        """Would-be less happened, of every sum."""
        then, now = self.happened.figures(), self.would_be.figures()
        return {name: now[name] - then[name] for name in then if name != "refused"}

    def figures(self) -> dict[str, Any]:
        """Both sides, their difference and the sellers."""
        return {
            "happened": self.happened.figures(),
            "would_be": self.would_be.figures(),
            "difference": self.difference(),
            "sellers_worse": self.sellers_worse,
            "sellers_better": self.sellers_better,
            "sellers_same": self.sellers_same,
        }


class Replay:
    """A period's orders, folded in one by one, under one card and one margin.

    `margin_ppm` is what an outlet must pay above what the seller costs. With `at` every order is taken as if it had come at
    that moment, with as many days left as it had, so that a promotion yet to begin shows; without it each counts at its
    own time, whatever the card's own dates.
    """

    def __init__(self, card: RateCard, *, margin_ppm: int = 0, at: datetime | None = None) -> None:
        self._card = card
        self._margin_ppm = margin_ppm
        self._at = at
        self.whole = Comparison()
        self.segments: dict[tuple[str, str], Comparison] = {}
        self.under_way = 0
        self.unreadable = 0

    def fold(self, orders: Iterable[PastOrder]) -> None:
        """Take these orders in."""
        for order in orders:
            self._fold(order)

    def _fold(self, order: PastOrder) -> None:
        if order.ended == UNDER_WAY:
            self.under_way += 1
            return
        try:
            paid = read_quote(order.quote)
            asked = paid if order.first_quote is None else read_quote(order.first_quote)
        except Refused:
            self.unreadable += 1
            return
        places = [self.whole]
        for key in _segments(asked, self._card):
            places.append(self.segments.setdefault(key, Comparison()))
        if order.ended != SOLD:
            for place in places:
                place.happened.refused[order.code or UNSOLD] += 1
                place.would_be.refused[order.code or UNSOLD] += 1
            return
        for place in places:
            place.happened.add(
                face_fen=paid.face_fen,
                proceeds_fen=order.outlets_pay_fen + order.house_pays_fen,
                found=paid,
            )
        try:
            found, proceeds_fen = self._again(order, asked, paid)
        except Refused as refused:
            for place in places:
                place.would_be.refused[refused.code] += 1
            return
        for place in places:
            place.would_be.add(face_fen=paid.face_fen, proceeds_fen=proceeds_fen, found=found)
            place.sellers_worse += found.net_fen < paid.net_fen
            place.sellers_better += found.net_fen > paid.net_fen
            place.sellers_same += found.net_fen == paid.net_fen

    def _again(self, order: PastOrder, asked: Quote, paid: Quote) -> tuple[Price, int]:
        """The price it would have been paid by, and the proceeds. Raises Refused as the order would have been."""
        card = self._card
        terms = _moved(terms_of(asked), self._at)
        _within_limits(card, terms)
        offered = price(card=card, terms=terms)
        floor_ppm = -(-offered.gross_fen * PPM // terms.face_fen) + self._margin_ppm
        if order.least_ppm is not None and order.least_ppm < floor_ppm:
            raise Refused("no_outlet")
        found = offered
        if paid is not asked:
            found = price(
                card=card, terms=_moved(terms_of(paid), self._at), delivered=paid.replaces is not None
            )
        house_fen = -(-found.gross_fen * order.house_face_fen // paid.face_fen)
        return found, order.outlets_pay_fen + house_fen


def report(found: Replay) -> dict[str, Any]:
    """A replay as data: `{"orders", "happened", "would_be", "difference", "sellers_worse", …, "left_out", "segments",
    "assumptions"}`. `orders` is how many count on both sides. A segment is `{"by", "key", …}` with the same sums; `by` is
    `asset` (carrier.product), `face` (yuan) or `tier`.
    """
    return {
        "orders": found.whole.happened.orders,
        **found.whole.figures(),
        "left_out": {"under_way": found.under_way, "unreadable": found.unreadable},
        "segments": [
            {"by": by, "key": key, **found.segments[by, key].figures()}
            for by, key in sorted(found.segments, key=_place)
        ],
        "assumptions": {name: en for name, (_, en) in ASSUMPTIONS.items()},
    }


def _moved(terms: Terms, at: datetime | None) -> Terms:
    """The same ask as if it came at `at`, with as many days left."""
    if at is None:
        return terms
    expires_on = terms.expires_on
    if expires_on is not None:
        expires_on += at.astimezone(CHINA).date() - terms.at.astimezone(CHINA).date()
    return replace(terms, at=at, expires_on=expires_on)


def _within_limits(card: RateCard, terms: Terms) -> None:
    """Refuse what the card would not have quoted for."""
    limits = card.limits[terms.product]
    if terms.face_fen < limits.least_fen:
        raise Refused("amount_below_minimum")
    if terms.face_fen > limits.most_fen:
        raise Refused("amount_above_limit")
    if terms.product == CARD and terms.face_fen not in card.card_faces_fen:
        raise Refused("card_face_unknown")


def _segments(quote: Quote, card: RateCard) -> tuple[tuple[str, str], ...]:
    tier = None if quote.province is None else card.region.tier(quote.province)
    face = next((name for upto, name in _FACE_BANDS if quote.face_fen <= upto), _LAST_BAND)
    return ("asset", airtime(quote.carrier, quote.product)), ("face", face), ("tier", tier or NO_TIER)


#: Segments in the order they are told; tiers come by their name, what has none last.
_ORDER: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "asset": tuple(airtime(carrier, product) for carrier in CARRIERS for product in PRODUCTS),
        "face": (*(name for _, name in _FACE_BANDS), _LAST_BAND),
        "tier": (),
    }
)


def _place(segment: tuple[str, str]) -> tuple[int, int, str]:
    by, key = segment
    known = _ORDER[by]
    return list(_ORDER).index(by), known.index(key) if key in known else int(key == NO_TIER), key
