"""What is recorded of the market: competitors' rates, retractions of them, cells of the comparison matrix."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import asyncpg

from airback.domain.ids import new_ids
from airback.pricing.matrix import Recorded
from airback.pricing.rivals import NewRate, RivalRate
from airback.store.named_sql import load

SQL: Final = load("rivals.sql")
#: Records that one reading gives at most.
MOST_READ: Final = 50_000


async def record(
    conn: asyncpg.Connection,
    *,
    book: int,
    rates: Sequence[NewRate],
    by: str,
    now: datetime,
    entropy: Callable[[int], bytes],
) -> list[tuple[int, bool]]:
    """(id, whether it is new) for each, in order. What was said before, here or in the same list, is not written again."""
    if not rates:
        return []
    once = {rate.said: rate for rate in rates}
    new = new_ids(now=now, entropy=entropy, count=len(once))
    rows = [
        (
            record_id,
            rate.competitor,
            rate.carrier,
            rate.product,
            rate.face_fen,
            rate.face_upto_fen,
            rate.place,
            rate.rate_ppm,
            rate.seen_at,
            rate.source,
            said,
        )
        for record_id, (said, rate) in zip(new, sorted(once.items()), strict=True)
    ]
    written = await conn.fetch(SQL.record, book, by, now, *map(list, zip(*rows, strict=True)))
    fresh = {row["said"]: row["id"] for row in written}
    known = [said for said in once if said not in fresh]
    ids = fresh | {row["said"]: row["id"] for row in await conn.fetch(SQL.ids_said, book, known)}
    answers = []
    for rate in rates:
        answers.append((ids[rate.said], fresh.pop(rate.said, None) is not None))
    return answers


async def known(conn: asyncpg.Connection, *, book: int, rate_id: int) -> bool:
    """Whether there is such a record, retracted or not."""
    return bool(await conn.fetchval(SQL.known, book, rate_id))


async def retract(
    conn: asyncpg.Connection, *, book: int, rate_id: int, reason: str, by: str, now: datetime
) -> bool:
    """Take a record back; False when it was already."""
    return bool(await conn.fetchval(SQL.retract, book, rate_id, reason, by, now))


async def list_rates(
    conn: asyncpg.Connection,
    *,
    book: int,
    since: datetime,
    carrier: str | None = None,
    product: str | None = None,
) -> list[RivalRate]:
    """Records seen since then that stand, oldest first; of too many the newest `MOST_READ`."""
    rows = await conn.fetch(SQL.list_rates, book, since, carrier, product, MOST_READ)
    return [RivalRate(**row) for row in reversed(rows)]


async def record_cell(conn: asyncpg.Connection, *, book: int, cell_id: int, cell: Recorded) -> None:
    """Write a cell of the matrix."""
    await conn.execute(
        SQL.record_cell,
        book,
        cell_id,
        cell.matrix,
        cell.platform,
        cell.criterion,
        cell.low,
        cell.high,
        cell.words,
        cell.source,
        cell.recorded_by,
        cell.recorded_at,
    )


async def list_cells(conn: asyncpg.Connection, *, book: int) -> list[Recorded]:
    """What staff wrote last into each cell."""
    return [Recorded(**row) for row in await conn.fetch(SQL.list_cells, book)]
