"""decide: a person's word is folded in: a decision two people made, or a payee the seller corrected."""

import base64
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from airback.domain import ids
from airback.domain.effects import Kind, Outcome, Result
from airback.domain.refusals import Refused
from airback.engine import outlets
from airback.engine.batch import Batch
from airback.engine.correct import settle_correction
from airback.engine.propose import replaced
from airback.engine.reconcile import resolve_break
from airback.engine.records import Answer, Letter, Order
from airback.engine.reserve import HOUSE, release_fills, reopen, settle_earmark
from airback.engine.tell import tell_again, tell_prices
from airback.engine.watch import ended
from airback.ledger.accounts import account, deposit, safeguarded
from airback.ledger.margin import REBATE, account_of
from airback.ledger.split import payable_account
from airback.orders.corrections import Correction
from airback.orders.states import FINAL, TRANSITIONS, FillState, State
from airback.payouts.states import FINAL as FINAL_PAYOUTS
from airback.pricing.cards import in_force_from, parse_card
from airback.pricing.schedule import check_schedule
from airback.reconciliation.breaks import State as BreakState
from airback.staff.actions import ACTIONS, parse_time

#: How two people may end an order that is in review.
_ENDS: Final = MappingProxyType({"decline": State.DECLINED, "fail": State.FAILED})

#: An order does not end while one of these is open.
_MOVES: Final = (Kind.HOLD, Kind.TRANSFER, Kind.REDEEM, Kind.RELEASE, Kind.PAY)


def payee_given(batch: Batch, order: Order, letter: Letter) -> None:
    """The seller names another payee: the order is paid anew. Anything else than an order that waits for one is ignored.

    One that has ended is paid again where it stands: it stays closed, as its receipt says.
    """
    again = order.owed_again and all(payout.state in FINAL_PAYOUTS for payout in order.payouts)
    if order.state is not State.AWAITING_SELLER and not again:
        return
    order.payee = base64.b64decode(letter.body["payee"])
    order.rail = str(letter.body.get("rail", order.rail))
    order.changed = True
    batch.record("seller:order:payee_given", order=order)
    if not again:
        batch.move(order, State.CREDITED)
    batch.to_pay[order.id] = order


def decided(batch: Batch, letter: Letter) -> tuple[list[Answer], list[int]]:
    """Log a proposal's decision and, when it was approved and still fits what stands, carry it out.

    Returns answers it gives to open effects, and orders it moved. An approved one that fits no more is logged as
    `stale`, one that the book does not allow as `impossible`; either becomes a person's work and changes nothing.
    """
    body = letter.body
    decision = body.get("decision", "approved")
    after: dict[str, Any] = body["after"]
    moved: list[int] = []
    answers: list[Answer] = []
    if decision == "approved":
        kind = ACTIONS.get(body["action"])
        stands = _stands(batch, body["action"], after)
        if kind is not None and kind.stale(before=body.get("before", {}), stands=stands):
            decision = "stale"
        elif not _possible(batch, letter, after):
            decision = "impossible"
    facts = {
        key: body[key]
        for key in ("proposal", "subject", "before", "after", "reason", "proposed_by", "decided_by")
        if key in body
    }
    batch.record(body["action"], decision=decision, **facts)
    if decision in ("stale", "impossible"):
        batch.alarm(f"decision_{decision}", str(body.get("proposal")), action=body["action"])
    if decision == "recorded" and body["action"] == outlets.RESEND:
        found = batch.notices_again.get(str(body["subject"]))
        if found is not None:
            tell_again(batch, found)
    if decision != "approved":
        return [], []
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
        case "finance:booking:post":
            _book(batch, letter, after)
        case "finance:party:pay":
            # the reserve is there to bear losses; what is owed to others leaves the operator's own bank account
            against = account("loss") if after["account"] == "reserve" else account("cash:own")
            batch.post(
                "party_paid",
                subject=letter.id,
                debit=account(after["account"]),
                credit=against,
                amount_fen=int(after["amount_fen"]),
            )
        case "finance:split:agree":
            batch.agreed.append(
                {
                    "scope": after["scope"],
                    "document": after["document"],
                    "effective_at": max(datetime.fromisoformat(after["effective_at"]), batch.now),
                    "proposed_by": body["proposed_by"],
                    "approved_by": body["decided_by"],
                }
            )
        case "pricing:rate_card:publish":
            document = _card_document(batch, after)
            batch.rate_cards.append(
                {
                    "document": document,
                    "effective_at": datetime.fromisoformat(document["effective_from"]),
                    "proposed_by": body["proposed_by"],
                    "approved_by": body["decided_by"],
                    "proposal": ids.parse_public("pro", str(body["proposal"])),
                }
            )
            tell_prices(batch, effective_at=document["effective_from"])
        case "compliance:licence:record":
            times = {name: datetime.fromisoformat(after[name]) for name in ("valid_from", "valid_until")}
            batch.licences.append({**after, **times, "recorded_by": body["decided_by"]})
        case "pricing:cap:override":
            batch.caps.append(
                {
                    "promotion": ids.parse_public("prm", str(after["promotion"])),
                    "most_ppm": int(after["most_ppm"]),
                    "per_seller_fen_per_day": after.get("per_seller_fen_per_day"),
                    "overridden_by": body["decided_by"],
                    "reason": body["reason"],
                }
            )
        case "operations:book:pause":
            batch.switches["routing"] = (False, str(after.get("reason") or body["reason"]))
            batch.routing = False
        case "operations:book:resume":
            batch.switches["routing"] = (True, None)
            batch.routing = True
        case "reconciliation:break:resolve":
            resolve_break(batch, after, proposal=str(body["proposal"]))
        case "finance:correction:settle":
            settle_correction(batch, _correction_of(batch, after), after, letter=letter)
        case "operations:effect:resolve":
            answers = _resolve(batch, after)
        case action if action in outlets.ACTIONS:
            outlets.carry_out(batch, letter, after)
        case "operations:order:decide":
            moved = _decide_order(batch, after)
    return answers, moved


def _stands(batch: Batch, action: str, after: dict[str, Any]) -> dict[str, Any]:
    """What stands now of that which the action compares."""
    match action:
        case "pricing:rate_card:publish":
            return {"version": str(batch.rate_card.version)}
        case "finance:split:agree":
            scope = str(after["scope"])
            latest = [one.version for one in batch.agreements.get(scope, ())]
            latest += [
                0 for one in batch.agreed if one["scope"] == scope
            ]  # in this very batch: it has no number yet
            return {"version": str(latest[-1])} if latest else {}
        case "compliance:licence:record":
            return batch.licences_known.get(str(after["number"]), {})
        case "pricing:cap:override":
            most_ppm = batch.caps_known.get(ids.parse_public("prm", str(after["promotion"])) or 0)
            return {} if most_ppm is None else {"most_ppm": most_ppm}
        case "operations:book:pause" | "operations:book:resume":
            return {"routing": batch.routing}
        case "operations:effect:resolve":
            effect = batch.open_by_ref(str(after["effect"]))
            return {} if effect is None else {"result": str(effect.result)}
        case "reconciliation:break:resolve":
            found = batch.breaks.get(ids.parse_public("brk", str(after["break"])) or 0)
            return {} if found is None else {"state": str(BreakState.OPEN), "left_fen": found.left_fen}
        case "finance:correction:settle":
            correction = _correction_of(batch, after)
            return {} if correction is None else {"left_fen": correction.left_fen}
        case "operations:order:decide":
            order = _order_of(batch, after)
            return {} if order is None else {"state": str(order.state), "code": order.code}
        case _ if action in outlets.ACTIONS:
            return outlets.stands(batch, action, after)
        case _:
            return {}


def _possible(batch: Batch, letter: Letter, after: dict[str, Any]) -> bool:
    action = letter.body["action"]
    if action == "pricing:rate_card:publish":
        try:
            card = parse_card(_card_document(batch, after))
            # a card that was published meanwhile, also in this very batch, may have taken its days
            meanwhile = (parse_card(one["document"]) for one in batch.rate_cards)
            cards = [*batch.rate_cards_known.values(), *meanwhile]
            check_schedule(cards, card, now=batch.now, replaces=replaced(after))
        except Refused:
            return False
    if action == "operations:book:resume":
        # Whoever proposed or approved it before the restore knew nothing of what far sides did since the backup.
        proposed_at = parse_time(str(letter.body.get("proposed_at"))) or letter.at
        known = batch.restored_at is None or min(letter.at, proposed_at) > batch.restored_at
        return known and not batch.statements_awaited
    if action == "finance:correction:settle":
        correction = _correction_of(batch, after)
        try:
            if correction is not None:
                correction.check(int(after["amount_fen"]))
        except Refused:
            return False
        return correction is not None
    if action == "finance:party:pay":
        code = str(after["account"])
        return payable_account(code) and int(after["amount_fen"]) <= batch.balances.room_fen(account(code))
    if action in outlets.ACTIONS:
        return outlets.possible(batch, action, after)
    if action == "operations:order:decide":
        order = _order_of(batch, after)
        if order is None or (after["course"] in _ENDS and batch.open_of(order, *_MOVES)):
            return False
        return course_target(order, after["course"]) is not None
    return True


def _book(batch: Batch, letter: Letter, after: dict[str, Any]) -> None:
    """A cost paid from the operator's own money, or a rebate that came in to it."""
    carrier, amount_fen = after.get("carrier"), int(after["amount_fen"])
    own, result = account("cash:own"), account(account_of(after["line"], carrier))
    debit, credit = (own, result) if after["line"] == REBATE else (result, own)
    batch.post("booking", subject=letter.id, debit=debit, credit=credit, amount_fen=amount_fen)
    batch.booked.append(
        {
            "id": letter.id,
            "line": after["line"],
            "carrier": carrier,
            "amount_fen": amount_fen,
            "period_from": date.fromisoformat(after["period_from"]),
            "period_to": date.fromisoformat(after["period_to"]),
            "source": after["source"],
            "proposed_by": letter.body["proposed_by"],
            "approved_by": letter.body["decided_by"],
        }
    )


def _card_document(batch: Batch, after: dict[str, Any]) -> dict[str, Any]:
    """The approved price list as it is published: in force from the time that was approved, never before now."""
    approved = datetime.fromisoformat(after["effective_at"])
    return in_force_from({**after["document"], "version": 1}, max(approved, batch.now))


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


def _correction_of(batch: Batch, after: dict[str, Any]) -> Correction | None:
    return batch.corrections_known.get(ids.parse_public("cor", str(after["correction"])) or 0)


def _order_of(batch: Batch, after: dict[str, Any]) -> Order | None:
    return batch.orders.get(ids.parse_public("ord", str(after["order"])) or 0)


def course_target(order: Order, course: str) -> State | None:
    """Where a decision takes an order that is in review; None where the table or its money does not allow it.

    An order that has delivered anything is paid; only one of which nothing was taken, or all can be given back, ends.
    `review` stops one that is under way, such as one that a far side carried out before a restore forgot it.
    """
    if course == "review":
        return State.IN_REVIEW if State.IN_REVIEW in TRANSITIONS[order.state] else None
    if order.state is not State.IN_REVIEW:
        return None
    came_from = State(order.resume or State.IN_REVIEW)
    if came_from is State.AWAITING_SELLER:
        came_from = State.CREDITED  # the seller did not answer: the payee that is known is tried again
    if course == "pay":
        return State.CREDITED if came_from is State.CREDITED else None
    if course == "resume":
        return came_from if came_from in TRANSITIONS[State.IN_REVIEW] else None
    if course not in _ENDS or order.delivered_fen or order.credited_fen:
        return None
    return State.CANCELLING if order.held_fen else _ENDS[course]


def _decide_order(batch: Batch, after: dict[str, Any]) -> list[int]:
    order, course = _order_of(batch, after), str(after["course"])
    target = None if order is None else course_target(order, course)
    if order is None or target is None:
        return []
    code = order.code
    end = _ENDS.get(course)
    if end is None and target is State.CANCELLING:
        # what it was to end as when the release came to nothing
        end = State.CANCELLED if order.cancel == "asked" else State.DECLINED
        code = "cancelled" if end is State.CANCELLED else code
    if end is not None:
        release_fills(batch, order)
        for fill in order.fills:
            if fill.state is FillState.DELIVERING:  # nothing of it is open: its request came to nothing
                batch.move_fill(fill, FillState.FAILED)
                if fill.outlet != HOUSE:
                    ended(batch, fill, None)
                settle_earmark(batch, order, fill, pays_fen=0)
                reopen(batch, order, fill, fill.face_fen)
    batch.move(order, target, code=code if target is end else None)
    if target is State.CANCELLING and end is not None:
        order.resume, order.code = str(end), code
    if (
        target is end
        and order.id in batch.claims_freed
        and any(f.state is FillState.FAILED for f in order.fills)
    ):
        # its code has been shown to a carrier: it is nobody else's to sell
        batch.claims_freed.remove(order.id)
        batch.claims_kept.append(order.id)
    if target not in FINAL:
        batch.wait(order, timedelta(0))
    return [order.id]
