"""What may follow what in a proposal's life: one person proposes, another decides, or its time runs out."""

from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class State(StrEnum):
    """Where a proposal stands. `expired` is not stored: it is `open` after its time."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"


S = State

TRANSITIONS: Final = MappingProxyType(
    {
        S.OPEN: frozenset({S.APPROVED, S.REJECTED, S.EXPIRED}),
        S.APPROVED: frozenset[State](),
        S.REJECTED: frozenset[State](),
        S.EXPIRED: frozenset[State](),
    }
)

#: The two decisions a person can take.
DECISIONS: Final = frozenset({S.APPROVED, S.REJECTED})


def state(*, decision: str | None, expires_at: datetime, now: datetime) -> State:
    """Where the proposal stands now."""
    if decision is not None:
        return State(decision)
    return State.EXPIRED if expires_at <= now else State.OPEN
