"""The table of permissions, written out a second time: a change here is meant, or it is a mistake."""

import pytest

from airback.domain.refusals import Refused
from airback.staff.roles import GRANTS, ROLE_NAMES, Permission, Role, may, parse_roles, permissions, require

READS = {"orders:read", "money:read", "outlets:read", "prices:read", "licences:read", "proposals:read"}
TABLE = {
    "administrator": READS | {"staff:read", "staff:manage", "pause:approve", "licence:approve"},
    "pricing": {"outlets:read", "prices:read", "proposals:read", "rate_card:propose", "rate_card:approve"}
    | {"outlet:propose", "outlet:approve", "market:record"},
    "risk": READS | {"exchanges:read", "pause:propose", "pause:approve", "resume:approve"},
    "compliance": READS
    | {"exchanges:read", "staff:read", "deposit:approve", "pause:propose", "pause:approve", "resume:approve"}
    | {"licence:propose", "licence:approve", "break:approve", "correction:approve"}
    | {"booking:approve", "split:approve"},
    "finance": READS
    | {"exchanges:read", "deposit:propose", "deposit:approve", "rate_card:approve", "effect:approve"}
    | {"pause:propose", "pause:approve", "resume:approve", "break:propose", "break:approve", "order:approve"}
    | {"correction:propose", "correction:approve", "outlet:approve"}
    | {"booking:propose", "booking:approve", "split:propose", "split:approve"},
    "support": {
        "orders:read",
        "orders:cancel",
        "exchanges:read",
        "prices:read",
        "proposals:read",
        "effect:propose",
        "order:propose",
    },
    "operations": READS
    | {"orders:cancel", "exchanges:read", "effect:propose", "effect:approve"}
    | {"pause:propose", "pause:approve", "resume:propose", "resume:approve", "break:propose"}
    | {"order:propose", "order:approve", "outlet:propose", "market:record"},
    "examiner": READS | {"exchanges:read", "staff:read"},
}

CASES = [(role, permission) for role in Role for permission in Permission]


@pytest.mark.parametrize(("role", "permission"), CASES)
def test_a_role_may_do_exactly_what_the_table_says(role: Role, permission: Permission) -> None:
    assert may(roles=[role], permission=permission) is (permission.value in TABLE[role])


def test_every_role_stands_in_the_table_and_has_a_name() -> None:
    assert set(GRANTS) == set(Role) == set(ROLE_NAMES)
    assert {role.value for role in Role} == set(TABLE)


def test_every_permission_is_granted_to_somebody() -> None:
    assert set().union(*GRANTS.values()) == set(Permission)


def test_an_examiner_changes_nothing() -> None:
    assert all(permission.value.endswith(":read") for permission in GRANTS[Role.EXAMINER])


def test_whoever_manages_accounts_moves_no_money() -> None:
    assert not {
        p for p in GRANTS[Role.ADMINISTRATOR] if p.value.startswith(("deposit", "effect", "rate_card"))
    }


def test_roles_add_up() -> None:
    both = permissions(roles=["support", "pricing"])
    assert both == GRANTS[Role.SUPPORT] | GRANTS[Role.PRICING]


@pytest.mark.parametrize("roles", [[], ["nobody"], ["Administrator"], [""]])
def test_what_is_no_role_grants_nothing(roles: list[str]) -> None:
    assert permissions(roles=roles) == frozenset()
    with pytest.raises(Refused) as refused:
        require(roles=roles, permission=Permission.READ_ORDERS)
    assert refused.value.code == "role_missing"


def test_require_lets_pass_what_is_granted() -> None:
    require(roles=["support"], permission=Permission.READ_ORDERS)


def test_roles_are_read_in_the_order_of_the_table_and_once() -> None:
    assert parse_roles(["support", "pricing", "support"]) == (Role.PRICING, Role.SUPPORT)


@pytest.mark.parametrize(("names", "code"), [([], "field_missing"), (["owner"], "field_invalid")])
def test_roles_that_are_none_are_refused(names: list[str], code: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_roles(names)
    assert (refused.value.code, refused.value.field) == (code, "roles")
