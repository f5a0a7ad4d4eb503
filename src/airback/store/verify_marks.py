"""Where `verify` last found a book clean, so that its next run looks only at what came since."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from airback.store.named_sql import load

SQL: Final = load("verify_marks.sql")


@dataclass(frozen=True, slots=True)
class Mark:
    """Up to where a book was found clean.

    `at` is when; `since` is a little earlier: what was written from then on is looked at again. `seq` is the log's last
    event then. `statements` says by far side from when on its statement is to be compared again. `stands` is false
    when the log does not have the mark's event: it was restored, or changed.
    """

    at: datetime
    since: datetime
    seq: int
    open_orders: Sequence[int]
    open_effects: Sequence[int]
    statements: Mapping[str, datetime]
    stands: bool


async def mark_of(conn: Any, *, book: int) -> Mark | None:
    """The book's mark, or None when it was never found clean."""
    row = await conn.fetchrow(SQL.mark_of, book)
    if row is None:
        return None
    statements = {side: datetime.fromisoformat(since) for side, since in row["statements"].items()}
    return Mark(**(dict(row) | {"statements": statements}))


async def set_mark(
    conn: Any, *, book: int, at: datetime, since: datetime, statements: Mapping[str, datetime]
) -> int | None:
    """Set the book's mark to what the transaction sees; the sequence number it stands on, or None for an empty log."""
    said = {side: moment.isoformat() for side, moment in statements.items()}
    seq: int | None = await conn.fetchval(SQL.set_mark, book, at, since, said)
    if seq is not None:
        await conn.execute(SQL.set_balances, book, since)
    return seq
