"""API clients and their keys. Of a key only its peppered HMAC is kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import asyncpg

from airback.store.named_sql import load

SQL: Final = load("clients.sql")


@dataclass(frozen=True, slots=True)
class KeyOnRecord:
    """A key that is not revoked, and whose it is."""

    secret_hmac: bytes = field(repr=False)
    scopes: frozenset[str]
    client: str
    kind: str
    outlet: str | None
    requests_per_minute: int


async def add_client(
    conn: asyncpg.Connection,
    *,
    book: int,
    client: str,
    kind: str,
    outlet: str | None,
    requests_per_minute: int,
    at: datetime,
) -> None:
    """Put a client on record, and its outlet, unless they are. `kind`: seller, company, outlet or staff."""
    if outlet is not None:
        await conn.execute(SQL.add_outlet, book, outlet, outlet, at)
    await conn.execute(SQL.add_client, book, client, kind, outlet, requests_per_minute, at)


async def add_key(
    conn: asyncpg.Connection,
    *,
    book: int,
    client: str,
    prefix: str,
    secret_hmac: bytes,
    scopes: Sequence[str],
    at: datetime,
) -> None:
    """Give a client one more key."""
    await conn.execute(SQL.add_key, book, prefix, client, secret_hmac, list(scopes), at)


async def find_key(conn: asyncpg.Connection, *, book: int, prefix: str) -> KeyOnRecord | None:
    """The key with this prefix, or None when there is none or it was revoked."""
    row = await conn.fetchrow(SQL.find_key, book, prefix)
    if row is None:
        return None
    return KeyOnRecord(
        row["secret_hmac"],
        frozenset(row["scopes"]),
        row["client"],
        row["kind"],
        row["outlet"],
        row["requests_per_minute"],
    )


async def revoke_key(conn: asyncpg.Connection, *, book: int, prefix: str, at: datetime) -> bool:
    """Revoke a key; False when there was none."""
    return bool(await conn.fetchval(SQL.revoke_key, book, prefix, at))
