"""The register of published rate cards: that at no time two of them claim to be in force, and none is missing between two.

A card without an end is in force until the next one begins; a card with an end says that it stops then.
"""

from collections.abc import Iterable
from itertools import pairwise

from airback.domain.refusals import Refused
from airback.pricing.cards import RateCard


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
