"""Drafts of rate cards in PostgreSQL. The rules are `airback.engine.draft`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import asyncpg

from airback.domain import ids
from airback.staff import proposals
from airback.store import named_sql

_SQL: Final = named_sql.load("rate_card_drafts.sql")

PREFIX: Final = "rcd"


class State(StrEnum):
    """Where a draft stands. Nothing of it is stored but the proposal it went into and when it was thrown away: a
    rejected or expired proposal gives the draft back."""

    WORKED_ON = "worked_on"
    PROPOSED = "proposed"
    APPROVED = "approved"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class Draft:
    """One draft. `based_on` is the version it was started from, `decision` and `expires_at` are its proposal's."""

    id: int
    name: str
    based_on: int | None
    revision: int
    document: dict[str, Any] = field(repr=False)
    created_by: str
    created_at: datetime
    changed_by: str
    changed_at: datetime
    proposal: int | None
    discarded_at: datetime | None
    decision: str | None
    expires_at: datetime | None

    @property
    def public_id(self) -> str:
        """What people call it."""
        return ids.public(PREFIX, self.id)

    def state(self, *, now: datetime) -> State:
        """Where it stands now."""
        if self.discarded_at is not None:
            return State.DISCARDED
        if self.expires_at is None:
            return State.WORKED_ON
        asked = proposals.state(decision=self.decision, expires_at=self.expires_at, now=now)
        if asked is proposals.State.APPROVED:
            return State.APPROVED
        return State.PROPOSED if asked is proposals.State.OPEN else State.WORKED_ON


async def insert(
    conn: asyncpg.Connection,
    *,
    book: int,
    draft: int,
    name: str,
    based_on: int | None,
    document: Mapping[str, Any],
    by: str,
    now: datetime,
) -> None:
    """Write a new draft, at revision 1."""
    await conn.execute(_SQL.insert_draft, book, draft, name, based_on, dict(document), by, now)


async def get(conn: asyncpg.Connection, *, book: int, draft: int) -> Draft | None:
    """The draft, or None."""
    row = await conn.fetchrow(_SQL.get_draft, book, draft)
    return None if row is None else Draft(**dict(row))


async def list_drafts(conn: asyncpg.Connection, *, book: int, limit: int = 50) -> list[Draft]:
    """Drafts that are worked on or proposed, the last changed first."""
    return [Draft(**dict(row)) for row in await conn.fetch(_SQL.list_drafts, book, limit)]


async def save(
    conn: asyncpg.Connection,
    *,
    book: int,
    draft: int,
    revision: int,
    name: str,
    document: Mapping[str, Any],
    by: str,
    now: datetime,
) -> int | None:
    """Write over `revision`; the new one, or None when the draft is at another or not to be changed any more."""
    found: int | None = await conn.fetchval(
        _SQL.save_draft, book, draft, revision, name, dict(document), by, now
    )
    return found


async def discard(
    conn: asyncpg.Connection, *, book: int, draft: int, revision: int, by: str, now: datetime
) -> bool:
    """Throw it away; False as `save` answers None."""
    return await conn.fetchval(_SQL.discard_draft, book, draft, revision, now, by) is not None


async def mark_proposed(
    conn: asyncpg.Connection, *, book: int, draft: int, revision: int, proposal: int, by: str, now: datetime
) -> bool:
    """Note the proposal that was made of `revision`; False as `save` answers None."""
    found = await conn.fetchval(_SQL.mark_proposed, book, draft, revision, proposal, by, now)
    return found is not None
