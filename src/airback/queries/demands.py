"""Demands as their outlets and the operator read them. Reads only; amounts in fen, prices in ppm of face value."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import asyncpg

from airback.domain import ids
from airback.market.states import State
from airback.store import named_sql

SQL: Final = named_sql.load("demands.sql", package="airback.queries")

MOST_PER_PAGE: Final = 200
_NEWEST: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class DemandView:
    """A demand: of `amount_fen`, `open_fen` is still wanted, `reserved_fen` on its way, `delivered_fen` there."""

    id: int
    outlet: str
    client_ref: str | None
    carrier: str
    number: str = field(repr=False)
    amount_fen: int
    price_ppm: int
    deadline_at: datetime
    created_at: datetime
    open_fen: int
    reserved_fen: int
    delivered_fen: int

    @property
    def public_id(self) -> str:
        """What people call it."""
        return ids.public("dem", self.id)

    def state(self, now: datetime) -> State:
        """Where it stands. A demand past its deadline is expired even before the writer came to close it."""
        if self.reserved_fen + self.delivered_fen >= self.amount_fen:
            return State.FILLED
        if self.deadline_at <= now:
            return State.EXPIRED
        return State.OPEN if self.open_fen > 0 else State.WITHDRAWN


@dataclass(frozen=True, slots=True)
class Page:
    """Demands, newest first. `next` is the `after` of the next page, None when this is the last."""

    items: list[DemandView]
    next: int | None


async def list_demands(
    conn: asyncpg.Connection,
    *,
    book: int,
    outlet: str | None = None,
    client_ref: str | None = None,
    after: int | None = None,
    limit: int = 50,
) -> Page:
    """Demands, newest first, those with an id below `after`; `limit` is cut to `MOST_PER_PAGE`."""
    limit = max(1, min(limit, MOST_PER_PAGE))
    before = _NEWEST if after is None else after
    rows = await conn.fetch(SQL.list_demands, book, outlet, before, limit + 1, client_ref, None)
    items = [DemandView(*row) for row in rows[:limit]]
    return Page(items, items[-1].id if len(rows) > limit else None)


async def get_demand(conn: asyncpg.Connection, *, book: int, demand_id: int) -> DemandView | None:
    """One demand, or None."""
    row = await conn.fetchrow(SQL.list_demands, book, None, _NEWEST, 1, None, demand_id)
    return None if row is None else DemandView(*row)


async def is_open(conn: asyncpg.Connection, *, book: int, demand_id: int) -> bool:
    """Whether anything of a demand is still open: cheap enough to be asked again and again."""
    return bool(await conn.fetchval(SQL.is_open, book, demand_id))
