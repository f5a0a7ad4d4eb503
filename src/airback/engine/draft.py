"""Drafts of rate cards: started, changed, thrown away, proposed. A draft prices nothing; `engine.propose` takes a copy.

Whoever changes a draft names the revision they saw. Of two who save at once one is told `draft_changed`, and what they
typed is still on their page.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, Final

import asyncpg

from airback.domain import ids
from airback.domain.canonical import canonical
from airback.domain.refusals import Refused
from airback.engine.propose import MOST_DOCUMENT, propose
from airback.pricing.cards import parse_card
from airback.staff.actions import ACTIONS
from airback.staff.roles import Permission, require
from airback.store import rate_card_drafts as drafts
from airback.store.rate_card_drafts import Draft, State

PUBLISH: Final = ACTIONS["pricing:rate_card:publish"].name
MOST_NAME: Final = 80


async def start(
    conn: asyncpg.Connection,
    *,
    book: int,
    name: str,
    based_on: int | None,
    document: object,
    by: str,
    roles: Collection[str],
    now: datetime,
    entropy: Callable[[int], bytes],
) -> int:
    """A new draft with this document; its id. An end that the document states is dropped: it was another card's.

    Raises Refused `role_missing`, `field_missing` or `field_invalid` (the name, or the path in the document).
    """
    require(roles=roles, permission=Permission.PROPOSE_RATE_CARD)
    content = dict(_checked(name, document))
    if based_on is not None:
        content["effective_until"] = None
    draft = ids.new_ids(now=now, entropy=entropy)[0]
    await drafts.insert(
        conn, book=book, draft=draft, name=name, based_on=based_on, document=content, by=by, now=now
    )
    return draft


async def save(
    conn: asyncpg.Connection,
    *,
    book: int,
    draft: int,
    revision: int,
    name: str,
    document: object,
    by: str,
    roles: Collection[str],
    now: datetime,
) -> int:
    """Change a draft as it stood at `revision`; the new revision.

    Raises Refused as `start` does, `not_found`, `draft_closed`, `draft_changed`.
    """
    require(roles=roles, permission=Permission.PROPOSE_RATE_CARD)
    content = _checked(name, document)
    saved = await drafts.save(
        conn, book=book, draft=draft, revision=revision, name=name, document=content, by=by, now=now
    )
    if saved is None:
        raise await _why_not(conn, book=book, draft=draft, now=now)
    return saved


async def discard(
    conn: asyncpg.Connection,
    *,
    book: int,
    draft: int,
    revision: int,
    by: str,
    roles: Collection[str],
    now: datetime,
) -> None:
    """Throw a draft away. Raises Refused `role_missing`, `not_found`, `draft_closed`, `draft_changed`."""
    require(roles=roles, permission=Permission.PROPOSE_RATE_CARD)
    if not await drafts.discard(conn, book=book, draft=draft, revision=revision, by=by, now=now):
        raise await _why_not(conn, book=book, draft=draft, now=now)


async def propose_draft(
    conn: asyncpg.Connection,
    *,
    book: int,
    draft: int,
    revision: int,
    before: Mapping[str, Any],
    effective_at: str,
    reason: str,
    by: str,
    roles: Collection[str],
    now: datetime,
    entropy: Callable[[int], bytes],
    replaces: int | None = None,
) -> int:
    """Propose to publish a draft as it stood at `revision`; the proposal's id. `effective_at` is an ISO time, `replaces` the
    version of the card that is scheduled for it, in whose place this one comes.

    Raises Refused as `propose` does, `not_found`, `draft_closed`, `draft_changed`.
    """
    found = await _open(conn, book=book, draft=draft, now=now)
    if found.revision != revision:
        raise Refused("draft_changed")
    async with conn.transaction():
        proposal = await propose(
            conn,
            book=book,
            action=PUBLISH,
            subject=found.public_id,
            before=before,
            after={"document": found.document, "effective_at": effective_at}
            | ({} if replaces is None else {"replaces": str(replaces)}),
            reason=reason,
            by=by,
            roles=roles,
            now=now,
            entropy=entropy,
        )
        if not await drafts.mark_proposed(
            conn, book=book, draft=draft, revision=revision, proposal=proposal, by=by, now=now
        ):
            raise Refused("draft_changed")
    return proposal


async def propose_return(
    conn: asyncpg.Connection,
    *,
    book: int,
    version: int,
    document: Mapping[str, Any],
    before: Mapping[str, Any],
    reason: str,
    by: str,
    roles: Collection[str],
    now: datetime,
    entropy: Callable[[int], bytes],
) -> int:
    """Propose to go back to a published version, in force as soon as another person approves; the proposal's id.

    Its figures are taken as they were published, without the end it may have had. Raises Refused as `propose` does.
    """
    return await propose(
        conn,
        book=book,
        action=PUBLISH,
        subject=f"back-to-version-{version}",
        before=before,
        after={
            "document": {**document, "effective_until": None},
            "effective_at": now.isoformat(timespec="seconds"),
        },
        reason=reason,
        by=by,
        roles=roles,
        now=now,
        entropy=entropy,
    )


def _checked(name: str, document: object) -> Mapping[str, Any]:
    if not name:
        raise Refused("field_missing", field="name")
    if len(name) > MOST_NAME:
        raise Refused("field_invalid", field="name")
    content = parse_card(document).document
    if len(canonical(dict(content))) > MOST_DOCUMENT // 2:  # a proposal holds it beside the one in force
        raise Refused("body_too_large")
    return content


async def _open(conn: asyncpg.Connection, *, book: int, draft: int, now: datetime) -> Draft:
    found = await drafts.get(conn, book=book, draft=draft)
    if found is None:
        raise Refused("not_found", field="draft")
    if found.state(now=now) is not State.WORKED_ON:
        raise Refused("draft_closed")
    return found


async def _why_not(conn: asyncpg.Connection, *, book: int, draft: int, now: datetime) -> Refused:
    """Why a draft was not changed, as it stands now."""
    try:
        await _open(conn, book=book, draft=draft, now=now)
    except Refused as refused:
        return refused
    return Refused("draft_changed")
