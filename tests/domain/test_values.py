"""Money, numbers, ids, canonical JSON and the refusals' catalogue."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airback.domain import ids, numbers
from airback.domain.assets import parse_carrier
from airback.domain.canonical import canonical
from airback.domain.money import MAX_FEN, MoneyError, parse_yuan, percent, share_ceil, share_floor, yuan
from airback.domain.refusals import REFUSALS

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@given(st.integers(1, MAX_FEN))
def test_yuan_text_and_fen_are_one_value(fen: int) -> None:
    assert parse_yuan(yuan(fen)) == fen


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("0", "amount_not_positive"),
        ("0.00", "amount_not_positive"),
        ("-1", "amount_not_positive"),
        ("1.001", "amount_fraction_of_fen"),
        ("abc", "amount_not_a_number"),
        ("1e3", "amount_not_a_number"),
        ("1,000", "amount_not_a_number"),
        ("", "amount_not_a_number"),
        ("NaN", "amount_not_a_number"),
        ("１００", "amount_not_a_number"),
    ],
)
def test_what_is_no_amount_is_refused_by_name(text: str, code: str) -> None:
    with pytest.raises(MoneyError) as refused:
        parse_yuan(text)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("text", "fen"), [("100", 10_000), ("99.5", 9_950), ("0.01", 1), ("1.000", 100), (" 5 ", 500)]
)
def test_amounts_are_read_exactly(text: str, fen: int) -> None:
    assert parse_yuan(text) == fen


@given(st.integers(0, 10**10), st.integers(0, 10**6))
def test_a_share_is_rounded_to_a_named_side(amount: int, rate: int) -> None:
    exact = amount * rate
    assert share_floor(amount, rate) * 10**6 <= exact <= share_ceil(amount, rate) * 10**6
    assert share_ceil(amount, rate) - share_floor(amount, rate) in (0, 1)


def test_rates_are_shown_without_trailing_zeros() -> None:
    assert [percent(ppm) for ppm in (853_000, 1_000_000, -80_000, 12)] == ["85.3", "100", "-8", "0.0012"]


@pytest.mark.parametrize(
    "text", ["13800138000", "+86 138-0013-8000", "0086 13800138000", "１３８００１３８０００"]
)
def test_a_mobile_number_is_read_as_people_write_it(text: str) -> None:
    assert numbers.parse_mobile(text) == "13800138000"


@pytest.mark.parametrize("text", ["12800138000", "1380013800", "138001380000", "", "tel"])
def test_what_is_no_mobile_number_is_none(text: str) -> None:
    assert numbers.parse_mobile(text) is None


def test_masks_leave_neither_middle_nor_short_texts() -> None:
    assert numbers.mask("13800138000") == "138****8000"
    assert numbers.mask("1234567") == "*******"


@pytest.mark.parametrize(
    ("text", "code"),
    [("移动", "cmcc"), ("China Telecom", "ctcc"), ("CUCC", "cucc"), ("广电", "cbn"), ("火星", None)],
)
def test_carriers_are_known_by_either_name(text: str, code: str | None) -> None:
    assert parse_carrier(text) == code


def test_ids_ascend_and_come_back_from_their_public_form() -> None:
    made = ids.new_ids(now=NOW, entropy=lambda n: b"\x12" * n, count=100)
    assert made == sorted(set(made))
    assert ids.parse_public("ord", ids.public("ord", made[7])) == made[7]
    assert ids.parse_public("pay", ids.public("ord", made[7])) is None
    assert ids.parse_public("ord", "ord_UUUUUUUUUUUUU") is None


def test_references_are_twenty_six_random_characters() -> None:
    one, other = (ids.new_reference(entropy=lambda n, b=b: bytes([b]) * n) for b in (1, 2))
    assert len(one) == len(other) == 26 and one != other


def test_canonical_json_is_sorted_compact_and_refuses_floats() -> None:
    assert canonical({"b": 1, "a": ["话", None, True]}) == '{"a":["话",null,true],"b":1}'.encode()
    with pytest.raises(TypeError):
        canonical({"a": 1.0})
    with pytest.raises(TypeError):
        canonical({1: "a"})


def test_every_refusal_speaks_both_languages_and_names_a_remedy() -> None:
    for code, refusal in REFUSALS.items():
        assert code == refusal.code == code.lower()
        assert 400 <= refusal.status < 600
        for text in (refusal.zh, refusal.remedy_zh):
            assert any("\u4e00" <= c <= "\u9fff" for c in text), code
        for text in (refusal.en, refusal.remedy_en):
            assert text.isascii() and text.endswith("."), code
