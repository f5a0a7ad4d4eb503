"""What a difference is called, and what may become of it.

A break is opened by an import, with an owner and a due time. A timing break closes by itself when the next day's
statement brings the other half, or is opened again under its true name when it does not. Everything else closes by
a correction that two people decided.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Explanation(StrEnum):
    """The one name a difference has. The order is the order in which the rules are asked."""

    DUPLICATE = "duplicate"
    REVERSED = "reversed"
    FEE = "fee"
    AMOUNT = "amount"
    TIMING = "timing"
    MISSING_HERE = "missing_here"
    MISSING_THERE = "missing_there"


class State(StrEnum):
    """Where a break stands."""

    OPEN = "open"
    MATCHED = "matched"  # the other half came with a later statement
    CORRECTED = "corrected"  # two people decided, and its correction is posted


TRANSITIONS: Final = MappingProxyType(
    {
        State.OPEN: frozenset({State.MATCHED, State.CORRECTED}),
        State.MATCHED: frozenset[State](),
        State.CORRECTED: frozenset[State](),
    }
)

#: Who looks after a break first: the role whose work it is.
OWNERS: Final = MappingProxyType(
    {
        Explanation.DUPLICATE: "finance",
        Explanation.REVERSED: "finance",
        Explanation.FEE: "finance",
        Explanation.AMOUNT: "finance",
        Explanation.TIMING: "finance",
        Explanation.MISSING_HERE: "operations",
        Explanation.MISSING_THERE: "operations",
    }
)

#: How long a break may stand. A timing break waits for the next day's statement, which comes in the morning after.
_DUE: Final = MappingProxyType(
    {
        Explanation.TIMING: timedelta(hours=36),
        Explanation.FEE: timedelta(days=5),
    }
)
_DUE_ELSE: Final = timedelta(days=1)


def due_at(explanation: Explanation, *, opened_at: datetime) -> datetime:
    """When the break must be resolved."""
    return opened_at + _DUE.get(explanation, _DUE_ELSE)


class Correction(StrEnum):
    """How a break is resolved; each posts to accounts that `airback.engine.reconcile` lists."""

    FEE = "fee"  # the far side's charge is our cost
    LOSS = "loss"  # ours to bear, or (the other way) ours to keep
    SUSPENSE = "suspense"  # not understood yet: out of the clearing account, into suspense
    NOTHING = "nothing"  # both sides have since come to agree; no posting is needed
