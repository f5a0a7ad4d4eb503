"""When rate cards are in force, one after another: what would leave a moment with two prices, or with none.

A card without an end is in force until a later one begins. A card with an end keeps its days to itself, and another
begins at that very moment: what then counts is said beforehand, and is not whatever older card lies beneath.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from airback.domain.refusals import Refused
from airback.pricing.cards import RateCard, card_in_force

_BEGINS: Final = "effective_at"
_ENDS: Final = "effective_until"


def check_schedule(
    published: Iterable[RateCard], card: RateCard, *, now: datetime, replaces: int | None = None
) -> None:
    """Refuse a card that does not fit beside the published ones, before it is one of them.

    Raises Refused with the field (`effective_at`, `effective_until`): `card_overlap` when it begins at the moment that
    another is scheduled for, within the days of one that has an end, or when another begins within its own days;
    `card_gap` when it ends and none begins at that moment, or when nothing would be in force before it. A card that
    takes effect at once may replace whatever is in force. `replaces` is the version of a scheduled card in whose place it
    comes, at the same moment, so that the other never takes effect; `field_invalid` when there is none.
    """
    others = [one for one in published if one.effective_until is None or one.effective_until > now]
    begins, ends = card.effective_from, card.effective_until
    if replaces is not None:
        if not any(one.version == replaces and one.effective_from == begins > now for one in others):
            raise Refused("field_invalid", field="replaces")
        others = [one for one in others if one.effective_from != begins]
    if begins > now:
        for other in others:
            cut = other.effective_until is not None and other.effective_from < begins < other.effective_until
            if other.effective_from == begins or cut:
                raise Refused("card_overlap", field=_BEGINS)
        if not _in_force_all_the_way(others, now=now, until=begins):
            raise Refused("card_gap", field=_BEGINS)
    if ends is not None:
        if any(begins < other.effective_from < ends for other in others):
            raise Refused("card_overlap", field=_ENDS)
        if all(other.effective_from != ends for other in others):
            raise Refused("card_gap", field=_ENDS)


def _in_force_all_the_way(cards: list[RateCard], *, now: datetime, until: datetime) -> bool:
    """Whether some card is in force at each moment from `now` to just before `until`: it can only fail where one ends."""
    if not cards:
        return True  # the first card of all is preceded by nothing
    ended = (one.effective_until for one in cards if one.effective_until is not None)
    for moment in (now, *(end for end in ended if end < until)):
        try:
            card_in_force(cards, moment)
        except Refused:
            return False
    return True
