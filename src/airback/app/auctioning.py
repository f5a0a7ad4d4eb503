"""Auctions from files: lots, bidders and bids as CSV; the award and its best-execution report as one answer."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from airback.domain.assets import parse_carrier
from airback.domain.money import MAX_FEN, PPM, MoneyError, parse_yuan
from airback.domain.refusals import Refused
from airback.market.auction import (
    MOST_BIDDERS,
    MOST_LOTS,
    Award,
    Bid,
    Bidder,
    Lot,
    Outcome,
    Rule,
    award,
    unbroken,
)
from airback.reconciliation.tables import cells, decode

_PERCENT: Final = re.compile(r"(\d{1,3})(?:\.(\d{1,4}))?%?", re.ASCII)
_NAME: Final = re.compile(r"[\w.-]{1,40}")
_HEADERS: Final = {
    "lot": "lot", "批次": "lot", "carrier": "carrier", "运营商": "carrier", "face_yuan": "face_yuan", "面值": "face_yuan",
    "reserve_percent": "reserve_percent", "保留价": "reserve_percent", "bidder": "bidder", "竞价方": "bidder",
    "deposit_yuan": "deposit_yuan", "预付款": "deposit_yuan", "most_yuan": "most_yuan", "上限": "most_yuan",
    "price_percent": "price_percent", "出价": "price_percent", "salt": "salt", "随机数": "salt", "seal": "seal",
    "密封值": "seal",
}  # fmt: skip


def hold(*, lots: Path, bids: Path, bidders: Path, sealed: Path | None, rule: Rule) -> dict[str, Any]:
    """Award what the files say. `sealed`: the seals handed in before the opening; without it bids count as they are.

    Raises `Refused` with `row` and `field` for a file or a row of lots or bidders that cannot be read: nothing is
    awarded then. A bid that cannot count is named in the answer's `refused`, and the others go on.
    """
    lots_read = [_lot(row, n) for n, row in _rows(lots, ("lot", "carrier", "face_yuan"), MOST_LOTS)]
    bidders_read = [_bidder(row, n) for n, row in _rows(bidders, ("bidder", "deposit_yuan"), MOST_BIDDERS)]
    _single([lot.lot for lot in lots_read], "lot")
    _single([bidder.bidder for bidder in bidders_read], "bidder")
    rows = list(_rows(bids, ("bidder", "lot", "price_percent"), MOST_LOTS * MOST_BIDDERS))
    bids_read = [_bid(row, n) for n, row in rows]
    broken: list[tuple[Bid, Refused]] = []
    if sealed is not None and bids_read:
        seals = {
            row["bidder"]: row["seal"].lower() for _, row in _rows(sealed, ("bidder", "seal"), MOST_BIDDERS)
        }
        salts = {row["bidder"]: row.get("salt", "") for _, row in rows}
        bids_read, broken = unbroken(bids_read, salts, seals)
        if not bids_read:
            raise broken[0][1]
    outcome = award(lots_read, bidders_read, bids_read, rule=rule)
    return answer(outcome, broken, rule=rule, sealed=sealed is not None)


def answer(
    outcome: Outcome, broken: Sequence[tuple[Bid, Refused]], *, rule: Rule, sealed: bool
) -> dict[str, Any]:
    """The award and its best-execution report as JSON values."""
    alone = sorted(outcome.alone_fen.items(), key=lambda one: -one[1])
    refused = sorted([*outcome.refused, *broken], key=lambda one: one[0].row)
    return {
        "rule": str(rule),
        "sealed": sealed,
        "total_fen": outcome.total_fen,
        "sold": sum(one.bidder is not None for one in outcome.awards),
        "lots": [_shown(one) for one in outcome.awards],
        "best_execution": {
            "bid_fen": outcome.bid_fen,
            "in_turn_fen": outcome.in_turn_fen,
            "alone": [{"bidder": bidder, "total_fen": fen} for bidder, fen in alone],
        },
        "refused": [
            {"row": bid.row, "bidder": bid.bidder, "lot": bid.lot, "code": why.code, "field": why.field}
            for bid, why in refused
        ],
    }


def csv_of(report: Mapping[str, Any]) -> str:
    """Each lot's award as CSV."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(_SHOWN), lineterminator="\n")
    writer.writeheader()
    writer.writerows(report["lots"])
    return out.getvalue()


_SHOWN: Final = (
    "lot",
    "carrier",
    "face_fen",
    "reserve_ppm",
    "bidder",
    "bid_ppm",
    "pays_fen",
    "bids",
    "next_ppm",
)


def _shown(one: Award) -> dict[str, Any]:
    lot = one.lot
    figures = (
        lot.lot, lot.carrier, lot.face_fen, lot.reserve_ppm, one.bidder, one.bid_ppm, one.pays_fen, one.bids, one.next_ppm,
    )  # fmt: skip
    return dict(zip(_SHOWN, figures, strict=True))


def _rows(path: Path, needed: Sequence[str], most: int) -> list[tuple[int, dict[str, str]]]:
    """Data rows from 1, by canonical column; blank lines are none."""
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


def _lot(row: Mapping[str, str], number: int) -> Lot:
    carrier = parse_carrier(row["carrier"])
    if carrier is None:
        raise Refused("carrier_unknown", field="carrier", row=number)
    reserve = row.get("reserve_percent", "")
    return Lot(
        _name(row, "lot", number),
        carrier,
        _fen(row, "face_yuan", number),
        _ppm(reserve, "reserve_percent", number) if reserve else 0,
    )


def _bidder(row: Mapping[str, str], number: int) -> Bidder:
    most = _fen(row, "most_yuan", number) if row.get("most_yuan") else MAX_FEN
    return Bidder(_name(row, "bidder", number), _fen(row, "deposit_yuan", number), most)


def _bid(row: Mapping[str, str], number: int) -> Bid:
    price = _ppm(row["price_percent"], "price_percent", number)
    return Bid(_name(row, "bidder", number), _name(row, "lot", number), price, number)


def _name(row: Mapping[str, str], field: str, number: int) -> str:
    if not _NAME.fullmatch(row[field]):
        raise Refused("field_invalid", field=field, row=number)
    return row[field]


def _fen(row: Mapping[str, str], field: str, number: int) -> int:
    try:
        return parse_yuan(row[field])
    except MoneyError as error:
        raise Refused(error.code, field=field, row=number) from None


def _ppm(text: str, field: str, number: int) -> int:
    found = _PERCENT.fullmatch(text)
    if found is None:
        raise Refused("percent_malformed", field=field, row=number)
    ppm = int(found[1]) * 10_000 + int((found[2] or "0").ljust(4, "0"))
    if ppm > PPM:
        raise Refused("percent_malformed", field=field, row=number)
    return ppm


def _single(names: Sequence[str], field: str) -> None:
    seen: set[str] = set()
    for number, name in enumerate(names, start=1):
        if name in seen:
            raise Refused("field_invalid", field=field, row=number)
        seen.add(name)
