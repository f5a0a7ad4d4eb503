"""Staff and their sessions in PostgreSQL. Of a session's token only its SHA-256 is stored."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from airback.store import named_sql

_SQL: Final = named_sql.load("staff.sql")


@dataclass(frozen=True, slots=True)
class Member:
    """One member of staff as the administrator sees them."""

    name: str
    roles: tuple[str, ...]
    created_at: datetime
    disabled_at: datetime | None
    failures: int
    locked_until: datetime | None
    seen_at: datetime | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a counted sign-in attempt is checked against."""

    password: str = field(repr=False)
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Session:
    """A session that still stands, with the roles the person has now."""

    name: str
    roles: tuple[str, ...]
    csrf: str = field(repr=False)
    created_at: datetime
    seen_at: datetime
    expires_at: datetime


def token_hash(token: str) -> bytes:
    """What is stored of a session's token."""
    return hashlib.sha256(token.encode()).digest()


async def insert_staff(
    conn: asyncpg.Connection, *, book: int, name: str, password: str, roles: Sequence[str], now: datetime
) -> bool:
    """Write a new member of staff with a sealed password. False when the name is taken."""
    return await conn.fetchrow(_SQL.insert_staff, book, name, password, list(roles), now) is not None


async def list_staff(conn: asyncpg.Connection, *, book: int) -> list[Member]:
    """Everybody of the book, those who may sign in first."""
    rows = await conn.fetch(_SQL.list_staff, book)
    return [
        Member(
            name=row["name"],
            roles=tuple(row["roles"]),
            created_at=row["created_at"],
            disabled_at=row["disabled_at"],
            failures=row["failures"],
            locked_until=row["locked_until"],
            seen_at=row["seen_at"],
        )
        for row in rows
    ]


async def count_attempt(
    conn: asyncpg.Connection, *, book: int, name: str, now: datetime, pauses_s: Sequence[int]
) -> Attempt | None:
    """Count one sign-in attempt. None when nobody of that name may try now."""
    row = await conn.fetchrow(_SQL.count_attempt, book, name, now, list(pauses_s))
    return None if row is None else Attempt(password=row["password"], roles=tuple(row["roles"]))


async def forgive_attempts(
    conn: asyncpg.Connection, *, book: int, name: str, resealed: str | None, checked: str
) -> bool:
    """Forget wrong guesses after the right one. False when the password or the person changed meanwhile."""
    return await conn.fetchrow(_SQL.forgive_attempts, book, name, resealed, checked) is not None


async def disable_staff(
    conn: asyncpg.Connection, *, book: int, name: str, now: datetime
) -> tuple[str, ...] | None:
    """Disable somebody and end their sessions; their roles, or None when there is nobody to disable."""
    roles = await conn.fetchval(_SQL.disable_staff, book, name, now)
    if roles is None:
        return None
    await conn.execute(_SQL.delete_sessions_of, book, name, None)
    return tuple(roles)


async def other_administrators(conn: asyncpg.Connection, *, book: int, name: str) -> int:
    """How many people besides `name` may manage accounts. Call it inside the transaction that disables."""
    return int(await conn.fetchval(_SQL.count_other_administrators, book, name))


async def end_other_sessions(conn: asyncpg.Connection, *, book: int, name: str, keep_token: str) -> None:
    """End every session of a person but the one behind `keep_token`."""
    await conn.execute(_SQL.delete_sessions_of, book, name, token_hash(keep_token))


async def insert_session(
    conn: asyncpg.Connection, *, book: int, token: str, name: str, csrf: str, now: datetime, lasts: timedelta
) -> None:
    """Write a new session."""
    await conn.execute(_SQL.insert_session, book, token_hash(token), name, csrf, now, now + lasts)


async def get_session(
    conn: asyncpg.Connection, *, book: int, token: str, now: datetime, idle: timedelta, seen: bool
) -> Session | None:
    """The session behind a token while it stands; `seen` marks it as used now."""
    row = await conn.fetchrow(_SQL.get_session, book, token_hash(token), now, idle)
    if row is None:
        return None
    if seen and now - row["seen_at"] > timedelta(minutes=1):
        await conn.execute(_SQL.touch_session, book, token_hash(token), now)
    return Session(
        name=row["name"],
        roles=tuple(row["roles"]),
        csrf=row["csrf"],
        created_at=row["created_at"],
        seen_at=row["seen_at"],
        expires_at=row["expires_at"],
    )


async def delete_session(conn: asyncpg.Connection, *, book: int, token: str) -> None:
    """End a session."""
    await conn.execute(_SQL.delete_session, book, token_hash(token))


async def delete_dead_sessions(
    conn: asyncpg.Connection, *, book: int, now: datetime, idle: timedelta
) -> None:
    """Remove sessions that can never stand again."""
    await conn.execute(_SQL.delete_dead_sessions, book, now, idle)
