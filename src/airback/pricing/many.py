"""The formula of `airback.pricing.formula` for very many asks: one rate card, compiled to tables, over arrays.

Same figures and same refusals, row for row; tests hold both to that. What the single way says line by line is summed here.
Dated factors are taken at one moment, so history is priced a card and a moment at a time.

Everything is int64. The largest product is a face value times a rate: faces are at most what the card buys, and `compile_card`
refuses a card whose rates could sum to more than 2**62 with them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from airback.domain.assets import CARD, CARRIERS, PRODUCTS, airtime
from airback.domain.money import PPM
from airback.pricing.cards import Factor, RateCard
from airback.pricing.formula import CHINA, Terms

Whole = npt.NDArray[np.int64]

#: Assets by their place in `Asks.asset`.
ASSETS: Final = tuple((product, carrier) for product in PRODUCTS for carrier in CARRIERS)
#: In `Asks.days_left`: no date is stated. In every other column that may be unknown, -1 is.
NOT_STATED: Final = -(2**31)
#: What became of a row, by its place; the first is a price.
STATUSES: Final = (
    "priced",
    "not_bought",
    "amount_not_positive",
    "amount_below_minimum",
    "amount_above_limit",
    "card_face_unknown",
    "card_expired",
    "rail_unavailable",
)
_STATUS: Final = {name: place for place, name in enumerate(STATUSES)}
#: Rows that are worked on at a time: a column of them stays in the processor's cache.
_ROWS: Final = 16_384
_NO_BOUND: Final = 2**40
_MOST_PRODUCT: Final = 2**62


@dataclass(frozen=True, slots=True)
class Asks:
    """Columns of one length. `asset`: place in `ASSETS`; `days_left`: whole days until expiry in China, or `NOT_STATED`;
    `tier`, `rail`, `seller_class`: places in the compiled card's `tiers`, `rails` and `classes`, -1 unknown (a place the
    card does not name, a rail it does not have); `demand_fen`, `outlet_ppm`, `cap_ppm`, `agreed_ppm`: facts, -1
    unknown. No `agreed_ppm` column at all: nobody named a price."""

    asset: Whole
    face_fen: Whole
    band_face_fen: Whole
    days_left: Whole
    tier: Whole
    rail: Whole
    seller_class: Whole
    demand_fen: Whole
    outlet_ppm: Whole
    cap_ppm: Whole
    agreed_ppm: Whole | None = None


@dataclass(frozen=True, slots=True)
class Prices:
    """A price for each row; `status` is a place in `STATUSES`, and all figures of a refused row are zero."""

    status: npt.NDArray[np.int8]
    rate_ppm: Whole
    gross_fen: Whole
    fee_fen: Whole
    rail_cost_fen: Whole
    net_fen: Whole


class CompiledCard:
    """A rate card at one moment. `tiers`, `rails` and `classes` are the names that places in `Asks` stand for."""

    def __init__(self, card: RateCard, *, at: datetime) -> None:
        self.card = card
        self.at = at
        self.tiers = tuple(card.region.tiers_ppm)
        self.rails = tuple(card.rails)
        self.classes = () if card.standing is None else tuple(one.name for one in card.standing.classes)
        assets = [airtime(carrier, product) for product, carrier in ASSETS]

        def counts(factor: Factor) -> bool:
            return factor.counts(at)

        # -- list rates, and what depends on nothing but the asset and the band
        bands = card.face.bands if counts(card.face.factor) else ((None, 0),)
        self._bands = len(bands)
        self._upto_fen = _column(upto for upto, _ in bands[:-1])
        base = [card.base.rates_ppm.get(asset) for asset in assets]
        self._bought = np.array([rate is not None for rate in base])
        lists = [(rate or 0) + points for rate in base for _, points in bands]
        places = [place for place in range(len(assets)) for _ in bands]
        promotion = card.promotion.carriers_ppm if counts(card.promotion.factor) else {}
        competition_ppm = card.competition.rate_ppm if counts(card.competition.factor) else 0
        self._rate_ppm = _column(
            rate + rate * promotion.get(ASSETS[place][1], 0) // PPM + rate * competition_ppm // PPM
            for rate, place in zip(lists, places, strict=True)
        )

        # -- shares of the list rate, one table each: a row for each list rate, a column for each case
        validity = card.validity
        self._step_days = validity.step_days
        self._full_days = validity.full_days
        self._unstated = _column(
            validity.full_days
            if validity.unstated_days[product] is None
            else min(validity.full_days, validity.unstated_days[product] or 0)
            for product, _ in ASSETS
        )
        steps = validity.full_days // validity.step_days + 1 if counts(validity.factor) else 1
        self._steps = _Table(lists, [-min(PPM, step * validity.step_ppm) for step in range(steps)])
        regions = card.region.tiers_ppm.values() if counts(card.region.factor) else [0] * len(self.tiers)
        self._regions = _Table(lists, [0, *regions])
        standing = card.standing
        classes = [0] * len(self.classes)
        if standing is not None and counts(standing.factor):
            classes = [one.rate_ppm for one in standing.classes]
        self._standing = _Table(lists, [0, *classes])
        demand = card.demand.bands if card.demand is not None and counts(card.demand.factor) else ()
        self._from_fen = _column(from_fen for from_fen, _ in demand)
        self._demand = _Table(lists, [0, *(share for _, share in demand)])

        # -- bounds, fee, charges, rails
        bounded = counts(card.bounds.factor)
        self._bounds = (card.bounds.least_ppm, card.bounds.most_ppm) if bounded else None
        self._caps = card.cap is not None and counts(card.cap.factor)
        outlet = card.outlet
        self._outlet_ppm = (
            None if outlet is None or not counts(outlet.factor) else outlet.subsidy_ppm - outlet.margin_ppm
        )
        self._margin_ppm = outlet.margin_ppm if outlet is not None and counts(outlet.factor) else 0
        self._fee = card.fee
        charges = [charge for charge in card.charges if counts(charge.factor)]
        owed = [[c for c in charges if c.assets is None or asset in c.assets] for asset in assets]
        self._charged_ppm = _column(sum(charge.rate_ppm for charge in each) for each in owed)
        self._charged_fen = _column(sum(charge.fixed_fen for charge in each) for each in owed)
        rails = list(card.rails.values())
        self._rail_on = np.array([*(counts(rail.factor) for rail in rails), False])
        self._rail_keeps_ppm = _column([*(PPM - rail.rate_ppm for rail in rails), 0])
        self._rail_fen = _column([*(rail.fixed_fen for rail in rails), 0])

        # -- what may be asked
        self._least_fen = _column(card.limits[product].least_fen for product, _ in ASSETS)
        self._most_fen = _column(card.limits[product].most_fen for product, _ in ASSETS)
        self._faces_fen = _column(sorted(card.card_faces_fen))
        self._is_card = np.array([product == CARD for product, _ in ASSETS])
        tables = (self._steps, self._regions, self._standing, self._demand)
        worst_ppm = int(
            sum(table.worst_ppm for table in tables)
            + abs(self._rate_ppm).max()
            + max(self._charged_ppm.max(), 0)
            + 4 * PPM
        )
        if worst_ppm * int(self._most_fen.max()) > _MOST_PRODUCT:
            raise ValueError("the card's rates and faces are beyond what fits 64 bits")

    def rows(self, terms: Sequence[Terms]) -> Asks:
        """Columns for terms as the single way takes them; their moment must be the compiled one. Raises ValueError."""
        tiers = {name: place for place, name in enumerate(self.tiers)}
        rails = {name: place for place, name in enumerate(self.rails)}
        classes = {name: place for place, name in enumerate(self.classes)}
        today = self.at.astimezone(CHINA).date()
        if any(one.at != self.at for one in terms):
            raise ValueError("terms of another moment")

        def tier(place: str | None) -> int:
            return -1 if place is None else tiers.get(self.card.region.tier(place) or "", -1)

        return Asks(
            asset=_column(ASSETS.index((one.product, one.carrier)) for one in terms),
            face_fen=_column(one.face_fen for one in terms),
            band_face_fen=_column(one.band_face_fen for one in terms),
            days_left=_column(
                NOT_STATED if one.expires_on is None else (one.expires_on - today).days for one in terms
            ),
            tier=_column(tier(one.province) for one in terms),
            rail=_column(rails.get(one.rail, -1) for one in terms),
            seller_class=_column(classes.get(one.facts.seller_class or "", -1) for one in terms),
            demand_fen=_column(_known(one.facts.demand_fen) for one in terms),
            outlet_ppm=_column(_known(one.facts.outlet_ppm) for one in terms),
            cap_ppm=_column(-1 if one.facts.cap is None else one.facts.cap.most_ppm for one in terms),
            agreed_ppm=_column(_known(one.facts.agreed_ppm) for one in terms)
            if any(one.facts.agreed_ppm is not None for one in terms)
            else None,
        )

    def price(self, asks: Asks) -> Prices:
        """A price or a refusal for each row, in order."""
        rows = len(asks.face_fen)
        made = Prices(np.empty(rows, np.int8), *(np.empty(rows, np.int64) for _ in range(5)))
        for start in range(0, rows, _ROWS):
            self._part(asks, made, slice(start, start + _ROWS))
        return made

    def _part(self, asks: Asks, made: Prices, part: slice) -> None:
        asset, days = asks.asset[part], asks.days_left[part]
        rail = asks.rail[part]
        asked_fen = asks.face_fen[part]
        status = made.status[part]
        self._refuse(status, asset, asked_fen, days, rail)
        face_fen = np.where(status, 0, asked_fen)  # a refused face must not overflow
        rate = self._rate(asks, part, asset, days)

        gross = face_fen * rate
        gross //= PPM
        charged_ppm, charged_fen = self._charged_ppm[asset], self._charged_fen[asset]
        payment = face_fen * (rate - charged_ppm - self._fee.rate_ppm)
        payment //= PPM
        if self._fee.least_fen:
            at_most = face_fen * (rate - charged_ppm)
            at_most //= PPM
            at_most -= self._fee.least_fen
            np.minimum(payment, at_most, out=payment)
        payment -= charged_fen
        net = np.maximum(payment, 0)
        net *= self._rail_keeps_ppm[rail]
        net //= PPM
        net -= self._rail_fen[rail]
        status[(net < 1) & (status == 0)] = _STATUS["amount_below_minimum"]
        priced = status == 0
        for column, figures in (
            (made.rate_ppm, rate),
            (made.gross_fen, gross),
            (made.fee_fen, gross - payment),
            (made.rail_cost_fen, payment - net),
            (made.net_fen, net),
        ):
            np.multiply(figures, priced, out=column[part])

    def _refuse(
        self, status: npt.NDArray[np.int8], asset: Whole, face_fen: Whole, days: Whole, rail: Whole
    ) -> None:
        """The refusals before the price is made; where several are true, the first in the single way's order stands."""
        is_card = self._is_card[asset]
        status[:] = 0
        status[~self._rail_on[rail]] = _STATUS["rail_unavailable"]
        status[~self._bought[asset]] = _STATUS["not_bought"]
        expired = (days < 0) & (days != NOT_STATED)
        if expired.any():
            status[expired] = np.where(is_card[expired], _STATUS["card_expired"], _STATUS["not_bought"])
        place = np.minimum(np.searchsorted(self._faces_fen, face_fen), len(self._faces_fen) - 1)
        status[is_card & (self._faces_fen[place] != face_fen)] = _STATUS["card_face_unknown"]
        status[face_fen > self._most_fen[asset]] = _STATUS["amount_above_limit"]
        status[face_fen < self._least_fen[asset]] = _STATUS["amount_below_minimum"]
        status[face_fen <= 0] = _STATUS["amount_not_positive"]

    def _rate(self, asks: Asks, part: slice, asset: Whole, days: Whole) -> Whole:
        """Gross rate, bounds included."""
        listed = asset * self._bands
        if len(self._upto_fen):
            listed += np.searchsorted(self._upto_fen, asks.band_face_fen[part])
        rate = self._rate_ppm[listed]
        if self._steps.width > 1:
            left = np.where(days == NOT_STATED, self._unstated[asset], days)
            steps = self._full_days - left
            np.clip(steps, 0, self._full_days, out=steps)
            steps //= self._step_days
            rate += self._steps.of(listed, steps)
        rate += self._regions.of(listed, asks.tier[part] + 1)
        rate += self._standing.of(listed, asks.seller_class[part] + 1)
        if len(self._from_fen):
            wanted = np.searchsorted(self._from_fen, asks.demand_fen[part], side="right")
            rate += self._demand.of(listed, wanted)
        if self._bounds is not None:
            np.clip(rate, *self._bounds, out=rate)
        if self._caps:
            cap = asks.cap_ppm[part]
            np.minimum(rate, np.where(cap < 0, _NO_BOUND, cap), out=rate)
        if self._outlet_ppm is not None:
            outlet = asks.outlet_ppm[part]
            most = np.maximum(outlet + self._outlet_ppm, 0)
            np.minimum(rate, np.where(outlet < 0, _NO_BOUND, most), out=rate)
        if asks.agreed_ppm is not None:
            self._agree(rate, asks, part)
        return rate

    def _agree(self, rate: Whole, asks: Asks, part: slice) -> None:
        """Raise the rate to the seller's own, as far as that may go."""
        assert asks.agreed_ppm is not None
        agreed, outlet = asks.agreed_ppm[part], asks.outlet_ppm[part]
        most = np.minimum(agreed, PPM if self._bounds is None else self._bounds[1])
        if self._caps:
            cap = asks.cap_ppm[part]
            np.minimum(most, np.where(cap < 0, _NO_BOUND, cap), out=most)
        np.minimum(most, np.where(outlet < 0, _NO_BOUND, outlet - self._margin_ppm), out=most)
        np.maximum(most, 0, out=most)
        np.maximum(rate, np.where(agreed < 0, 0, most), out=rate, where=agreed >= 0)


class _Table:
    """`list rate × share`, rounded down, for each list rate (rows) and each case of one factor (columns)."""

    def __init__(self, lists: Sequence[int], shares: Sequence[int]) -> None:
        self.width = len(shares)
        self._ppm = _column(rate * share // PPM for rate in lists for share in shares)
        self.worst_ppm = int(abs(self._ppm).max())

    def of(self, listed: Whole, case: Whole) -> Whole:
        figures: Whole = self._ppm[listed * self.width + case]
        return figures


def compile_card(card: RateCard, *, at: datetime) -> CompiledCard:
    """The card for many asks at that moment. Raises ValueError when its figures do not fit 64 bits."""
    return CompiledCard(card, at=at)


def _known(figure: int | None) -> int:
    return -1 if figure is None else figure


def _column(values: Any) -> Whole:
    return np.fromiter(values, dtype=np.int64)
