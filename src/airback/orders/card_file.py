"""A file of recharge cards as companies send it: read whole, refused row by row.

CSV in UTF-8 (with or without a mark) or GB18030; comma, semicolon or tab; columns in any order; headers in English
or Chinese. Every cell is text, so a long code stays what it is; a spreadsheet formula or a number that a spreadsheet
has rounded (`1.23E+17`) is refused, not guessed.
"""

import re
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from airback.domain.assets import parse_carrier
from airback.domain.delimited import rows_of
from airback.domain.money import MoneyError, parse_yuan
from airback.domain.numbers import parse_card_code, parse_card_number
from airback.domain.refusals import Refused

MOST_ROWS: Final = 1_000_000
_MOST_CELL: Final = 200

_HEADERS: Final = {
    "card_number": "card_number",
    "cardnumber": "card_number",
    "card number": "card_number",
    "卡号": "card_number",
    "code": "code",
    "card_code": "code",
    "卡密": "code",
    "密码": "code",
    "face_yuan": "face_yuan",
    "face": "face_yuan",
    "面值": "face_yuan",
    "面值(元)": "face_yuan",
    "面值\uff08元\uff09": "face_yuan",
    "carrier": "carrier",
    "运营商": "carrier",
    "expires": "expires",
    "expires_on": "expires",
    "有效期": "expires",
    "到期日": "expires",
}
_NEEDED: Final = ("card_number", "code", "face_yuan", "carrier")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_DATE: Final = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?", re.ASCII)
_COMPACT_DATE: Final = re.compile(r"(\d{4})(\d{2})(\d{2})", re.ASCII)


@dataclass(frozen=True, slots=True)
class CardRow:
    """One good row. `row` counts data rows from 1."""

    row: int
    card_number: str
    code: str = field(repr=False)
    face_fen: int
    carrier: str
    expires_on: date | None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was refused, with what is left of its card number."""

    row: int
    card_number: str
    refused: Refused


def read_cards(content: bytes) -> list[CardRow | BadRow]:
    """One entry per data row, in order; blank lines are not rows.

    Raises Refused for the file as a whole: `text_not_decodable`, `columns_missing` (`field` names the column),
    `body_too_large` above `MOST_ROWS` rows.
    """
    lines = rows_of(content)
    columns = _columns(next(lines, []))
    rows: list[CardRow | BadRow] = []
    seen: set[str] = set()
    for cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        if len(rows) >= MOST_ROWS:
            raise Refused("body_too_large", row=len(rows) + 1)
        rows.append(_row(len(rows) + 1, cells, columns, seen))
    return rows


def _columns(header: list[str]) -> dict[str, int]:
    columns: dict[str, int] = {}
    for index, cell in enumerate(header):
        name = _HEADERS.get(cell.strip().strip("\ufeff").lower())
        if name is not None and name not in columns:
            columns[name] = index
    for name in _NEEDED:
        if name not in columns:
            raise Refused("columns_missing", field=name)
    return columns


def _row(number: int, cells: list[str], columns: dict[str, int], seen: set[str]) -> CardRow | BadRow:
    values = {name: cells[index].strip() if index < len(cells) else "" for name, index in columns.items()}
    shown = values["card_number"][:_MOST_CELL]
    try:
        for name, value in values.items():
            if len(value) > _MOST_CELL:
                raise Refused("field_invalid", field=name, row=number)
            if value.startswith(_FORMULA) and not (name == "face_yuan" and re.fullmatch(r"-[0-9.]+", value)):
                raise Refused("formula_cell", field=name, row=number)
        card_number = parse_card_number(values["card_number"])
        if card_number is None:
            raise Refused("card_number_malformed", field="card_number", row=number)
        code = parse_card_code(values["code"])
        if code is None:
            raise Refused("card_code_malformed", field="code", row=number)
        carrier = parse_carrier(values["carrier"])
        if carrier is None:
            raise Refused("carrier_unknown", field="carrier", row=number)
        face_fen = parse_yuan(values["face_yuan"].removesuffix("元"))
        expires_on = _date(values.get("expires", ""), number)
        if code in seen:
            raise Refused("card_duplicate", field="code", row=number)
        seen.add(code)
    except MoneyError as error:
        return BadRow(number, shown, Refused(error.code, field="face_yuan", row=number))
    except Refused as refused:
        return BadRow(number, shown, refused)
    return CardRow(number, card_number, code, face_fen, carrier, expires_on)


def _date(text: str, row: int) -> date | None:
    if not text:
        return None
    match = _DATE.fullmatch(text) or _COMPACT_DATE.fullmatch(text)
    try:
        return date(int(match[1]), int(match[2]), int(match[3])) if match else _refuse(row)
    except ValueError:
        return _refuse(row)


def _refuse(row: int) -> date:
    raise Refused("field_invalid", field="expires", row=row)
