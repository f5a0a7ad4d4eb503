"""Opening an installation: the schema, the operator's book, its price list, and what the sandbox's parties need.

Everything is done once; doing it again changes nothing. Money that the sandbox's operator and outlets start with is
posted by the book's writer, like any other decision, so that it stands in the log.
"""

import os
import secrets
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import asyncpg

from airback.adapters.keys.files import FileKeys
from airback.api.credentials import SCOPES, create_client
from airback.app.settings import Settings
from airback.engine.appoint import create_staff
from airback.engine.inbox import append_decision
from airback.pricing.default_card import DEFAULT_CARD
from airback.store import books
from airback.store.migrate import Halves, migrate, status
from airback.store.pool import connect_once

_LOCK: Final = 0x61697262_61636B02  # serialises openings of one database

#: Clients of the sandbox: name → (kind, outlet, scopes).
_CLIENTS: Final[dict[str, tuple[str, str | None, frozenset[str]]]] = {
    "reseller": ("outlet", "sandbox-reseller", frozenset({"demands:write", "demands:read", "balances:read"})),
    "seller": ("company", None, frozenset({"orders:write", "orders:read", "quotes:write", "balances:read"})),
}
#: What the sandbox's outlet has paid in, and what its operator keeps to honour prices with, in fen.
_DEPOSIT_FEN: Final = 10_000_000_000
_FLOAT_FEN: Final = 1_000_000_000
_PEOPLE: Final = {
    "lin": ("administrator", "finance", "operations", "pricing"),
    "wang": ("administrator", "finance", "compliance"),
}


def client_key(settings: Settings, name: str) -> str:
    """The API key of one of the sandbox's clients. Raises FileNotFoundError before the installation was opened."""
    return _key_file(settings, name).read_text().strip()


async def open_installation(
    settings: Settings, *, url: str, now: datetime, halves: Halves | None = None
) -> None:
    """Bring the schema up to date and put on record what is missing.

    Unless `halves` says otherwise, a database that is in use gets only what processes of the version before tolerate:
    they may still be running. `airback migrate` does the rest.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    if halves is None:
        fresh = all(step.applied_at is None for step in await status(url))
        halves = "all" if fresh else "pre"
    await migrate(url, halves=halves)
    keys = FileKeys(settings.keys_dir)
    conn = await connect_once(url)
    try:
        await conn.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await books.create(conn, book=settings.book, name=settings.operator, now=now)
        await books.publish_first(conn, book=settings.book, document=DEFAULT_CARD, now=now)
        if settings.sandbox:
            await _open_sandbox(conn, settings, keys, now=now)
    finally:
        await conn.close()


async def demo_people(conn: asyncpg.Connection, settings: Settings, *, now: datetime) -> dict[str, str]:
    """Two members of staff with passwords nobody has seen, for looking around; passwords by name, {} when there are some."""
    if await conn.fetchval("SELECT count(*) FROM staff WHERE book = $1", settings.book):
        return {}
    passwords = {}
    for name, roles in _PEOPLE.items():
        passwords[name] = secrets.token_urlsafe(12)
        await create_staff(
            conn,
            book=settings.book,
            name=name,
            password=passwords[name],
            roles=roles,
            by="setup",
            now=now,
            entropy=os.urandom,
        )
    return passwords


async def _open_sandbox(conn: Any, settings: Settings, keys: FileKeys, *, now: datetime) -> None:
    for name, (kind, outlet, scopes) in _CLIENTS.items():
        file = _key_file(settings, name)
        if file.exists():
            continue
        key = await create_client(
            conn,
            book=settings.book,
            client=f"sandbox-{name}",
            kind=kind,
            outlet=outlet,
            scopes=sorted(scopes & set(SCOPES)),
            keys=keys,
            now=now,
            entropy=os.urandom,
            requests_per_minute=600_000,
        )
        _write_secret(file, key)
    if await books.has_money(conn, book=settings.book):
        return
    outlet_name = str(_CLIENTS["reseller"][1])
    for action, subject, amount in (
        ("finance:deposit:credit", outlet_name, _DEPOSIT_FEN),
        ("finance:float:credit", "float", _FLOAT_FEN),
    ):
        await decide(conn, settings, action, subject, {"outlet": subject, "amount_fen": amount}, now=now)
    licence = {
        "number": "SANDBOX-0001",
        "issuer": "sandbox",
        "capabilities": ["stored_balance"],
        "valid_from": now.isoformat(),
        "valid_until": (now + timedelta(days=3650)).isoformat(),
    }
    await decide(conn, settings, "compliance:licence:record", "SANDBOX-0001", licence, now=now)


async def decide(
    conn: Any, settings: Settings, action: str, subject: str, after: dict[str, Any], *, now: datetime
) -> None:
    body = {
        "proposal": f"setup-{action}",
        "action": action,
        "subject": subject,
        "before": {},
        "after": after,
        "reason": "sandbox installation",
        "decision": "approved",
        "proposed_by": "setup",
        "decided_by": "sandbox",
    }
    await append_decision(conn, book=settings.book, body=body, at=now)


def _key_file(settings: Settings, name: str) -> Path:
    return settings.keys_dir / f"client-{name}.key"


def _write_secret(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
