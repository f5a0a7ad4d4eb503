"""Pauses on record: those that stand are read by everybody who buys; begun by one person, lifted by the writer."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg

from airback.market.pauses import Pause, PauseKind, Pauses
from airback.store.named_sql import load

SQL: Final = load("pauses.sql")


@dataclass(frozen=True, slots=True)
class PauseRow:
    """One pause with who began it, and when and by which proposal it was lifted."""

    pause: Pause
    begun_by: str
    lifted_at: datetime | None
    lifted_by: str | None


async def standing(conn: Any, *, book: int, now: datetime) -> Pauses:
    """The pauses that stand."""
    return Pauses(tuple(_pause(row) for row in await conn.fetch(SQL.standing, book, now)))


async def insert(conn: asyncpg.Connection, *, book: int, pause: Pause, by: str) -> None:
    """Begin a pause."""
    await conn.execute(
        SQL.insert,
        book,
        pause.id,
        str(pause.kind),
        pause.subject,
        pause.reason_zh,
        pause.reason_en,
        pause.since,
        pause.until,
        by,
    )


async def get(conn: asyncpg.Connection, *, book: int, pause_id: int) -> PauseRow | None:
    """One pause, or None."""
    row = await conn.fetchrow(SQL.get, book, pause_id)
    return None if row is None else _row(row)


async def past(conn: asyncpg.Connection, *, book: int, now: datetime, limit: int) -> list[PauseRow]:
    """Pauses that have ended, the last first."""
    return [_row(row) for row in await conn.fetch(SQL.past, book, now, limit)]


def _row(row: Any) -> PauseRow:
    return PauseRow(_pause(row), row["begun_by"], row["lifted_at"], row["lifted_by"])


def _pause(row: Any) -> Pause:
    return Pause(
        row["id"],
        PauseKind(row["kind"]),
        row["subject"],
        row["reason_zh"],
        row["reason_en"],
        row["since"],
        row["until"],
    )
