"""Who may do what: roles, permissions and the one table that joins them.

A person holds one or more roles and may do what any of them may. `GRANTS` is the whole theory: nothing is
inherited and no role may do everything. Whoever runs the accounts (administrator) moves no money, whoever
examines (examiner) changes nothing.
"""

from collections.abc import Collection
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from airback.domain.refusals import Refused


class Role(StrEnum):
    """What a member of staff is there for."""

    ADMINISTRATOR = "administrator"
    PRICING = "pricing"
    RISK = "risk"
    COMPLIANCE = "compliance"
    FINANCE = "finance"
    SUPPORT = "support"
    OPERATIONS = "operations"
    EXAMINER = "examiner"


class Permission(StrEnum):
    """One thing that may be allowed."""

    READ_ORDERS = "orders:read"
    READ_EXCHANGES = "exchanges:read"  # raw (redacted) requests and answers of far sides
    CANCEL_ORDERS = "orders:cancel"  # ask for it on the seller's word; free or too late as for the seller
    READ_MONEY = "money:read"  # ledger balances, safeguarding
    READ_OUTLETS = "outlets:read"
    READ_PRICES = "prices:read"
    READ_LICENCES = "licences:read"
    READ_PROPOSALS = "proposals:read"
    READ_STAFF = "staff:read"
    MANAGE_STAFF = "staff:manage"
    PROPOSE_DEPOSIT = "deposit:propose"
    APPROVE_DEPOSIT = "deposit:approve"
    PROPOSE_RATE_CARD = "rate_card:propose"
    APPROVE_RATE_CARD = "rate_card:approve"
    PROPOSE_OUTLET = "outlet:propose"
    APPROVE_OUTLET = "outlet:approve"
    PROPOSE_EFFECT = "effect:propose"
    APPROVE_EFFECT = "effect:approve"
    PROPOSE_ORDER = "order:propose"
    APPROVE_ORDER = "order:approve"
    PROPOSE_PAUSE = "pause:propose"
    APPROVE_PAUSE = "pause:approve"
    PROPOSE_RESUME = "resume:propose"
    APPROVE_RESUME = "resume:approve"
    PROPOSE_LICENCE = "licence:propose"
    APPROVE_LICENCE = "licence:approve"
    PROPOSE_BREAK = "break:propose"
    APPROVE_BREAK = "break:approve"
    PROPOSE_CORRECTION = "correction:propose"
    APPROVE_CORRECTION = "correction:approve"
    RECORD_MARKET = "market:record"  # competitors' rates, promotions, the matrix: facts, no prices
    PROPOSE_BOOKING = "booking:propose"  # operating costs, rebates, what is owed to parties
    APPROVE_BOOKING = "booking:approve"
    PROPOSE_SPLIT = "split:propose"  # agreements that share out an order's proceeds
    APPROVE_SPLIT = "split:approve"


R = Role
P = Permission

_READ_ALL: Final = frozenset(
    {
        P.READ_ORDERS,
        P.READ_MONEY,
        P.READ_OUTLETS,
        P.READ_PRICES,
        P.READ_LICENCES,
        P.READ_PROPOSALS,
    }
)

GRANTS: Final = MappingProxyType(
    {
        R.ADMINISTRATOR: _READ_ALL | {P.READ_STAFF, P.MANAGE_STAFF, P.APPROVE_PAUSE, P.APPROVE_LICENCE},
        R.PRICING: frozenset(
            {
                P.READ_OUTLETS,
                P.READ_PRICES,
                P.READ_PROPOSALS,
                P.PROPOSE_RATE_CARD,
                P.APPROVE_RATE_CARD,
                P.PROPOSE_OUTLET,
                P.APPROVE_OUTLET,
                P.RECORD_MARKET,
            }
        ),
        R.RISK: _READ_ALL | {P.READ_EXCHANGES, P.PROPOSE_PAUSE, P.APPROVE_PAUSE, P.APPROVE_RESUME},
        R.COMPLIANCE: _READ_ALL
        | {
            P.READ_EXCHANGES,
            P.READ_STAFF,
            P.APPROVE_DEPOSIT,
            P.APPROVE_BREAK,
            P.APPROVE_CORRECTION,
            P.APPROVE_BOOKING,
            P.APPROVE_SPLIT,
            P.PROPOSE_PAUSE,
            P.APPROVE_PAUSE,
            P.APPROVE_RESUME,
            P.PROPOSE_LICENCE,
            P.APPROVE_LICENCE,
        },
        R.FINANCE: _READ_ALL
        | {
            P.READ_EXCHANGES,
            P.PROPOSE_DEPOSIT,
            P.APPROVE_DEPOSIT,
            P.PROPOSE_BREAK,
            P.APPROVE_BREAK,
            P.PROPOSE_CORRECTION,
            P.APPROVE_CORRECTION,
            P.PROPOSE_BOOKING,
            P.APPROVE_BOOKING,
            P.PROPOSE_SPLIT,
            P.APPROVE_SPLIT,
            P.APPROVE_RATE_CARD,
            P.APPROVE_OUTLET,
            P.APPROVE_EFFECT,
            P.APPROVE_ORDER,
            P.PROPOSE_PAUSE,
            P.APPROVE_PAUSE,
            P.APPROVE_RESUME,
        },
        R.SUPPORT: frozenset(
            {
                P.READ_ORDERS,
                P.CANCEL_ORDERS,
                P.READ_EXCHANGES,
                P.READ_PRICES,
                P.READ_PROPOSALS,
                P.PROPOSE_EFFECT,
                P.PROPOSE_ORDER,
            }
        ),
        R.OPERATIONS: _READ_ALL
        | {
            P.READ_EXCHANGES,
            P.CANCEL_ORDERS,
            P.PROPOSE_BREAK,
            P.PROPOSE_OUTLET,
            P.PROPOSE_EFFECT,
            P.APPROVE_EFFECT,
            P.PROPOSE_ORDER,
            P.APPROVE_ORDER,
            P.PROPOSE_PAUSE,
            P.APPROVE_PAUSE,
            P.PROPOSE_RESUME,
            P.APPROVE_RESUME,
            P.RECORD_MARKET,
        },
        R.EXAMINER: _READ_ALL | {P.READ_EXCHANGES, P.READ_STAFF},
    }
)

#: Names of the roles as people read them: (zh-CN, English).
ROLE_NAMES: Final = MappingProxyType(
    {
        R.ADMINISTRATOR: ("管理员", "Administrator"),
        R.PRICING: ("定价", "Pricing"),
        R.RISK: ("风控", "Risk"),
        R.COMPLIANCE: ("合规", "Compliance"),
        R.FINANCE: ("财务", "Finance"),
        R.SUPPORT: ("客服", "Support"),
        R.OPERATIONS: ("运营", "Operations"),
        R.EXAMINER: ("检查员", "Examiner"),
    }
)


def may(*, roles: Collection[str], permission: Permission) -> bool:
    """Whether any of the roles grants the permission. A name that is no role grants nothing."""
    return any(permission in GRANTS[Role(role)] for role in roles if role in GRANTS)


def require(*, roles: Collection[str], permission: Permission) -> None:
    """Raise `Refused("role_missing")` unless one of the roles grants the permission."""
    if not may(roles=roles, permission=permission):
        raise Refused("role_missing")


def permissions(*, roles: Collection[str]) -> frozenset[Permission]:
    """Everything the roles grant together."""
    return frozenset(permission for permission in Permission if may(roles=roles, permission=permission))


def parse_roles(names: Collection[str]) -> tuple[Role, ...]:
    """The roles in the order of the table, without repeats. Raises `Refused` (`field_missing`, `field_invalid`)."""
    wanted = set(names)
    if not wanted:
        raise Refused("field_missing", field="roles")
    if not wanted <= {role.value for role in Role}:
        raise Refused("field_invalid", field="roles")
    return tuple(role for role in Role if role.value in wanted)
