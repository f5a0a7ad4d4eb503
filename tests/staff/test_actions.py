"""What takes two people: each action's form, its permissions, and how it is shown."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airback.domain.refusals import Refused
from airback.staff import proposals
from airback.staff.actions import ACTIONS, Form, parse_time, shown
from airback.staff.roles import GRANTS

GOOD: dict[str, dict[str, Any]] = {
    "finance:deposit:credit": {"outlet": "yida", "amount_fen": 100},
    "finance:float:credit": {"amount_fen": 100},
    "finance:deposit:withdraw": {"outlet": "yida", "amount_fen": 100},
    "finance:credit_line:set": {"outlet": "yida", "amount_fen": 0},
    "market:outlet:terms": {
        "outlet": "yida",
        "name": "易达",
        "effective_at": "2026-12-01T00:00:00+00:00",
        "document": {"kind": "reseller"},
    },
    "operations:pause:lift": {"pause": "pau_0000000000005"},
    "finance:correction:settle": {
        "correction": "cor_0000000000005",
        "settlement": "recovered",
        "amount_fen": 100,
    },
    "finance:booking:post": {
        "line": "compliance",
        "amount_fen": 100,
        "period_from": "2026-10-01",
        "period_to": "2026-10-31",
        "source": "发票 1",
    },
    "finance:party:pay": {"account": "party:li-si", "amount_fen": 100, "source": "回单 1"},
    "finance:split:agree": {
        "scope": "client:acme",
        "document": {"shares": []},
        "effective_at": "2026-12-01T00:00:00+00:00",
    },
    "pricing:rate_card:publish": {"document": {"v": 1}, "effective_at": "2026-12-01T00:00:00+00:00"},
    "pricing:cap:override": {
        "promotion": "prm_0000000000005",
        "most_ppm": 900_000,
        "per_seller_fen_per_day": 100,
    },
    "operations:effect:resolve": {"effect": "0" * 26, "result": "failed"},
    "operations:order:decide": {"order": "ord_1", "course": "pay"},
    "operations:book:pause": {"routing": False, "reason": "系统维护"},
    "operations:book:resume": {"routing": True},
    "reconciliation:break:resolve": {"break": "brk_0000000000005", "correction": "suspense"},
    "compliance:licence:record": {
        "number": "Z1",
        "issuer": "PBoC",
        "capabilities": ["stored_balance"],
        "valid_from": "2026-01-01T00:00:00Z",
        "valid_until": "2027-01-01T00:00:00Z",
    },
}


def test_every_action_has_an_example() -> None:
    assert set(GOOD) == set(ACTIONS)


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_document_of_the_right_form_is_taken(name: str) -> None:
    ACTIONS[name].check(GOOD[name])


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_missing_key_is_named(name: str) -> None:
    for field in ACTIONS[name].after:
        if field.optional:
            continue
        without = {key: value for key, value in GOOD[name].items() if key != field.key}
        with pytest.raises(Refused) as refused:
            ACTIONS[name].check(without)
        assert (refused.value.code, refused.value.field) == ("field_missing", field.key)


@pytest.mark.parametrize("name", sorted(GOOD))
def test_an_unknown_key_is_refused(name: str) -> None:
    with pytest.raises(Refused) as refused:
        ACTIONS[name].check({**GOOD[name], "extra": 1})
    assert (refused.value.code, refused.value.field) == ("field_invalid", "extra")


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        (0, "amount_not_positive"),
        (-1, "amount_not_positive"),
        (True, "amount_not_a_number"),
        (1.5, "amount_not_a_number"),
        ("100", "amount_not_a_number"),
        (10**12, "amount_above_limit"),
    ],
)
def test_an_amount_that_is_none_is_refused(amount: object, code: str) -> None:
    with pytest.raises(Refused) as refused:
        ACTIONS["finance:deposit:credit"].check({"outlet": "yida", "amount_fen": amount})
    assert (refused.value.code, refused.value.field) == (code, "amount_fen")


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("finance:deposit:credit", "outlet", ""),
        ("finance:deposit:credit", "outlet", 5),
        ("finance:deposit:credit", "outlet", "a\x00b"),
        ("operations:effect:resolve", "result", "unknown"),
        ("operations:effect:resolve", "result", ["failed"]),
        ("reconciliation:break:resolve", "correction", "hide"),
        ("operations:order:decide", "course", "close"),
        ("finance:correction:settle", "settlement", "repaid"),
        ("finance:correction:settle", "settlement", 1),
        ("operations:book:pause", "routing", "false"),
        ("operations:book:pause", "reason", "x" * 501),
        ("finance:booking:post", "line", "salaries"),
        ("finance:booking:post", "line", 1),
        ("finance:booking:post", "period_from", "2026-02-30"),
        ("finance:booking:post", "period_from", "20260201"),
        ("finance:booking:post", "period_to", 5),
        ("compliance:licence:record", "capabilities", []),
        ("compliance:licence:record", "capabilities", "stored_balance"),
        ("compliance:licence:record", "valid_from", "2026-01-01"),
        ("compliance:licence:record", "valid_from", "yesterday"),
        ("pricing:cap:override", "most_ppm", 1_000_001),
        ("pricing:cap:override", "most_ppm", -1),
        ("pricing:cap:override", "most_ppm", True),
        ("pricing:rate_card:publish", "document", {}),
        ("pricing:rate_card:publish", "document", [1]),
    ],
)
def test_a_value_of_the_wrong_form_is_named(name: str, key: str, value: object) -> None:
    with pytest.raises(Refused) as refused:
        ACTIONS[name].check({**GOOD[name], key: value})
    assert (refused.value.code, refused.value.field) == ("field_invalid", key)


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_two_different_people_can_always_be_found(name: str) -> None:
    """Somebody may propose, and a role that can be held by somebody else may approve."""
    action = ACTIONS[name]
    assert any(action.propose in granted for granted in GRANTS.values())
    assert any(action.approve in granted for granted in GRANTS.values())
    source, subject, verb = name.split(":")
    assert source and subject and verb
    assert action.title("zh") != action.title("en")


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_what_is_compared_is_part_of_what_is_kept(name: str) -> None:
    action = ACTIONS[name]
    assert action.compared <= {field.key for field in action.before}


def test_a_deposit_is_never_stale_and_a_pause_is() -> None:
    assert not ACTIONS["finance:deposit:credit"].stale(before={"balance_fen": 1}, stands={"balance_fen": 2})
    pause = ACTIONS["operations:book:pause"]
    assert not pause.stale(before={"routing": True}, stands={"routing": True, "other": 1})
    assert pause.stale(before={"routing": True}, stands={"routing": False})
    licence = ACTIONS["compliance:licence:record"]
    assert not licence.stale(before={}, stands={})
    assert licence.stale(before={}, stands={"issuer": "PBoC"})


def test_changes_are_shown_in_the_order_of_the_form() -> None:
    action = ACTIONS["finance:deposit:credit"]
    lines = action.changes(
        before={"outlet": "yida", "balance_fen": 12_345},
        after={"outlet": "yida", "amount_fen": 500},
        language="en",
    )
    assert [(line.label, line.before, line.after, line.differs) for line in lines] == [
        ("Outlet", "yida", "yida", False),
        ("Balance when proposed", "¥123.45", None, False),
        ("Amount received", None, "¥5.00", True),
    ]


def test_a_key_nobody_knows_is_shown_last_and_as_it_is() -> None:
    action = ACTIONS["operations:book:resume"]
    lines = action.changes(before={"zzz": 5}, after={"routing": True}, language="zh")
    assert [(line.key, line.before, line.after) for line in lines] == [
        ("routing", None, "进行中"),
        ("zzz", "5", None),
    ]


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (None, Form.TEXT, None),
        (5, Form.FEN, "¥0.05"),
        ("5", Form.FEN, "5"),
        (True, Form.FEN, "True"),
        (False, Form.FLAG, "paused"),
        (["a", "b"], Form.WORDS, "a, b"),
        ("succeeded", Form.RESULT, "Succeeded"),
        ("odd", Form.RESULT, "odd"),
        ("platform", Form.BEARER, "Operator"),
        ("written_off", Form.SETTLEMENT, "Written off: the operator bears it"),
    ],
)
def test_a_value_is_shown_by_its_form(value: object, form: Form, text: str | None) -> None:
    assert shown(value, form=form, language="en") == text


def test_a_time_needs_its_offset() -> None:
    assert parse_time("2026-01-01T08:00:00+08:00") == datetime(2026, 1, 1, tzinfo=UTC)
    assert parse_time("2026-01-01T08:00:00") is None
    assert parse_time("soon") is None


def test_a_proposal_is_open_until_its_time_or_its_decision() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    soon = now + timedelta(seconds=1)
    assert proposals.state(decision=None, expires_at=soon, now=now) is proposals.State.OPEN
    assert proposals.state(decision=None, expires_at=now, now=now) is proposals.State.EXPIRED
    assert proposals.state(decision="approved", expires_at=now, now=now) is proposals.State.APPROVED
    assert proposals.state(decision="rejected", expires_at=soon, now=now) is proposals.State.REJECTED


def test_nothing_follows_a_decision() -> None:
    assert set(proposals.TRANSITIONS) == set(proposals.State)
    for state in proposals.State:
        assert bool(proposals.TRANSITIONS[state]) is (state is proposals.State.OPEN)
