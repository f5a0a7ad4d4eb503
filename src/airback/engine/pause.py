"""pause: one person stops a carrier, a province, an outlet or a rail at once; two let it go on.

Stopping must be quick, so the row counts as soon as it is written; the writer logs who did it and why. Lifting is a
decision of two (`operations:pause:lift`).
"""

from collections.abc import Callable, Collection, Iterable
from datetime import datetime

import asyncpg

from airback.domain import ids
from airback.domain.refusals import Refused
from airback.engine.act import record_act
from airback.market.pauses import Pause, PauseKind, check_pause
from airback.staff.roles import Permission, require
from airback.store import outlets, pauses


async def begin(
    conn: asyncpg.Connection,
    *,
    book: int,
    kind: str,
    subject: str,
    reason_zh: str,
    reason_en: str,
    until: datetime | None,
    rails: Iterable[str],
    by: str,
    roles: Collection[str],
    now: datetime,
    entropy: Callable[[int], bytes],
) -> int:
    """Begin a pause and return its id. Raises `Refused`: `role_missing`, as `check_pause` does, or `already_decided`
    when the subject is paused already."""
    require(roles=roles, permission=Permission.PROPOSE_PAUSE)
    known = await outlets.names(conn, book=book) if kind == PauseKind.OUTLET else ()
    found = check_pause(
        kind=kind,
        subject=subject,
        reason_zh=reason_zh,
        reason_en=reason_en,
        until=until,
        now=now,
        outlets=known,
        rails=rails,
    )
    (pause_id,) = ids.new_ids(now=now, entropy=entropy)
    pause = Pause(pause_id, found, subject, reason_zh.strip(), reason_en.strip(), now, until)
    async with conn.transaction():
        stands = await pauses.standing(conn, book=book, now=now)
        if any((one.kind, one.subject) == (found, subject) for one in stands.every):
            raise Refused("already_decided", field="subject")
        await pauses.insert(conn, book=book, pause=pause, by=by)
        await record_act(
            conn,
            book=book,
            action="operations:pause:begun",
            subject=ids.public("pau", pause_id),
            before={},
            after={
                "kind": str(found),
                "subject": subject,
                "reason_en": pause.reason_en,
                "reason_zh": pause.reason_zh,
                **({} if until is None else {"until": until.isoformat()}),
            },
            reason=pause.reason_zh,
            by=by,
            now=now,
        )
    return pause_id
