"""Outlets as people and outlets themselves read them: the book of bids, one outlet's money and record, its notices.

Reads only; amounts in fen, prices in ppm of face value.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg

from airback.store import balances
from airback.store.named_sql import load

SQL: Final = load("outlets.sql", package="airback.queries")


@dataclass(frozen=True, slots=True)
class Level:
    """One price of a carrier's book: `open_fen` wanted at it by `bids` of `outlets`, `own_fen` of it by who asks."""

    carrier: str
    price_ppm: int
    bids: int
    outlets: int
    open_fen: int
    own_fen: int


@dataclass(frozen=True, slots=True)
class FillRow:
    """One fill as the book's watchers see it."""

    id: int
    order_id: int
    carrier: str
    product: str
    outlet: str
    face_fen: int
    price_ppm: int
    pays_fen: int
    state: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class OutletMoney:
    """An outlet's money. `line_fen` was lent to it and stands in `deposit_fen`; `demanded_fen` is what its open demands
    would cost. `operator_fen` is the operator's own cash, of which a line is lent."""

    deposit_fen: int
    earmarked_fen: int
    line_fen: int
    operator_fen: int
    demanded_fen: int

    @property
    def free_fen(self) -> int:
        """Left for new bids, never below zero."""
        return max(0, self.deposit_fen - self.earmarked_fen - self.demanded_fen)

    @property
    def own_free_fen(self) -> int:
        """What it may be paid back: free, and not lent."""
        return max(0, self.free_fen - self.line_fen)


@dataclass(frozen=True, slots=True)
class OutletHead:
    """Who an outlet is."""

    outlet: str
    name: str
    house: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NoticeRow:
    """One notice to an outlet. `result` None: not tried yet; `ask_at`: when it is tried again, None when it is over."""

    id: int
    ref: str
    at: datetime
    send_by: datetime
    order_id: int | None
    result: str | None
    code: str | None
    tried_at: datetime | None
    tries: int
    ask_at: datetime | None
    detail: dict[str, Any] | None


async def depth(
    conn: asyncpg.Connection, *, book: int, now: datetime, outlet: str | None = None
) -> list[Level]:
    """Every price at which something is wanted, by carrier, the best first."""
    return [Level(**dict(row)) for row in await conn.fetch(SQL.depth, book, now, outlet)]


async def last_fills(
    conn: asyncpg.Connection, *, book: int, limit: int, outlet: str | None = None
) -> list[FillRow]:
    """The last fills, newest first."""
    return [FillRow(**dict(row)) for row in await conn.fetch(SQL.last_fills, book, limit, outlet)]


async def money(conn: asyncpg.Connection, *, book: int, outlet: str) -> OutletMoney:
    """An outlet's money; zero everywhere when nothing was ever posted."""
    row = await conn.fetchrow(SQL.money, book, outlet)
    demanded = await balances.demanded_fen(conn, book=book, outlet=outlet)
    return OutletMoney(**dict(row), demanded_fen=demanded)


async def head(conn: asyncpg.Connection, *, book: int, outlet: str) -> OutletHead | None:
    """Who an outlet is, or None."""
    row = await conn.fetchrow(SQL.outlet, book, outlet)
    return None if row is None else OutletHead(**dict(row))


async def notices(conn: asyncpg.Connection, *, book: int, outlet: str, limit: int) -> list[NoticeRow]:
    """The last notices to an outlet, newest first."""
    return [NoticeRow(**dict(row)) for row in await conn.fetch(SQL.notices, book, f"outlet:{outlet}", limit)]
