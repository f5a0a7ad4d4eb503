"""A book out of a backup: it waits for the far sides' statements, whatever was approved before."""

import secrets
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from airback.domain.refusals import Refused
from airback.engine.import_statement import import_statement
from airback.engine.inbox import append_decision
from airback.engine.propose import propose
from airback.reconciliation.rows import CHINA, Period, Statement, from_lines
from airback.store import books, statements
from tests.engine.street import BOOK, Street
from tests.engine.test_review import approve, folded

ON: dict[str, Any] = {"routing": True}
OFF: dict[str, Any] = {"routing": False}


OLD: dict[str, Any] = {
    "proposal": "pro_old",
    "action": "operations:book:resume",
    "subject": "book",
    "before": OFF,
    "after": ON,
    "reason": "why",
    "proposed_by": "a",
    "decided_by": "b",
}


async def impossible(street: Street) -> list[str]:
    rows = await street.pool.fetch(
        "SELECT subject FROM alarms WHERE kind='decision_impossible' ORDER BY subject"
    )
    return [row["subject"] for row in rows]


async def propose_resume(street: Street) -> int:
    async with street.pool.acquire() as conn:
        return await propose(
            conn,
            book=BOOK,
            action="operations:book:resume",
            subject="book",
            before=OFF,
            after=ON,
            reason="statements compared",
            by="wang",
            roles=["operations"],
            now=datetime.now(UTC),
            entropy=secrets.token_bytes,
        )


async def bring_in(street: Street, far_side: str, day: Any) -> None:
    """Import what a far side lists, as its statement of one day."""
    name = far_side.partition(":")[2]
    side = street.rails[name] if far_side.startswith("rail:") else street.carriers[name]
    rows = from_lines(side.lines)
    numbers = pl.Series(range(1, rows.height + 1), dtype=pl.Int64)
    async with street.pool.acquire() as conn:
        await import_statement(
            conn,
            book=BOOK,
            far_side=far_side,
            statement=Statement("own", rows, numbers, period=Period.of_day(day)),
            sha256=secrets.token_bytes(32),
            by="lin",
            now=datetime.now(UTC),
            entropy=secrets.token_bytes,
        )


async def restored(street: Street, *, at: datetime) -> None:
    async with street.pool.acquire() as conn:
        await books.restored(conn, reason="restored", now=at)


async def switches(street: Street) -> tuple[bool, bool]:
    row = await street.pool.fetchrow("SELECT routing, sending FROM books")
    return row["routing"], row["sending"]


async def test_a_restored_book_sends_nothing_until_every_statement_since_its_backup_is_in(
    street: Street,
) -> None:
    await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    await street.settle()
    await street.pool.execute("UPDATE events SET at = at - interval '1 day'")  # the backup is a day old
    await approve(street, "operations:book:resume", before=OFF, after=ON, proposal="pro_0")
    restored_at = datetime.now(UTC)
    await restored(street, at=restored_at)
    # an approval that was in the backup, and one by people who know no better: the writer looks himself
    await approve(street, "operations:book:resume", before=OFF, after=ON)
    await folded(street)
    assert await switches(street) == (False, False)
    assert await impossible(street) == ["pro_0", "pro_1"]

    begun = await street.pool.fetchval(
        "SELECT max(at) FROM events WHERE at < $1", restored_at - timedelta(hours=12)
    )
    first, last = begun.astimezone(CHINA).date(), restored_at.astimezone(CHINA).date()
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    awaited = [(side, day) for day in days for side in ("carrier:cmcc", "rail:alipay")]
    for far_side, day in awaited:
        with pytest.raises(Refused) as refused:
            await propose_resume(street)
        assert (refused.value.code, refused.value.field) == ("statements_awaited", f"{far_side} {day}")
        await bring_in(street, far_side, day)
    await propose_resume(street)
    async with street.pool.acquire() as conn:  # statements alone do not make an old approval a new one
        await append_decision(conn, book=BOOK, body=OLD, at=restored_at - timedelta(seconds=1))
        proposed = {"proposal": "pro_older", "proposed_at": (restored_at - timedelta(hours=1)).isoformat()}
        await append_decision(conn, book=BOOK, body=OLD | proposed, at=datetime.now(UTC))
    await folded(street)
    assert await switches(street) == (False, False)
    assert await impossible(street) == ["pro_0", "pro_1", "pro_old", "pro_older"]
    await approve(street, "operations:book:resume", before=OFF, after=ON, proposal="pro_2")
    await folded(street)
    assert await switches(street) == (True, True)
    assert await street.pool.fetchval("SELECT restored_at FROM books") is None
    # an ordinary pause waits for nothing
    await approve(street, "operations:book:pause", before=ON, after=OFF, proposal="pro_3")
    await folded(street)
    await propose_resume(street)


async def awaited(street: Street) -> tuple[str, date] | None:
    async with street.pool.acquire() as conn:
        return await statements.unstated(conn, book=BOOK)


async def test_an_order_that_was_never_sent_awaits_its_far_sides_too(street: Street) -> None:
    now = datetime.now(UTC)
    await restored(street, at=now)
    assert await awaited(street) is None  # nothing was ever sent and nothing is open
    await street.sell(street.ask_card(street.card("ctcc", 10_000)))
    day = now.astimezone(CHINA).date()
    assert await awaited(street) == ("carrier:ctcc", day)
    await bring_in(street, "carrier:ctcc", day)
    assert await awaited(street) == ("rail:alipay", day)
    await bring_in(street, "rail:alipay", day)
    await propose_resume(street)


async def test_a_backup_of_a_book_that_still_waits_keeps_its_first_day(street: Street) -> None:
    now = datetime.now(UTC)
    await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    await street.settle()
    await street.pool.execute("UPDATE events SET at = at - interval '3 days'")
    await restored(street, at=now)
    waits = await awaited(street)
    await street.deposit(1)  # an event of today
    await folded(street)
    await restored(street, at=now + timedelta(days=1))
    assert waits is not None and waits[1] < now.astimezone(CHINA).date()
    assert await awaited(street) == waits


async def test_whoever_still_writes_a_restored_book_is_fenced_off(street: Street) -> None:
    before = await street.pool.fetchval("SELECT epoch FROM books")
    await restored(street, at=datetime.now(UTC))
    assert await street.pool.fetchval("SELECT epoch FROM books") == before + 1
    assert await street.pool.fetchval("SELECT count(*) FROM writers") == 0
