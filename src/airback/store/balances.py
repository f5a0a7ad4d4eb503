"""What an outlet may still spend, read where demands are placed."""

from typing import Any, Final

import asyncpg

from airback.store.named_sql import load

SQL: Final = load("balances.sql")


async def free_deposit_fen(conn: asyncpg.Connection, *, book: int, outlet: str, account_id: int) -> int:
    """What the deposit leaves for new demands, in fen; negative when open demands exceed it."""
    return int(await conn.fetchval(SQL.free_deposit, book, outlet, account_id))


async def demanded_fen(conn: Any, *, book: int, outlet: str) -> int:
    """What an outlet's open demands would cost, in fen."""
    return int(await conn.fetchval(SQL.demanded, book, outlet))
