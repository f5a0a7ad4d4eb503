"""Matching: an order's airtime to open demands, by net value, then time.

A balance may fill several demands, each in whole or in part; a card is redeemed whole, so it needs one demand with
room for all of its face. Demands that would lose the platform money (what is sure to be left of the price is below what
the seller gets), of the wrong carrier, too near their deadline, of an outlet without the money, at its limits, paused
or unwell are passed over, and why is said.

Without terms of the outlet a demand is worth its price; with them, its price less fees, expected failure and
reversal, and time. See docs/routing.md.
"""

from bisect import insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import islice
from types import MappingProxyType
from typing import Final

from airback.domain.money import PPM, share_floor
from airback.market import channels as why
from airback.market.channels import Channel, Valuation, cost_ppm, fees_fen

#: The least that a demand may ask for, and that may be left of an order for the next one, in fen: of less, rounding
#: takes a share that matters.
LEAST_PART_FEN: Final = 100

#: So many outlets that were passed over are kept beside a decision.
MOST_PASSED: Final = 4

_NONE: Final[Mapping[str, int]] = MappingProxyType({})


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
    """`face_fen` of an order for one demand, for which its outlet pays `pays_fen`; `worth_ppm` of face is its net value."""

    demand: Demand
    face_fen: int
    pays_fen: int
    worth_ppm: int


@dataclass(frozen=True, slots=True)
class Choice:
    """Where an order goes, and which outlets were passed over: outlet → (net value in ppm, why not)."""

    matches: list[Match]
    passed: dict[str, tuple[int, str]]


@dataclass(slots=True)
class Terms:
    """An outlet's channel with what is left of its limits, folded forward within a batch."""

    channel: Channel
    watched_ppm: int
    unwatched_ppm: int
    speed: timedelta
    daily_fen: int
    monthly_fen: int
    fills: int

    @classmethod
    def of(cls, channel: Channel, valuation: Valuation) -> "Terms":
        """A channel at the beginning of a batch."""
        return cls(
            channel,
            cost_ppm(channel, valuation, watched=True),
            cost_ppm(channel, valuation, watched=False),
            timedelta(seconds=channel.speed_s),
            channel.daily_left_fen,
            channel.monthly_left_fen,
            channel.per_minute,
        )

    def left(self) -> Channel:
        """The channel with what is left now."""
        return replace(
            self.channel,
            daily_left_fen=self.daily_fen,
            monthly_left_fen=self.monthly_fen,
            per_minute=self.fills,
        )

    def room_fen(self, carrier: str, *, before_fen: int, here_fen: int, fills: int) -> tuple[int, str]:
        """The most face of one order that may go there now, and which limit says so. `before_fen`: face of the order that
        stands there already; `here_fen` in `fills` parts: what of it is about to go there and is not counted yet."""
        channel = self.channel
        if channel.paused:
            return 0, why.PAUSED
        if carrier not in channel.carriers:
            return 0, why.NETWORK if channel.own_network_only else why.CARRIER
        if self.fills <= fills:
            return 0, why.CAPACITY
        room, limit = channel.most_fen - before_fen, why.ORDER_LIMIT
        if self.daily_fen < room:
            room, limit = self.daily_fen, why.DAILY_LIMIT
        if self.monthly_fen < room:
            room, limit = self.monthly_fen, why.MONTHLY_LIMIT
        return max(room - here_fen, 0), limit


@dataclass(slots=True)
class DemandBook:
    """Open demands of each carrier, best price first, then oldest; folded forward within a batch.

    `terms`: of the outlets that have any. `paused`: outlets that get nothing, though a part may come back to their demands.
    `unwell`: the largest face that may go to an outlet which is not well, 0 for none;
    a probe takes that to 0.
    """

    by_carrier: dict[str, list[Demand]] = field(default_factory=dict)
    changed: dict[int, Demand] = field(default_factory=dict)
    withdrawn: set[int] = field(default_factory=set)
    terms: dict[str, Terms] = field(default_factory=dict)
    unwell: dict[str, int] = field(default_factory=dict)
    paused: frozenset[str] = frozenset()
    _ranked: dict[tuple[str, bool], list[tuple[int, int, int, Demand]]] = field(default_factory=dict)

    def know(
        self,
        channels: Iterable[Channel],
        valuation: Valuation,
        unwell: Mapping[str, int],
        paused: frozenset[str] = frozenset(),
    ) -> None:
        """Take the outlets' terms and which of them are unwell or paused, before the demands."""
        self.paused = paused
        self.terms = {channel.outlet: Terms.of(channel, valuation) for channel in channels}
        self.unwell = dict(unwell)
        self._ranked.clear()

    def left(self) -> list[Channel]:
        """The outlets' terms with what is left of their limits now."""
        return [terms.left() for terms in self.terms.values()]

    def add(self, demand: Demand) -> None:
        """Put a demand in its place."""
        insort(self.by_carrier.setdefault(demand.carrier, []), demand, key=rank)
        self._ranked.clear()

    def load(self, demands: Iterable[Demand]) -> None:
        """Take demands that already come ranked by price, carrier by carrier."""
        for demand in demands:
            self.by_carrier.setdefault(demand.carrier, []).append(demand)
        self._ranked.clear()

    def withdraw(self, demand_id: int) -> None:
        """Its outlet takes the demand back: nothing of it is filled any more, and nothing reopens it."""
        self.withdrawn.add(demand_id)
        for carrier, demands in self.by_carrier.items():
            self.by_carrier[carrier] = [demand for demand in demands if demand.id != demand_id]
        self._ranked.clear()

    def worth_ppm(self, demand: Demand, *, watched: bool, face_fen: int) -> int:
        """Net value of selling `face_fen` to a demand, ppm of face: the price less what its outlet's terms cost."""
        terms = self.terms.get(demand.outlet)
        if terms is None:
            return demand.price_ppm
        cost = terms.watched_ppm if watched else terms.unwatched_ppm
        fixed = terms.channel.fee_fen
        return demand.price_ppm - cost - (-(-fixed * PPM // face_fen) if fixed else 0)

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
        watched: bool = True,
        already_fen: Mapping[str, int] = _NONE,
    ) -> Choice:
        """Matches that together take all of `face_fen`, or none.

        `least_ppm`: the price below which the platform would lose, of what is sure to be left after rounding and fees. `not_before`: deadlines must lie after it.
        `room_fen(outlet)`: the money that outlet may still earmark. `refused`: demands whose number has already refused
        this order's airtime. `watched`: a person waits for it, so time has its price. `already_fen`: what of the order's
        face stands at outlets already. Nothing is reserved here; see `reserve`.
        """
        matches: list[Match] = []
        passed: dict[str, tuple[int, str]] = {}
        missing = face_fen
        spent: dict[str, int] = {}
        faces: dict[str, int] = {}
        plain = not self.terms
        ranked = self._in_order(carrier, watched, face_fen)
        for demand in ranked:
            if demand.price_ppm < least_ppm:
                if plain:
                    break
                self._pass(passed, demand, why.BELOW_FLOOR, watched, face_fen)
                continue
            if demand.open_fen <= 0:
                continue
            outlet = demand.outlet
            taken_fen = faces.get(outlet, 0)
            reason, part, terms = "", min(missing, demand.open_fen), self.terms.get(outlet)
            if demand.id in refused:
                reason = why.REFUSED_BEFORE
            elif demand.number == seller_number:
                reason = why.OWN_NUMBER
            elif demand.deadline_at <= (not_before if terms is None else not_before + terms.speed):
                reason = why.TOO_LATE
            elif whole and part < face_fen:
                reason = why.TOO_SMALL
            elif outlet in self.paused:
                reason = why.PAUSED
            elif outlet in self.unwell and (taken_fen or self.unwell[outlet] < face_fen):
                reason = why.PROBING if self.unwell[outlet] else why.RESTING
            elif terms is not None:
                room, limit = terms.room_fen(
                    carrier,
                    before_fen=already_fen.get(outlet, 0),
                    here_fen=taken_fen,
                    fills=sum(one.demand.outlet == outlet for one in matches) if taken_fen else 0,
                )
                if room <= 0 or (whole and room < part):
                    reason = limit
                part = min(part, room)
            if 0 < missing - part < LEAST_PART_FEN:
                part = missing - LEAST_PART_FEN
            if not reason and (part <= 0 or (terms is not None and part < terms.channel.least_fen)):
                reason = why.TOO_SMALL
            if not reason:
                pays = share_floor(part, demand.price_ppm)
                left = pays if terms is None else pays - fees_fen(terms.channel, part)
                already = spent.get(outlet, 0)
                if left * PPM < part * least_ppm:
                    reason = why.BELOW_FLOOR
                elif already + pays > room_fen(outlet):
                    reason = why.DEPOSIT
            if reason:
                self._pass(passed, demand, reason, watched, face_fen)
                continue
            spent[outlet] = already + pays
            faces[outlet] = taken_fen + part
            matches.append(Match(demand, part, pays, self.worth_ppm(demand, watched=watched, face_fen=part)))
            missing -= part
            if missing == 0:
                self._next_best(passed, ranked, faces, watched, face_fen)
                return Choice(matches, passed)
        return Choice([], passed)

    def reserve(self, match: Match) -> bool:
        """Take the match's part out of its demand and of its outlet's limits. Returns whether it is a probe."""
        demand = match.demand
        demand.open_fen -= match.face_fen
        self.changed[demand.id] = demand
        if demand.open_fen == 0:
            self.by_carrier[demand.carrier].remove(demand)
        terms = self.terms.get(demand.outlet)
        if terms is not None:
            terms.daily_fen -= match.face_fen
            terms.monthly_fen -= match.face_fen
            terms.fills -= 1
        if demand.outlet in self.unwell:
            self.unwell[demand.outlet] = 0
            return True
        return False

    def reopen(self, demand: Demand, face_fen: int) -> None:
        """Give a part back to a demand after an explicit failure, unless it was withdrawn. What it took of its outlet's
        limits stays taken in this batch: the part may have been another day's."""
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

    def _in_order(self, carrier: str, watched: bool, face_fen: int) -> Iterator[Demand]:
        """A carrier's demands by worth, then time, as far as somebody looks.

        Without the fixed fees the order is the same for every face, and kept for the next order (what is filled meanwhile is
        passed over). A demand with such a fee waits until no other can be worth more.
        """
        if not self.terms:
            return iter(self.by_carrier.get(carrier, ()))
        ranked = self._ranked.get((carrier, watched))
        if ranked is None:
            ranked = sorted(
                self._without_fixed(demand, watched) for demand in self.by_carrier.get(carrier, ())
            )
            self._ranked[carrier, watched] = ranked
        return _merged(ranked, face_fen)

    def _without_fixed(self, demand: Demand, watched: bool) -> tuple[int, int, int, Demand]:
        terms = self.terms.get(demand.outlet)
        if terms is None:
            return (-demand.price_ppm, demand.id, 0, demand)
        cost = terms.watched_ppm if watched else terms.unwatched_ppm
        return (cost - demand.price_ppm, demand.id, terms.channel.fee_fen, demand)

    def _pass(
        self, passed: dict[str, tuple[int, str]], demand: Demand, reason: str, watched: bool, face_fen: int
    ) -> None:
        if len(passed) < MOST_PASSED and demand.outlet not in passed:
            worth = self.worth_ppm(demand, watched=watched, face_fen=face_fen)
            passed[demand.outlet] = (worth, reason)

    def _next_best(
        self,
        passed: dict[str, tuple[int, str]],
        ranked: Iterator[Demand],
        chosen: Mapping[str, int],
        watched: bool,
        face_fen: int,
    ) -> None:
        """The next outlet that would have come: it was worth less."""
        for demand in islice(ranked, MOST_PASSED):
            if demand.open_fen > 0 and demand.outlet not in chosen:
                self._pass(passed, demand, why.WORTH_LESS, watched, face_fen)
                return


def _merged(ranked: Iterable[tuple[int, int, int, Demand]], face_fen: int) -> Iterator[Demand]:
    waiting: list[tuple[int, int, Demand]] = []
    for least, demand_id, fee_fen, demand in ranked:
        while waiting and waiting[0] < (least, demand_id):
            yield heappop(waiting)[2]
        if fee_fen:
            heappush(waiting, (least - (-fee_fen * PPM // face_fen), demand_id, demand))
        else:
            yield demand
    while waiting:
        yield heappop(waiting)[2]


def rank(demand: Demand) -> tuple[int, int]:
    """Price, then time: sorts the best first."""
    return (-demand.price_ppm, demand.id)
