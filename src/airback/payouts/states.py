"""What may follow what in a payout's life. A returned or failed one is never sent again: a new payout is planned."""

from enum import StrEnum
from types import MappingProxyType
from typing import Final


class State(StrEnum):
    """Where a payout stands."""

    PLANNED = "planned"
    SENT = "sent"
    AWAITING_SELLER = "awaiting_seller"
    PAID = "paid"
    RETURNED = "returned"
    FAILED = "failed"


S = State

TRANSITIONS: Final = MappingProxyType(
    {
        S.PLANNED: frozenset({S.SENT}),
        S.SENT: frozenset({S.AWAITING_SELLER, S.PAID, S.FAILED}),
        S.AWAITING_SELLER: frozenset({S.PAID, S.FAILED}),
        S.PAID: frozenset({S.RETURNED}),
        S.RETURNED: frozenset[State](),
        S.FAILED: frozenset[State](),
    }
)

FINAL: Final = frozenset({S.PAID, S.RETURNED, S.FAILED})
