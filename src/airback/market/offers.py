"""Offers: a seller names their own price and a deadline, and the airtime waits in the book until a demand meets it.

An offer holds nothing of anybody's: no airtime is frozen, no money earmarked. What may follow what is in `TRANSITIONS`.
"""

from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from airback.domain.money import PPM, share_ceil


class State(StrEnum):
    """Where an offer stands."""

    RESTING = "resting"
    MET = "met"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


S = State

TRANSITIONS: Final = MappingProxyType(
    {
        S.RESTING: frozenset({S.MET, S.WITHDRAWN, S.EXPIRED}),
        S.MET: frozenset[State](),
        S.WITHDRAWN: frozenset[State](),
        S.EXPIRED: frozenset[State](),
    }
)

#: Counted from the proof of the number: for so long back its carrier is asked about a changed SIM when a demand meets it.
LONGEST: Final = timedelta(hours=72)
SHORTEST: Final = timedelta(minutes=5)


def net_fen(face_fen: int, net_ppm: int) -> int:
    """What a rate comes to, rounded up: never less than the seller said."""
    return share_ceil(face_fen, net_ppm)


def net_ppm(face_fen: int, net_fen: int) -> int:
    """An offer's place in the book: what the seller wants to receive of face value, rounded up. The lowest is met first."""
    return -(-net_fen * PPM // face_fen)
