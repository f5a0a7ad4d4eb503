"""Auctions from files: lots, bidders and bids as CSV; the award and its best-execution report as one answer."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from airback.app.market_files import carrier_of, check_single, fen_of, name_of, ppm_of, read_rows
from airback.domain.money import MAX_FEN
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


def hold(*, lots: Path, bids: Path, bidders: Path, sealed: Path | None, rule: Rule) -> dict[str, Any]:
    """Award what the files say. `sealed`: the seals handed in before the opening; without it bids count as they are.

    Raises `Refused` with `row` and `field` for a file or a row of lots or bidders that cannot be read: nothing is
    awarded then. A bid that cannot count is named in the answer's `refused`, and the others go on.
    """
    lots_read = [_lot(row, n) for n, row in read_rows(lots, ("lot", "carrier", "face_yuan"), MOST_LOTS)]
    bidders_read = [
        _bidder(row, n) for n, row in read_rows(bidders, ("bidder", "deposit_yuan"), MOST_BIDDERS)
    ]
    check_single([lot.lot for lot in lots_read], "lot")
    check_single([bidder.bidder for bidder in bidders_read], "bidder")
    opened = list(read_rows(bids, ("bidder", "lot", "price_percent"), MOST_LOTS * MOST_BIDDERS))
    bids_read = [_bid(row, n) for n, row in opened]
    broken: list[tuple[Bid, Refused]] = []
    if sealed is not None and bids_read:
        seals = {
            row["bidder"]: row["seal"].lower()
            for _, row in read_rows(sealed, ("bidder", "seal"), MOST_BIDDERS)
        }
        salts = {row["bidder"]: row.get("salt", "") for _, row in opened}
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


def _lot(row: Mapping[str, str], number: int) -> Lot:
    reserve = row.get("reserve_percent", "")
    return Lot(
        name_of(row, "lot", number),
        carrier_of(row, number),
        fen_of(row, "face_yuan", number),
        ppm_of(row, "reserve_percent", number) if reserve else 0,
    )


def _bidder(row: Mapping[str, str], number: int) -> Bidder:
    most = fen_of(row, "most_yuan", number) if row.get("most_yuan") else MAX_FEN
    return Bidder(name_of(row, "bidder", number), fen_of(row, "deposit_yuan", number), most)


def _bid(row: Mapping[str, str], number: int) -> Bid:
    price = ppm_of(row, "price_percent", number)
    return Bid(name_of(row, "bidder", number), name_of(row, "lot", number), price, number)
