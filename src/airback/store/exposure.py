"""Live quotes as the processes of the API tell one another, and what there is to take them up."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg

from airback.ledger.accounts import account
from airback.pricing.exposure import Exposure
from airback.store.named_sql import load

SQL: Final = load("exposure.sql")
#: Expired rows stay so long, so that processes with clocks of their own do not delete what another still counts.
_KEPT: Final = timedelta(minutes=5)


async def share(
    pool: asyncpg.Pool,
    exposure: Exposure,
    *,
    book: int,
    process: str,
    wanted: Mapping[str, int],
    now: datetime,
) -> None:
    """Publish what this process has counted and learn what others have. `wanted` is what outlets want open, by carrier, fen.
    Two or three statements, however many quotes were signed."""
    now_s = int(now.timestamp())
    rows = exposure.changes(now_s=now_s)
    if rows:
        await pool.execute(
            SQL.publish,
            book,
            process,
            [row.subject for row in rows],
            [datetime.fromtimestamp(row.until_s, UTC) for row in rows],
            [row.fen for row in rows],
        )
        exposure.published(rows)
        await pool.execute(SQL.forget, book, now - _KEPT)
    others = {row["subject"]: row["fen"] for row in await pool.fetch(SQL.others, book, process, now)}
    found = await pool.fetchrow(SQL.room, book, account("float").id)
    rooms = None
    if wanted or found["outlets"]:
        float_fen = max(0, found["float_fen"])
        rooms = {"": float_fen} | {carrier: fen + float_fen for carrier, fen in wanted.items()}
    exposure.learn(others=others, rooms=rooms)
