"""What is kept of a body, a query and a form."""

import json

from airback.adapters.http.redaction import MOST_CHARACTERS, Redaction


def test_json_inside_a_form_field_is_covered_too() -> None:
    redaction = Redaction(hidden_keys=frozenset({"sign"}), masked_keys=frozenset({"name"}))
    form = b"app_id=2021&sign=abc%3D&biz_content=%7B%22name%22%3A%22Zhang+San+Feng%22%2C%22identity%22%3A%2213800138000%22%7D"
    kept = redaction.body(form, content_type="application/x-www-form-urlencoded;charset=utf-8")
    assert "sign=***" in kept
    assert "Zhang San Feng" not in kept
    assert "138****8000" in kept
    assert "app_id=2021" in kept


def test_an_errors_name_is_kept_while_a_code_is_not() -> None:
    redaction = Redaction()
    kept = redaction.body(b'{"status":400,"code":"INVALID_ARGUMENT"}', content_type="application/json")
    assert json.loads(kept) == {"status": 400, "code": "INVALID_ARGUMENT"}
    assert redaction.body(b'{"code":"483920"}', content_type="application/json") == '{"code":"***"}'
    assert redaction.body(b'{"code":483920}', content_type="application/json") == '{"code":"***"}'
    assert redaction.body(b'{"code":"AJY3"}', content_type="application/json") == '{"code":"***"}'
    shown = Redaction(shown_keys=frozenset({"code"}))
    assert shown.body(b'{"code":"10000"}', content_type="application/json") == '{"code":"10000"}'


def test_a_card_number_in_free_text_and_as_a_number_is_masked() -> None:
    redaction = Redaction()
    assert redaction.text("card 12345678901234567 is used") == "card 123****4567 is used"
    assert "12345678901234567" not in redaction.body(
        b'{"n":12345678901234567}', content_type="application/json"
    )


def test_broken_json_is_only_described() -> None:
    kept = Redaction().body(b'{"voucher":"1234567890', content_type="application/json")
    assert "1234567890" not in kept
    assert "no JSON" in kept


def test_a_long_text_is_cut_and_says_so() -> None:
    kept = Redaction().body(b"a" * 20_000, content_type="text/plain")
    assert len(kept) < MOST_CHARACTERS + 40
    assert "20000 characters" in kept


def test_bytes_that_are_no_text_are_only_described() -> None:
    assert Redaction().body(b"\xff\xfe\x00", content_type="image/png") == "[3 bytes that are no UTF-8]"


def test_nesting_beyond_reason_does_not_raise() -> None:
    kept = Redaction().body(b"[" * 5_000 + b"]" * 5_000, content_type="application/json")
    assert "10000 characters" in kept
