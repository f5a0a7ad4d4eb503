"""decide: a person's word is folded in: a decision two people made, or a payee the seller corrected."""

import base64
from datetime import datetime
from typing import Any

from airback.domain.effects import Outcome, Result
from airback.engine.batch import Batch
from airback.engine.reconcile import resolve_break
from airback.engine.records import Answer, Letter, Order
from airback.ledger.accounts import account, deposit, safeguarded
from airback.orders.states import State


def payee_given(batch: Batch, order: Order, letter: Letter) -> None:
    """The seller names another payee: the order is paid anew. Anything else than an order that waits for one is ignored."""
    if order.state is not State.AWAITING_SELLER:
        return
    order.payee = base64.b64decode(letter.body["payee"])
    order.rail = str(letter.body.get("rail", order.rail))
    batch.record("seller:order:payee_given", order=order)
    batch.move(order, State.CREDITED)
    batch.to_pay.append(order)


def decided(batch: Batch, letter: Letter) -> list[Answer]:
    """Log a proposal's decision and, when it was approved, carry it out. Returns answers it gives to open effects."""
    body = letter.body
    facts = {
        key: body[key]
        for key in ("proposal", "subject", "before", "after", "reason", "proposed_by", "decided_by")
        if key in body
    }
    decision = body.get("decision", "approved")
    batch.record(body["action"], decision=decision, **facts)
    if decision != "approved":
        return []
    after: dict[str, Any] = body["after"]
    match body["action"]:
        case "finance:deposit:credit":
            batch.post(
                "deposit",
                subject=letter.id,
                debit=safeguarded(),
                credit=deposit(after["outlet"]),
                amount_fen=int(after["amount_fen"]),
            )
        case "finance:float:credit":
            batch.post(
                "float",
                subject=letter.id,
                debit=account("cash:own"),
                credit=account("float"),
                amount_fen=int(after["amount_fen"]),
            )
        case "pricing:rate_card:publish":
            batch.rate_cards.append(
                {
                    "document": after["document"],
                    "effective_at": datetime.fromisoformat(after["effective_at"]),
                    "proposed_by": body["proposed_by"],
                    "approved_by": body["decided_by"],
                }
            )
        case "compliance:licence:record":
            times = {name: datetime.fromisoformat(after[name]) for name in ("valid_from", "valid_until")}
            batch.licences.append({**after, **times, "recorded_by": body["decided_by"]})
        case "operations:book:pause":
            batch.switches["routing"] = (False, str(after.get("reason") or body["reason"]))
        case "operations:book:resume":
            batch.switches["routing"] = (True, None)
        case "reconciliation:break:resolve":
            resolve_break(batch, after, proposal=str(body["proposal"]))
        case "operations:effect:resolve":
            return _resolve(batch, after)
    return []


def _resolve(batch: Batch, after: dict[str, Any]) -> list[Answer]:
    """Two people say what became of an effect nobody could find out. It counts as the far side's own word."""
    effect = batch.open_by_ref(str(after["effect"]))
    result = Result(after["result"])
    if effect is None or result not in (Result.SUCCEEDED, Result.FAILED):
        return []
    amount = after.get("amount_fen")
    code = None if result is Result.SUCCEEDED else "delivery_failed"
    outcome = Outcome(result, code=code, amount_fen=None if amount is None else int(amount))
    return [Answer(effect, outcome, asked=False)]
