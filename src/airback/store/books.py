"""Books and who writes them: a lease by heartbeat, a fence by epoch."""

from datetime import datetime, timedelta
from typing import Any, Final

from airback.store.named_sql import load

SQL: Final = load("books.sql")


async def create(conn: Any, *, book: int, name: str, now: datetime) -> None:
    """Open a book; nothing happens when it exists."""
    await conn.execute(SQL.create, book, name, now)


async def candidates(conn: Any, *, lease: timedelta, now: datetime | None = None) -> list[int]:
    """Books whose writer has not been seen for `lease`, by the database's clock unless `now` says otherwise."""
    return [row["book"] for row in await conn.fetch(SQL.candidates, now, lease)]


async def take(
    conn: Any, *, book: int, worker: str, lease: timedelta, now: datetime | None = None
) -> int | None:
    """The new epoch when this worker now writes the book; None when another does. `now` as for `candidates`."""
    async with conn.transaction():
        epoch = await conn.fetchval(SQL.take, book, now or await conn.fetchval(SQL.clock), lease)
        if epoch is None:
            return None
        # Taking may have waited for the former writer's last transaction: the lease begins now.
        await conn.execute(SQL.sign_on, book, worker, now or await conn.fetchval(SQL.clock))
    return int(epoch)


async def retake(conn: Any, *, book: int, worker: str) -> int | None:
    """A new epoch for the worker that still holds the book; None when it lost it."""
    epoch = await conn.fetchval(SQL.retake, book, worker)
    return None if epoch is None else int(epoch)


async def seen(conn: Any, *, book: int, worker: str, now: datetime | None = None) -> bool:
    """A heartbeat. False when another worker has signed on. `now` as for `candidates`."""
    now = now or await conn.fetchval(SQL.clock)
    return str(await conn.execute(SQL.seen, book, worker, now)).endswith(" 1")


async def sign_off(conn: Any, *, book: int, worker: str) -> None:
    """Leave a book, so that another worker may take it at once."""
    await conn.execute(SQL.sign_off, book, worker)


async def next_seq(conn: Any, *, book: int) -> int:
    """The sequence number of the book's next event."""
    return int(await conn.fetchval(SQL.next_seq, book))


async def switches(conn: Any, *, book: int) -> tuple[bool, bool]:
    """(routing, sending)."""
    row = await conn.fetchrow(SQL.switches, book)
    return bool(row["routing"]), bool(row["sending"])


async def park(conn: Any, *, book: int, order_id: int, until: datetime) -> None:
    """Look at an order again only at `until`."""
    await conn.execute(SQL.park, book, order_id, until)


async def publish_first(conn: Any, *, book: int, document: dict[str, Any], now: datetime) -> None:
    """Publish the price list an installation starts with; nothing happens when it has one."""
    await conn.execute(SQL.publish_first, book, document, now)


async def has_money(conn: Any, *, book: int) -> bool:
    """Whether anything was ever posted in the book, or waits to be."""
    return bool(await conn.fetchval(SQL.has_money, book))


async def restored_at(conn: Any, *, book: int) -> datetime | None:
    """When the book came out of a backup; None when it did not, or sending is on again since."""
    found: datetime | None = await conn.fetchval(SQL.restored_at, book)
    return found


async def pause_all(conn: Any, *, reason: str) -> None:
    """Pause every book and let none send; whoever writes one is fenced off. Works on the schema of any version."""
    async with conn.transaction():
        await conn.execute(SQL.pause_all, reason)
        await conn.execute(SQL.forget_writers)


async def restored(conn: Any, *, reason: str, now: datetime) -> int:
    """After a restore: every book paused, sending nothing, awaiting statements, with no writer; how many orders there
    are."""
    async with conn.transaction():
        await pause_all(conn, reason=reason)
        await conn.execute(SQL.await_statements, now)
        return int(await conn.fetchval(SQL.count_orders))
