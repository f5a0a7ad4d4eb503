"""Proposals and the decisions on them in PostgreSQL. The rules are `airback.engine.propose`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg

from airback.staff import proposals as states
from airback.store import named_sql

_SQL: Final = named_sql.load("proposals.sql")


@dataclass(frozen=True, slots=True)
class Proposal:
    """One proposal with its decision, if any. `before` and `after` are the action's documents."""

    id: int
    action: str
    subject: str
    before: dict[str, Any]
    after: dict[str, Any]
    reason: str
    proposed_by: str
    proposed_at: datetime
    expires_at: datetime
    decision: str | None
    decided_by: str | None
    decided_at: datetime | None
    decision_reason: str | None

    def state(self, *, now: datetime) -> states.State:
        """Where it stands now."""
        return states.state(decision=self.decision, expires_at=self.expires_at, now=now)


async def insert(
    conn: asyncpg.Connection,
    *,
    book: int,
    proposal: int,
    action: str,
    subject: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    reason: str,
    by: str,
    now: datetime,
    expires_at: datetime,
) -> None:
    """Write a new, open proposal."""
    await conn.execute(
        _SQL.insert_proposal,
        book,
        proposal,
        action,
        subject,
        dict(before),
        dict(after),
        reason,
        by,
        now,
        expires_at,
    )


async def get(conn: asyncpg.Connection, *, book: int, proposal: int) -> Proposal | None:
    """The proposal, or None."""
    row = await conn.fetchrow(_SQL.get_proposal, book, proposal)
    return None if row is None else Proposal(**dict(row))


async def decide(
    conn: asyncpg.Connection, *, book: int, proposal: int, decision: str, reason: str, by: str, now: datetime
) -> Proposal | None:
    """Write the decision; None when somebody else decided, its time ran out or `by` proposed it."""
    row = await conn.fetchrow(_SQL.decide_proposal, book, proposal, decision, by, now, reason)
    return None if row is None else Proposal(**dict(row))


async def open_proposals(
    conn: asyncpg.Connection, *, book: int, now: datetime, limit: int = 200
) -> list[Proposal]:
    """Undecided proposals, those that expire first at the top."""
    return [Proposal(**dict(row)) for row in await conn.fetch(_SQL.open_proposals, book, now, limit)]


async def past_proposals(
    conn: asyncpg.Connection, *, book: int, now: datetime, below: int | None = None, limit: int = 50
) -> list[Proposal]:
    """Decided and expired proposals with an id below the cursor, the newest first."""
    return [Proposal(**dict(row)) for row in await conn.fetch(_SQL.past_proposals, book, now, below, limit)]


async def count_open(conn: asyncpg.Connection, *, book: int, now: datetime) -> int:
    """How many proposals wait for a decision."""
    return int(await conn.fetchval(_SQL.count_open_proposals, book, now))
