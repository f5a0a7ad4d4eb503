"""outlets: what two people decide about outlets is carried out: terms, deposits paid back, credit lines, pauses lifted.

A credit line is money that the operator lends: it stands in the outlet's deposit beside what the outlet paid in, so that
it is earmarked before routing like any other money, and the operator's own cash moves beside it, so that sellers' money
is covered whatever becomes of the debt. What an outlet owes stands in `receivable:<outlet>`.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from airback.domain import ids
from airback.domain.refusals import Refused
from airback.engine.batch import Batch
from airback.engine.records import Letter
from airback.ledger.accounts import account, deposit, receivable, safeguarded
from airback.market.channels import Channel
from airback.market.terms import parse_terms
from airback.store import balances, pauses
from airback.store import outlets as store

TERMS: Final = "market:outlet:terms"
WITHDRAW: Final = "finance:deposit:withdraw"
CREDIT_LINE: Final = "finance:credit_line:set"
LIFT: Final = "operations:pause:lift"

#: One person's act: a notice that an outlet never took is sent once more.
RESEND: Final = "market:notice:resent"

ACTIONS: Final = frozenset({TERMS, WITHDRAW, CREDIT_LINE, LIFT})

#: Decisions for which an outlet's accounts are read.
OF_MONEY: Final = frozenset({"finance:deposit:credit", WITHDRAW, CREDIT_LINE})


async def gather(conn: Any, batch: Batch, letters: Iterable[Letter]) -> None:
    """Read what decisions of this module stand on; nothing when there are none."""
    about = [
        (letter.body["action"], letter.body["after"])
        for letter in letters
        if letter.body.get("action") in ACTIONS
    ]
    if not about:
        return
    desk = batch.outlets
    named = {str(after["outlet"]) for action, after in about if action == TERMS}
    if named:
        desk.versions = await store.last_versions(conn, book=batch.book, outlets=named)
    for outlet in sorted({str(after["outlet"]) for action, after in about if action in OF_MONEY}):
        desk.demanded_fen[outlet] = await balances.demanded_fen(conn, book=batch.book, outlet=outlet)
    if any(action == LIFT for action, _ in about):
        stands = await pauses.standing(conn, book=batch.book, now=batch.now)
        desk.standing = {pause.id: pause for pause in stands.every}


def stands(batch: Batch, action: str, after: dict[str, Any]) -> dict[str, Any]:
    """What stands now of that which the action compares."""
    desk = batch.outlets
    if action == TERMS:
        return {"version": str(desk.versions.get(str(after["outlet"]), 0))}
    if action == CREDIT_LINE:
        return {"line_fen": _lent_fen(batch, str(after["outlet"]))}
    if action == LIFT:
        pause = desk.standing.get(ids.parse_public("pau", str(after["pause"])) or 0)
        return {} if pause is None else {"kind": str(pause.kind), "subject": pause.subject}
    return {}


def possible(batch: Batch, action: str, after: dict[str, Any]) -> bool:
    """Whether the book allows it now."""
    if action == TERMS:
        try:
            parse_terms(after["document"])
        except Refused:
            return False
        return True
    if action in (WITHDRAW, CREDIT_LINE):
        outlet, amount = str(after["outlet"]), int(after["amount_fen"])
        free_fen = batch.balances.room_fen(deposit(outlet)) - batch.outlets.demanded_fen.get(outlet, 0)
        lent_fen = _lent_fen(batch, outlet)
        if action == WITHDRAW:
            return amount <= free_fen - lent_fen  # what was lent is not the outlet's to take
        if amount > lent_fen:
            # cash that the operator has not got safeguards nobody's money
            return amount - lent_fen <= batch.balances.room_fen(account("cash:own"))
        return lent_fen - amount <= max(0, free_fen)  # what is in use cannot be called back
    return True


def carry_out(batch: Batch, letter: Letter, after: dict[str, Any]) -> None:
    """Do what was approved and is possible."""
    body = letter.body
    match body["action"]:
        case "market:outlet:terms":
            outlet = str(after["outlet"])
            version = batch.outlets.versions.get(outlet, 0) + 1
            batch.outlets.versions[outlet] = version
            batch.outlets.terms.append(
                {
                    "outlet": outlet,
                    "name": str(after["name"]),
                    "version": version,
                    "document": after["document"],
                    "effective_at": max(datetime.fromisoformat(after["effective_at"]), batch.now),
                    "proposed_by": body["proposed_by"],
                    "approved_by": body["decided_by"],
                }
            )
        case "finance:deposit:withdraw":
            batch.post(
                "deposit_back",
                subject=letter.id,
                debit=deposit(str(after["outlet"])),
                credit=safeguarded(),
                amount_fen=int(after["amount_fen"]),
            )
        case "finance:credit_line:set":
            _set_line(batch, letter, str(after["outlet"]), int(after["amount_fen"]))
        case "operations:pause:lift":
            pause_id = ids.parse_public("pau", str(after["pause"])) or 0
            batch.outlets.standing.pop(pause_id, None)
            batch.outlets.lifted.append((pause_id, str(body["proposal"])))


async def keep(conn: Any, batch: Batch) -> None:
    """Write what was decided, within the batch's transaction."""
    for terms in batch.outlets.terms:
        await conn.execute(store.SQL.register, batch.book, terms["outlet"], terms["name"], batch.now)
        await conn.execute(
            store.SQL.insert_terms,
            batch.book,
            terms["outlet"],
            terms["version"],
            terms["document"],
            terms["effective_at"],
            terms["proposed_by"],
            terms["approved_by"],
            batch.now,
        )
    for pause_id, proposal in batch.outlets.lifted:
        await conn.execute(pauses.SQL.lift, batch.book, pause_id, batch.now, proposal)


def _lent_fen(batch: Batch, outlet: str) -> int:
    return batch.balances.room_fen(receivable(outlet))


def _set_line(batch: Batch, letter: Letter, outlet: str, amount_fen: int) -> None:
    more_fen = amount_fen - _lent_fen(batch, outlet)
    lent = (receivable(outlet), deposit(outlet))
    backed = (safeguarded(), account("cash:own"))
    (debit, credit), (backing, own) = (lent, backed) if more_fen > 0 else (lent[::-1], backed[::-1])
    batch.post("credit_line", subject=letter.id, debit=debit, credit=credit, amount_fen=abs(more_fen))
    batch.post("credit_line_backing", subject=letter.id, debit=backing, credit=own, amount_fen=abs(more_fen))


def channel_of(standing: store.Standing) -> Channel:
    """An outlet with its terms as matching reads it."""
    terms = standing.terms
    return Channel(
        outlet=standing.outlet,
        kind=str(terms.kind),
        carriers=terms.carriers,
        fee_ppm=terms.fee_ppm,
        fee_fen=terms.fee_fen,
        least_fen=terms.order_least_fen,
        most_fen=terms.order_most_fen,
        daily_left_fen=standing.daily_left_fen,
        monthly_left_fen=standing.monthly_left_fen,
        own_network_only=terms.own_network is not None,
        per_minute=standing.per_minute_left,
        success_ppm=standing.success_ppm,
        reversal_ppm=standing.reversal_ppm,
        delay_s=standing.delay_s,
        speed_s=standing.speed_s,
    )
