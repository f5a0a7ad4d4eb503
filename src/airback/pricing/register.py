"""The register of published rate cards: which is in force when, and that no two claim the same time and none is missing.

As `pricing.cards.card_in_force` has it: of the cards whose time it is, the one that began last. A card without an end is
the standing list until another without an end takes over; a card with an end stands before it for that time only.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from airback.domain.refusals import Refused
from airback.pricing.cards import RateCard, card_in_force


@dataclass(frozen=True, slots=True)
class Span:
    """A card, when it ends for good (None: nobody knows yet), and whether it is the one in force."""

    card: RateCard
    until: datetime | None
    in_force: bool


def spans(cards: Iterable[RateCard], *, at: datetime) -> list[Span]:
    """Published cards in the order of their time, as they stand at that moment."""
    ordered = sorted(cards, key=_order)
    now = _in_force(ordered, at)
    found = []
    for place, card in enumerate(ordered):
        ends = [one.effective_from for one in ordered[place + 1 :] if one.effective_until is None]
        if card.effective_until is not None:
            ends.append(card.effective_until)
        found.append(Span(card, min(ends, default=None), card is now))
    return found


def check(cards: Iterable[RateCard], *, since: datetime | None = None) -> None:
    """Raise Refused for cards that do not go together; `row` is the card's place in time, from 1.

    `card_dates_overlap`: a card begins at another's first moment (field `effective_from`), or one that states its end goes on
    after the next began (`effective_until`). `card_dates_gap`: after a card ended none is in force until a later one begins
    (`effective_from` of that). That nothing follows the last card is no gap: an operator may stop buying. What began
    before `since` is taken as it stands: a new card may replace it before the end it states.
    """
    ordered = sorted(cards, key=_order)
    for row, (card, following) in enumerate(pairwise(ordered), start=1):
        if since is not None and following.effective_from < since:
            continue
        until = card.effective_until
        if card.effective_from == following.effective_from:
            raise Refused("card_dates_overlap", field="effective_from", row=row + 1)
        if until is None:
            continue
        if until > following.effective_from and (since is None or card.effective_from >= since):
            raise Refused("card_dates_overlap", field="effective_until", row=row)
        if until < following.effective_from and _in_force(ordered, max(until, since or until)) is None:
            raise Refused("card_dates_gap", field="effective_from", row=row + 1)


def _in_force(cards: Iterable[RateCard], at: datetime) -> RateCard | None:
    try:
        return card_in_force(cards, at)
    except Refused:
        return None


def _order(card: RateCard) -> tuple[datetime, int]:
    return card.effective_from, card.version
