"""Amounts in capitals, as the central bank's rules for bills write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airback.evidence.amount_words import in_capitals

DIGITS = "零壹贰叁肆伍陆柒捌玖"
UNITS = {"拾": 10, "佰": 100, "仟": 1000}


@pytest.mark.parametrize(
    ("fen", "words"),
    [
        (0, "零元整"),
        (1, "壹分"),
        (10, "壹角整"),
        (11, "壹角壹分"),
        (100, "壹元整"),
        (101, "壹元零壹分"),
        (110, "壹元壹角整"),
        (8128, "捌拾壹元贰角捌分"),
        (140950, "壹仟肆佰零玖元伍角整"),
        (600714, "陆仟零柒元壹角肆分"),
        (100000, "壹仟元整"),
        (10000000, "壹拾万元整"),
        (10001000, "壹拾万零壹拾元整"),
        (100010000, "壹佰万零壹佰元整"),
        (100000000000, "壹拾亿元整"),
        (100000000001, "壹拾亿元零壹分"),
        (12345678901, "壹亿贰仟叁佰肆拾伍万陆仟柒佰捌拾玖元零壹分"),
    ],
)
def test_an_amount_is_written_as_on_a_cheque(fen: int, words: str) -> None:
    assert in_capitals(fen) == f"人民币{words}"


@pytest.mark.parametrize("fen", [-1, 10**14])
def test_an_amount_nobody_writes_is_refused(fen: int) -> None:
    with pytest.raises(ValueError, match="out of range"):
        in_capitals(fen)


@given(st.integers(0, 10**14 - 1))
def test_the_words_say_the_figure(fen: int) -> None:
    words = in_capitals(fen)
    assert "零零" not in words
    assert read(words) == fen


def read(words: str) -> int:
    """The amount in fen that the words say, read by another way than they were written."""
    words = words.removeprefix("人民币").removesuffix("整")
    whole, _, rest = words.rpartition("元")
    yuan = 0
    for name, size in (("亿", 10**8), ("万", 10**4), ("", 1)):
        group, _, tail = whole.partition(name) if name else (whole, "", "")
        if name and name not in whole:
            continue
        whole = tail
        digit = value = 0
        for character in group:
            if character in UNITS:
                value += digit * UNITS[character]
                digit = 0
            else:
                digit = DIGITS.index(character)
        yuan += (value + digit) * size
    fen = 0
    for name, size in (("角", 10), ("分", 1)):
        if name in rest:
            figure, _, rest = rest.partition(name)
            fen += DIGITS.index(figure[-1]) * size
    return yuan * 100 + fen
