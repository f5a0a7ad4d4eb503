"""pay: what was credited is paid out, one payout for one person, one for a file's orders of a batch."""

import msgspec

from airback.domain import ids
from airback.domain.effects import Kind, Outcome, Result
from airback.domain.ports.rail import PayRequest
from airback.engine.batch import Batch
from airback.engine.correct import repaid
from airback.engine.hold import NEVER_ARRIVED
from airback.engine.notify import notify
from airback.engine.records import OpenEffect, Order, Payout
from airback.ledger.accounts import Account, account, payable
from airback.ledger.postings import Phase
from airback.orders.states import State
from airback.payouts.states import State as PayoutState

#: Codes that say nothing against the payment itself: it is planned anew a little later.
PAY_LATER = NEVER_ARRIVED | {"float_insufficient"}

#: Codes that only the seller can mend, by naming another payee.
PAYEE_REFUSED = frozenset({"payee_name_mismatch", "payee_account_unknown", "payee_malformed"})


class Payee(msgspec.Struct, frozen=True):
    """Who is paid; sealed wherever it is stored."""

    account: str
    name: str

    def __repr__(self) -> str:
        return "Payee(…)"


def plan_payouts(batch: Batch) -> None:
    """Plan and journal the payouts of everything this batch credited."""
    groups: dict[tuple[object, ...], list[Order]] = {}
    for order in batch.to_pay.values():
        rail = batch.policy.rails.get(order.rail)
        if rail is None or (rail.licence is not None and rail.licence not in batch.licensed):
            if order.owed_again:
                batch.alarm("payout_failed", ids.public("ord", order.id), code="rail_unavailable")
                continue
            batch.move(order, State.AWAITING_SELLER, code="rail_unavailable")
            batch.wait(order, batch.policy.seller_patience)
            continue
        if (
            f"rail:{order.rail}",
            order.lane,
        ) in batch.full and not order.owed_again:  # an ended order is not looked at again
            batch.wait(order, batch.policy.full_look)
            continue
        payee = _payee_of(batch, order)
        key = (order.id,) if order.lane == 0 else (order.seller, order.rail, payee.account, payee.name)
        groups.setdefault(key, []).append(order)
    batch.to_pay.clear()
    for orders in groups.values():
        most = batch.rail(orders[0].rail).most_fen
        part: list[Order] = []
        total_fen = 0
        for order in orders:
            owed_fen = order.credited_fen - order.paid_fen
            if part and total_fen + owed_fen > most:
                _plan(batch, part)
                part, total_fen = [], 0
            part.append(order)
            total_fen += owed_fen
        _plan(batch, part)


def paid_answered(batch: Batch, payout: Payout, effect: OpenEffect, outcome: Outcome) -> None:
    """Fold a rail's word on a payout."""
    orders = [batch.orders[order_id] for order_id in payout.orders]
    if outcome.result is Result.SUCCEEDED:
        if outcome.amount_fen not in (None, payout.amount_fen):
            batch.alarm(
                "paid_amount",
                ids.public("pay", payout.id),
                sent_fen=payout.amount_fen,
                paid_fen=outcome.amount_fen,
            )
        _post(batch, payout, Phase.POST)
        payout.far_ref = outcome.far_ref
        batch.move_payout(payout, PayoutState.PAID)
        for order in orders:
            order.paid_fen += payout.orders[order.id]
            order.changed = True
            if order.paid_fen >= order.credited_fen:
                repaid(batch, order)
            notify(batch, order, "paid", payout.orders[order.id])
    elif outcome.result is Result.AWAITING_SELLER:
        if payout.state is PayoutState.SENT:
            batch.move_payout(payout, PayoutState.AWAITING_SELLER)
    elif outcome.result is Result.FAILED:
        _post(batch, payout, Phase.VOID)
        batch.move_payout(payout, PayoutState.FAILED, code=outcome.code)
        if outcome.code == "float_insufficient":
            batch.alarm("payout_delayed", f"rail:{payout.rail}", code=outcome.code)
        for order in orders:
            if order.state is State.IN_REVIEW:
                continue  # people stopped it: whether it is paid anew is theirs to say
            if order.owed_again:
                # It has ended, so nothing tries again by itself: its seller names a payee once more.
                batch.alarm("payout_failed", ids.public("ord", order.id), code=outcome.code or "")
                notify(batch, order, "payee", payout.orders[order.id])
            elif outcome.code in PAY_LATER:
                _pay_later(batch, order, outcome.code or "")
            elif outcome.code in PAYEE_REFUSED:
                batch.move(order, State.AWAITING_SELLER, code=outcome.code)
                batch.wait(order, batch.policy.seller_patience)
                notify(batch, order, "payee", payout.orders[order.id])
            else:
                batch.alarm("payout_failed", ids.public("ord", order.id), code=outcome.code or "")
                batch.move(order, State.IN_REVIEW, code="rail_refused")
                batch.wait(order, batch.policy.review_within)


def _pay_later(batch: Batch, order: Order, code: str) -> None:
    """The order stays credited and is paid anew, after an interval that doubles."""
    order.attempts = min(order.attempts + 1, 1000)
    span = batch.policy.retry_after * (1 << min(order.attempts, 16))
    batch.wait(order, min(span, batch.policy.pay_again_at_most))
    if order.attempts == batch.policy.attempts:
        batch.alarm("payout_delayed", ids.public("ord", order.id), code=code)


def _plan(batch: Batch, orders: list[Order]) -> None:
    first = orders[0]
    shares = {order.id: order.credited_fen - order.paid_fen for order in orders}
    payout = Payout(
        id=batch.new_id(),
        seller=first.seller,
        rail=first.rail,
        amount_fen=sum(shares.values()),
        payee=b"",
        state=PayoutState.PLANNED,
        code=None,
        far_ref=None,
        created_at=batch.now,
        orders=shares,
        new=True,
    )
    payee = _payee_of(batch, first)
    payout.payee = batch.keys.seal(
        purpose="payee", plain=msgspec.json.encode(payee), where=f"payouts/payee/{payout.id}".encode()
    )
    for order in orders:
        order.payouts.append(payout)
        facts = {"payout": ids.public("pay", payout.id), "amount_fen": shares[order.id], "rail": payout.rail}
        batch.record("engine:payout:planned", order=order, **facts)
    _post(batch, payout, Phase.PENDING)
    _send(batch, payout)
    batch.move_payout(payout, PayoutState.SENT)


def _send(batch: Batch, payout: Payout) -> None:
    payee = msgspec.json.decode(
        batch.keys.unseal(purpose="payee", sealed=payout.payee, where=f"payouts/payee/{payout.id}".encode()),
        type=Payee,
    )
    ref = batch.new_ref()
    request = PayRequest(
        ref=ref,
        amount_fen=payout.amount_fen,
        payee_account=payee.account,
        payee_name=payee.name,
        purpose=ids.public("pay", payout.id),
        title="话费转让款",
    )
    batch.journal(
        Kind.PAY,
        far_side=f"rail:{payout.rail}",
        request=request,
        ref=ref,
        amount_fen=payout.amount_fen,
        payout=payout,
        order=batch.orders[next(iter(payout.orders))],
    )


def _payee_of(batch: Batch, order: Order) -> Payee:
    plain = batch.keys.unseal(purpose="payee", sealed=order.payee, where=f"orders/payee/{order.id}".encode())
    return msgspec.json.decode(plain, type=Payee)


def _post(batch: Batch, payout: Payout, phase: Phase) -> None:
    batch.post(
        "pay",
        subject=payout.id,
        debit=payable(payout.seller),
        credit=_destination(payout),
        amount_fen=payout.amount_fen,
        phase=phase,
        order=batch.orders[next(iter(payout.orders))] if len(payout.orders) == 1 else None,
        settles_fen=0 if phase is Phase.PENDING else payout.amount_fen,
    )


def _destination(payout: Payout) -> Account:
    return (
        account(f"stored:{payout.seller}") if payout.rail == "credit" else account(f"clearing:{payout.rail}")
    )
