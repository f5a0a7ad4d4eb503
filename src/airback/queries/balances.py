"""Balances as clients read them: an outlet's deposit, and what is owed to a client's sellers. Amounts in fen."""

from dataclasses import dataclass
from typing import Final

import asyncpg

from airback.domain.assets import CNY
from airback.store import balances as store
from airback.store import named_sql

SQL: Final = named_sql.load("balances.sql", package="airback.queries")


@dataclass(frozen=True, slots=True)
class Deposit:
    """An outlet's prepaid money: `balance_fen` of it, of which `earmarked_fen` is set aside for fills under way.

    `demanded_fen` is what its open demands would cost in whole; `free_fen` what is left for new ones, never below
    zero.
    """

    balance_fen: int
    earmarked_fen: int
    demanded_fen: int

    @property
    def free_fen(self) -> int:
        """Left for new demands."""
        return max(0, self.balance_fen - self.earmarked_fen - self.demanded_fen)


@dataclass(frozen=True, slots=True)
class Owed:
    """What is owed to sellers: `payable_fen`, of which `under_way_fen` is being paid; `stored_fen` is kept for them."""

    payable_fen: int
    under_way_fen: int
    stored_fen: int


async def deposit(conn: asyncpg.Connection, *, book: int, outlet: str) -> Deposit:
    """An outlet's deposit; zero everywhere when nothing was ever paid in."""
    row = await conn.fetchrow(SQL.account, book, f"deposit:{outlet}", CNY)
    demanded = await store.demanded_fen(conn, book=book, outlet=outlet)
    if row is None:
        return Deposit(0, 0, demanded)
    return Deposit(row["credits_posted"] - row["debits_posted"], row["debits_pending"], demanded)


async def owed(conn: asyncpg.Connection, *, book: int, client: str, seller_ref: str | None = None) -> Owed:
    """What is owed to a client's sellers, or to one of them."""
    return Owed(*await _owed(conn, book, client, seller_ref))


async def _owed(
    conn: asyncpg.Connection, book: int, client: str, seller_ref: str | None
) -> tuple[int, int, int]:
    row = await conn.fetchrow(SQL.owed_to_sellers, book, client, seller_ref)
    return row["payable_fen"], row["under_way_fen"], row["stored_fen"]
