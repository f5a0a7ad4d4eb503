"""What an operator does after a restore from a backup: sending stays off until the far sides' statements are in.

What they carried out since the backup stands on their statements and nowhere in the book. It becomes breaks; every
order that it belongs to is stopped before sending begins again, so that nothing is done a second time.
"""

import hashlib
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from airback.domain import ids
from airback.domain.ports.carrier import HoldKind, StatementLine
from airback.engine.import_statement import import_statement
from airback.engine.inbox import append_cancel
from airback.reconciliation.rows import CHINA, Period, Statement, from_lines
from airback.simulator.far_sides import HOLDS, FarSides
from airback.simulator.faults import Fault
from airback.store import statements
from airback.store.named_sql import load

if TYPE_CHECKING:
    from airback.simulator.world import World

SQL: Final = load("world.sql", package="airback.simulator")

#: Statements come so many looks after the restore: later than the next worker, who reads what waits for him.
_LOOKS_BEFORE_STATEMENTS: Final = 12
_OVER: Final = frozenset({"closed", "declined", "cancelled", "expired", "failed", "in_review"})


class Recovery:
    """The way from a restored database to sending again."""

    def __init__(self, world: "World", *, paid_by: dict[str, list[int]]) -> None:
        """`paid_by`: which orders each payout paid, as their sellers were told before the restore."""
        self._world = world
        self._paid_by = paid_by
        self._doubted: list[int] | None = None
        self._looks = 0
        self._asked: dict[int, tuple[str, str | None]] = {}

    async def go_on(self, *, book: int) -> bool:
        """One look. True when everything is known and sending is on again."""
        world = self._world
        if self._doubted is None:
            self._looks += 1
            if self._looks == 1:  # somebody in a hurry, before any statement is in
                await self._resume()
            if self._looks < _LOOKS_BEFORE_STATEMENTS:
                return False
            await self._import_statements(book)
            self._doubted = await self._orders_in_doubt(book)
        waits = False
        for row in await world.connection.fetch(SQL.standing, book, self._doubted):
            if row["state"] in _OVER:
                continue
            waits = True
            stands = (row["state"], row["code"])
            if self._asked.get(row["id"]) == stands:
                continue
            self._asked[row["id"]] = stands
            if row["state"] == "submitted":
                await append_cancel(world.connection, book=book, order_id=row["id"], at=world.agenda.wall())
                continue
            await world.decide(
                "operations:order:decide",
                {"order": ids.public("ord", row["id"]), "course": "review"},
                before={"state": row["state"], "code": row["code"]},
            )
        if waits:
            return False
        if await world.connection.fetchval(SQL.sending, book):
            return True
        if not await world.connection.fetchval(SQL.decision_waits, book):
            await self._resume()
        return False

    async def _resume(self) -> None:
        await self._world.decide("operations:book:resume", {"routing": True}, before={"routing": False})

    async def _import_statements(self, book: int) -> None:
        """Every far side's of today, and of an earlier day for which the book still waits."""
        world = self._world
        today = world.agenda.wall().astimezone(CHINA).date()
        for name in world.far_sides.sides:
            await self._import(book, name, today)
        while (awaited := await statements.unstated(world.connection, book=book)) is not None:
            await self._import(book, *awaited)

    async def _import(self, book: int, far_side: str, day: date) -> None:
        world = self._world
        now = world.agenda.wall()
        rows = from_lines(listed(world.far_sides, far_side))
        numbers = pl.Series(range(1, rows.height + 1), dtype=pl.Int64)
        await import_statement(
            world.connection,
            book=book,
            far_side=far_side,
            statement=Statement("own", rows, numbers, period=Period.of_day(day)),
            sha256=hashlib.sha256(f"{far_side} {day} {now}".encode()).digest(),
            by="lin",
            now=now,
            entropy=world.entropy,
        )

    async def _orders_in_doubt(self, book: int) -> list[int]:
        """Orders of the book that a far side did something for which the book knows nothing of."""
        world = self._world
        known = {row["ref"] for row in await world.connection.fetch(SQL.references, book)}
        there = {row["id"] for row in await world.connection.fetch(SQL.order_ids, book)}
        doubted: set[int] = set()
        for side in world.far_sides.sides.values():
            for done in side.executions:
                if done.ref not in known:
                    mine = world.sale_of.get(done.ref)
                    doubted.update(self._paid_by.get(done.purpose, [] if mine is None else [mine]))
        for order_id, plan in world.by_order.items():
            if order_id in doubted or order_id not in there:
                plan.befell.add(Fault.RESTORED)
        return sorted(doubted & there)


def listed(far_sides: FarSides, name: str) -> list[StatementLine]:
    """What stands on a far side's statement: all it did, save reservations that are its own affair."""
    native = HOLDS.get(name.partition(":")[2]) is HoldKind.NATIVE
    lines: list[Any] = list(far_sides.statement(name))
    return [line for line in lines if not (native and line.kind in ("hold", "release"))]
