"""The one formula of a price. Integers only, one rounding rule, every line shown.

    list rate    = base + face                        points of face value, ppm
    gross rate   = list rate
                   − list rate × step × missing steps   remaining validity
                   + list rate × tier                   region
                   + list rate × promotion              a share below zero
                   + list rate × competition
                   + list rate × standing               the published class of the seller
                   + list rate × demand                 what outlets want now
                   brought between the least and the most rate
                   then at most a live cap
                   then at most what the best outlet gives, less the margin, with what subsidy was approved
                   then at least the rate that a seller named and a demand agreed to, as far as the most rate, the
                   cap and the best outlet's price less the margin, without subsidy, allow
    running total of each line = ⌊face × rate so far⌋
    gross        = the running total under the gross rate
    fee          = gross − ⌊face × (gross rate − fee rate)⌋, at least the least fee; then each further charge
    rail cost    = ⌈what is left × rail rate⌉ + its fixed amount
    net          = gross − fee − rail cost

Shares are of the *list* rate, so their order changes nothing. **The seller's running total is rounded down at each
line, in the operator's favour, by less than one fen**; a line's amount is the difference between two running
totals, so the lines sum to the net without a remainder line, and a higher face never nets less within a band.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, timezone
from typing import Any, Final

from airback.domain.assets import airtime
from airback.domain.money import PPM, share_floor
from airback.domain.refusals import Refused
from airback.pricing.cards import Factor, RateCard
from airback.pricing.facts import NEUTRAL, Facts

#: The line of a rate that the seller named. It is nobody's list price, so no rate card has it.
AGREED: Final = Factor(name="agreed", zh="卖家自定价", en="The seller's own price", source="seller")

#: China has had one time zone and no summer time since 1992; a card's last day ends there.
CHINA: Final = timezone(timedelta(hours=8))


@dataclass(frozen=True, slots=True)
class Terms:
    """Everything a price depends on.

    `at` is the moment that validity and dated factors are taken at, `band_face_fen` the face value whose band counts:
    the face itself, or what was sold when only a part of it was delivered.
    """

    product: str
    carrier: str
    face_fen: int
    expires_on: date | None
    province: str | None
    rail: str
    at: datetime
    band_face_fen: int
    facts: Facts = NEUTRAL


@dataclass(frozen=True, slots=True)
class Price:
    """A price and its lines. Each line: name, zh, en, rate_ppm, amount_fen (both signed), source."""

    lines: tuple[dict[str, Any], ...]
    rate_ppm: int
    gross_fen: int
    fee_fen: int
    rail_cost_fen: int
    net_fen: int


def price(*, card: RateCard, terms: Terms, delivered: bool = False) -> Price:
    """Price of one asset by one card.

    Raises Refused: `not_bought` (no base rate), `rail_unavailable` (no cost, or switched off),
    `amount_below_minimum` (nothing would be left for the seller). For airtime that was `delivered` already the last
    is never raised: fee and cost are waived as far as it takes to leave the seller one fen.
    """
    list_ppm = card.base.rates_ppm.get(airtime(terms.carrier, terms.product))
    if list_ppm is None:
        raise Refused("not_bought", field="carrier")
    rail = card.rails.get(terms.rail)
    if rail is None or not rail.factor.counts(terms.at):
        raise Refused("rail_unavailable", field="rail")

    lines = _Lines(terms.face_fen)
    lines.add(card.base.factor, list_ppm)
    if card.face.factor.counts(terms.at):
        points = card.face.rate_ppm(terms.band_face_fen)
        list_ppm += points
        lines.add(card.face.factor, points)
    _shares(card, terms, list_ppm, lines)
    _bounds(card, terms, lines)
    if delivered:
        lines.at_least_one_fen()
    gross_ppm, gross_fen = lines.rate_ppm, lines.total_fen

    fee = card.fee
    lines.add(fee.factor, -fee.rate_ppm, least_fen=fee.least_fen)
    asset = airtime(terms.carrier, terms.product)
    for charge in card.charges:
        if charge.factor.counts(terms.at) and (charge.assets is None or asset in charge.assets):
            lines.add(charge.factor, -charge.rate_ppm, fixed_fen=charge.fixed_fen)
    payment_fen = lines.total_fen
    # What is left × (1 − rate), rounded down, is what is left less the cost rounded up.
    net_fen = share_floor(max(payment_fen, 0), PPM - rail.rate_ppm) - rail.fixed_fen
    if delivered:
        net_fen = max(net_fen, 1)
    elif net_fen < 1:
        raise Refused("amount_below_minimum", field="face_fen")
    cost = replace(rail.factor, zh=f"支付通道费({rail.factor.zh})", en=f"Payment cost ({rail.factor.en})")
    lines.close(cost, -rail.rate_ppm, net_fen)
    return Price(
        lines=tuple(lines.found),
        rate_ppm=gross_ppm,
        gross_fen=gross_fen,
        fee_fen=gross_fen - payment_fen,
        rail_cost_fen=payment_fen - net_fen,
        net_fen=net_fen,
    )


def price_by_lines(signed: Sequence[Mapping[str, Any]], *, face_fen: int) -> Price:
    """Price of delivered airtime by the rates that stand on a signed quote's lines, without a rate card."""
    lines = _Lines(face_fen)
    gross: tuple[int, int] | None = None
    rail: Mapping[str, Any] | None = None
    for line in signed:
        factor = Factor(name=line["name"], zh=line["zh"], en=line["en"], source=line["source"])
        if line["name"].startswith("rail:"):
            rail = line
            continue
        if gross is None and (line["name"] == "fee" or line["name"].startswith("charge:")):
            lines.at_least_one_fen()
            gross = lines.rate_ppm, lines.total_fen
        lines.add(factor, line["rate_ppm"])
    if gross is None:
        lines.at_least_one_fen()
        gross = lines.rate_ppm, lines.total_fen
    gross_ppm, gross_fen = gross
    payment_fen = net_fen = lines.total_fen
    if rail is not None:
        factor = Factor(name=rail["name"], zh=rail["zh"], en=rail["en"], source=rail["source"])
        net_fen = max(1, share_floor(payment_fen, PPM + rail["rate_ppm"]))
        lines.close(factor, rail["rate_ppm"], net_fen)
    return Price(
        lines=tuple(lines.found),
        rate_ppm=gross_ppm,
        gross_fen=gross_fen,
        fee_fen=gross_fen - payment_fen,
        rail_cost_fen=payment_fen - net_fen,
        net_fen=net_fen,
    )


def _shares(card: RateCard, terms: Terms, list_ppm: int, lines: "_Lines") -> None:
    """The lines that are shares of the list rate; each share is rounded down."""
    validity = card.validity
    if validity.factor.counts(terms.at):
        if terms.expires_on is not None:
            days: int | None = (terms.expires_on - terms.at.astimezone(CHINA).date()).days
            zh, en = "", ""
        else:
            days = validity.unstated_days[terms.product]
            zh, en = "(未注明,按足期计)", " (not stated: taken as full)"
            if days is not None:
                zh, en = f"(未注明,按 {days} 天计)", f" (not stated: taken as {days} days)"
        steps = 0 if days is None else validity.steps(days_left=days)
        lines.add(validity.factor, list_ppm * -min(PPM, steps * validity.step_ppm) // PPM, zh, en)
    region = card.region
    if region.factor.counts(terms.at):
        tier = None if terms.province is None else region.tier(terms.province)
        if terms.province is None:
            zh, en = "(未注明)", " (not stated)"
        elif tier is None:
            zh, en = "(不在价目表内)", " (not in the rate card)"
        else:
            zh, en = f"({tier} 级)", f" (tier {tier})"
        share = 0 if tier is None else region.tiers_ppm[tier]
        lines.add(region.factor, list_ppm * share // PPM, zh, en)
    if card.promotion.factor.counts(terms.at):
        share = card.promotion.carriers_ppm.get(terms.carrier, 0)
        lines.add(card.promotion.factor, list_ppm * share // PPM)
    if card.competition.factor.counts(terms.at):
        lines.add(card.competition.factor, list_ppm * card.competition.rate_ppm // PPM)
    # A factor whose fact is not known has no line: nothing was read, and cards from before it was known price alike.
    standing, facts = card.standing, terms.facts
    if standing is not None and facts.seller_class is not None and standing.factor.counts(terms.at):
        at = standing.place(facts.seller_class)
        if at is None:
            lines.add(standing.factor, 0, "(不在价目表内)", " (not in the rate card)")
        else:
            one = standing.classes[at]
            lines.add(standing.factor, list_ppm * one.rate_ppm // PPM, f"({one.zh})", f" ({one.en})")
    demand = card.demand
    if demand is not None and facts.demand_fen is not None and demand.factor.counts(terms.at):
        share = demand.bands[demand.place(facts.demand_fen)][1]
        lines.add(demand.factor, list_ppm * share // PPM)


def _bounds(card: RateCard, terms: Terms, lines: "_Lines") -> None:
    """The lines of the bounds that bite, in their order: a later one binds what an earlier one raised."""
    if card.bounds.factor.counts(terms.at):
        bounded = min(max(lines.rate_ppm, card.bounds.least_ppm), card.bounds.most_ppm)
        if bounded != lines.rate_ppm:
            lines.add(card.bounds.factor, bounded - lines.rate_ppm)
    cap = terms.facts.cap
    if (
        card.cap is not None
        and cap is not None
        and cap.most_ppm < lines.rate_ppm
        and card.cap.factor.counts(terms.at)
    ):
        name = cap.promotion
        lines.add(card.cap.factor, cap.most_ppm - lines.rate_ppm, f"({name})", f" ({name})")
    outlet_ppm = terms.facts.outlet_ppm
    if card.outlet is not None and outlet_ppm is not None and card.outlet.factor.counts(terms.at):
        most_ppm = card.outlet.most_ppm(outlet_ppm)
        if most_ppm < lines.rate_ppm:
            lines.add(card.outlet.factor, most_ppm - lines.rate_ppm)
    agreed_ppm = terms.facts.agreed_ppm
    if agreed_ppm is not None:
        more_ppm = min(agreed_ppm, most_agreed_ppm(card, terms)) - lines.rate_ppm
        if more_ppm > 0:
            lines.add(AGREED, more_ppm)
        else:
            lines.add(AGREED, 0, "(公布价不低于它,按公布价)", " (the published price is no lower and counts)")


def most_agreed_ppm(card: RateCard, terms: Terms) -> int:
    """The most a seller's own price may come to before fees, ppm of face: no rate above the card's most, above a live cap,
    or above what the best outlet gives less the margin. What subsidy was approved is for published prices alone."""
    most_ppm = card.bounds.most_ppm if card.bounds.factor.counts(terms.at) else PPM
    cap, outlet_ppm, outlet = terms.facts.cap, terms.facts.outlet_ppm, card.outlet
    if cap is not None and card.cap is not None and card.cap.factor.counts(terms.at):
        most_ppm = min(most_ppm, cap.most_ppm)
    if outlet_ppm is not None:
        margin_ppm = outlet.margin_ppm if outlet is not None and outlet.factor.counts(terms.at) else 0
        most_ppm = min(most_ppm, outlet_ppm - margin_ppm)
    return max(0, most_ppm)


def agreed_ppm(card: RateCard, terms: Terms, *, net_fen: int) -> int:
    """The least gross rate by which the seller nets `net_fen` or more, ppm of face; above a million where none does.

    Raises Refused `rail_unavailable`.
    """
    rail = card.rails.get(terms.rail)
    if rail is None or not rail.factor.counts(terms.at):
        raise Refused("rail_unavailable", field="rail")
    if rail.rate_ppm >= PPM:
        return PPM + 1
    payment_fen = -(-(net_fen + rail.fixed_fen) * PPM // (PPM - rail.rate_ppm))
    asset = airtime(terms.carrier, terms.product)
    charges = [
        charge
        for charge in card.charges
        if charge.factor.counts(terms.at) and (charge.assets is None or asset in charge.assets)
    ]
    left_fen = payment_fen + sum(charge.fixed_fen for charge in charges)
    charged_ppm = sum(charge.rate_ppm for charge in charges)
    needed = [-(-left_fen * PPM // terms.face_fen) + charged_ppm + card.fee.rate_ppm]
    if card.fee.least_fen:
        needed.append(-(-(left_fen + card.fee.least_fen) * PPM // terms.face_fen) + charged_ppm)
    return max(needed)


class _Lines:
    """Lines as they are added, with the rate and the rounded running total so far."""

    def __init__(self, face_fen: int) -> None:
        self._face_fen = face_fen
        self._less_fen = 0
        # From the line with a least amount on, the total is the lower of two: the share's and the least amount's.
        self._least: tuple[int, int] | None = None
        self._floor_fen: int | None = None
        self.rate_ppm = 0
        self.total_fen = 0
        self.found: list[dict[str, Any]] = []

    def add(
        self,
        factor: Factor,
        rate_ppm: int,
        zh: str = "",
        en: str = "",
        *,
        fixed_fen: int = 0,
        least_fen: int = 0,
    ) -> None:
        """One line of `rate_ppm` of face less `fixed_fen`, or less `least_fen` when that takes more."""
        if least_fen:
            self._least = (self.rate_ppm, self._less_fen + least_fen)
        elif self._least is not None:
            self._least = (self._least[0] + rate_ppm, self._least[1] + fixed_fen)
        self.rate_ppm += rate_ppm
        self._less_fen += fixed_fen
        total_fen = self._face_fen * self.rate_ppm // PPM - self._less_fen
        if self._least is not None:
            total_fen = min(total_fen, self._face_fen * self._least[0] // PPM - self._least[1])
        self._append(factor, rate_ppm, total_fen, zh, en)

    def at_least_one_fen(self) -> None:
        """From here on the total never falls below one fen: the last line is raised, later ones are waived."""
        self._floor_fen = 1
        if self.total_fen < 1:
            self.found[-1]["amount_fen"] += 1 - self.total_fen
            self.total_fen = 1

    def close(self, factor: Factor, rate_ppm: int, net_fen: int) -> None:
        """The last line, whose rate is a share of the payment and not of face."""
        self._append(factor, rate_ppm, net_fen, "", "")

    def _append(self, factor: Factor, rate_ppm: int, total_fen: int, zh: str, en: str) -> None:
        if self._floor_fen is not None:
            total_fen = max(total_fen, self._floor_fen)
        self.found.append(
            {
                "name": factor.name,
                "zh": factor.zh + zh,
                "en": factor.en + en,
                "rate_ppm": rate_ppm,
                "amount_fen": total_fen - self.total_fen,
                "source": factor.source,
            }
        )
        self.total_fen = total_fen
