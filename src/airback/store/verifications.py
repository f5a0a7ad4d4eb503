"""One-time codes sent to numbers: when, how often, and the carrier's name for each. Codes themselves are never here."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from airback.store.named_sql import load

SQL: Final = load("verifications.sql")


@dataclass(frozen=True, slots=True)
class Verification:
    """A code that was sent. `authentication_id` None: used up."""

    number: str
    authentication_id: str | None
    sent_at: datetime
    checks: int


async def begin(
    conn: asyncpg.Connection,
    *,
    book: int,
    number: str,
    verification_id: int,
    client: str,
    now: datetime,
    pause: timedelta,
    most_a_day: int,
) -> bool:
    """Take the right to send a code to `number` now; False within `pause` of the last or after `most_a_day`."""
    return (
        await conn.fetchval(
            SQL.begin,
            book,
            number,
            verification_id,
            client,
            now,
            now - pause,
            now - timedelta(days=1),
            most_a_day,
        )
        is not None
    )


async def last_sent(conn: asyncpg.Connection, *, book: int, number: str) -> datetime | None:
    """When the last code went to `number`."""
    sent_at: datetime | None = await conn.fetchval(SQL.last_sent, book, number)
    return sent_at


async def sent(conn: asyncpg.Connection, *, book: int, verification_id: int, authentication_id: str) -> None:
    """The carrier sent the code under its own name for it."""
    await conn.execute(SQL.sent, book, verification_id, authentication_id)


async def not_sent(conn: asyncpg.Connection, *, book: int, verification_id: int, as_of: datetime) -> None:
    """No code left; counted as if the last one went at `as_of`."""
    await conn.execute(SQL.not_sent, book, verification_id, as_of)


async def take_check(
    conn: asyncpg.Connection, *, book: int, verification_id: int, client: str, sent_after: datetime, most: int
) -> tuple[str, str] | None:
    """(number, authentication id) and one try fewer, or None when there is nothing to try."""
    row = await conn.fetchrow(SQL.take_check, book, verification_id, client, sent_after, most)
    return None if row is None else (row["number"], row["authentication_id"])


async def find(
    conn: asyncpg.Connection, *, book: int, verification_id: int, client: str
) -> Verification | None:
    """One verification of a client, or None."""
    row = await conn.fetchrow(SQL.find, book, verification_id, client)
    return None if row is None else Verification(*row)


async def give_check_back(conn: asyncpg.Connection, *, book: int, verification_id: int) -> None:
    """The carrier could not be asked: the try does not count."""
    await conn.execute(SQL.give_check_back, book, verification_id)


async def used(conn: asyncpg.Connection, *, book: int, verification_id: int) -> None:
    """The code was right or is void."""
    await conn.execute(SQL.used, book, verification_id)
