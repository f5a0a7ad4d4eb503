"""API keys: `prefix.secret`. The prefix finds the key, an HMAC under the platform's own key proves it.

The database never holds enough to make a key, and the comparison takes the same time wherever a secret differs. What
was found, and which key was proven by it, is remembered for a few seconds from the reading on, so a revoked key may work
that much longer; of a proven key only a digest is kept.
"""

import hmac
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final, TypeVar

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
    "market:write",
    "market:read",
    "margin:read",
)
SELLING: Final = ("orders:write", "orders:read", "quotes:write", "balances:read")
BUYING: Final = ("demands:write", "demands:read", "balances:read")

REMEMBERED: Final = timedelta(seconds=5)
_MOST_REMEMBERED: Final = 10_000
_PREFIX_LENGTH: Final = 12
_LONGEST_KEY: Final = 100
_PURPOSE: Final = "client_key"

_Name = TypeVar("_Name", str, bytes)
_Known = TypeVar("_Known")


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
        #: Clients by the digest of a key that was proven, as long as its record is remembered.
        self._proven: OrderedDict[bytes, tuple[datetime, Client]] = OrderedDict()

    async def whose(self, key: str, *, pool: asyncpg.Pool, now: datetime) -> Client:
        """The client that holds this key. Raises `Refused` `credentials_wrong`."""
        prefix, dot, _ = key.partition(".")
        if not dot or len(key) > _LONGEST_KEY or not key.isascii() or len(prefix) != _PREFIX_LENGTH:
            raise Refused("credentials_wrong")
        digest = sha256(key.encode()).digest()
        proven = self._proven.get(digest)
        if proven is not None and proven[0] > now:
            return proven[1]
        until, record = await self._on_record(prefix, pool=pool, now=now)
        indexes = self._keys.blind_index(purpose=_PURPOSE, value=key.encode())
        expected = b"" if record is None else record.secret_hmac
        right = [hmac.compare_digest(index, expected) for index in indexes]
        if record is None or not any(right):
            raise Refused("credentials_wrong")
        client = Client(record.client, record.kind, record.outlet, record.scopes, record.requests_per_minute)
        _remember(self._proven, digest, (until, client))
        return client

    async def _on_record(
        self, prefix: str, *, pool: asyncpg.Pool, now: datetime
    ) -> tuple[datetime, KeyOnRecord | None]:
        """(until when it is remembered, the key)."""
        known = self._remembered.get(prefix)
        if known is not None and known[0] > now:
            return known
        async with pool.acquire() as conn:
            record = await clients.find_key(conn, book=self._book, prefix=prefix)
        read = (now + REMEMBERED, record)
        _remember(self._remembered, prefix, read)
        return read


def _remember(store: "OrderedDict[_Name, _Known]", name: _Name, known: _Known) -> None:
    """Keep it as the newest; the oldest goes when there are too many."""
    store[name] = known
    store.move_to_end(name)
    if len(store) > _MOST_REMEMBERED:
        store.popitem(last=False)


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
