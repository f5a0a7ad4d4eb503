"""One thing that cannot be folded is set aside for a person; everything else goes on."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import pytest

from airback.domain import ids
from airback.domain.effects import Exchange, Kind, Outcome
from airback.engine import advance as advance_module
from airback.engine import gather
from airback.engine.batch import Batch
from airback.engine.inbox import append_decision
from airback.engine.memory import Memory
from airback.engine.persist import RowMissing, persist
from airback.engine.records import OpenEffect, Order
from airback.engine.writer import Writer
from airback.orders.states import State
from airback.store import books
from tests.engine.street import BOOK, Street
from tests.engine.test_doubt import batch_of


async def alarms(street: Street, kind: str) -> list[str]:
    rows = await street.pool.fetch("SELECT subject FROM alarms WHERE kind = $1", kind)
    return [row["subject"] for row in rows]


async def until_closed(street: Street, *orders: int) -> None:
    async def closed() -> bool:
        return all([(await street.order(order))["state"] == "closed" for order in orders])

    await street.run(closed)


async def test_bytes_that_no_database_text_can_hold_stop_nobody(street: Street) -> None:
    exchange = Exchange("POST", "/x\x00", "\ud800", 200, "\x00", datetime.now(UTC), 1)
    street.carriers["cmcc"].plan[Kind.REDEEM].append(
        lambda o: replace(o, far_ref="a\x00b", detail={"said": "\udfff\x00"}, exchanges=(exchange,))
    )
    await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    assert await street.settle() == Counter({"closed": 1})
    assert await street.pool.fetchval("SELECT far_ref FROM effect_results WHERE far_ref = 'ab'") == "ab"


@pytest.mark.parametrize("amount_fen", [-1, 10**18])
async def test_an_impossible_amount_tells_nothing(street: Street, amount_fen: int) -> None:
    carrier = street.carriers["cmcc"]
    carrier.plan[Kind.REDEEM].append(lambda o: replace(o, amount_fen=amount_fen))
    await street.sell(
        street.ask_card(street.card("cmcc", 10_000)), street.ask_card(street.card("ctcc", 10_000))
    )

    async def asked() -> bool:
        return carrier.calls["ask"] > 1 and (await street.states())["closed"] == 1

    await street.run(asked)
    assert await street.states() == Counter({"closed": 1, "routed": 1})


async def test_a_letter_that_cannot_be_read_is_set_aside_and_kept(street: Street) -> None:
    body = {"action": "finance:deposit:credit", "after": {"outlet": "shop"}, "reason": "no amount"}
    await append_decision(street.pool, book=BOOK, body=body, at=datetime.now(UTC))
    (order,) = await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    await until_closed(street, order)

    async def aside() -> bool:
        return bool(await street.pool.fetchval("SELECT count(*) FROM inbox WHERE aside_at IS NOT NULL"))

    await street.run(aside)
    kept = await street.pool.fetch("SELECT id FROM inbox")
    assert len(kept) == 1
    assert await alarms(street, "letter_set_aside") == [str(kept[0]["id"])]


async def test_a_writer_that_is_stopped_as_something_fails_leaves_the_book_to_the_next(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = asyncio.Event()

    async def step(self: Writer, conn: Any) -> bool:
        stop.set()
        raise ValueError("a bug")

    with monkeypatch.context() as patched:
        patched.setattr(Writer, "step", step)
        await street.writer("w1").run(stop)
    async with street.pool.acquire() as conn:
        assert await books.take(conn, book=BOOK, worker="w2", lease=timedelta(minutes=1)) is not None


async def test_an_answer_that_cannot_be_folded_is_set_aside(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, *good = await street.sell(*(street.ask_card(street.card("cmcc", 10_000)) for _ in range(4)))
    real = advance_module.delivery_answered

    def answered(batch: Batch, order: Order, effect: OpenEffect, outcome: Outcome) -> None:
        if order.id == bad:
            raise ValueError("a bug")
        real(batch, order, effect, outcome)

    monkeypatch.setattr(advance_module, "delivery_answered", answered)
    await until_closed(street, *good)
    ref = await street.pool.fetchval("SELECT ref FROM effects WHERE order_id = $1 AND kind = 'redeem'", bad)

    async def found() -> bool:
        return await alarms(street, "answer_set_aside") == [ref]

    await street.run(found)


async def test_a_bad_order_is_found_under_traffic_and_in_persist(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [street.line(f"1380000{n:04d}") for n in range(4)]
    asks: list[Any] = [street.ask_balance(number, 10_000, notify_number=number) for number in numbers]
    bad, *good = await street.sell(*asks)
    real = advance_module.VERBS[State.SCREENED]

    def verify(batch: Batch, order: Order) -> None:
        if order.id == bad:
            batch.alarm("x", "\x00")  # it is persisting that fails
        else:
            real(batch, order)

    monkeypatch.setattr(
        advance_module, "VERBS", MappingProxyType({**advance_module.VERBS, State.SCREENED: verify})
    )
    await until_closed(street, *good)

    async def found() -> bool:
        return await alarms(street, "order_set_aside") == [ids.public("ord", bad)]

    await street.run(found)
    due = await street.pool.fetchval("SELECT due_at FROM work WHERE order_id = $1", bad)
    assert due > datetime.now(UTC)


async def test_a_batch_that_changes_what_is_not_there_writes_nothing(street: Street) -> None:
    (order_id,) = await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    assert await street.settle() == Counter({"closed": 1})
    batch = batch_of(street)
    batch.epoch = await street.pool.fetchval("SELECT epoch FROM books WHERE book = $1", BOOK)
    batch.next_seq = 1 + await street.pool.fetchval("SELECT max(seq) FROM events")
    await gather.facts(street.pool, batch, Memory(), order_ids=[order_id], payout_ids=[])
    order = batch.orders[order_id]
    order.changed = True
    batch.record("test:order:changed", order=order)
    async with street.pool.acquire() as conn:
        await conn.execute("UPDATE orders SET id = id + 1 WHERE id = $1", order_id)
        with pytest.raises(RowMissing, match="UPDATE 0 of 1"):
            await persist(conn, batch)
        assert batch.next_seq - 2 == await conn.fetchval("SELECT max(seq) FROM events")
        await conn.execute("UPDATE orders SET id = id - 1 WHERE id = $1", order_id + 1)
        await persist(conn, batch)
        assert batch.next_seq - 1 == await conn.fetchval("SELECT max(seq) FROM events")
