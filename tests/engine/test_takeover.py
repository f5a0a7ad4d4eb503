"""One writer per book: the fence, the lease, and a worker that dies anywhere."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from airback.domain.effects import Kind, Outcome, Result
from airback.engine import writer as writer_module
from airback.engine.inbox import append_callback
from airback.engine.persist import Fenced
from tests.engine.street import BOOK, Street
from tests.engine.test_lifecycle import assert_clean


class Dies(BaseException):
    """Stands for SIGKILL: nothing catches it."""


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("batch", range(1, 8))
async def test_a_worker_that_dies_around_any_commit_loses_and_repeats_nothing(
    street: Street, monkeypatch: pytest.MonkeyPatch, moment: str, batch: int
) -> None:
    asks = []
    street.pace = replace(street.pace, batch=3)  # small bites, so that there are enough of them to die in
    for index, carrier in enumerate(street.carriers):
        number = street.line(f"1380000000{index}", carrier, 80_000)
        asks += [
            street.ask_balance(number, 40_000, seller=f"s{index}"),
            street.ask_card(street.card(carrier, 10_000)),
        ]
    await street.sell(*asks)
    real, count = writer_module.persist, 0

    async def persist(conn: object, decided: object) -> None:
        nonlocal count
        count += 1
        if count == batch and moment == "before":
            raise Dies
        await real(conn, decided)  # type: ignore[arg-type]
        if count == batch and moment == "after":
            raise Dies

    monkeypatch.setattr(writer_module, "persist", persist)
    stop = asyncio.Event()
    with pytest.raises(Dies):
        async with asyncio.timeout(60):
            await street.writer("dead").run(stop)
    monkeypatch.setattr(writer_module, "persist", real)
    assert await street.settle(timeout_s=60) == Counter({"closed": 8})
    await assert_clean(street)
    assert all(n == 1 for n in street.rails["alipay"].purposes.values())
    delivered = sum(
        line.amount_fen
        for c in street.carriers.values()
        for line in c.lines
        if line.kind in (Kind.TRANSFER, Kind.REDEEM)
    )
    assert delivered == 4 * 40_000 + 4 * 10_000


async def test_a_writer_that_lost_its_book_writes_nothing_more(street: Street) -> None:
    (order,) = await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    stop = asyncio.Event()
    first = street.writer("first")
    real = writer_module.persist
    took = asyncio.Event()

    async def persist(conn: object, batch: object) -> None:
        await street.pool.execute("UPDATE books SET epoch = epoch + 1")
        took.set()
        await real(conn, batch)  # type: ignore[arg-type]

    writer_module.persist = persist
    try:
        async with asyncio.timeout(60):
            await first.run(stop)
    finally:
        writer_module.persist = real
    assert took.is_set()
    assert (await street.order(order))["state"] == "submitted"
    assert street.carriers["cmcc"].calls == Counter()


async def test_the_fence_refuses_an_old_epoch(street: Street) -> None:
    writer = street.writer()._writer
    batch = writer._new_batch  # it has not begun: its epoch is 0 and stays behind once the book is taken
    await street.pool.execute("UPDATE books SET epoch = 5")
    writer._rate_cards = {1: __import__("tests.engine.street", fromlist=["CARD"]).CARD}
    async with street.pool.acquire() as conn:
        with pytest.raises(Fenced):
            await writer_module.persist(conn, batch(datetime.now(UTC)))


async def test_two_workers_share_nothing_and_the_second_waits_for_the_lease(street: Street) -> None:
    await street.sell(*(street.ask_card(street.card("cmcc", 10_000)) for _ in range(5)))
    street.pace = replace(street.pace, lease=timedelta(seconds=60))
    stop = asyncio.Event()
    first = asyncio.create_task(street.writer("first").run(stop))
    async with asyncio.timeout(30):
        while not await street.pool.fetchval("SELECT count(*) FROM writers"):
            await asyncio.sleep(0.01)
        await street.writer("second").run(asyncio.Event())  # returns at once: the book is held
    assert await street.pool.fetchval("SELECT worker FROM writers") == "first"
    stop.set()
    await first


async def test_an_effect_that_was_not_sent_in_time_is_never_sent(street: Street) -> None:
    from airback.engine.senders import FarSides, Senders

    answers = []
    far = FarSides(street.subscribers, street.carriers, street.rails, street.messenger)
    senders = Senders(
        far_sides=far,
        policy=street.policy,
        clock=lambda: datetime.now(UTC) + timedelta(hours=1),
        may_send=lambda: True,
        on_answer=answers.append,
    )
    street.carriers["cmcc"].plan[Kind.REDEEM].append("vanish")
    street.carriers["cmcc"].asked = lambda ref: Outcome(Result.PROCESSING)  # type: ignore[method-assign]
    (order,) = await street.sell(street.ask_card(street.card("cmcc", 10_000)))

    async def journalled() -> bool:
        return bool(await street.pool.fetchval("SELECT count(*) FROM effect_results"))

    await street.run(journalled)
    from airback.engine import gather
    from airback.engine.senders import read_request

    async with street.pool.acquire() as conn:
        open_effects = await gather.open_effects(conn, book=BOOK, epoch=9)
    (effect,) = [e for e in open_effects if e.order_id == order]
    plain = street.keys.unseal(
        purpose="effect", sealed=effect.sealed, where=f"effects/request/{effect.id}".encode()
    )
    before = street.carriers["cmcc"].calls["redeem"]
    senders.send(effect, read_request(effect.kind, plain))
    async with asyncio.timeout(30):
        while not answers:
            await asyncio.sleep(0.01)
    await senders.close()
    assert answers[0].outcome.code == "sending_overdue"
    assert street.carriers["cmcc"].calls["redeem"] == before


async def test_a_callback_about_what_was_final_is_asked_about_until_the_far_side_answers(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer that read it may die before it hears the answer."""
    (order,) = await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    assert await street.settle() == Counter({"closed": 1})
    ref = await street.pool.fetchval("SELECT ref FROM effects WHERE order_id = $1 AND kind = 'redeem'", order)
    carrier = street.carriers["cmcc"]
    said, asked = [Outcome(Result.UNKNOWN, code="answer_lost")], carrier.calls["ask"]

    def answer(_ref: str) -> Outcome:
        carrier.calls["ask"] += 1
        return said[0]

    monkeypatch.setattr(carrier, "asked", answer)
    await append_callback(street.pool, book=BOOK, ref=ref, body={}, at=datetime.now(UTC))

    async def was_asked() -> bool:
        return carrier.calls["ask"] > asked

    await street.run(was_asked)
    said[0] = Outcome(Result.REVERSED, amount_fen=10_000)

    async def corrected() -> bool:
        return bool(await street.pool.fetchval("SELECT count(*) FROM corrections"))

    await street.run(corrected)
    assert await street.pool.fetchval("SELECT count(*) FROM inbox") == 0
