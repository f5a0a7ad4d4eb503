"""Two people's decision: one proposes, another approves or rejects. Everything that takes two people goes through here.

`propose` writes what shall change, `decide` writes the decision and, in the same transaction, appends it to the
inbox; the book's writer then executes an approved one and logs either. Neither function executes anything. The
writer compares `before` with what stands when he gets there (`Action.stale`), since only he can do so without a race.

The inbox body: `{"proposal", "action", "subject", "before", "after", "reason", "decision", "decision_reason",
"proposed_by", "proposed_at", "decided_by"}`; `decision` is `approved` or `rejected`, `proposal` a public id
(`pro_…`), times are ISO 8601.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import asyncpg

from airback.compliance import licences
from airback.domain import ids
from airback.domain.assets import CARRIERS
from airback.domain.canonical import canonical
from airback.domain.refusals import Refused
from airback.engine.act import reason_of
from airback.engine.inbox import append_decision
from airback.ledger.margin import MOST_DAYS, REBATE
from airback.ledger.split import check_scope, parse_shares, payable_account
from airback.pricing.cards import in_force_from, parse_card
from airback.pricing.formula import CHINA
from airback.pricing.schedule import check_schedule
from airback.staff.actions import ACTIONS, Action, parse_time
from airback.staff.proposals import DECISIONS, State
from airback.staff.roles import may, require
from airback.store import books, proposals, statements
from airback.store.proposals import Proposal

MOST_SUBJECT: Final = 200
MOST_DOCUMENT: Final = 256 * 1024

#: A form states whole minutes, and takes a while to be sent.
_TYPED_WITHIN: Final = timedelta(minutes=2)
_ROUTING_AFTER: Final = {"operations:book:pause": False, "operations:book:resume": True}


async def propose(
    conn: asyncpg.Connection,
    *,
    book: int,
    action: str,
    subject: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    reason: str,
    by: str,
    roles: Collection[str],
    now: datetime,
    entropy: Callable[[int], bytes],
) -> int:
    """Write a proposal and return its id.

    Raises `Refused`: `role_missing`, `reason_missing`, `field_missing` / `field_invalid` (with the field), an
    amount's refusal, `effective_past`, `card_overlap` or `card_gap` (a rate card), or `statements_awaited` (a book that
    was restored; far side and day). The most significant comes first: who asks, then why, then what.
    """
    kind = _action(action)
    require(roles=roles, permission=kind.propose)
    why = reason_of(reason)
    if not 0 < len(subject) <= MOST_SUBJECT:
        raise Refused("field_invalid", field="subject")
    kind.check(after)
    _check_meaning(kind, after, now=now)
    if action == "pricing:rate_card:publish":
        await _check_rate_card(conn, book, after, now=now)
    if action == "operations:book:resume" and (awaited := await statements.unstated(conn, book=book)):
        raise Refused("statements_awaited", field=f"{awaited[0]} {awaited[1]}")
    if len(canonical(dict(before))) + len(canonical(dict(after))) > MOST_DOCUMENT:
        raise Refused("body_too_large")
    proposal = ids.new_ids(now=now, entropy=entropy)[0]
    await proposals.insert(
        conn,
        book=book,
        proposal=proposal,
        action=action,
        subject=subject,
        before=before,
        after=after,
        reason=why,
        by=by,
        now=now,
        expires_at=now + kind.valid_for,
    )
    return proposal


async def decide(
    conn: asyncpg.Connection,
    *,
    book: int,
    proposal: int,
    decision: str,
    reason: str,
    by: str,
    roles: Collection[str],
    now: datetime,
) -> Proposal:
    """Approve or reject a proposal, exactly once, and hand the decision to the book's writer.

    Raises `Refused`: `not_found`, `role_missing`, `same_person`, `already_decided`, `proposal_expired`,
    `reason_missing`, `field_invalid` (a decision that is none). Of several people at once one decides; the others
    are told `already_decided`.
    """
    found = await proposals.get(conn, book=book, proposal=proposal)
    if found is None:
        raise Refused("not_found", field="proposal")
    require(roles=roles, permission=_action(found.action).approve)
    if decision not in DECISIONS:
        raise Refused("field_invalid", field="decision")
    _refuse_decided(found, by=by, now=now)
    why = reason_of(reason)
    async with conn.transaction():
        decided = await proposals.decide(
            conn, book=book, proposal=proposal, decision=decision, reason=why, by=by, now=now
        )
        if decided is None:
            raise Refused("already_decided")
        await append_decision(conn, book=book, body=inbox_body(decided), at=now)
    return decided


def may_decide(found: Proposal, *, by: str, roles: Collection[str], now: datetime) -> str | None:
    """None when this person may decide now, else the code of the refusal `decide` would give."""
    if not may(roles=roles, permission=_action(found.action).approve):
        return "role_missing"
    try:
        _refuse_decided(found, by=by, now=now)
    except Refused as refused:
        return refused.code
    return None


def inbox_body(decided: Proposal) -> dict[str, Any]:
    """A decided proposal as the book's writer reads it."""
    return {
        "proposal": ids.public("pro", decided.id),
        "action": decided.action,
        "subject": decided.subject,
        "before": decided.before,
        "after": decided.after,
        "reason": decided.reason,
        "decision": decided.decision,
        "decision_reason": decided.decision_reason,
        "proposed_by": decided.proposed_by,
        "proposed_at": decided.proposed_at.astimezone(UTC).isoformat(),
        "decided_by": decided.decided_by,
    }


def _action(name: str) -> Action:
    try:
        return ACTIONS[name]
    except KeyError:
        raise Refused("field_invalid", field="action") from None


def _refuse_decided(found: Proposal, *, by: str, now: datetime) -> None:
    state = found.state(now=now)
    if state in DECISIONS:
        raise Refused("already_decided")
    if found.proposed_by == by:
        raise Refused("same_person")
    if state is State.EXPIRED:
        raise Refused("proposal_expired")


def _check_meaning(kind: Action, after: Mapping[str, Any], *, now: datetime) -> None:
    """What the form alone cannot see, such as a licence that ends before it begins."""
    if kind.name == "compliance:licence:record":
        licences.check_record(
            number=after["number"],
            issuer=after["issuer"],
            capabilities=after["capabilities"],
            valid_from=_moment(after, "valid_from"),
            valid_until=_moment(after, "valid_until"),
        )
    elif kind.name == "finance:booking:post":
        _check_booking(after, now=now)
    elif kind.name == "finance:party:pay":
        if not payable_account(after["account"]):
            raise Refused("field_invalid", field="account")
    elif kind.name == "finance:split:agree":
        check_scope(after["scope"])
        parse_shares(after["document"])
    elif kind.name in _ROUTING_AFTER and after["routing"] is not _ROUTING_AFTER[kind.name]:
        raise Refused("field_invalid", field="routing")


def _check_booking(after: Mapping[str, Any], *, now: datetime) -> None:
    """A rebate names its carrier, nothing else does; the days it is for have begun and are in order."""
    carrier = after.get("carrier")
    if (after["line"] == REBATE) is not (carrier is not None):
        raise Refused("field_missing" if carrier is None else "field_invalid", field="carrier")
    if carrier is not None and carrier not in CARRIERS:
        raise Refused("field_invalid", field="carrier")
    first, last = (date.fromisoformat(after[key]) for key in ("period_from", "period_to"))
    if first > last or first > now.astimezone(CHINA).date() or (last - first).days > MOST_DAYS:
        raise Refused("period_invalid", field="period_to")


async def _check_rate_card(
    conn: asyncpg.Connection, book: int, after: Mapping[str, Any], *, now: datetime
) -> None:
    """Refuse a rate card that cannot be read, or would leave a moment with two prices or with none."""
    # it counts from the time that is approved, whatever the document says
    moment = _moment(after, "effective_at")
    document = parse_card(after["document"]).document
    if moment < now - _TYPED_WITHIN:
        raise Refused("effective_past", field="effective_at")
    card = parse_card(in_force_from(document, max(moment, now)))
    published = await conn.fetch(books.SQL.rate_cards, book, 0)
    cards = [parse_card(row["document"]) for row in published]
    check_schedule(cards, card, now=now, replaces=replaced(after))


def replaced(after: Mapping[str, Any]) -> int | None:
    """The version of the scheduled rate card in whose place another is to come. Raises `Refused` (`field_invalid`)."""
    version = after.get("replaces")
    if version is None:
        return None
    if not (isinstance(version, str) and version.isascii() and version.isdecimal() and len(version) <= 9):
        raise Refused("field_invalid", field="replaces")
    return int(version)


def _moment(after: Mapping[str, Any], key: str) -> datetime:
    moment = parse_time(after[key])
    if moment is None:
        raise Refused("field_invalid", field=key)
    return moment
