"""Receipts: what they state, what they hide, and every fault that a check names."""

import copy
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airback.adapters.keys.files import FileKeys
from airback.evidence.receipts import (
    Deduction,
    Delivery,
    check_receipt,
    digest,
    make_receipt,
    mask_payee,
    sign_receipt,
)
from tests.evidence.desk import after, balance_facts, card_facts, signed


@pytest.fixture
def receipt(keys: FileKeys) -> dict[str, Any]:
    return signed(balance_facts(keys), keys)


def test_a_receipt_of_a_balance_has_no_fault(keys: FileKeys, receipt: dict[str, Any]) -> None:
    assert check_receipt(json.loads(json.dumps(receipt)), keys) == []


def test_a_receipt_of_a_requoted_card_shows_both_quotes(keys: FileKeys) -> None:
    receipt = signed(card_facts(keys), keys)
    assert check_receipt(receipt, keys) == []
    assert [quote["face_fen"] for quote in receipt["quotes"]] == [10_000, 5_000]
    assert receipt["price"]["net_fen"] == receipt["quotes"][1]["net_fen"] == receipt["payment"]["paid_fen"]


def test_one_quote_is_shown_once(keys: FileKeys) -> None:
    facts = balance_facts(keys)
    assert make_receipt(replace(facts, first_quote=facts.quote)) == make_receipt(facts)
    assert len(make_receipt(facts)["quotes"]) == 1


def test_a_quote_can_be_laid_beside_its_digest(keys: FileKeys) -> None:
    facts = balance_facts(keys)
    (quote,) = make_receipt(facts)["quotes"]
    assert quote["digest"] == digest(facts.quote)
    assert quote["signature"] == facts.quote["signature"]
    assert digest({**facts.quote, "net_fen": 1}) != quote["digest"]


def test_anybody_checks_it_with_the_public_keys_alone(keys: FileKeys, receipt: dict[str, Any]) -> None:
    assert check_receipt(receipt, keys.public_keys(purpose="receipt")) == []
    assert check_receipt(receipt, {}) == ["signature: does not stand"]
    assert check_receipt(receipt, {receipt["key_id"]: b"short"}) == ["signature: does not stand"]
    assert check_receipt(receipt, keys.public_keys(purpose="quote")) == ["signature: does not stand"]


def test_another_operators_receipt_does_not_stand(tmp_path: Path, receipt: dict[str, Any]) -> None:
    assert check_receipt(receipt, FileKeys(tmp_path / "keys")) == ["signature: does not stand"]


def test_a_receipt_signed_before_a_rotation_still_stands(tmp_path: Path) -> None:
    keys = FileKeys(tmp_path / "keys")
    receipt = signed(balance_facts(keys), keys)
    keys.rotate(purpose="receipt")
    assert check_receipt(receipt, keys) == []


def test_nothing_private_stands_on_a_receipt(keys: FileKeys) -> None:
    for facts in (balance_facts(keys), card_facts(keys)):
        text = json.dumps(signed(facts, keys), ensure_ascii=False) + repr(facts)
        for secret in (
            "13800138000",
            "12345678901234567",
            "13911112222",
            "13933334444",
            "欧阳小三",
            "阳小三",
        ):
            assert secret not in text


def test_the_other_sides_balance_is_not_shown_but_its_change_is(keys: FileKeys) -> None:
    first, second = make_receipt(balance_facts(keys))["deliveries"]
    assert first["change_fen"] == 60_000
    assert second["change_fen"] is None
    assert not {"before_fen", "after_fen"} & set(first)


@pytest.mark.parametrize(
    ("account", "name", "shown"),
    [
        ("13800138000", "张三", "138****8000 张*"),
        ("zhangsan@example.com", "欧阳小三丰", "z***@example.com 欧***"),
        ("12345", "A", "***** A"),
        ("", "  ", ""),
        ("@", "王", "***@ 王"),
    ],
)
def test_a_payee_is_masked(account: str, name: str, shown: str) -> None:
    assert mask_payee(account=account, name=name) == shown


def test_times_are_utc_seconds_and_what_did_not_happen_is_null(keys: FileKeys) -> None:
    times = make_receipt(card_facts(keys))["times"]
    assert times["held"] is None
    assert times["submitted"] == "2026-11-21T12:00:00Z"
    with pytest.raises(ValueError, match="without a zone"):
        make_receipt(balance_facts(keys, submitted_at=datetime(2026, 11, 21)))  # noqa: DTZ001 - that is the fault


# -- faults: what the operator's own mistake would look like, rightly signed

NO_LEAF = bytes(32)
FAULTS: list[tuple[dict[str, Any], str]] = [
    (
        {"deliveries": [Delivery("fil_1", 99_999, None, "13911112222")]},
        "deliveries: sum to 99999, 100000 delivered",
    ),
    ({"deliveries": []}, "deliveries: sum to 0, 100000 delivered"),
    ({"delivered_fen": 99_999}, "quote: the one in force is not for the amount delivered"),
    ({"face_fen": 99_999}, "delivered: more than was sold"),
    ({"paid_fen": 79_455}, "paid: 79455 and deductions of 0 are not the net 79456"),
    (
        {"deductions": [Deduction("tax", "代扣税款", "Tax withheld", 100)]},
        "paid: 79456 and deductions of 100 are not the net 79456",
    ),
    ({"closed_at": after(-1)}, "times: run backwards"),
    ({"held_at": after(900)}, "times: run backwards"),
    ({"events": [(2, NO_LEAF), (1, NO_LEAF)]}, "events: sequence numbers do not rise"),
    ({"events": [(2, NO_LEAF), (2, NO_LEAF)]}, "events: sequence numbers do not rise"),
]


@pytest.mark.parametrize(("changes", "fault"), FAULTS)
def test_facts_that_do_not_agree_are_named(keys: FileKeys, changes: dict[str, Any], fault: str) -> None:
    assert fault in check_receipt(signed(balance_facts(keys, **changes), keys), keys)


def test_a_listed_deduction_explains_what_was_not_paid(keys: FileKeys) -> None:
    tax = Deduction("tax", "代扣税款", "Tax withheld", 456)
    facts = balance_facts(keys, paid_fen=79_000, deductions=[tax])
    assert check_receipt(signed(facts, keys), keys) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"net_fen": 79_457}, "components: sum to 79456, the net is 79457"),
        ({"gross_fen": 1_000_000}, "net: is not gross less fee and rail cost"),
        ({"net_fen": 79_457}, "quote: the one in force has another net"),
    ],
)
def test_a_price_that_does_not_add_up_is_named(keys: FileKeys, change: dict[str, int], fault: str) -> None:
    body = make_receipt(balance_facts(keys))
    body["price"] |= change
    assert fault in check_receipt(sign_receipt(body, keys=keys), keys)


# -- tampering


def places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [place for key, item in value.items() for place in places(item, (*way, key))]
    if isinstance(value, list):
        return [place for n, item in enumerate(value) for place in places(item, (*way, n))]
    return [way]


def changed(document: dict[str, Any], way: tuple[Any, ...], value: Any) -> dict[str, Any]:
    copied = copy.deepcopy(document)
    place: Any = copied
    for step in way[:-1]:
        place = place[step]
    place[way[-1]] = value
    return copied


def test_every_value_that_is_altered_is_noticed(keys: FileKeys, receipt: dict[str, Any]) -> None:
    ways = places(receipt)
    assert len(ways) > 80
    for way in ways:
        place: Any = receipt
        for step in way:
            place = place[step]
        altered: Any = place + 1 if type(place) is int else (f"{place}x" if isinstance(place, str) else 1)
        assert check_receipt(changed(receipt, way, altered), keys), way


def test_every_byte_that_is_altered_is_noticed(keys: FileKeys, receipt: dict[str, Any]) -> None:
    content = json.dumps(receipt, ensure_ascii=False).encode()
    unnoticed = []
    for place in range(0, len(content), 7):
        altered = bytearray(content)
        altered[place] ^= 2
        try:
            document = json.loads(altered)
        except ValueError:
            continue
        if document != receipt and not check_receipt(document, keys):
            unnoticed.append(place)
    assert unnoticed == []


HOSTILE: list[Any] = [
    None,
    True,
    -1,
    1.5,
    2**70,
    "",
    "\ud800",
    "x" * 100_000,
    [],
    {},
    [[]],
    {1: 2},
    b"x",
    object(),
]


def test_hostile_values_are_faults_and_never_exceptions(keys: FileKeys, receipt: dict[str, Any]) -> None:
    for way in [
        *places(receipt),
        *((key,) for key in receipt),
        ("quotes", 0),
        ("deliveries", 0),
        ("events", 0),
    ]:
        for value in HOSTILE:
            place: Any = receipt
            for step in way:
                place = place[step]
            if type(place) is type(value) and place == value:
                continue
            assert check_receipt(changed(receipt, way, value), keys), (way, value)


@pytest.mark.parametrize("nothing", [None, 5, "receipt", [], {}, {"v": 1}])
def test_what_is_no_receipt_is_a_fault(keys: FileKeys, nothing: object) -> None:
    assert check_receipt(nothing, keys) == ["shape: receipt"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_any_json_is_a_fault(keys: FileKeys, value: object) -> None:
    assert check_receipt(value, keys)


def test_a_time_zone_of_ours_is_written_as_utc(keys: FileKeys) -> None:
    closed = datetime(2026, 11, 21, 13, 0, tzinfo=UTC) + timedelta(milliseconds=999)
    assert make_receipt(balance_facts(keys, closed_at=closed))["times"]["closed"] == "2026-11-21T13:00:00Z"
