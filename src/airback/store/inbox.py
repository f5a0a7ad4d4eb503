"""The inbox of a book's writer, as those see it who append to it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import asyncpg

from airback.store.named_sql import load

SQL: Final = load("inbox.sql")


async def append(
    conn: asyncpg.Connection,
    *,
    book: int,
    kind: str,
    order_id: int | None,
    ref: str | None,
    body: Mapping[str, Any],
    at: datetime,
) -> None:
    """Append one letter. `body` holds no code, key or plain account."""
    await conn.execute(SQL.append, book, kind, order_id, ref, dict(body), at)
