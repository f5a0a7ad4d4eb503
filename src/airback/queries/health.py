"""Whether the database answers and the book is written."""

from datetime import datetime
from typing import Final

import asyncpg

from airback.store import named_sql

SQL: Final = named_sql.load("health.sql", package="airback.queries")


async def writer_seen(conn: asyncpg.Connection, *, book: int) -> datetime | None:
    """When the book's writer was last at work; None when there never was one."""
    seen: datetime | None = await conn.fetchval(SQL.writer_seen, book)
    return seen
