"""Arbitrage: a carrier sells its own airtime below face value, somebody buys it and sells it to us.

For a promotion the watch works out what the airtime costs, what our own formula would pay for it at the trader's best (full
term, the best-paid tier and class, the highest demand, the cheapest rail), and what is left. Where something is left, it caps the gross rate so that at
most half of the profit and at most `leaves_ppm` of face value stay (S1: such a control cuts the profit from price
differences by half or more; a daily limit per account pressed it to 1.2 yuan an order).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from airback.domain.assets import CARD, CARRIERS, PRODUCTS
from airback.domain.money import MAX_FEN, PPM, share_ceil, share_floor
from airback.domain.refusals import Refused
from airback.pricing.cards import RateCard
from airback.pricing.facts import Facts
from airback.pricing.formula import CHINA, Terms, price

#: S1: 1.2 yuan an order; of 100 yuan of face value.
LEAVES_PPM: Final = 12_000
#: Ours: two orders of 100 yuan a day are a person's own airtime, more is trade.
PER_SELLER_FEN_PER_DAY: Final = 20_000
#: S1: what a carrier's promotion takes off our price while it runs.
PROMOTION_RANGE_PPM: Final = (-150_000, -80_000)
LONGEST: Final = timedelta(days=400)
_MOST_SOURCE: Final = 200


@dataclass(frozen=True, slots=True)
class NewPromotion:
    """A promotion to be recorded. `buy_ppm`: what the carrier asks, ppm of face; `per_account_fen`: face value it sells one
    account, None when not known; `leaves_ppm`: what a trader may keep of face; `per_seller_fen_per_day`: what one
    seller may sell us in a day once it pays, None: no limit."""

    carrier: str
    product: str
    buy_ppm: int
    since: datetime
    until: datetime
    per_account_fen: int | None
    leaves_ppm: int
    per_seller_fen_per_day: int | None
    source: str


@dataclass(frozen=True, slots=True)
class Promotion:
    """A promotion on record."""

    id: int
    carrier: str
    product: str
    buy_ppm: int
    since: datetime
    until: datetime
    per_account_fen: int | None
    leaves_ppm: int
    per_seller_fen_per_day: int | None
    source: str
    recorded_by: str
    recorded_at: datetime
    withdrawn_at: datetime | None = None
    withdrawn_by: str | None = None
    withdrawn_reason: str | None = None

    def state(self, at: datetime) -> str:
        """`to come`, `live`, `over` or `withdrawn`."""
        if self.withdrawn_at is not None:
            return "withdrawn"
        if self.until <= at:
            return "over"
        return "live" if self.since <= at else "to come"

    def over(self, at: datetime) -> bool:
        """Whether it has ended or was withdrawn."""
        return self.until <= at or self.withdrawn_at is not None


def check_promotion(promotion: NewPromotion, *, now: datetime) -> NewPromotion:
    """The promotion, when it may be recorded. Raises Refused with the field: `carrier_unknown`, `field_invalid`,
    `field_missing`, `rival_rate_not_positive`, `rival_rate_above_face`, an amount's refusal,
    `promotion_dates_reversed`, `promotion_over`."""
    if promotion.carrier not in CARRIERS:
        raise Refused("carrier_unknown", field="carrier")
    if promotion.product not in PRODUCTS:
        raise Refused("field_invalid", field="product")
    if promotion.buy_ppm <= 0:
        raise Refused("rival_rate_not_positive", field="buy")
    if promotion.buy_ppm > PPM:
        raise Refused("rival_rate_above_face", field="buy")
    if not 0 <= promotion.leaves_ppm <= PPM:
        raise Refused("field_invalid", field="leaves")
    for name, amount in (
        ("per_account", promotion.per_account_fen),
        ("per_seller", promotion.per_seller_fen_per_day),
    ):
        if amount is not None and amount <= 0:
            raise Refused("amount_not_positive", field=name)
        if amount is not None and amount > MAX_FEN:
            raise Refused("amount_above_limit", field=name)
    if promotion.until <= promotion.since:
        raise Refused("promotion_dates_reversed", field="until")
    if promotion.until <= now:
        raise Refused("promotion_over", field="until")
    if promotion.until - promotion.since > LONGEST:
        raise Refused("field_invalid", field="until")
    if not promotion.source.strip():
        raise Refused("field_missing", field="source")
    if len(promotion.source) > _MOST_SOURCE or not promotion.source.isprintable():
        raise Refused("field_invalid", field="source")
    return promotion


@dataclass(frozen=True, slots=True)
class Trade:
    """Buying `face_fen` from the carrier and selling it to us by `rail`: what it costs, what we pay, without a cap and with."""

    face_fen: int
    rail: str
    cost_fen: int
    pays_fen: int
    pays_capped_fen: int

    @property
    def profit_fen(self) -> int:
        """What is left without a cap; below zero a loss."""
        return self.pays_fen - self.cost_fen

    @property
    def profit_capped_fen(self) -> int:
        """What is left under the cap."""
        return self.pays_capped_fen - self.cost_fen

    @property
    def cut_ppm(self) -> int | None:
        """The share of the profit that the cap takes, rounded down; None where there was none."""
        if self.profit_fen <= 0:
            return None
        return (self.profit_fen - max(self.profit_capped_fen, 0)) * PPM // self.profit_fen


@dataclass(frozen=True, slots=True)
class Finding:
    """What a promotion means at one time by one card. `most_ppm` is the cap on the gross rate; None where nothing is left to
    a trader. `trades` are in order of face value, `place` is what the best-paid place is called on the card."""

    promotion: Promotion
    card_version: int
    at: datetime
    place: str | None
    trades: tuple[Trade, ...]
    most_ppm: int | None

    @property
    def worst(self) -> Trade | None:
        """The trade with most profit for its face value; None when we buy nothing of it."""
        return max(self.trades, key=lambda t: (t.profit_fen * PPM // t.face_fen, t.face_fen), default=None)

    @property
    def cut_ppm(self) -> int | None:
        """The least share of the profit that the cap takes on any face value; None without a cap."""
        cuts = [trade.cut_ppm for trade in self.trades if trade.cut_ppm is not None]
        return min(cuts) if cuts and self.most_ppm is not None else None

    def uncapped(self) -> "Finding":
        """The same where no cap counts."""
        trades = tuple(replace(trade, pays_capped_fen=trade.pays_fen) for trade in self.trades)
        return replace(self, trades=trades, most_ppm=None)

    def per_day_fen(self, *, capped: bool) -> int | None:
        """What one account can gain in a day: None where nothing limits it. Without the cap only the carrier's own limit
        per account does; with it the daily limit too."""
        limits = [self.promotion.per_account_fen]
        if capped and self.most_ppm is not None:
            limits.append(self.promotion.per_seller_fen_per_day)
        known = [limit for limit in limits if limit is not None]
        worst = self.worst
        if worst is None or not known:
            return None
        profit = max(worst.profit_capped_fen if capped else worst.profit_fen, 0)
        return min(known) * profit // worst.face_fen


def honoured(card: RateCard, at: datetime) -> bool:
    """Whether prices by this card read caps at that time."""
    return card.cap is not None and card.cap.factor.counts(at)


def watch(promotion: Promotion, *, card: RateCard, at: datetime, most_ppm: int | None = None) -> Finding:
    """What the promotion means by this card at that time; `most_ppm` is a cap that people set, else the watch's own."""
    place = _best_place(card, at)
    uncapped = [
        (terms, net) for terms in _terms(promotion, card, place, at) if (net := _net(card, terms)) > 0
    ]
    if most_ppm is None:
        most_ppm = _cap(promotion, card, uncapped)
    best: dict[int, Trade] = {}
    for terms, net in uncapped:
        held = net if most_ppm is None else _net(capped(card, most_ppm, at=at), terms)
        cost = share_ceil(terms.face_fen, promotion.buy_ppm)
        trade = Trade(terms.face_fen, terms.rail, cost, net, held)
        known = best.get(terms.face_fen)
        if known is None or trade.pays_fen > known.pays_fen:
            best[terms.face_fen] = trade
    return Finding(promotion, card.version, at, place, tuple(best[face] for face in sorted(best)), most_ppm)


def capped(card: RateCard, most_ppm: int, *, at: datetime) -> RateCard:
    """The card with its gross rate bounded from above by `most_ppm`, for reckoning."""
    bounds = card.bounds
    counts = bounds.factor.counts(at)
    most = min(most_ppm, bounds.most_ppm) if counts else most_ppm
    return replace(
        card,
        bounds=replace(
            bounds,
            factor=replace(bounds.factor, on=True, since=None, until=None),
            least_ppm=min(bounds.least_ppm, most) if counts else 0,
            most_ppm=most,
        ),
    )


def suggest_promotion(finding: Finding, *, card: RateCard) -> int | None:
    """Share of the list rate for the card's own promotion factor that brings the gross rate to the cap, kept within S1's
    −8 to −15 %; None without a cap or where the factor already counts."""
    if finding.most_ppm is None or card.promotion.factor.counts(finding.at):
        return None
    gross = max(
        (_gross(card, terms) for terms in _terms(finding.promotion, card, finding.place, finding.at)),
        default=0,
    )
    if gross <= 0:
        return None
    share = finding.most_ppm * PPM // gross - PPM
    lowest, highest = PROMOTION_RANGE_PPM
    return min(max(share, lowest), highest)


def with_promotion(document: Mapping[str, Any], *, promotion: Promotion, share_ppm: int) -> dict[str, Any]:
    """A rate card's document with the promotion factor on for that carrier and time alone."""
    factors = document["factors"]
    part = {
        **factors["promotion"],
        "on": True,
        "from": _time_text(promotion.since),
        "until": _time_text(promotion.until),
        "carriers_ppm": {promotion.carrier: share_ppm},
    }
    return {**document, "factors": {**factors, "promotion": part}}


def _time_text(at: datetime) -> str:
    return f"{at.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat()}Z"


def _best_place(card: RateCard, at: datetime) -> str | None:
    """The tier that is paid best: a trader sells from there."""
    if not card.region.factor.counts(at) or not card.region.tiers_ppm:
        return None
    tiers = card.region.tiers_ppm
    return f"tier{max(tiers, key=lambda tier: (tiers[tier], tier))}"


def _terms(promotion: Promotion, card: RateCard, place: str | None, at: datetime) -> Iterator[Terms]:
    limits = card.limits[promotion.product]
    faces = card.card_faces_fen if promotion.product == CARD else card.table_faces_fen
    expires_on = at.astimezone(CHINA).date() + timedelta(days=card.validity.full_days)
    facts = Facts(
        seller_class=None if card.standing is None else card.standing.classes[-1].name,
        demand_fen=None if card.demand is None else card.demand.bands[-1][0],
    )
    for face in sorted(face for face in faces if limits.least_fen <= face <= limits.most_fen):
        for rail in card.rails:
            yield Terms(promotion.product, promotion.carrier, face, expires_on, place, rail, at, face, facts)


def _net(card: RateCard, terms: Terms) -> int:
    """What a seller gets, 0 where nothing is bought. The one place where the watch asks the formula."""
    try:
        return price(card=card, terms=terms).net_fen
    except Refused:
        return 0


def _gross(card: RateCard, terms: Terms) -> int:
    try:
        return price(card=card, terms=terms).rate_ppm
    except Refused:
        return 0


def _cap(promotion: Promotion, card: RateCard, uncapped: list[tuple[Terms, int]]) -> int | None:
    """The highest gross rate that leaves no trade more than it may keep; None when no trade has a profit.

    What is paid never falls as the gross rate rises, so the highest is found by halving."""
    most: int | None = None
    for terms, net in uncapped:
        cost = share_ceil(terms.face_fen, promotion.buy_ppm)
        profit = net - cost
        if profit <= 0:
            continue
        kept = min(share_floor(terms.face_fen, promotion.leaves_ppm), profit // 2)
        low, high = 0, most if most is not None else _gross(card, terms)
        while low < high:
            middle = (low + high + 1) // 2
            if _net(capped(card, middle, at=terms.at), terms) - cost <= kept:
                low = middle
            else:
                high = middle - 1
        most = low
    return most
