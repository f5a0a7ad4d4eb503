"""Imported statements, their rows that wait for a person, and breaks, in PostgreSQL. Pure writes and reads: what is
matched and why is `airback.engine.import_statement`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import asyncpg

from airback.store import named_sql

SQL: Final = named_sql.load("statements.sql")


@dataclass(frozen=True, slots=True)
class Imported:
    """A statement as it stands in the book."""

    id: int
    sha256: bytes
    rows: int
    matched: int
    quarantined: int
    layout: str
    totals_checked: bool
    imported_at: datetime


@dataclass(frozen=True, slots=True)
class Break:
    """One break. Amounts in fen; `left_fen` is what it leaves on the clearing account, credit positive."""

    id: int
    far_side: str
    day: date
    explanation: str
    state: str
    owner: str
    due_at: datetime
    confidence_ppm: int
    reference: str | None
    far_reference: str | None
    kind: str | None
    direction: str
    our_amount_fen: int | None
    their_amount_fen: int | None
    their_fee_fen: int | None
    left_fen: int
    at: datetime
    opened_at: datetime
    closed_at: datetime | None
    correction: str | None


async def find(conn: Any, *, book: int, far_side: str, day: date) -> Imported | None:
    """The statement of that far side and day, or None."""
    row = await conn.fetchrow(SQL.find_statement, book, far_side, day)
    return None if row is None else Imported(**dict(row))


async def unstated(conn: Any, *, book: int) -> tuple[str, date] | None:
    """Far side and day of the first statement that a restored book waits for; None when all are in, or when it was
    not restored."""
    row = await conn.fetchrow(SQL.unstated, book)
    return None if row is None else (row["far_side"], row["day"])


async def insert(conn: Any, *, book: int, values: Sequence[Any]) -> bool:
    """Write a statement (columns in the order of the table, from `id` on); False when its day is taken."""
    return await conn.fetchval(SQL.insert_statement, book, *values) is not None


async def insert_rows(conn: asyncpg.Connection, *, book: int, rows: Sequence[tuple[Any, ...]]) -> None:
    """Write rows that need a person, in bulk: (statement, n, code, field, reference, far_reference, kind, direction,
    amount_fen, fee_fen, party, at)."""
    names = [
        "statement",
        "n",
        "code",
        "field",
        "reference",
        "far_reference",
        "kind",
        "direction",
        "amount_fen",
        "fee_fen",
        "party",
        "at",
    ]
    await conn.copy_records_to_table(
        "statement_rows", records=[(book, *row) for row in rows], columns=["book", *names]
    )


async def insert_breaks(conn: asyncpg.Connection, *, book: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write breaks in bulk, each a mapping with every column but `book`."""
    if rows:
        names = list(rows[0])
        records = [(book, *(row[name] for name in names)) for row in rows]
        await conn.copy_records_to_table("breaks", records=records, columns=["book", *names])


async def get_break(conn: Any, *, book: int, break_id: int) -> Break | None:
    """One break, or None."""
    row = await conn.fetchrow(SQL.get_break, book, break_id)
    return None if row is None else Break(**dict(row))


async def list_breaks(
    conn: Any, *, book: int, open_only: bool = True, far_side: str | None = None, limit: int = 200
) -> list[Break]:
    """Breaks, those due first at the top."""
    rows = await conn.fetch(SQL.list_breaks, book, open_only, far_side, limit)
    return [Break(**dict(row)) for row in rows]
