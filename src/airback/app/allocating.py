"""A batch allocated from files: orders and outlets as CSV; where each order goes, and why, as one answer."""

import csv
import io
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from airback.app.market_files import carrier_of, check_single, fen_of, name_of, ppm_of, read_rows
from airback.domain.assets import CARRIERS, parse_carrier
from airback.domain.money import MAX_FEN, PPM
from airback.domain.refusals import Refused
from airback.market.allocation import allocate
from airback.market.arcs import NOWHERE, BulkOrder
from airback.market.channels import MANY, Channel

MOST_ORDERS: Final = 20_000
MOST_OUTLETS: Final = 200


def plan(*, orders: Path, outlets: Path) -> dict[str, Any]:
    """Allocate what the files say. Raises `Refused` with `row` and `field` for what cannot be read: nothing is allocated then."""
    wanted = [_order(row, n) for n, row in read_rows(orders, ("order", "carrier", "face_yuan"), MOST_ORDERS)]
    needed = ("outlet", "price_percent", "deposit_yuan", "order_most_yuan", "daily_yuan")
    channels = [_outlet(row, n) for n, row in read_rows(outlets, needed, MOST_OUTLETS)]
    check_single([order.id for order in wanted], "order")
    check_single([channel.outlet for channel in channels], "outlet")
    found = allocate(wanted, channels)
    return {
        "method": found.method,
        "worth_fen": found.worth_fen,
        "in_turn_fen": found.online_fen,
        "placed": int((found.places != NOWHERE).sum()),
        "limits": [{"outlet": outlet, **asdict(price)} for outlet, price in found.prices.items()],
        "orders": [asdict(reason) for reason in found.reasons()],
    }


def csv_of(report: Mapping[str, Any]) -> str:
    """Where each order goes and why, as CSV."""
    out = io.StringIO()
    writer = csv.DictWriter(
        out, ["order", "outlet", "worth_fen", "best", "best_fen", "price_fen"], lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(report["orders"])
    return out.getvalue()


def _order(row: Mapping[str, str], number: int) -> BulkOrder:
    least = ppm_of(row, "least_percent", number) if row.get("least_percent") else 0
    return BulkOrder(
        name_of(row, "order", number), carrier_of(row, number), fen_of(row, "face_yuan", number), least
    )


def _outlet(row: Mapping[str, str], number: int) -> Channel:
    def amount(field: str, empty: int) -> int:
        return fen_of(row, field, number) if row.get(field) else empty

    def share(field: str, empty: int) -> int:
        return ppm_of(row, field, number) if row.get(field) else empty

    carriers = [parse_carrier(word) for word in row.get("carriers", "").split()]
    if None in carriers:
        raise Refused("carrier_unknown", field="carriers", row=number)
    fills = row.get("fills", "")
    if fills and not (fills.isascii() and fills.isdigit() and len(fills) < 8):
        raise Refused("field_invalid", field="fills", row=number)
    return Channel(
        outlet=name_of(row, "outlet", number),
        carriers=frozenset(one for one in carriers if one) or frozenset(CARRIERS),
        price_ppm=ppm_of(row, "price_percent", number),
        fee_ppm=share("fee_percent", 0),
        fee_fen=amount("fee_yuan", 0),
        least_fen=amount("order_least_yuan", 1),
        most_fen=fen_of(row, "order_most_yuan", number),
        daily_left_fen=fen_of(row, "daily_yuan", number),
        monthly_left_fen=amount("monthly_yuan", MAX_FEN),
        per_minute=int(fills) if fills else MANY,
        success_ppm=share("success_percent", PPM),
        deposit_fen=fen_of(row, "deposit_yuan", number),
    )
