"""A period's orders priced again: rows of the book handed to `airback.pricing.preview`. Reads only."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg
import msgspec

from airback.domain import ids
from airback.domain.refusals import Refused
from airback.orders.states import FINAL
from airback.pricing.cards import RateCard
from airback.pricing.preview import SOLD, UNDER_WAY, UNSOLD, PastOrder, Replay
from airback.store import named_sql

_SQL: Final = named_sql.load("preview.sql", package="airback.queries")

MOST_DAYS: Final = 366
_PAGE: Final = 2_000
_HOUSE: Final = "house"


@dataclass(frozen=True, slots=True)
class Replayed:
    """A replay of the orders accepted from `since` on. `cut`: there were more than were asked for; the newest count."""

    replay: Replay
    since: datetime
    until: datetime
    days: int
    margin_ppm: int
    cut: bool


async def replayed(
    conn: asyncpg.Connection,
    *,
    book: int,
    card: RateCard,
    days: int,
    now: datetime,
    margin_ppm: int = 0,
    at: datetime | None = None,
    most: int | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Replayed:
    """The orders of the last `days` days under `card` (see `Replay` for `margin_ppm` and `at`), at most the newest `most`.

    Raises Refused `preview_without_history` when none of them was sold with a quote that can be read: there is nothing
    to compare.
    """
    if not 1 <= days <= MOST_DAYS:
        raise Refused("field_invalid", field="days")
    since = now - timedelta(days=days)
    lowest, below = ids.lowest_id(max(since, ids.EPOCH)), ids.lowest_id(now) + (1 << 22)
    replay = Replay(card, margin_ppm=margin_ppm, at=at)
    done = 0
    while True:
        page = _PAGE if most is None else min(_PAGE, most - done)
        rows = await conn.fetch(_SQL.past_orders, book, lowest, below, page + 1, _HOUSE)
        await asyncio.to_thread(replay.fold, map(_order, rows[:page]))
        done += min(len(rows), page)
        progress(done)
        cut = most is not None and done >= most and len(rows) > page
        if len(rows) <= page or cut:
            break
        below = rows[page - 1]["id"]
    if not replay.whole.happened.orders:
        raise Refused("preview_without_history", field="days")
    return Replayed(replay, since, now, days, margin_ppm, cut)


def _order(row: Any) -> PastOrder:
    ended = SOLD if row["sold"] else UNSOLD if row["state"] in FINAL else UNDER_WAY
    first = row["first_quote"]
    return PastOrder(
        ended=ended,
        code=row["code"],
        quote=msgspec.json.decode(row["quote"]),
        first_quote=None if first is None else msgspec.json.decode(first),
        outlets_pay_fen=row["outlets_pay_fen"],
        least_ppm=row["least_ppm"],
        house_face_fen=row["house_face_fen"],
        house_pays_fen=row["house_pays_fen"],
    )
