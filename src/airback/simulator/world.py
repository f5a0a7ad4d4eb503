"""One simulated run: the real engine on a real database, driven step by step in simulated time."""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any, Final

import asyncpg

from airback.domain import ids
from airback.domain.ports.rail import RailCapabilities
from airback.domain.refusals import Refused
from airback.engine.inbox import append_callback, append_cancel, append_decision, append_payee, seal_payee
from airback.engine.persist import Fenced
from airback.engine.policy import Policy
from airback.engine.records import OpenEffect
from airback.engine.senders import OnAnswer
from airback.engine.submit import AGREEMENT, Accepted, OrderAsk, submit
from airback.engine.writer import PLANNER, Writer
from airback.orders.proofs import make_proof
from airback.pricing.cards import parse_card
from airback.pricing.default_card import DEFAULT_CARD
from airback.pricing.quotes import QuoteAsk, make_quote, sign_quote
from airback.simulator.agenda import START, Agenda
from airback.simulator.chance import Chance
from airback.simulator.connection import Commit, FragileConnection, WorkerDied
from airback.simulator.database import Database
from airback.simulator.far_sides import (
    HOLDS,
    HOUSE_NUMBERS,
    FarSides,
    carrier_capabilities,
    rail_capabilities,
)
from airback.simulator.faults import Fault
from airback.simulator.keys import SimulatedKeys
from airback.simulator.restore import Recovery
from airback.simulator.senders import SimulatedSenders
from airback.simulator.traffic import Plan, draw
from airback.store import books
from airback.store.migrate import migrate
from airback.store.named_sql import load
from airback.store.pool import connect, connect_once, prepare_connection, session_settings

SQL: Final = load("world.sql", package="airback.simulator")

BOOK: Final = 1
CLIENT: Final = "simulation"
#: Sales that come in one second at most, for how long they come at least, and how many share a request.
_ORDERS_A_SECOND: Final = 120
_SELLING_S: Final = 24
_ASKS_AT_ONCE: Final = 120
#: So much of the sales, in percent, comes before a break in which nearly all of it ends: what a restore stops later tells
#: little of how it would have ended.
_BEFORE_BREAK: Final = 70
_BREAK_S: Final = 300.0
_LEASE: Final = timedelta(seconds=3)
_BEAT_S: Final = 1.5
_BATCH: Final = 1000
#: Something disturbs the worker or sets the clock so many times a run, but not more often than every so many sales.
_DISTURBANCES_A_RUN: Final = 42
_LEAST_BETWEEN: Final = 15
_DISTURBANCE_TRIES: Final = 12
_TICK_S: Final = 1.0
_ROUND_S: Final = 15.0
_LOOKS_AT_ALARMS_EVERY_S: Final = 1800.0
_LOOKS_AT_ROUTING_EVERY_S: Final = 20.0
_LONGEST: Final = timedelta(days=45)
_STEPS_IN_A_ROW: Final = 200
#: Far sides allow a question every hour; what nobody asks about for a day is forgotten.
_LONGEST_BETWEEN_QUESTIONS: Final = timedelta(days=1)

#: One outlet wants far more than it has paid in for.
_DEPOSITS_FEN: Final = {"north": 10**12, "south": 10**12, "poor": 60_000}

_DISTURBANCES: Final = (
    Fault.DIES,
    Fault.DIES_BEFORE,
    Fault.DIES_AFTER,
    Fault.COMMIT_LOST,
    Fault.COMMIT_UNKNOWN,
    Fault.STALE_WRITER,
    Fault.CLOCK,
)
_COMMITS: Final = {
    Fault.DIES_BEFORE: Commit.DIES_BEFORE,
    Fault.DIES_AFTER: Commit.DIES_AFTER,
    Fault.COMMIT_LOST: Commit.LOST,
    Fault.COMMIT_UNKNOWN: Commit.UNKNOWN,
}

_CARD: Final = parse_card(DEFAULT_CARD)

Progress = Callable[[str, int, int], None]


class Stuck(Exception):
    """The simulation did not come to an end: something waits for ever."""


@dataclass(slots=True)
class Worker:
    """One worker process: its connection, its writer, and what it believes."""

    name: str
    conn: FragileConnection
    writer: Writer
    senders: list[SimulatedSenders] = field(default_factory=list)
    seen_s: float = 0.0
    lost: bool = False


class World:
    """The operator's whole surroundings, in one thread."""

    def __init__(self, database: Database, *, seed: int, orders: int) -> None:
        self._database = database
        self.url = database.url
        self.seed = seed
        self.chance = Chance(seed)
        self.agenda = Agenda()
        self.far_sides = FarSides()
        self.keys = SimulatedKeys(seed)
        self.plans = draw(self.chance, self.far_sides, orders=orders)
        self.by_order: dict[int, Plan] = {}
        self.sale_of: dict[str, int] = {}
        self.faults: Counter[Fault] = Counter()
        self.crashes = 0
        self.policy = Policy(
            operator="Simulation",
            carriers={carrier: carrier_capabilities(carrier) for carrier in HOLDS},
            rails=self.rails,
            house_numbers=HOUSE_NUMBERS,
            order_patience=timedelta(hours=6),
            hold_valid=timedelta(days=30),
            unknown_to_people=timedelta(hours=6),
            look_again=timedelta(minutes=20),
        )
        self._entropy = self.chance.stream("entropy")
        self._disturb = self.chance.stream("disturbances")
        self._kinds = self._disturb.sample(_DISTURBANCES, k=len(_DISTURBANCES))
        self._submitted = 0
        self._worker: Worker | None = None
        self._workers = 0
        self._stale: Worker | None = None
        self._pool: asyncpg.Pool | None = None
        self._calls: list[Callable[[], Any]] = []
        self._looked_s = 0.0
        self._routing_seen_s = 0.0
        self._resolved: set[str] = set()
        self._said_unpaid: set[int] = set()
        self._mended: set[int] = set()
        self._orders_a_second = min(_ORDERS_A_SECOND, -(-orders // _SELLING_S))
        self._break_at = max(1, orders * _BEFORE_BREAK // 100)
        self._connection: asyncpg.Connection | None = None
        self._recovery: Recovery | None = None

    @property
    def rails(self) -> dict[str, RailCapabilities]:
        """The rails that are open to sellers."""
        return {"alipay": rail_capabilities()}

    @property
    def pool(self) -> asyncpg.Pool:
        """Connections of the API."""
        assert self._pool is not None
        return self._pool

    @property
    def connection(self) -> asyncpg.Connection:
        """One connection of the operator's people."""
        assert self._connection is not None
        return self._connection

    def entropy(self, count: int) -> bytes:
        """Random bytes of the seed."""
        return self._entropy.randbytes(count)

    # -- the run

    async def run(self, progress: Progress) -> None:
        """From an empty database to the end of every sale. Raises Stuck."""
        await migrate(self.url)
        await self._open_doors()
        try:
            await self._open_book()
            self.agenda.after(0.0, self._more_sales)
            self._plan_restore()
            await self._until_quiet(progress)
        finally:
            for worker in (self._worker, self._stale):
                if worker is not None:
                    await worker.conn.close()
            await self._shut_doors()

    async def _open_doors(self) -> None:
        self._pool = await connect(self.url, min_size=1, max_size=2, application_name="airback simulation")
        self._connection = await connect_once(self.url, connect_timeout_s=60)

    async def _shut_doors(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
        if self._pool is not None:
            self._pool.terminate()

    async def events_hash(self) -> str:
        """One hash over every event's sequence and leaf."""
        connection = await connect(self.url, min_size=1, max_size=1)
        digest = hashlib.sha256()
        try:
            for row in await connection.fetch(SQL.leaves, BOOK):
                digest.update(row["seq"].to_bytes(8, "big") + row["leaf"])
        finally:
            await connection.close()
        return digest.hexdigest()

    async def _open_book(self) -> None:
        now = self.agenda.wall()
        await books.create(self.connection, book=BOOK, name="Simulation", now=now)
        await books.publish_first(
            self.connection, book=BOOK, document=DEFAULT_CARD, now=START - timedelta(days=1)
        )
        for outlet, fen in _DEPOSITS_FEN.items():
            await self.connection.execute(SQL.insert_outlet, BOOK, outlet, now)
            await self.decide("finance:deposit:credit", {"outlet": outlet, "amount_fen": fen})
        await self.decide("finance:float:credit", {"outlet": "float", "amount_fen": 10**11})
        await self._place_demands()

    async def decide(
        self, action: str, after: dict[str, Any], *, before: dict[str, Any] | None = None
    ) -> None:
        """Two people have decided something; the book's writer reads it next."""
        body = {
            "proposal": ids.new_reference(entropy=self.entropy),
            "action": action,
            "subject": "simulation",
            "before": before or {},
            "after": after,
            "reason": "simulation",
            "proposed_by": "lin",
            "decided_by": "wang",
        }
        await append_decision(self.connection, book=BOOK, body=body, at=self.agenda.wall())

    async def _place_demands(self) -> None:
        """Enough for every sale, many of them small, so that balances are split."""
        random = self.chance.stream("demands")
        now = self.agenda.wall()
        total = sum(plan.face_fen for plan in self.plans)
        rows: list[tuple[Any, ...]] = []
        for carrier in HOLDS:
            # One demand takes whatever is left, at the lowest price; who pays more comes first.
            rows.append(("north", carrier, f"199{len(rows):08d}", 2 * total + 1_000_000, 969_000))
            wanted = 3 * total
            while wanted > 0:
                amount = random.choice((3_000, 7_000, 40_000, 60_000, 5_000_000))
                wanted -= amount if amount > 100_000 else amount * 20
                number = f"199{len(rows):08d}"
                rows.append(
                    (
                        random.choice(tuple(_DEPOSITS_FEN)),
                        carrier,
                        number,
                        amount,
                        random.randrange(970_000, 999_000),
                    )
                )
        numbers = ids.new_ids(now=now, entropy=self.entropy, count=len(rows))
        columns = [list(column) for column in zip(*rows, strict=True)]
        await self.connection.execute(
            SQL.insert_demands, BOOK, now, now + timedelta(days=29), numbers, *columns
        )
        await self.connection.execute(SQL.open_demands, BOOK)

    async def _until_quiet(self, progress: Progress) -> None:
        total = len(self.plans)
        while True:
            self.agenda.run_due()
            await self._run_calls()
            await self._resume_routing()
            if self._recovery is not None and await self._recovery.go_on(book=BOOK):
                self._recovery = None
            await self._work()
            progress("orders", self._submitted, total)
            span = await self._next_span()
            if span is None:
                return
            self.agenda.pass_time(span)
            if self.agenda.monotonic() > _LONGEST.total_seconds():
                raise Stuck("after 45 simulated days something still waits")

    async def _next_span(self) -> float | None:
        """How long nothing happens; None when nothing ever will."""
        if self._submitted < len(self.plans) or self._calls:
            return _TICK_S
        if self._worker is None or self._stale is not None or self._recovery is not None:
            return _TICK_S
        waits = [self.agenda.next_s()]
        question = self._worker.writer.next_question_at
        due = await self.connection.fetchval(SQL.next_due, BOOK)
        waits += [self.agenda.until_wall(when) for when in (question, due) if when is not None]
        ahead = [wait for wait in waits if wait is not None]
        if not ahead:
            return None
        if min(ahead) > _LOOKS_AT_ALARMS_EVERY_S and not await self._people_look():
            # Only patience is left: what waits for its reminder waits for a person.
            if (
                not question
                and not self.agenda.next_s()
                and not await self.connection.fetchval(SQL.under_way, BOOK)
            ):
                return None
        elif self.agenda.monotonic() - self._looked_s > _LOOKS_AT_ALARMS_EVERY_S:
            await self._people_look()
        if self._calls:
            return _TICK_S
        return self._rounded(min(*ahead, _LOOKS_AT_ALARMS_EVERY_S * 2))

    def _rounded(self, wait_s: float) -> float:
        """Whole ticks; what is not on its way right now is looked at at round moments, so that it shares a batch."""
        if wait_s <= _TICK_S:
            return _TICK_S
        now = self.agenda.monotonic()
        return (int((now + wait_s) / _ROUND_S) + 1) * _ROUND_S - now

    async def _resume_routing(self) -> None:
        """Somebody pays in what is missing and lets orders go on."""
        if self.agenda.monotonic() - self._routing_seen_s < _LOOKS_AT_ROUTING_EVERY_S:
            return
        if self._recovery is not None:
            return
        self._routing_seen_s = self.agenda.monotonic()
        if await self.connection.fetchval(SQL.paused, BOOK):
            await self.decide("finance:deposit:credit", {"outlet": "poor", "amount_fen": 1_000_000})
            await self.decide("operations:book:resume", {"routing": True}, before={"routing": False})

    async def _run_calls(self) -> None:
        calls, self._calls = self._calls, []
        for call in calls:
            await call()

    # -- sellers

    def _more_sales(self) -> None:
        first = self._submitted
        if first >= len(self.plans):
            return
        last = min(first + self._orders_a_second, len(self.plans))
        if first < self._break_at <= last:
            last = self._break_at
        self._submitted = last
        for start in range(first, last, _ASKS_AT_ONCE):
            part = self.plans[start : min(start + _ASKS_AT_ONCE, last)]
            self._calls.append(partial(self._sell, part))
        every = max(_LEAST_BETWEEN, len(self.plans) // _DISTURBANCES_A_RUN)
        for index in range(first, last):
            if index % every == every - 1:
                fault = self._kinds[(index // every) % len(self._kinds)]
                self.agenda.after(_TICK_S * (index - first) / 50, partial(self._disturb_soon, fault))
        self.agenda.after(_BREAK_S if last == self._break_at else _TICK_S, self._more_sales)

    async def _sell(self, plans: list[Plan]) -> None:
        now = self.agenda.wall()
        asks = [self._ask(plan, now) for plan in plans]
        answers = await submit(
            self.pool,
            book=BOOK,
            client=CLIENT,
            asks=asks,
            now=now,
            entropy=self.entropy,
            keys=self.keys,
            idempotency=None,
            rails=self.rails,
            hold_kinds=HOLDS,
        )
        for plan, answer in zip(plans, answers, strict=True):
            if isinstance(answer, Refused):
                raise Stuck(f"sale {plan.index} was refused at the door: {answer.code}")
            assert isinstance(answer, Accepted)
            plan.order_id = answer.order_id
            self.by_order[answer.order_id] = plan
            if plan.cancel_after_s is not None:
                self.agenda.after(plan.cancel_after_s, partial(self._cancels, plan))

    def _ask(self, plan: Plan, now: datetime) -> OrderAsk:
        body = make_quote(
            book=BOOK,
            card=_CARD,
            ask=QuoteAsk(
                product=plan.product,
                carrier=plan.carrier,
                face_fen=plan.face_fen,
                number=plan.number,
                card_number=plan.card_number,
                expires_on=None,
                province=None,
                rail="alipay",
                seller=f"{CLIENT}/{plan.seller}",
            ),
            quote_id=ids.new_reference(entropy=self.entropy),
            issued_at=now,
        )
        return OrderAsk(
            quote=sign_quote(body, keys=self.keys),
            seller_ref=plan.seller,
            proof=make_proof(plan.number, now, self.keys) if plan.number else None,
            card_code=plan.card_code,
            payee_account=plan.payee_account,
            payee_name=plan.payee_name,
            client_ref=f"sale-{plan.index}",
            notify_number=plan.number,
            language="zh",
            agreement=AGREEMENT,
            lane=plan.lane,
        )

    def _cancels(self, plan: Plan) -> None:
        self.faults[Fault.CANCEL_RACE] += 1
        plan.befell.add(Fault.CANCEL_RACE)
        order_id = plan.order_id
        assert order_id is not None
        self._calls.append(
            lambda: append_cancel(self.connection, book=BOOK, order_id=order_id, at=self.agenda.wall())
        )

    async def _mend_payees(self) -> bool:
        """Sellers who hear that their payee's name is wrong give the right one. Whether there was one."""
        found = False
        for row in await self.connection.fetch(SQL.awaiting_seller, BOOK):
            order_id = row["id"]
            if order_id in self._mended:
                continue
            self._mended.add(order_id)
            found = True
            plan = self.by_order[order_id]
            sealed = seal_payee(order_id=order_id, account=plan.payee_account, name="张三", keys=self.keys)
            await append_payee(
                self.connection, book=BOOK, order_id=order_id, sealed=sealed, at=self.agenda.wall()
            )
        return found

    # -- far sides

    def befalls(self, effect: OpenEffect) -> Fault | None:
        """What befalls this effect: the plan's fault for the first of its kind, nothing afterwards."""
        if effect.order_id is not None:
            self.sale_of[effect.ref] = effect.order_id
        plan = self.by_order.get(effect.order_id or 0)
        fault = plan.script.pop(effect.kind, None) if plan is not None else None
        if fault is None or plan is None:
            return None
        if fault is Fault.SHORT and effect.amount_fen < 3:
            return None
        self.faults[fault] += 1
        plan.befell.add(fault)
        if fault in (Fault.LOST, Fault.HOURS) and not effect.far_side.startswith("rail:"):
            self.faults[Fault.REPEAT_TRAP] += 1
        return fault

    def calls_back(self, effect: OpenEffect) -> None:
        """The far side speaks unasked."""
        ref = effect.ref
        self._calls.append(
            lambda: append_callback(
                self.connection, book=BOOK, ref=ref, body={"simulated": True}, at=self.agenda.wall()
            )
        )

    def reverses(self, effect: OpenEffect, *, after_s: float) -> None:
        """What was done is undone: before its order is final, or after."""
        side, ref = effect.far_side, effect.ref

        def act() -> None:
            if self.far_sides.reverse(side, ref):
                self.calls_back(effect)

        self.agenda.after(after_s, act)

    async def _people_look(self) -> bool:
        """People find out what became of what nobody could say, and decide. Whether there was anything to decide."""
        self._looked_s = self.agenda.monotonic()
        if await self.connection.fetchval(SQL.put_off, BOOK, self.agenda.wall() + _LONGEST_BETWEEN_QUESTIONS):
            raise Stuck("an open effect is asked about in more than a day only")
        decided = await self._mend_payees()
        for row in await self.connection.fetch(SQL.unresolved, BOOK):
            ref = row["subject"]
            if ref in self._resolved:
                continue
            self._resolved.add(ref)
            decided = True
            side = self.far_sides.sides[row["detail"]["far_side"]]
            truth = side.answers.get(ref)
            done = truth is not None and str(truth.result) == "succeeded"
            if not done:
                self._said_unpaid.update(
                    paid["order_id"] for paid in await self.connection.fetch(SQL.of_payment, BOOK, ref)
                )
            after: dict[str, Any] = {"effect": ref, "result": "succeeded" if done else "failed"}
            if done and truth is not None:
                after["amount_fen"] = truth.amount_fen
            before = {"result": row["result"]}
            await self.decide("operations:effect:resolve", after, before=before)
        return await self._pay_unpaid() or decided

    async def _pay_unpaid(self) -> bool:
        """What people found to be unpaid, and so stands before them, they let be paid. Whether there was any."""
        if not self._said_unpaid:
            return False
        found = await self.connection.fetch(SQL.in_review, BOOK, sorted(self._said_unpaid))
        for row in found:
            self._said_unpaid.discard(row["id"])
            await self.decide(
                "operations:order:decide",
                {"order": ids.public("ord", row["id"]), "course": "pay"},
                before={"state": row["state"], "code": row["code"]},
            )
        return bool(found)

    # -- the worker

    async def _work(self) -> None:
        if self._worker is None:
            await self._hire()
            if self._worker is None:
                return
        await self._stale_tries()
        worker = self._worker
        for _ in range(_STEPS_IN_A_ROW):
            try:
                if not await self._beats(worker):
                    return
                if not await worker.writer.step(worker.conn):
                    return
            except WorkerDied:
                await self._dies(worker)
                return
            except Fenced:
                raise Stuck("the only writer was fenced") from None
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                if not isinstance(error, asyncpg.ConnectionDoesNotExistError):
                    raise
                await self._begins_anew(worker)
        raise Stuck("the engine takes step after step and never rests")

    async def _connect(self) -> FragileConnection:
        settings = session_settings(
            statement_timeout_s=120,
            lock_timeout_s=10,
            idle_in_transaction_timeout_s=0,
            application_name="airback simulated writer",
        )
        real = await asyncpg.connect(self.url, timeout=60, server_settings=settings | PLANNER)
        await prepare_connection(real)
        return FragileConnection(real)

    async def _hire(self) -> None:
        """A worker starts, and takes the book once nobody was seen in it for the time of a lease."""
        if not await self.connection.fetchval(SQL.free_to_take, BOOK, self.agenda.wall(), _LEASE):
            return
        self._workers += 1
        conn = await self._connect()
        name = f"worker-{self._workers}"
        epoch = await books.take(conn.real, book=BOOK, worker=name, now=self.agenda.wall(), lease=_LEASE)
        if epoch is None:
            await conn.close()
            return
        worker = Worker(name, conn, self._new_writer(name))
        worker.seen_s = self.agenda.monotonic()
        self._worker = worker
        await worker.writer.begin(conn, epoch)

    def _new_writer(self, name: str) -> Writer:
        def open_senders(on_answer: OnAnswer) -> SimulatedSenders:
            senders = SimulatedSenders(self, may_send=lambda: self._may_send(name), on_answer=on_answer)
            worker = self._worker
            if worker is not None and worker.name == name:
                worker.senders.append(senders)
            return senders

        return Writer(
            book=BOOK,
            policy=self.policy,
            keys=self.keys,
            clock=self.agenda.wall,
            monotonic=self.agenda.monotonic,
            entropy=self.entropy,
            open_senders=open_senders,
            wake=lambda: None,
            batch=_BATCH,
            in_flight=20_000,
        )

    def _may_send(self, name: str) -> bool:
        """A worker's own belief: it was seen within its lease."""
        for worker in (self._worker, self._stale):
            if worker is not None and worker.name == name:
                return self.agenda.monotonic() - worker.seen_s < _LEASE.total_seconds()
        return False

    async def _beats(self, worker: Worker) -> bool:
        began = self.agenda.monotonic()
        if began - worker.seen_s < _BEAT_S:
            return True
        if await books.seen(worker.conn.real, book=BOOK, worker=worker.name, now=self.agenda.wall()):
            worker.seen_s = began
            return True
        raise Stuck("a worker lost the book to nobody")

    async def _dies(self, worker: Worker) -> None:
        self.crashes += 1
        for senders in worker.senders:
            senders.dead = True
        await worker.conn.close()
        self._worker = None

    async def _begins_anew(self, worker: Worker) -> None:
        worker.writer.failed()
        await worker.conn.close()
        worker.conn = await self._connect()
        epoch = await books.retake(worker.conn.real, book=BOOK, worker=worker.name)
        if epoch is None:
            raise Stuck("a book without a rival was lost")
        await worker.writer.begin(worker.conn, epoch)

    # -- a backup, and the day it is needed

    def _plan_restore(self) -> None:
        """Among the sales after the break a backup is made; a little later all there is is that backup."""
        before_s = self._break_at / self._orders_a_second + _BREAK_S
        after_s = (len(self.plans) - self._break_at) / self._orders_a_second
        made_s = before_s + after_s * self._disturb.random() + self._disturb.randrange(1, 8)
        lost_s = self._disturb.choice((2.0, 4.0, 8.0, 200.0))
        self.agenda.after(made_s, lambda: self._calls.append(self._back_up))
        self.agenda.after(made_s + lost_s, lambda: self._calls.append(self._restore))

    async def _back_up(self) -> None:
        await self._shut_doors()
        for worker in (self._worker, self._stale):
            if worker is not None:
                await worker.conn.close()
        await self._database.back_up()
        for worker in (self._worker, self._stale):
            if worker is not None:
                worker.conn.real = (await self._connect()).real
        await self._open_doors()

    async def _restore(self) -> None:
        """The server is gone with everything since the backup. Far sides and sellers remember all of it."""
        paid_by: dict[str, list[int]] = {}
        for row in await self.connection.fetch(SQL.paid_by, BOOK):
            paid_by.setdefault(ids.public("pay", row["payout_id"]), []).append(row["order_id"])
        for worker in (self._worker, self._stale):
            if worker is not None:
                for senders in worker.senders:
                    senders.dead = True
                await worker.conn.close()
        self._worker = self._stale = None
        await self._shut_doors()
        await self._database.restore()
        await self._open_doors()
        await books.restored(self.connection, reason="restored", now=self.agenda.wall())
        self.faults[Fault.RESTORED] += 1
        self.crashes += 1
        # What people had seen to since the backup is to be seen to again.
        self._resolved.clear()
        self._said_unpaid.clear()
        self._mended.clear()
        self._recovery = Recovery(self, paid_by=paid_by)

    # -- disturbances

    def _disturb_soon(self, fault: Fault, tries: int = _DISTURBANCE_TRIES) -> None:
        self._calls.append(lambda: self._do_disturb(fault, tries))

    async def _do_disturb(self, fault: Fault, tries: int) -> None:
        random: Random = self._disturb
        if fault is Fault.CLOCK:
            self.faults[fault] += 1
            self.agenda.jump(timedelta(seconds=random.choice((-90, -2, 3, 150))))
            return
        worker = self._worker
        if worker is None or self._stale is not None or worker.conn.troubled:
            if tries > 0:  # one thing at a time
                self.agenda.after(_ROUND_S, partial(self._disturb_soon, fault, tries - 1))
            return
        self.faults[fault] += 1
        if fault is Fault.DIES:
            worker.conn.dies_in = random.randrange(1, 40)
        elif fault is Fault.STALE_WRITER:
            # It hangs, for longer than its lease; somebody else takes the book; then it wakes up and goes on.
            self._stale, self._worker = worker, None
        else:
            worker.conn.next_commit = _COMMITS[fault]

    async def _stale_tries(self) -> None:
        """The writer that hung goes on as if nothing had happened."""
        stale = self._stale
        if stale is None:
            return
        try:
            await stale.writer.step(stale.conn)
        except Fenced:
            pass
        except asyncpg.PostgresError:
            pass
        for senders in stale.senders:
            senders.dead = True
        await stale.conn.close()
        self._stale = None
