"""API keys: `prefix.secret`. The prefix finds the key, an HMAC under the platform's own key proves it.

The database never holds enough to make a key, and the comparison takes the same time wherever a secret differs. What
was found is remembered for a few seconds, so a revoked key may work that much longer.
"""

import hmac
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from airback.domain.ids import new_reference
from airback.domain.ports.keys import KeyProvider
from airback.domain.refusals import Refused
from airback.store import clients
from airback.store.clients import KeyOnRecord

SCOPES: Final = (
    "orders:write",
    "orders:read",
    "quotes:write",
    "demands:write",
    "demands:read",
    "balances:read",
)
SELLING: Final = ("orders:write", "orders:read", "quotes:write", "balances:read")
BUYING: Final = ("demands:write", "demands:read", "balances:read")

REMEMBERED: Final = timedelta(seconds=5)
_MOST_REMEMBERED: Final = 10_000
_PREFIX_LENGTH: Final = 12
_LONGEST_KEY: Final = 100
_PURPOSE: Final = "client_key"


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks. `outlet` is set for a client that places demands."""

    client: str
    kind: str
    outlet: str | None
    scopes: frozenset[str]
    requests_per_minute: int


class Clients:
    """The clients of one book, as one process knows them."""

    def __init__(self, *, book: int, keys: KeyProvider) -> None:
        self._book = book
        self._keys = keys
        self._remembered: OrderedDict[str, tuple[datetime, KeyOnRecord | None]] = OrderedDict()

    async def whose(self, key: str, *, pool: asyncpg.Pool, now: datetime) -> Client:
        """The client that holds this key. Raises `Refused` `credentials_wrong`."""
        prefix, dot, _ = key.partition(".")
        if not dot or len(key) > _LONGEST_KEY or not key.isascii() or len(prefix) != _PREFIX_LENGTH:
            raise Refused("credentials_wrong")
        record = await self._on_record(prefix, pool=pool, now=now)
        indexes = self._keys.blind_index(purpose=_PURPOSE, value=key.encode())
        expected = b"" if record is None else record.secret_hmac
        right = [hmac.compare_digest(index, expected) for index in indexes]
        if record is None or not any(right):
            raise Refused("credentials_wrong")
        return Client(record.client, record.kind, record.outlet, record.scopes, record.requests_per_minute)

    async def _on_record(self, prefix: str, *, pool: asyncpg.Pool, now: datetime) -> KeyOnRecord | None:
        known = self._remembered.get(prefix)
        if known is not None and known[0] > now:
            return known[1]
        async with pool.acquire() as conn:
            record = await clients.find_key(conn, book=self._book, prefix=prefix)
        self._remembered[prefix] = (now + REMEMBERED, record)
        self._remembered.move_to_end(prefix)
        if len(self._remembered) > _MOST_REMEMBERED:
            self._remembered.popitem(last=False)
        return record


async def create_client(
    conn: asyncpg.Connection,
    *,
    book: int,
    client: str,
    kind: str,
    scopes: Sequence[str],
    keys: KeyProvider,
    now: datetime,
    entropy: Callable[[int], bytes],
    outlet: str | None = None,
    requests_per_minute: int = 6000,
) -> str:
    """Put a client on record, unless it is, and make it a key. The key is returned once and kept nowhere.

    `kind`: seller, company, outlet (then `outlet` is its outlet, put on record too) or staff. Raises `ValueError`
    for an unknown scope.
    """
    unknown = set(scopes) - set(SCOPES)
    if unknown:
        raise ValueError(f"no such scope: {', '.join(sorted(unknown))}")
    prefix = new_reference(entropy=entropy)[:_PREFIX_LENGTH].lower()
    key = f"{prefix}.{new_reference(entropy=entropy)}{new_reference(entropy=entropy)}"
    async with conn.transaction():
        await clients.add_client(
            conn,
            book=book,
            client=client,
            kind=kind,
            outlet=outlet,
            requests_per_minute=requests_per_minute,
            at=now,
        )
        await clients.add_key(
            conn,
            book=book,
            client=client,
            prefix=prefix,
            secret_hmac=keys.blind_index(purpose=_PURPOSE, value=key.encode())[0],
            scopes=scopes,
            at=now,
        )
    return key


async def revoke(conn: asyncpg.Connection, *, book: int, prefix: str, now: datetime) -> bool:
    """Revoke the key with this prefix; False when there is none. It may work for `REMEMBERED` more."""
    return await clients.revoke_key(conn, book=book, prefix=prefix, at=now)
