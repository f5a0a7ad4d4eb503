"""Files of the market as people keep them: CSV in UTF-8 or GB18030, headers in two languages, refused by row and field."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from airback.domain.assets import parse_carrier
from airback.domain.money import PPM, MoneyError, parse_yuan
from airback.domain.refusals import Refused
from airback.reconciliation.tables import cells, decode

_PERCENT: Final = re.compile(r"(\d{1,3})(?:\.(\d{1,4}))?%?", re.ASCII)
_NAME: Final = re.compile(r"[\w.-]{1,40}")
_HEADERS: Final = {
    "lot": "lot", "批次": "lot", "carrier": "carrier", "运营商": "carrier", "face_yuan": "face_yuan", "面值": "face_yuan",
    "reserve_percent": "reserve_percent", "保留价": "reserve_percent", "bidder": "bidder", "竞价方": "bidder",
    "deposit_yuan": "deposit_yuan", "预付款": "deposit_yuan", "most_yuan": "most_yuan", "上限": "most_yuan",
    "price_percent": "price_percent", "出价": "price_percent", "salt": "salt", "随机数": "salt", "seal": "seal",
    "密封值": "seal", "order": "order", "订单": "order", "least_percent": "least_percent", "最低价": "least_percent",
    "outlet": "outlet", "渠道": "outlet", "carriers": "carriers", "fee_percent": "fee_percent", "手续费": "fee_percent",
    "fee_yuan": "fee_yuan", "每笔费用": "fee_yuan", "order_least_yuan": "order_least_yuan", "单笔下限": "order_least_yuan",
    "order_most_yuan": "order_most_yuan", "单笔上限": "order_most_yuan", "daily_yuan": "daily_yuan", "日限额": "daily_yuan",
    "monthly_yuan": "monthly_yuan", "月限额": "monthly_yuan", "fills": "fills", "笔数": "fills",
    "success_percent": "success_percent", "成功率": "success_percent",
}  # fmt: skip


def read_rows(path: Path, needed: Sequence[str], most: int) -> list[tuple[int, dict[str, str]]]:
    """Data rows from 1, by canonical column; blank lines are none. Raises `Refused` `columns_missing`, `row_incomplete`,
    `body_too_large` or `text_not_decodable`."""
    text = decode(path.read_bytes())
    first = text.split("\n", 1)[0]
    lines = cells(text, delimiter=max(",;\t", key=first.count))
    names = [_HEADERS.get(cell.strip().strip("\ufeff").lower()) for cell in next(lines, [])]
    for name in needed:
        if name not in names:
            raise Refused("columns_missing", field=name)
    rows: list[tuple[int, dict[str, str]]] = []
    for line in lines:
        if not any(cell.strip() for cell in line):
            continue
        number = len(rows) + 1
        if number > most:
            raise Refused("body_too_large", row=number)
        if len(line) < len(names):
            raise Refused("row_incomplete", row=number)
        rows.append(
            (
                number,
                {name: cell.strip() for name, cell in zip(names, line, strict=False) if name is not None},
            )
        )
    return rows


def carrier_of(row: Mapping[str, str], number: int) -> str:
    """The carrier's code. Raises `Refused` `carrier_unknown`."""
    carrier = parse_carrier(row["carrier"])
    if carrier is None:
        raise Refused("carrier_unknown", field="carrier", row=number)
    return carrier


def name_of(row: Mapping[str, str], field: str, number: int) -> str:
    """A plain name. Raises `Refused` `field_invalid`."""
    if not _NAME.fullmatch(row[field]):
        raise Refused("field_invalid", field=field, row=number)
    return row[field]


def fen_of(row: Mapping[str, str], field: str, number: int) -> int:
    """An amount of yuan in fen. Raises `Refused` with the amount's fault."""
    try:
        return parse_yuan(row[field])
    except MoneyError as error:
        raise Refused(error.code, field=field, row=number) from None


def ppm_of(row: Mapping[str, str], field: str, number: int) -> int:
    """A percentage from 0 to 100 as ppm. Raises `Refused` `percent_malformed`."""
    found = _PERCENT.fullmatch(row[field])
    if found is None:
        raise Refused("percent_malformed", field=field, row=number)
    ppm = int(found[1]) * 10_000 + int((found[2] or "0").ljust(4, "0"))
    if ppm > PPM:
        raise Refused("percent_malformed", field=field, row=number)
    return ppm


def check_single(names: Sequence[str], field: str) -> None:
    """Raise `Refused` `field_invalid` where a name stands twice."""
    seen: set[str] = set()
    for number, name in enumerate(names, start=1):
        if name in seen:
            raise Refused("field_invalid", field=field, row=number)
        seen.add(name)
