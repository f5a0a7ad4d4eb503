"""gather: the facts of a batch, one query per table, put back into the order of its input."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg

from airback.domain.assets import airtime
from airback.domain.effects import Kind, Result
from airback.domain.money import MAX_FEN, PPM, share_floor
from airback.domain.ports.carrier import HoldKind
from airback.engine.batch import Batch, Proof
from airback.engine.memory import Memory
from airback.engine.records import Answer, Fill, Letter, OpenBreak, OpenEffect, Order, Payout
from airback.engine.reserve import HOUSE, floor_ppm
from airback.ledger.accounts import account, deposit, payable, receivable
from airback.ledger.postings import Standing
from airback.market.health import Health
from airback.market.health import State as HealthState
from airback.market.matching import LEAST_PART_FEN, Demand, rank
from airback.orders.corrections import Bearer, Correction
from airback.orders.corrections import Kind as CorrectionKind
from airback.orders.intake import FILES, PEOPLE
from airback.orders.states import FillState, State
from airback.payouts.states import State as PayoutState
from airback.store import price_caps
from airback.store.named_sql import load

SQL: Final = load("facts.sql", package="airback.engine")

#: How many sellers' files are looked at in one pass, and how many of one seller's orders.
_SELLERS: Final = 64
_PASSES: Final = 16

#: Demands read at a time, and how many more than cards are to be matched, since balances use some up.
_PAGE: Final = 500
_SPARE: Final = 200


async def due_people(conn: Any, *, book: int, now: datetime, limit: int) -> list[int]:
    """Ids of persons' orders that are due, oldest first."""
    return [row["order_id"] for row in await conn.fetch(SQL.due_people, book, now, limit)]


async def due_files(
    conn: Any, *, book: int, now: datetime, limit: int, after_seller: int
) -> tuple[list[int], int]:
    """Ids of files' orders that are due, a share from each seller in turn.

    Returns them and the seller from whom the next pass goes on (0: from the beginning).
    """
    share = max(1, limit // 4)
    by_seller: dict[int, list[int]] = defaultdict(list)
    last = after_seller
    for _ in range(_PASSES):
        files = await conn.fetch(SQL.due_files, book, now, last, _SELLERS, max(share, limit))
        for row in files:
            if row["order_id"] is not None:
                by_seller[row["seller"]].append(row["order_id"])
        around = last > 0 and not files
        scanned = {row["seller"] for row in files}
        last = max(scanned) if len(scanned) == _SELLERS else 0
        if sum(map(len, by_seller.values())) >= limit or (last == 0 and not around):
            break
    chosen: list[int] = []
    queues = [iter(ids) for ids in by_seller.values()]
    while queues and len(chosen) < limit:
        queues = [queue for queue in queues if _take(queue, chosen, limit)]
    before = None
    for seller, orders in by_seller.items():
        if orders[0] not in chosen:
            # for this one and those behind there was no room: they are first next time
            last = before or after_seller
            break
        before = seller
    return chosen, last


def _take(queue: Any, chosen: list[int], room: int) -> bool:
    if len(chosen) >= room:
        return False
    order_id = next(queue, None)
    if order_id is None:
        return False
    chosen.append(order_id)
    return True


async def letters(conn: Any, *, book: int, limit: int, but: Sequence[int] = ()) -> list[Letter]:
    """The oldest letters in the inbox, without those in `but`."""
    rows = await conn.fetch(SQL.letters, book, limit, list(but))
    return [Letter(r["id"], r["kind"], r["order_id"], r["ref"], r["body"], r["at"]) for r in rows]


async def facts(
    conn: Any,
    batch: Batch,
    memory: Memory,
    *,
    order_ids: Iterable[int],
    payout_ids: Sequence[int],
    deposits: Iterable[str] = (),
    accounts: Iterable[str] = (),
) -> None:
    """Fill a batch with the orders, their fills and payouts, demands, balances and, for those to close, proofs.

    What is in the writer's memory is not read. `accounts`: codes of further accounts in yuan that letters are about.
    """
    book = batch.book
    wanted = set(order_ids)
    unknown = [payout_id for payout_id in payout_ids if payout_id not in memory.payouts]
    for payout_id in payout_ids:
        if (known := memory.payouts.get(payout_id)) is not None:
            wanted.update(known.orders)
    if unknown:
        rows = await conn.fetch(SQL.orders_of_payouts, book, unknown)
        wanted.update(row["order_id"] for row in rows)
    if not wanted and not deposits and not accounts:
        return
    if memory.health is None:
        rows = await conn.fetch(SQL.outlet_health, book)
        memory.health = {row["outlet"]: _health(row) for row in rows}
    batch.health = dict(memory.health)
    batch.channels = memory.channels
    missing = memory.recall(batch, wanted)
    if missing:
        await _orders(conn, batch, memory, missing)
    payers = {fill.outlet for order in batch.orders.values() for fill in order.fills}
    returned = sorted(
        {
            id
            for payout in batch.payouts.values()
            if payout.state is PayoutState.RETURNED
            for id in payout.orders
        }
    )
    if returned:
        for row in await conn.fetch(SQL.returned_payments, book, returned):
            batch.corrections_known[row["id"]] = _correction(row)
    outlets = set[str]()
    matching = [o for o in batch.orders.values() if o.state in _MAY_MATCH]
    if matching:
        outlets = {row["outlet"] for row in await conn.fetch(SQL.outlets, book)}
        outlets -= batch.pauses.outlets(at=batch.now)
    await _balances(
        conn, batch, memory, outlets=payers | outlets | set(deposits), lines=set(deposits), codes=accounts
    )
    if matching:
        await _market(conn, batch, matching, outlets, paying=set(deposits))
    closing = [order.id for order in batch.orders.values() if order.state is State.CREDITED]
    if closing:
        await _proofs(conn, batch, closing)


async def for_offers(conn: Any, batch: Batch, memory: Memory, orders: list[Order]) -> None:
    """Fill a batch with what orders need that are not on record yet: demands, outlets' terms and money."""
    if memory.health is None:
        rows = await conn.fetch(SQL.outlet_health, batch.book)
        memory.health = {row["outlet"]: _health(row) for row in rows}
    batch.health = dict(memory.health)
    batch.channels = memory.channels
    outlets = {row["outlet"] for row in await conn.fetch(SQL.outlets, batch.book)}
    outlets -= batch.pauses.outlets(at=batch.now)
    await _balances(conn, batch, memory, outlets=outlets, lines=set(), codes=())
    await _market(conn, batch, orders, outlets, paying=set())


async def _orders(conn: Any, batch: Batch, memory: Memory, missing: list[int]) -> None:
    """Read orders, fills and payouts; a payout that is known by another order is that one."""
    book = batch.book
    rows = await conn.fetch(SQL.orders, book, missing)
    read = {row["id"] for row in rows}
    batch.orders.update((row["id"], _order(row)) for row in rows)
    for row in await conn.fetch(SQL.fills, book, missing):
        fill = _fill(row)
        batch.orders[fill.order_id].fills.append(fill)
    for row in await conn.fetch(SQL.payouts, book, missing):
        payout = memory.payouts.get(row["id"]) or _payout(row)
        batch.payouts[payout.id] = payout
        for order_id in payout.orders.keys() & read:
            batch.orders[order_id].payouts.append(payout)
    if len(batch.orders) > len(read):
        batch.orders = dict(sorted(batch.orders.items()))


_MAY_MATCH: Final = frozenset(
    {State.SUBMITTED, State.SCREENED, State.VERIFIED, State.HELD, State.ROUTED, State.IN_REVIEW}
)


async def _market(
    conn: Any, batch: Batch, matching: list[Order], outlets: set[str], *, paying: set[str]
) -> None:
    """Read demands, best first, until they can take every order of the batch or cost more than it is worth."""
    paused = batch.pauses.outlets(at=batch.now)
    batch.demands.know(batch.channels, batch.policy.valuation, batch.unwell(), paused)
    # money that a letter of this very batch brings counts already
    rooms = {o: MAX_FEN if o in paying else batch.balances.room_fen(deposit(o)) for o in outlets}
    rich = sorted(outlet for outlet, room in rooms.items() if room >= LEAST_PART_FEN)
    soon = batch.now + batch.policy.demand_margin
    found: dict[int, Demand] = {}
    for carrier in sorted({order.carrier for order in matching}):
        orders = [order for order in matching if order.carrier == carrier]
        least_ppm = min(floor_ppm(batch, order) for order in orders)
        own = [order.number for order in orders if order.number is not None]
        refused = [
            f.demand_id for o in orders for f in o.fills if f.state is FillState.FAILED and f.demand_id
        ]
        with_room = rich
        wanted = sum(order.face_fen for order in orders if order.product == "balance")
        left = dict(rooms)
        price, after = PPM + 1, 0
        dear: list[Demand] = []  # worth less than one that is not read yet may be
        while wanted > 0 and with_room:
            rows = await conn.fetch(
                SQL.demands, batch.book, carrier, soon, with_room, least_ppm, price, after, _PAGE
            )
            last = rows[-1]["price_ppm"] if rows else 0
            read, dear = dear + [_demand(row) for row in rows], []
            for demand in read:
                found[demand.id] = demand
                if batch.demands.worth_ppm(demand, watched=True, face_fen=demand.open_fen) < last:
                    dear.append(demand)
                    continue
                pays = share_floor(demand.open_fen, demand.price_ppm)
                # what one order may not use counts for none: then one page too many is read
                if demand.number not in own and demand.id not in refused and pays <= left[demand.outlet]:
                    left[demand.outlet] -= pays
                    wanted -= demand.open_fen
            if len(rows) < _PAGE:
                break
            price, after = last, rows[-1]["id"]
            with_room = [outlet for outlet in with_room if left[outlet] >= LEAST_PART_FEN]
        faces = Counter(order.face_fen for order in orders if order.product == "card")
        for face_fen, count in faces.items():
            rows = await conn.fetch(
                SQL.demands_whole, batch.book, carrier, soon, rich, least_ppm, face_fen, _SPARE + count
            )
            found.update((row["id"], _demand(row)) for row in rows)
    given_back = {f.demand_id for f in batch.all_fills() if f.demand_id is not None} - set(found)
    if given_back:
        rows = await conn.fetch(SQL.demands_by_id, batch.book, sorted(given_back))
        found.update((row["id"], _demand(row)) for row in rows)
    batch.demands.load(sorted(found.values(), key=rank))


async def _balances(
    conn: Any, batch: Batch, memory: Memory, *, outlets: set[str], lines: set[str], codes: Iterable[str]
) -> None:
    accounts = [account("float"), account("proceeds"), account("cash:safeguarded"), account("cash:own")]
    accounts += [account(name) for name in ("fee", "rail_cost", "spread")]
    accounts += [account(code) for code in codes]
    accounts += [deposit(outlet) for outlet in outlets if outlet != HOUSE]
    accounts += [receivable(outlet) for outlet in lines]
    accounts += [payable(order.seller) for order in batch.orders.values()]
    accounts += [account(f"clearing:{rail}") for rail in {order.rail for order in batch.orders.values()}]
    for asset in {airtime(order.carrier, order.product) for order in batch.orders.values()}:
        accounts += [account(name, asset) for name in ("held", "transit", "delivered", "stock")]
    ids = {a.id for a in accounts}
    standings = batch.balances.standings
    batch.balances.read = ids
    for account_id in ids & memory.standings.keys():
        standings[account_id] = memory.standings[account_id]
    missing = sorted(ids - standings.keys())
    if not missing:
        return
    standings.update((account_id, Standing()) for account_id in missing)
    for row in await conn.fetch(SQL.accounts, batch.book, missing):
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


async def corrections(conn: Any, batch: Batch, correction_ids: Sequence[int]) -> set[int]:
    """Bring in these corrections, open or settled. Returns the orders they stand beside."""
    rows = await conn.fetch(SQL.corrections, batch.book, list(correction_ids))
    batch.corrections_known.update((row["id"], _correction(row)) for row in rows)
    return {row["order_id"] for row in rows}


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
        at=row["at"],
        left_at=row["at"],
        epoch=epoch,
        result=Result(row["result"]),
        n=row["n"],
        asks=row["asks"],
        ask_at=row["ask_at"],
        lane=_lane(Kind(row["kind"]), row["lane"]),
    )


def _lane(kind: Kind, of_order: int | None) -> int:
    """Whose it is: nobody waits for a notice to an outlet; what is of no order is a person's."""
    if kind is Kind.WEBHOOK:
        return FILES
    return PEOPLE if of_order is None else of_order


async def licences(conn: Any, batch: Batch, numbers: list[str]) -> None:
    """Licences that a decision is about, as a proposal shows them."""
    for row in await conn.fetch(SQL.licences, batch.book, numbers):
        batch.licences_known[row["number"]] = {
            "issuer": row["issuer"],
            "capabilities": sorted(row["capabilities"]),
            "valid_from": row["valid_from"].astimezone(UTC).isoformat(),
            "valid_until": row["valid_until"].astimezone(UTC).isoformat(),
        }


async def caps(conn: Any, batch: Batch, promotions: list[int]) -> None:
    """Caps of promotions that a decision is about, as far as they are not over."""
    rows = await conn.fetch(price_caps.SQL.caps_of, batch.book, promotions)
    batch.caps_known.update((row["promotion"], row["most_ppm"]) for row in rows if row["until"] > batch.now)


async def redeemed(conn: Any, batch: Batch, answers: Iterable[Answer]) -> None:
    """Find out for cards that a carrier calls used whether an earlier request of ours may have used them."""
    asked = [
        (answer.effect.order_id, answer.effect.id)
        for answer in answers
        if answer.effect.kind is Kind.REDEEM and answer.outcome.code == "card_used"
    ]
    if asked:
        rows = await conn.fetch(SQL.redeemed, batch.book, [a[0] for a in asked], [a[1] for a in asked])
        batch.redeemed.update(row["order_id"] for row in rows)


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


def _correction(row: asyncpg.Record) -> Correction:
    values = dict(row)
    values["kind"] = CorrectionKind(values["kind"])
    values["bearer"] = Bearer(values["bearer"])
    return Correction(**values)


def _health(row: asyncpg.Record) -> Health:
    values = dict(row)
    values["state"] = HealthState(values["state"])
    return Health(**values)


def _demand(row: asyncpg.Record) -> Demand:
    return Demand(**dict(row))
