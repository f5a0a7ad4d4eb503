"""Matching: an order's airtime to open demands, by price, then time.

A balance may fill several demands, each in whole or in part; a card is redeemed whole, so it needs one demand with
room for all of its face. Demands that would lose the platform money (price below what the seller gets), of the
wrong carrier, too near their deadline or of an outlet without the money are passed over.
"""

from bisect import insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from airback.domain.money import PPM, share_floor

#: The least that a demand may ask for, and that may be left of an order for the next one, in fen: of less, rounding
#: takes a share that matters.
LEAST_PART_FEN: Final = 100


@dataclass(slots=True)
class Demand:
    """One open demand. `open_fen` is what is still wanted and not reserved."""

    id: int
    outlet: str
    carrier: str
    number: str
    price_ppm: int
    open_fen: int
    deadline_at: datetime


@dataclass(frozen=True, slots=True)
class Match:
    """`face_fen` of an order for one demand, for which its outlet pays `pays_fen`."""

    demand: Demand
    face_fen: int
    pays_fen: int


@dataclass(slots=True)
class DemandBook:
    """Open demands of each carrier, best price first, then oldest; folded forward within a batch."""

    by_carrier: dict[str, list[Demand]] = field(default_factory=dict)
    changed: dict[int, Demand] = field(default_factory=dict)
    withdrawn: set[int] = field(default_factory=set)

    def add(self, demand: Demand) -> None:
        """Put a demand in its place."""
        insort(self.by_carrier.setdefault(demand.carrier, []), demand, key=rank)

    def load(self, demands: Iterable[Demand]) -> None:
        """Take demands that already come ranked, carrier by carrier."""
        for demand in demands:
            self.by_carrier.setdefault(demand.carrier, []).append(demand)

    def withdraw(self, demand_id: int) -> None:
        """Its outlet takes the demand back: nothing of it is filled any more, and nothing reopens it."""
        self.withdrawn.add(demand_id)
        for carrier, demands in self.by_carrier.items():
            self.by_carrier[carrier] = [demand for demand in demands if demand.id != demand_id]

    def match(
        self,
        *,
        carrier: str,
        face_fen: int,
        whole: bool,
        least_ppm: int,
        seller_number: str | None,
        not_before: datetime,
        room_fen: Callable[[str], int],
        refused: frozenset[int] = frozenset(),
    ) -> list[Match]:
        """Matches that together take all of `face_fen`, or none.

        `least_ppm`: the price below which the platform would lose, of what is paid after rounding. `not_before`: deadlines must lie after it.
        `room_fen(outlet)`: the money that outlet may still earmark. `refused`: demands whose number has already refused
        this order's airtime. Nothing is reserved here; see `reserve`.
        """
        matches: list[Match] = []
        missing = face_fen
        spent: dict[str, int] = {}
        for demand in self.by_carrier.get(carrier, ()):
            if demand.price_ppm < least_ppm:
                break
            if (
                demand.id in refused
                or demand.open_fen <= 0
                or demand.deadline_at <= not_before
                or demand.number == seller_number
            ):
                continue
            if whole and demand.open_fen < face_fen:
                continue
            part = min(missing, demand.open_fen)
            if 0 < missing - part < LEAST_PART_FEN:
                part = missing - LEAST_PART_FEN
            if part <= 0:
                continue
            pays = share_floor(part, demand.price_ppm)
            already = spent.get(demand.outlet, 0)
            if pays * PPM < part * least_ppm or already + pays > room_fen(demand.outlet):
                continue
            spent[demand.outlet] = already + pays
            matches.append(Match(demand, part, pays))
            missing -= part
            if missing == 0:
                return matches
        return []

    def reserve(self, match: Match) -> None:
        """Take the match's part out of its demand."""
        match.demand.open_fen -= match.face_fen
        self.changed[match.demand.id] = match.demand
        if match.demand.open_fen == 0:
            self.by_carrier[match.demand.carrier].remove(match.demand)

    def reopen(self, demand: Demand, face_fen: int) -> None:
        """Give a part back to a demand after an explicit failure, unless it was withdrawn."""
        if demand.id in self.withdrawn:
            return
        known = next((d for d in self.by_carrier.get(demand.carrier, ()) if d.id == demand.id), None)
        if known is None:
            known = self.changed.get(demand.id)
            if known is None:
                known = demand
                known.open_fen = 0
            self.add(known)
        known.open_fen += face_fen
        self.changed[known.id] = known


def rank(demand: Demand) -> tuple[int, int]:
    """Price, then time: sorts the best first."""
    return (-demand.price_ppm, demand.id)
