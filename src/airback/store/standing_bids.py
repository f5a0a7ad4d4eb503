"""Standing bids on record, and which of their numbers want a demand."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import asyncpg

from airback.domain.ids import lowest_id
from airback.store.named_sql import load

SQL: Final = load("standing_bids.sql")
_MOST: Final = 200


@dataclass(frozen=True, slots=True)
class StandingBid:
    """A bid as its outlet sees it; amounts in fen of face, `open_fen` of it wanted now, `filled_fen` taken so far."""

    id: int
    client_ref: str | None
    carrier: str
    numbers: list[str] = field(repr=False)
    price_ppm: int
    order_fen: int
    daily_fen: int
    total_fen: int | None
    speed: str
    created_at: datetime
    withdrawn_at: datetime | None = None
    open_fen: int = 0
    filled_fen: int = 0


@dataclass(frozen=True, slots=True)
class Wanting:
    """A number of a standing bid without an open demand, and what its bid has taken and has open elsewhere."""

    id: int
    carrier: str
    number: str = field(repr=False)
    price_ppm: int
    order_fen: int
    daily_fen: int
    total_fen: int | None
    speed: str
    day_fen: int
    all_fen: int
    open_fen: int


async def insert(conn: asyncpg.Connection, *, book: int, outlet: str, bid: StandingBid) -> bool:
    """Put a bid on record; False when its reference was taken."""
    made = await conn.fetchval(
        SQL.insert,
        book,
        bid.id,
        outlet,
        bid.client_ref,
        bid.carrier,
        bid.numbers,
        bid.price_ppm,
        bid.order_fen,
        bid.daily_fen,
        bid.total_fen,
        bid.speed,
        bid.created_at,
    )
    return made is not None


async def count(conn: asyncpg.Connection, *, book: int, outlet: str) -> int:
    """How many bids of an outlet stand."""
    return int(await conn.fetchval(SQL.count, book, outlet))


async def outlets(conn: Any, *, book: int) -> list[str]:
    """Outlets with a bid that stands."""
    return [row["outlet"] for row in await conn.fetch(SQL.outlets, book)]


async def wanting(conn: Any, *, book: int, outlet: str, day: datetime, now: datetime) -> list[Wanting]:
    """Numbers without an open demand; `day` is when today began."""
    rows = await conn.fetch(SQL.wanting, book, outlet, lowest_id(day), now)
    return [Wanting(**dict(row)) for row in rows]


async def list_bids(conn: asyncpg.Connection, *, book: int, outlet: str) -> list[StandingBid]:
    """An outlet's standing bids, newest first."""
    return [StandingBid(**dict(row)) for row in await conn.fetch(SQL.list, book, outlet, None, _MOST)]


async def get(conn: asyncpg.Connection, *, book: int, outlet: str, bid_id: int) -> StandingBid | None:
    """One of an outlet's bids, or None."""
    row = await conn.fetchrow(SQL.list, book, outlet, bid_id, 1)
    return None if row is None else StandingBid(**dict(row))


async def withdraw(
    conn: asyncpg.Connection, *, book: int, outlet: str, bid_id: int, at: datetime
) -> list[int] | None:
    """Let it stand no more; its demands under way, or None when it stood no more before."""
    if str(await conn.execute(SQL.withdraw, book, bid_id, outlet, at)).endswith(" 0"):
        return None
    return [row["id"] for row in await conn.fetch(SQL.demands_under_way, book, bid_id, at)]
