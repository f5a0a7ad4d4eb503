"""The open rate index: what sellers were paid, published so that nobody can be found in it.

Orders of one week fall into leaves (carrier, face band, province, expiry band). What is published is a *partition*: cells
that never overlap, each of at least `least_sellers` sellers of whom none has more than `most_share_ppm` of the face, nor of
the orders: quartiles count orders, so that somebody with most of them would have their own rates printed.
Leaves that are too small are put together: the provinces of one expiry band, then the expiry bands of one face band,
then the face bands of a carrier. Where what was put together is still too small, the smallest published neighbour is
taken in with it (complementary suppression) until it is large enough; a carrier where even that does not help has no
cell at all. There are no totals, and a week is published once, when it is over: so there are no two figures whose
difference is about fewer people than one cell. Rates are given to a tenth of a percent.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from airback.domain.money import PPM

#: Faces up to which a band reaches, in fen, and days of validity left up to which one reaches; the last has no end.
FACE_BANDS_FEN: Final = (5_000, 10_000, 30_000)
EXPIRY_BANDS_DAYS: Final = (30, 90, 180)
RATE_STEP_PPM: Final = 1_000
_ORDERS_STEP: Final = 10


class Leaf(NamedTuple):
    """What an order is counted under. `face`: place of its band. `province`: first two digits of GB/T 2260; `expiry`:
    place of its band; "" where the quote did not state it."""

    carrier: str
    face: str
    province: str
    expiry: str


@dataclass(slots=True)
class Facts:
    """What a leaf holds: face by seller in fen, orders by seller, and orders by rate in ppm."""

    sellers: Counter[int] = field(default_factory=Counter)
    orders: Counter[int] = field(default_factory=Counter)
    rates: Counter[int] = field(default_factory=Counter)

    def add(self, *, seller: int, rate_ppm: int, orders: int, face_fen: int) -> None:
        """Count a seller's orders at one rate, rounded down to the step that is published."""
        self.sellers[seller] += face_fen
        self.orders[seller] += orders
        self.rates[rate_ppm - rate_ppm % RATE_STEP_PPM] += orders


@dataclass(frozen=True, slots=True)
class Privacy:
    """The least number of sellers behind a published figure, and the most of its face and of its orders that one of them may
    have."""

    least_sellers: int = 10
    most_share_ppm: int = 250_000

    def __post_init__(self) -> None:
        if self.least_sellers < 3 or not 0 < self.most_share_ppm <= PPM:
            raise ValueError(
                "a published figure stands for three sellers or more, none with more than all of it"
            )

    def allows(self, sellers: Mapping[int, int], orders: Mapping[int, int]) -> bool:
        """Whether a figure about these sellers (seller → face, seller → orders) may be published."""
        return len(sellers) >= self.least_sellers and all(
            max(parts.values()) * PPM <= sum(parts.values()) * self.most_share_ppm
            for parts in (sellers, orders)
        )


@dataclass(frozen=True, slots=True)
class Cell:
    """A published cell. A dimension is None where it stands for several values that have no cell of their own there.

    `orders` is rounded down to tens. `leaves` are what it was made of; they are not published.
    """

    carrier: str
    face: str | None
    province: str | None
    expiry: str | None
    orders: int
    lower_ppm: int
    median_ppm: int
    upper_ppm: int
    leaves: frozenset[Leaf]


def publish(leaves: Mapping[Leaf, Facts], privacy: Privacy) -> list[Cell]:
    """The cells of a week, by carrier, face, expiry and province; cells of put-together values last of their kind."""
    cells = []
    for of_carrier in _by(leaves, ("carrier",)):
        shown: list[frozenset[Leaf]] = []
        left: frozenset[Leaf] = frozenset()
        for of_face in _by(of_carrier, ("face",)):
            shown_of_face: list[frozenset[Leaf]] = []
            left_of_face: frozenset[Leaf] = frozenset()
            for provinces in _by(of_face, ("expiry",)):
                large = [leaf for leaf in provinces if _allowed([leaf], leaves, privacy)]
                small = frozenset(provinces) - frozenset(large)
                kept, rest = _take_in([frozenset({leaf}) for leaf in large], small, leaves, privacy)
                shown_of_face += kept
                left_of_face |= rest
            kept, rest = _take_in(shown_of_face, left_of_face, leaves, privacy)
            shown += kept
            left |= rest
        kept, _ = _take_in(shown, left, leaves, privacy)
        cells += [_cell(pool, leaves) for pool in kept]
    return sorted(cells, key=_place)


def _by(leaves: Iterable[Leaf], names: Sequence[str]) -> list[list[Leaf]]:
    groups: dict[tuple[str, ...], list[Leaf]] = defaultdict(list)
    for leaf in leaves:
        groups[tuple(getattr(leaf, name) for name in names)].append(leaf)
    return [sorted(groups[key]) for key in sorted(groups)]


def _take_in(
    shown: list[frozenset[Leaf]], small: frozenset[Leaf], leaves: Mapping[Leaf, Facts], privacy: Privacy
) -> tuple[list[frozenset[Leaf]], frozenset[Leaf]]:
    """Make one cell of what is too small, with the smallest of `shown` as far as needed.

    (what is shown then, what is still too small: then nothing is shown).
    """
    if not small:
        return shown, small
    neighbours = sorted(shown, key=lambda pool: (len(_sellers(pool, leaves)), sorted(pool)))
    pool = small
    while not _allowed(pool, leaves, privacy):
        if not neighbours:
            return [], pool
        pool |= neighbours.pop(0)
    return [*neighbours, pool], frozenset()


def _allowed(pool: Iterable[Leaf], leaves: Mapping[Leaf, Facts], privacy: Privacy) -> bool:
    orders: Counter[int] = Counter()
    for leaf in pool:
        orders.update(leaves[leaf].orders)
    return privacy.allows(_sellers(pool, leaves), orders)


def _sellers(pool: Iterable[Leaf], leaves: Mapping[Leaf, Facts]) -> Counter[int]:
    together: Counter[int] = Counter()
    for leaf in pool:
        together.update(leaves[leaf].sellers)
    return together


def _cell(pool: frozenset[Leaf], leaves: Mapping[Leaf, Facts]) -> Cell:
    rates: Counter[int] = Counter()
    for leaf in pool:
        rates.update(leaves[leaf].rates)
    orders = rates.total()
    first = next(iter(pool))

    def one(name: str) -> str | None:
        values = {getattr(leaf, name) for leaf in pool}
        return values.pop() if len(values) == 1 else None

    return Cell(
        carrier=first.carrier,
        face=one("face"),
        province=one("province"),
        expiry=one("expiry"),
        orders=orders - orders % _ORDERS_STEP,
        lower_ppm=_quartile(rates, 1),
        median_ppm=_quartile(rates, 2),
        upper_ppm=_quartile(rates, 3),
        leaves=pool,
    )


def _quartile(rates: Counter[int], quarter: int) -> int:
    """The least rate that at least so many quarters of the orders do not exceed (nearest rank)."""
    wanted = -(-rates.total() * quarter // 4)
    seen = 0
    for rate in sorted(rates):
        seen += rates[rate]
        if seen >= wanted:
            return rate
    raise ValueError("a cell has orders")


def _place(cell: Cell) -> tuple[object, ...]:
    return (
        cell.carrier,
        *((value is None, value or "") for value in (cell.face, cell.expiry, cell.province)),
        sorted(cell.leaves),
    )
