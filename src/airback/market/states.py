"""What may follow what in a demand's life. `open_fen` says how much of it is still wanted."""

from enum import StrEnum
from types import MappingProxyType
from typing import Final


class State(StrEnum):
    """Where a demand stands."""

    OPEN = "open"
    FILLED = "filled"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


S = State

TRANSITIONS: Final = MappingProxyType(
    {
        S.OPEN: frozenset({S.FILLED, S.WITHDRAWN, S.EXPIRED}),
        S.FILLED: frozenset({S.OPEN}),  # a fill that failed explicitly opens its part again
        S.WITHDRAWN: frozenset[State](),
        S.EXPIRED: frozenset[State](),
    }
)
