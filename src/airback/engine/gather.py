"""gather: the facts of a batch, one query per table, put back into the order of its input."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg

from airback.domain.effects import Kind, Result
from airback.domain.ports.carrier import HoldKind
from airback.engine.batch import Batch, Proof
from airback.engine.records import Fill, Letter, OpenBreak, OpenEffect, Order, Payout
from airback.engine.reserve import HOUSE
from airback.ledger.accounts import account, deposit, payable
from airback.ledger.postings import Standing
from airback.market.matching import Demand
from airback.orders.states import FillState, State
from airback.payouts.states import State as PayoutState
from airback.store.named_sql import load

SQL: Final = load("facts.sql", package="airback.engine")

#: How many sellers' files are looked at in one pass, and how many of one seller's orders.
_SELLERS: Final = 64


async def due_orders(
    conn: Any, *, book: int, now: datetime, limit: int, after_seller: int
) -> tuple[list[int], int]:
    """Ids of due orders: people first, then files, a share from each seller in turn.

    At least a quarter of the batch is left to files, so that a crowd does not starve them. Returns the ids and the
    seller from whom the next pass goes on (0: from the beginning).
    """
    people = await conn.fetch(SQL.due_people, book, now, limit)
    room = max(limit - len(people), limit // 4)
    share = max(1, room // 4)
    files = await conn.fetch(SQL.due_files, book, now, after_seller, _SELLERS, max(share, room))
    if not files and after_seller:
        files = await conn.fetch(SQL.due_files, book, now, 0, _SELLERS, max(share, room))
    by_seller: dict[int, list[int]] = defaultdict(list)
    for row in files:
        by_seller[row["seller"]].append(row["order_id"])
    chosen: list[int] = []
    queues = [iter(ids) for ids in by_seller.values()]
    while queues and len(chosen) < room:
        queues = [queue for queue in queues if _take(queue, chosen, room)]
    last = max(by_seller, default=0) if len(by_seller) == _SELLERS else 0
    return [row["order_id"] for row in people][: limit - min(len(chosen), limit // 4)] + chosen, last


def _take(queue: Any, chosen: list[int], room: int) -> bool:
    if len(chosen) >= room:
        return False
    order_id = next(queue, None)
    if order_id is None:
        return False
    chosen.append(order_id)
    return True


async def letters(conn: Any, *, book: int, limit: int) -> list[Letter]:
    """The oldest letters in the inbox."""
    rows = await conn.fetch(SQL.letters, book, limit)
    return [Letter(r["id"], r["kind"], r["order_id"], r["ref"], r["body"], r["at"]) for r in rows]


async def facts(
    conn: Any,
    batch: Batch,
    *,
    order_ids: Iterable[int],
    payout_ids: Sequence[int],
    deposits: Iterable[str] = (),
) -> None:
    """Fill a batch with the orders, their fills and payouts, demands, balances and, for those to close, proofs."""
    book = batch.book
    wanted = set(order_ids)
    if payout_ids:
        rows = await conn.fetch(SQL.orders_of_payouts, book, list(payout_ids))
        wanted.update(row["order_id"] for row in rows)
    if not wanted and not deposits:
        return
    ordered = sorted(wanted)
    for row in await conn.fetch(SQL.orders, book, ordered):
        batch.orders[row["id"]] = _order(row)
    missing_payers = set[str]()
    for row in await conn.fetch(SQL.fills, book, ordered):
        fill = _fill(row)
        batch.orders[fill.order_id].fills.append(fill)
        missing_payers.add(fill.outlet)
    for row in await conn.fetch(SQL.payouts, book, ordered):
        payout = _payout(row)
        batch.payouts[payout.id] = payout
        for order_id in payout.orders:
            if order_id in batch.orders:
                batch.orders[order_id].payouts.append(payout)
    matching = [o for o in batch.orders.values() if o.state in _MAY_MATCH]
    if matching:
        carriers = sorted({order.carrier for order in matching})
        rows = await conn.fetch(SQL.demands, book, carriers, batch.now, 200 + 2 * len(matching))
        batch.demands.load(_demand(row) for row in rows)
        known = {demand.id for demands in batch.demands.by_carrier.values() for demand in demands}
        given_back = [
            f.demand_id for f in batch.all_fills() if f.demand_id is not None and f.demand_id not in known
        ]
        if given_back:
            for row in await conn.fetch(SQL.demands_by_id, book, given_back):
                batch.demands.add(_demand(row))
        missing_payers.update(d.outlet for ds in batch.demands.by_carrier.values() for d in ds)
    await _balances(conn, batch, outlets=missing_payers | set(deposits))
    closing = [order.id for order in batch.orders.values() if order.state is State.CREDITED]
    if closing:
        await _proofs(conn, batch, closing)


_MAY_MATCH: Final = frozenset(
    {State.SUBMITTED, State.SCREENED, State.VERIFIED, State.HELD, State.ROUTED, State.IN_REVIEW}
)


async def _balances(conn: Any, batch: Batch, *, outlets: set[str]) -> None:
    accounts = [account("float"), account("proceeds"), account("cash:safeguarded"), account("cash:own")]
    accounts += [account(name) for name in ("fee", "rail_cost", "spread")]
    accounts += [deposit(outlet) for outlet in outlets if outlet != HOUSE]
    for order in batch.orders.values():
        accounts.append(payable(order.seller))
        accounts.append(account(f"clearing:{order.rail}"))
        accounts += [batch.airtime(name, order) for name in ("held", "transit", "delivered", "stock")]
    ids = sorted({a.id for a in accounts})
    for row in await conn.fetch(SQL.accounts, batch.book, ids):
        batch.balances.standings[row["id"]] = Standing(
            row["debits_posted"],
            row["credits_posted"],
            row["debits_pending"],
            row["credits_pending"],
            row["overdrawn_fen"],
        )


async def _proofs(conn: Any, batch: Batch, order_ids: list[int]) -> None:
    for row in await conn.fetch(SQL.deliveries, batch.book, order_ids):
        batch.proofs.setdefault(row["order_id"], Proof()).deliveries.append(dict(row))
    for row in await conn.fetch(SQL.leaves, batch.book, order_ids):
        proof = batch.proofs.setdefault(row["order_id"], Proof())
        proof.events.append((row["seq"], row["action"], row["at"], row["leaf"]))


async def open_breaks(conn: Any, batch: Batch, break_ids: Sequence[int]) -> None:
    """Bring in those of these breaks that are still open."""
    for row in await conn.fetch(SQL.open_breaks, batch.book, list(break_ids)):
        batch.breaks[row["id"]] = OpenBreak(**dict(row))


async def open_effects(conn: Any, *, book: int, epoch: int) -> list[OpenEffect]:
    """Every effect without a final result, adopted into `epoch`. What a former epoch journalled is asked about, not sent."""
    return [_effect(row, epoch) for row in await conn.fetch(SQL.open_effects, book)]


async def effects_by_ref(conn: Any, *, book: int, epoch: int, refs: Iterable[str]) -> list[OpenEffect]:
    """Effects by their references, final or not, as the database has them."""
    return [_effect(row, epoch) for row in await conn.fetch(SQL.effects_by_ref, book, sorted(refs))]


def _effect(row: asyncpg.Record, epoch: int) -> OpenEffect:
    return OpenEffect(
        id=row["id"],
        kind=Kind(row["kind"]),
        far_side=row["far_side"],
        order_id=row["order_id"],
        fill_id=row["fill_id"],
        payout_id=row["payout_id"],
        ref=row["ref"],
        amount_fen=row["amount_fen"],
        hold=HoldKind(row["hold_kind"] or "none"),
        sealed=row["request"],
        send_by=row["send_by"],
        sent_at=row["at"],
        epoch=epoch,
        result=Result(row["result"]),
        n=row["n"],
        asks=row["asks"],
        ask_at=row["ask_at"],
    )


def _order(row: asyncpg.Record) -> Order:
    values = dict(row)
    values["state"] = State(values["state"])
    values["hold_kind"] = HoldKind(values["hold_kind"])
    return Order(**values)


def _fill(row: asyncpg.Record) -> Fill:
    values = dict(row)
    values["state"] = FillState(values["state"])
    return Fill(**values)


def _payout(row: asyncpg.Record) -> Payout:
    return Payout(
        id=row["id"],
        seller=row["seller"],
        rail=row["rail"],
        amount_fen=row["amount_fen"],
        payee=row["payee"],
        state=PayoutState(row["state"]),
        code=row["code"],
        far_ref=row["far_ref"],
        created_at=row["created_at"],
        orders=dict(zip(row["order_ids"], row["shares"], strict=True)),
    )


def _demand(row: asyncpg.Record) -> Demand:
    return Demand(**dict(row))
