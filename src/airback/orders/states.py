"""What may follow what in an order's life and in a fill's.

The order of the happy path is `submitted → screened → verified → held → routed → delivered → credited → closed`
(`quoted` is a quote, which is not stored). Which path an order takes depends on its hold kind: a card (`none`)
goes from `verified` straight to `routed`. `awaiting_seller` and `in_review` remember where they came from in the
order's `resume` column, so they may return only there. Cancellation is free until a delivery is committed.
"""

from enum import StrEnum
from types import MappingProxyType
from typing import Final


class State(StrEnum):
    """Where an order stands."""

    SUBMITTED = "submitted"
    SCREENED = "screened"
    VERIFIED = "verified"
    HELD = "held"
    ROUTED = "routed"
    DELIVERED = "delivered"
    CREDITED = "credited"
    AWAITING_SELLER = "awaiting_seller"
    IN_REVIEW = "in_review"
    CANCELLING = "cancelling"
    CLOSED = "closed"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    FAILED = "failed"


S = State

TRANSITIONS: Final = MappingProxyType(
    {
        S.SUBMITTED: frozenset({S.SCREENED, S.DECLINED, S.CANCELLED, S.EXPIRED}),
        S.SCREENED: frozenset({S.VERIFIED, S.DECLINED, S.IN_REVIEW, S.CANCELLED, S.EXPIRED}),
        S.VERIFIED: frozenset(
            {S.HELD, S.ROUTED, S.DECLINED, S.IN_REVIEW, S.CANCELLING, S.CANCELLED, S.EXPIRED}
        ),
        S.HELD: frozenset({S.ROUTED, S.CANCELLING, S.IN_REVIEW}),
        S.ROUTED: frozenset({S.DELIVERED, S.FAILED, S.IN_REVIEW, S.CANCELLING}),
        S.DELIVERED: frozenset({S.CREDITED, S.IN_REVIEW}),
        S.CREDITED: frozenset({S.CLOSED, S.AWAITING_SELLER, S.IN_REVIEW}),
        S.AWAITING_SELLER: frozenset({S.CREDITED, S.IN_REVIEW}),
        S.IN_REVIEW: frozenset(
            {
                S.SCREENED,
                S.VERIFIED,
                S.HELD,
                S.ROUTED,
                S.DELIVERED,
                S.CREDITED,
                S.DECLINED,
                S.CANCELLING,
                S.FAILED,
            }
        ),
        S.CANCELLING: frozenset({S.CANCELLED, S.DECLINED, S.FAILED, S.IN_REVIEW}),
        S.CLOSED: frozenset[State](),
        S.DECLINED: frozenset[State](),
        S.CANCELLED: frozenset[State](),
        S.EXPIRED: frozenset[State](),
        S.FAILED: frozenset[State](),
    }
)

FINAL: Final = frozenset(state for state, following in TRANSITIONS.items() if not following)


class FillState(StrEnum):
    """Where the part of an order that goes to one demand stands."""

    RESERVED = "reserved"
    DELIVERING = "delivering"
    DELIVERED = "delivered"
    RELEASED = "released"
    FAILED = "failed"


F = FillState

FILL_TRANSITIONS: Final = MappingProxyType(
    {
        F.RESERVED: frozenset({F.DELIVERING, F.RELEASED}),
        F.DELIVERING: frozenset({F.DELIVERED, F.FAILED}),
        F.DELIVERED: frozenset[FillState](),
        F.RELEASED: frozenset[FillState](),
        F.FAILED: frozenset[FillState](),
    }
)
