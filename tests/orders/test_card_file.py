"""Files of cards: every way a row or a file can be wrong, and every way it can be right."""

from datetime import date

import pytest

from airback.domain.refusals import Refused
from airback.orders.card_file import BadRow, CardRow, read_cards

GOOD = "12345678901234567,888888888888888888,100,移动,2028-01-31"


def rows(text: str, encoding: str = "utf-8") -> list[CardRow | BadRow]:
    return read_cards(text.encode(encoding))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize(
    "header", ["卡号,卡密,面值,运营商,有效期", "card_number,code,face_yuan,carrier,expires"]
)
def test_a_good_row_is_read_in_either_language_and_encoding(header: str, encoding: str) -> None:
    (row,) = rows(f"{header}\r\n{GOOD}\r\n\r\n", encoding)
    assert row == CardRow(1, "12345678901234567", "888888888888888888", 10_000, "cmcc", date(2028, 1, 31))


def test_columns_come_in_any_order_and_others_are_ignored() -> None:
    (row,) = rows("备注,运营商,面值,卡密,卡号\nx,China Unicom,99.5,888888888888888888,12345678901234567")
    assert isinstance(row, CardRow)
    assert (row.carrier, row.face_fen, row.expires_on) == ("cucc", 9_950, None)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_usual_delimiters_are_understood(delimiter: str) -> None:
    text = "卡号,卡密,面值,运营商\n12345678901234567,888888888888888888,50,电信".replace(",", delimiter)
    assert isinstance(rows(text)[0], CardRow)


@pytest.mark.parametrize(
    ("line", "code", "field"),
    [
        ("=CMD(),888888888888888888,100,移动", "formula_cell", "card_number"),
        ("12345678901234567,@SUM(A1),100,移动", "formula_cell", "code"),
        ("1.23456E+16,888888888888888888,100,移动", "card_number_malformed", "card_number"),
        ("12345678901234567,8.88E+17,100,移动", "card_code_malformed", "code"),
        ("12345678901234567,,100,移动", "card_code_malformed", "code"),
        ("12345678901234567,888888888888888888,100,", "carrier_unknown", "carrier"),
        ("12345678901234567,888888888888888888,100,火星移动", "carrier_unknown", "carrier"),
        ("12345678901234567,888888888888888888,0,移动", "amount_not_positive", "face_yuan"),
        ("12345678901234567,888888888888888888,-5,移动", "amount_not_positive", "face_yuan"),
        ("12345678901234567,888888888888888888,1.001,移动", "amount_fraction_of_fen", "face_yuan"),
        ("12345678901234567,888888888888888888,许多,移动", "amount_not_a_number", "face_yuan"),
        ("12345678901234567", "card_code_malformed", "code"),
        ("1" * 300 + ",888888888888888888,100,移动", "field_invalid", "card_number"),
    ],
)
def test_a_bad_row_is_refused_by_name_and_its_neighbours_stand(line: str, code: str, field: str) -> None:
    bad, good = rows(f"卡号,卡密,面值,运营商,有效期\n{line}\n{GOOD}")
    assert isinstance(bad, BadRow) and isinstance(good, CardRow)
    assert (bad.refused.code, bad.refused.field, bad.refused.row) == (code, field, 1)
    assert good.row == 2


@pytest.mark.parametrize("expires", ["2028-13-01", "soon", "2028/02/30"])
def test_a_date_that_is_none_is_refused(expires: str) -> None:
    (row,) = rows(f"卡号,卡密,面值,运营商,有效期\n12345678901234567,888888888888888888,100,移动,{expires}")
    assert isinstance(row, BadRow) and row.refused.field == "expires"


def test_a_code_twice_in_one_file_is_refused_the_second_time() -> None:
    first, second = rows(f"卡号,卡密,面值,运营商,有效期\n{GOOD}\n{GOOD}")
    assert isinstance(first, CardRow)
    assert isinstance(second, BadRow) and second.refused.code == "card_duplicate"


@pytest.mark.parametrize("column", ["卡号", "卡密", "面值", "运营商"])
def test_a_missing_column_refuses_the_file_and_names_the_column(column: str) -> None:
    header = [name for name in ("卡号", "卡密", "面值", "运营商") if name != column]
    with pytest.raises(Refused) as refused:
        rows(",".join(header) + "\n")
    assert refused.value.code == "columns_missing"


@pytest.mark.parametrize("content", [b"PK\x03\x04 a spreadsheet", b"\xff\xfe\x00\x01", b"\x81\xff\xff,"])
def test_a_file_that_is_no_text_is_refused_whole(content: bytes) -> None:
    with pytest.raises(Refused) as refused:
        read_cards(content)
    assert refused.value.code == "text_not_decodable"


def test_a_rows_secret_is_in_no_representation() -> None:
    assert "888888888888888888" not in repr(rows(f"卡号,卡密,面值,运营商,有效期\n{GOOD}"))
