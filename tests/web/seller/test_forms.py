"""What people type, in all the ways they type it."""

from datetime import date

import pytest

from airback.web.seller.forms import (
    Errors,
    read_amount,
    read_card,
    read_card_code,
    read_code,
    read_number,
    read_payee,
)

TODAY = date(2026, 11, 21)
RAILS = {"alipay": object(), "credit": object()}


@pytest.mark.parametrize(
    "typed", ["13800138000", "138 0013 8000", "+86 138-0013-8000", "138００138000", " 008613800138000 "]
)
def test_a_number_is_read_however_it_is_written(typed: str) -> None:
    errors: Errors = {}
    assert read_number({"number": typed}, errors) == "13800138000"
    assert not errors


@pytest.mark.parametrize("typed", ["", "1380013800", "23800138000", "138001380000", "手机", "1" * 5000])
def test_what_is_no_number_is_refused(typed: str) -> None:
    errors: Errors = {}
    assert read_number({"number": typed}, errors) == ""
    assert errors["number"].code == "number_malformed"


@pytest.mark.parametrize(
    ("typed", "fen"), [("50", 5_000), ("¥99.50", 9_950), ("1,000", 100_000), ("50元", 5_000), ("５０", 5_000)]
)
def test_an_amount_is_read_however_it_is_written(typed: str, fen: int) -> None:
    errors: Errors = {}
    assert read_amount({"amount": typed}, errors) == fen
    assert not errors


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("", "amount_not_a_number"),
        ("abc", "amount_not_a_number"),
        ("1e9", "amount_not_a_number"),
        ("0", "amount_not_positive"),
        ("-5", "amount_not_positive"),
        ("1.005", "amount_fraction_of_fen"),
        ("999999999", "amount_above_limit"),
    ],
)
def test_what_is_no_amount_is_refused_by_its_name(typed: str, code: str) -> None:
    errors: Errors = {}
    assert read_amount({"amount": typed}, errors) == 0
    assert errors["amount"].code == code


@pytest.mark.parametrize(
    ("typed", "code"), [("246810", "246810"), ("246 810", "246810"), ("２４６８１０", "246810")]
)
def test_a_code_is_read_however_it_is_written(typed: str, code: str) -> None:
    assert read_code({"code": typed}, {}) == code


@pytest.mark.parametrize(
    "typed",
    [
        "123456789012345678",
        "1234 5678 9012 3456 78",
        "卡密:123456789012345678",
        "1000000000000001 123456789012345678",
        "卡号:1000000000000001 卡密:123456789012345678",
    ],
)
def test_a_cards_code_is_found_in_what_was_pasted(typed: str) -> None:
    errors: Errors = {}
    found = read_card_code({"card_code": typed}, errors, card_number="1000000000000001")
    assert found == "123456789012345678", errors
    assert not errors


@pytest.mark.parametrize("typed", ["", "123", "1000000000000001", "12345678901234567890123456", "no code"])
def test_what_is_no_code_is_refused(typed: str) -> None:
    errors: Errors = {}
    assert read_card_code({"card_code": typed}, errors, card_number="1000000000000001") == ""
    assert errors["card_code"].code == "card_code_malformed"


def test_a_card_is_refused_field_by_field() -> None:
    errors: Errors = {}
    typed = {
        "carrier": "x",
        "face": "",
        "card_number": "12",
        "expires_on": "2026-11-20",
        "notify_number": "5",
    }
    read_card(typed, errors, today=TODAY)
    assert {field: refusal.code for field, refusal in errors.items()} == {
        "carrier": "carrier_unknown",
        "face": "amount_not_a_number",
        "card_number": "card_number_malformed",
        "expires_on": "card_expired",
        "notify_number": "number_malformed",
    }


def test_a_card_is_read_with_its_date_and_number_for_notices() -> None:
    errors: Errors = {}
    typed = {
        "carrier": "cmcc",
        "face": "100",
        "card_number": "1000 0000 0000 0001",
        "expires_on": "2027/06/30",
        "notify_number": "138 0013 8000",
    }
    card = read_card(typed, errors, today=TODAY)
    assert not errors
    assert (card.face_fen, card.card_number, card.expires_on) == (
        10_000,
        "1000000000000001",
        date(2027, 6, 30),
    )
    assert card.notify_number == "13800138000"


@pytest.mark.parametrize(
    ("account", "name"),
    [("13800138000", "张三"), ("a@b.com", "阿卜杜拉·买买提江"), ("2088123456789012", "Li O'Neil-Ma")],
)
def test_a_payee_is_read(account: str, name: str) -> None:
    errors: Errors = {}
    payee = read_payee({"rail": "alipay", "payee_account": account, "payee_name": name}, errors, rails=RAILS)
    assert (payee.account, payee.name, errors) == (account, name, {})


@pytest.mark.parametrize(
    ("account", "name", "refused"),
    [
        ("", "", {"payee_account": "field_missing", "payee_name": "field_missing"}),
        ("nobody", "张三", {"payee_account": "payee_malformed"}),
        ("a@b", "张三", {"payee_account": "payee_malformed"}),
        ("13800138000", "<script>", {"payee_name": "field_invalid"}),
        ("13800138000", "张" * 41, {"payee_name": "field_invalid"}),
        ("13800138000", "12345", {"payee_name": "field_invalid"}),
    ],
)
def test_a_payee_that_is_none_is_refused(account: str, name: str, refused: dict[str, str]) -> None:
    errors: Errors = {}
    read_payee({"rail": "alipay", "payee_account": account, "payee_name": name}, errors, rails=RAILS)
    assert {field: refusal.code for field, refusal in errors.items()} == refused


def test_platform_credit_needs_no_account_and_an_unknown_rail_is_refused() -> None:
    errors: Errors = {}
    assert read_payee({"rail": "credit"}, errors, rails=RAILS).rail == "credit"
    assert not errors
    read_payee({"rail": "gold", "payee_account": "13800138000", "payee_name": "张三"}, errors, rails=RAILS)
    assert errors["rail"].code == "rail_unavailable"
