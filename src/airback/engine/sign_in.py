"""Sign in, stay signed in, sign out. A wrong name, a wrong password, a pause and a disabled account look the same:
one sentence, and one password check of the same cost.

An attempt is counted before its password is looked at, so that a hundred guesses sent at once are a hundred
guesses. The password check runs beside the event loop, a few at a time, because it is slow on purpose.
"""

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from airback.domain.refusals import Refused
from airback.staff import passwords
from airback.store import staff as store
from airback.store.staff import Session

IDLE: Final = timedelta(minutes=30)
LASTS: Final = timedelta(hours=12)
TOKEN_BYTES: Final = 32
_AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A fresh session. The token goes into a cookie and nowhere else."""

    name: str
    roles: tuple[str, ...]
    token: str = field(repr=False)
    csrf: str = field(repr=False)


class Guard:
    """How many passwords are checked at once in this process: each check takes 64 MiB and a core."""

    def __init__(self, *, at_once: int = _AT_ONCE) -> None:
        self._slots = asyncio.Semaphore(at_once)

    async def matches(self, *, password: str, stored: str) -> bool:
        """`passwords.matches` in a thread."""
        async with self._slots:
            return await asyncio.to_thread(passwords.matches, password=password, stored=stored)

    async def seal(self, *, password: str, salt: bytes) -> str:
        """`passwords.seal` in a thread."""
        async with self._slots:
            return await asyncio.to_thread(passwords.seal, password=password, salt=salt)


def new_token(entropy: Callable[[int], bytes]) -> str:
    """43 characters that nobody guesses."""
    return base64.urlsafe_b64encode(entropy(TOKEN_BYTES)).rstrip(b"=").decode()


async def sign_in(
    pool: asyncpg.Pool,
    *,
    book: int,
    name: str,
    password: str,
    former_token: str | None,
    guard: Guard,
    now: datetime,
    entropy: Callable[[int], bytes],
) -> SignedIn:
    """A new session under a new token; the session behind `former_token` ends. Raises `Refused("sign_in_failed")`.

    No connection is held while the password is checked.
    """
    try:
        wanted: str | None = passwords.parse_name(name)
    except Refused:
        wanted = None
    attempt = None
    if wanted is not None:
        async with pool.acquire() as conn:
            attempt = await store.count_attempt(
                conn, book=book, name=wanted, now=now, pauses_s=passwords.PAUSES_S
            )
    stored = attempt.password if attempt is not None else passwords.NOBODY
    right = await guard.matches(password=password, stored=stored)
    if wanted is None or attempt is None or not right:
        raise Refused("sign_in_failed")
    resealed = None
    if passwords.outdated(stored):
        resealed = await guard.seal(password=password, salt=entropy(passwords.SALT_BYTES))
    token, csrf = new_token(entropy), new_token(entropy)
    async with pool.acquire() as conn, conn.transaction():
        if not await store.forgive_attempts(conn, book=book, name=wanted, resealed=resealed, checked=stored):
            raise Refused("sign_in_failed")  # disabled, or the password changed, while it was checked
        if former_token:
            await store.delete_session(conn, book=book, token=former_token)
        await store.delete_dead_sessions(conn, book=book, now=now, idle=IDLE)
        await store.insert_session(conn, book=book, token=token, name=wanted, csrf=csrf, now=now, lasts=LASTS)
    return SignedIn(name=wanted, roles=attempt.roles, token=token, csrf=csrf)


async def session(
    conn: asyncpg.Connection, *, book: int, token: str, now: datetime, seen: bool = True
) -> Session | None:
    """The session behind a token while it stands (30 minutes idle, 12 hours in all), or None.

    `seen` False leaves the idle clock running: a page that asks for news by itself is nobody's presence.
    """
    if not token or len(token) > 200:
        return None
    return await store.get_session(conn, book=book, token=token, now=now, idle=IDLE, seen=seen)


async def sign_out(conn: asyncpg.Connection, *, book: int, token: str) -> None:
    """End the session behind a token."""
    await store.delete_session(conn, book=book, token=token)
