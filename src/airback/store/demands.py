"""Demands as those see them who place them. What is open is changed by the book's writer alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import asyncpg

from airback.store.named_sql import load

SQL: Final = load("demands.sql")


@dataclass(frozen=True, slots=True)
class NewDemand:
    """One row of `demands` at its beginning."""

    id: int
    client_ref: str | None
    carrier: str
    number: str = field(repr=False)
    amount_fen: int
    price_ppm: int
    deadline_at: datetime
    bid_id: int | None = None


async def taken_refs(conn: asyncpg.Connection, *, book: int, outlet: str, refs: Sequence[str]) -> set[str]:
    """Those of `refs` that already name a demand of this outlet."""
    if not refs:
        return set()
    return {row["client_ref"] for row in await conn.fetch(SQL.taken_refs, book, outlet, refs)}


async def lock_outlet(conn: asyncpg.Connection, *, book: int, outlet: str) -> bool:
    """Let nobody else place demands for this outlet until the transaction ends; False when there is no such outlet."""
    return await conn.fetchval(SQL.lock_outlet, book, outlet) is not None


async def lock_outlet_if_free(conn: asyncpg.Connection, *, book: int, outlet: str) -> bool:
    """The same without waiting; False also while somebody else places demands for it."""
    return await conn.fetchval(SQL.lock_outlet_if_free, book, outlet) is not None


async def place(
    conn: asyncpg.Connection, *, book: int, outlet: str, demands: Sequence[NewDemand], at: datetime
) -> set[int]:
    """Insert demands and open them; ids of those inserted. Missing: the reference was taken."""
    rows = await conn.fetch(
        SQL.place,
        book,
        outlet,
        at,
        [d.id for d in demands],
        [d.client_ref for d in demands],
        [d.carrier for d in demands],
        [d.number for d in demands],
        [d.amount_fen for d in demands],
        [d.price_ppm for d in demands],
        [d.deadline_at for d in demands],
        [d.bid_id for d in demands],
    )
    return {row["id"] for row in rows}


async def outlet_of(conn: asyncpg.Connection, *, book: int, demand_id: int) -> tuple[str, bool, bool] | None:
    """(outlet, whether anything is still open, whether it was withdrawn), or None when there is no such demand."""
    row = await conn.fetchrow(SQL.outlet_of, book, demand_id)
    return None if row is None else (row["outlet"], row["open"], row["withdrawn"])
