"""The register of published rate cards: that at no time two of them claim to be in force, and none is missing between two.

A card without an end is in force until the next one begins; a card with an end says that it stops then.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from airback.domain.refusals import Refused
from airback.pricing.cards import RateCard


@dataclass(frozen=True, slots=True)
class Span:
    """A card and when it is in force: until its own end or the next one's beginning; None: no end is known."""

    card: RateCard
    until: datetime | None

    def holds(self, at: datetime) -> bool:
        """Whether the card is in force then."""
        return self.card.effective_from <= at and (self.until is None or at < self.until)


def spans(cards: Iterable[RateCard]) -> list[Span]:
    """Published cards in the order of their time, each with the end it really has."""
    ordered = sorted(cards, key=lambda card: (card.effective_from, card.version))
    found = []
    for place, card in enumerate(ordered):
        ends = [card.effective_until, *(one.effective_from for one in ordered[place + 1 : place + 2])]
        found.append(Span(card, min((end for end in ends if end is not None), default=None)))
    return found


def check(cards: Iterable[RateCard]) -> None:
    """Raise Refused for cards that do not follow one another; `row` is the card's place in time, from 1.

    `card_dates_overlap` (field `effective_until` of a card that goes on after the next one began, or `effective_from`
    of one that begins at another's first moment), `card_dates_gap` (field `effective_from` of a card that begins after
    the one before ended). That nothing follows the last card is no gap: an operator may stop buying.
    """
    ordered = sorted(cards, key=lambda card: (card.effective_from, card.version))
    for row, (card, following) in enumerate(pairwise(ordered), start=1):
        if card.effective_from == following.effective_from:
            raise Refused("card_dates_overlap", field="effective_from", row=row + 1)
        until = card.effective_until
        if until is None:
            continue
        if until > following.effective_from:
            raise Refused("card_dates_overlap", field="effective_until", row=row)
        if until < following.effective_from:
            raise Refused("card_dates_gap", field="effective_from", row=row + 1)
