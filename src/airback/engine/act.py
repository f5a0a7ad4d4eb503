"""One person's acts that the log must carry: the book's writer logs them and executes nothing by them.

They travel as decisions with `"decision": "recorded"` and no proposal, so that the log reads alike for one person's
acts and for two people's.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final

import asyncpg

from airback.domain import ids
from airback.domain.refusals import Refused
from airback.engine.inbox import append_cancel, append_decision
from airback.staff.roles import Permission, require

MOST_REASON: Final = 1000


def reason_of(text: str) -> str:
    """A reason as it is stored. Raises `Refused`: `reason_missing`, or `field_invalid` when it is too long."""
    why = text.strip()
    if not why:
        raise Refused("reason_missing", field="reason")
    if len(why) > MOST_REASON or "\x00" in why:
        raise Refused("field_invalid", field="reason")
    return why


async def record_act(
    conn: asyncpg.Connection,
    *,
    book: int,
    action: str,
    subject: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    reason: str,
    by: str,
    now: datetime,
) -> None:
    """Hand one person's act to the log, inside the transaction that does it."""
    body = {
        "proposal": None,
        "action": action,
        "subject": subject,
        "before": dict(before),
        "after": dict(after),
        "reason": reason,
        "decision": "recorded",
        "decision_reason": "",
        "proposed_by": by,
        "proposed_at": now.isoformat(),
        "decided_by": by,
    }
    await append_decision(conn, book=book, body=body, at=now)


async def cancel_order(
    conn: asyncpg.Connection,
    *,
    book: int,
    order_id: int,
    reason: str,
    by: str,
    roles: Collection[str],
    now: datetime,
) -> None:
    """Ask for an order's cancellation on the seller's word; the log says who did and why.

    Whether it is still free is the writer's to say. Raises `Refused`: `role_missing`, `reason_missing`.
    """
    require(roles=roles, permission=Permission.CANCEL_ORDERS)
    why = reason_of(reason)
    async with conn.transaction():
        await record_act(
            conn,
            book=book,
            action="staff:order:cancel_asked",
            subject=ids.public("ord", order_id),
            before={},
            after={},
            reason=why,
            by=by,
            now=now,
        )
        await append_cancel(conn, book=book, order_id=order_id, at=now)
