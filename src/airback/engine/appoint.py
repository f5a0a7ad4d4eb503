"""An administrator's acts on staff accounts, each handed to the book's writer for the log in the same transaction.

These acts are one person's, so their inbox row says `"decision": "recorded"`: the writer logs it under its action
(`administrator:staff:created`, `administrator:staff:disabled`, `staff:password:changed`) and executes nothing.
"""

from collections.abc import Callable, Collection
from datetime import datetime

import asyncpg

from airback.domain.refusals import Refused
from airback.engine.act import reason_of, record_act
from airback.engine.sign_in import Guard
from airback.staff import passwords
from airback.staff.roles import Permission, Role, parse_roles, require
from airback.store import staff as store


async def create_staff(
    conn: asyncpg.Connection,
    *,
    book: int,
    name: str,
    password: str,
    roles: Collection[str],
    by: str,
    now: datetime,
    entropy: Callable[[int], bytes],
    guard: Guard | None = None,
) -> str:
    """Create a member of staff and return their name as it is stored.

    `by` is the administrator's name (`setup` when a command line or the demo does it). Raises `Refused`:
    `field_invalid` (name, roles), `field_missing` (roles), `password_weak`, `name_taken`.
    """
    stored_name = passwords.parse_name(name)
    wanted = parse_roles(roles)
    passwords.check_strength(password=password, name=stored_name)
    sealed = await (guard or Guard()).seal(password=password, salt=entropy(passwords.SALT_BYTES))
    async with conn.transaction():
        if not await store.insert_staff(
            conn, book=book, name=stored_name, password=sealed, roles=[str(role) for role in wanted], now=now
        ):
            raise Refused("name_taken", field="name")
        await record_act(
            conn,
            book=book,
            action="administrator:staff:created",
            subject=stored_name,
            before={},
            after={"roles": [str(role) for role in wanted]},
            reason="",
            by=by,
            now=now,
        )
    return stored_name


async def disable_staff(
    conn: asyncpg.Connection,
    *,
    book: int,
    name: str,
    reason: str,
    by: str,
    roles: Collection[str],
    now: datetime,
) -> None:
    """Disable somebody and end their sessions at once. The last administrator stays.

    Raises `Refused`: `role_missing`, `reason_missing`, `same_person` (oneself), `not_found`, `field_invalid`
    (the last administrator).
    """
    require(roles=roles, permission=Permission.MANAGE_STAFF)
    why = reason_of(reason)
    if name == by:
        raise Refused("same_person", field="name")
    async with conn.transaction():
        others = await store.other_administrators(conn, book=book, name=name)
        had = await store.disable_staff(conn, book=book, name=name, now=now)
        if had is None:
            raise Refused("not_found", field="name")
        if Role.ADMINISTRATOR in had and others == 0:
            raise Refused("field_invalid", field="name")
        await record_act(
            conn,
            book=book,
            action="administrator:staff:disabled",
            subject=name,
            before={"roles": list(had)},
            after={},
            reason=why,
            by=by,
            now=now,
        )


async def change_password(
    pool: asyncpg.Pool,
    *,
    book: int,
    name: str,
    password: str,
    wanted: str,
    token: str,
    guard: Guard,
    now: datetime,
    entropy: Callable[[int], bytes],
) -> None:
    """Change one's own password and end one's other sessions. Guesses at the present one count as sign-in attempts.

    Raises `Refused`: `password_weak`, `sign_in_failed` (the present password is wrong, or guesses are paused).
    """
    passwords.check_strength(password=wanted, name=name)
    async with pool.acquire() as conn:
        attempt = await store.count_attempt(conn, book=book, name=name, now=now, pauses_s=passwords.PAUSES_S)
    stored = attempt.password if attempt is not None else passwords.NOBODY
    if not await guard.matches(password=password, stored=stored) or attempt is None:
        raise Refused("sign_in_failed", field="password")
    sealed = await guard.seal(password=wanted, salt=entropy(passwords.SALT_BYTES))
    async with pool.acquire() as conn, conn.transaction():
        if not await store.forgive_attempts(conn, book=book, name=name, resealed=sealed, checked=stored):
            raise Refused("sign_in_failed", field="password")
        await store.end_other_sessions(conn, book=book, name=name, keep_token=token)
        await record_act(
            conn,
            book=book,
            action="staff:password:changed",
            subject=name,
            before={},
            after={},
            reason="",
            by=name,
            now=now,
        )
