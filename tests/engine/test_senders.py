"""Senders, leases and pace: one dead far side stops nobody else, and nothing waits for ever."""

import asyncio
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from airback.domain.effects import Outcome, Result
from airback.domain.ids import new_ids
from airback.domain.ports.rail import PayRequest
from airback.engine import gather
from airback.engine.records import Answer
from airback.engine.senders import FarSides, Senders, _Job, _Lane
from airback.engine.tenure import described, writer_connection
from airback.orders.intake import FILES, PEOPLE
from airback.store import books
from tests.engine.street import BOOK, Street
from tests.engine.test_doubt import effect_of
from tests.engine.test_review import approve


def senders_of(street: Street, answers: list[Answer], *, ahead: timedelta = timedelta(0)) -> Senders:
    return Senders(
        far_sides=FarSides(street.subscribers, street.carriers, street.rails, street.messenger),
        policy=street.policy,
        clock=lambda: datetime.now(UTC) + ahead,
        may_send=lambda: True,
        on_answer=answers.append,
    )


async def test_overdue_jobs_say_nothing_about_a_far_side(street: Street) -> None:
    answers: list[Answer] = []
    senders = senders_of(street, answers, ahead=timedelta(hours=1))
    senders._lane("carrier:cmcc")._failures = 9  # the breaker is open: nothing would be tried for seconds
    began = time.monotonic()
    for _ in range(20):
        senders.send(effect_of(Result.JOURNALLED), None)
    async with asyncio.timeout(5):
        while len(answers) < 20:
            await asyncio.sleep(0.01)
    assert {answer.outcome.code for answer in answers} == {"sending_overdue"}
    assert senders._lane("carrier:cmcc")._failures == 9
    assert time.monotonic() - began < 0.5
    await senders.close()


async def test_what_comes_as_the_last_worker_leaves_is_not_left_lying() -> None:
    """The worker has seen the queue empty and is about to end: nobody else would look at it."""
    done: list[int] = []

    async def perform(job: _Job) -> bool:
        if not done:
            asyncio.get_running_loop().call_soon(lane.put, made)
        done.append(len(done))
        return True

    lane = _Lane(concurrency=1, requests_per_s=10_000, perform=perform, idle=lambda job: False)
    made = _Job(effect_of(Result.JOURNALLED), None, asked=False, stood=Result.JOURNALLED)
    lane.put(made)
    async with asyncio.timeout(2):
        while len(done) < 2:
            await asyncio.sleep(0.01)
    await lane.close()


async def test_an_adapter_that_answers_nonsense_stops_no_worker(street: Street) -> None:
    answers: list[Answer] = []

    async def nonsense(request: PayRequest) -> None:
        return None

    street.rails["alipay"].pay = nonsense  # type: ignore[method-assign,assignment]
    senders = senders_of(street, answers)
    effect = replace(
        effect_of(Result.JOURNALLED),
        far_side="rail:alipay",
        send_by=datetime.now(UTC) + timedelta(minutes=1),
    )
    senders.send(effect, None)
    async with asyncio.timeout(5):
        while not answers:
            await asyncio.sleep(0.01)
    assert (answers[0].outcome.result, answers[0].outcome.code) == (Result.UNKNOWN, "answer_lost")
    await senders.close()


async def test_a_persons_request_does_not_wait_behind_a_files(street: Street) -> None:
    answers: list[Answer] = []
    street.policy = replace(
        street.policy,
        carriers=street.policy.carriers
        | {"cmcc": replace(street.policy.carriers["cmcc"], concurrency=1, requests_per_s=1000)},
    )
    senders = senders_of(street, answers)
    soon = datetime.now(UTC) + timedelta(minutes=1)
    for n, lane in enumerate([FILES] * 30 + [PEOPLE] * 10):
        senders.ask(replace(effect_of(Result.UNKNOWN), id=n, send_by=soon, lane=lane))
    async with asyncio.timeout(10):
        while len(answers) < 40:
            await asyncio.sleep(0.01)
    await senders.close()
    lanes = [answer.effect.lane for answer in answers]
    assert lanes[:12] == [
        *[PEOPLE] * 4,
        FILES,
        *[PEOPLE] * 4,
        FILES,
        *[PEOPLE] * 2,
    ]  # and files are not starved


async def test_a_person_does_not_wait_until_a_file_is_done(street: Street) -> None:
    await street.demands("cmcc", 5_000_000)
    firm = await street.sell(
        *(street.ask_card(street.card("cmcc", 10_000), seller="firm", lane=FILES) for _ in range(300))
    )
    (person,) = await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    open_then: list[int] = []

    async def served() -> bool:
        if (await street.order(person))["state"] != "closed":
            return False
        open_then.append(await street.pool.fetchval("SELECT count(*) FROM work WHERE lane = 1"))
        return True

    await street.run(served)
    assert open_then[0] > len(firm) / 2
    assert await street.settle(timeout_s=120) == Counter({"closed": 301})


async def test_what_has_been_settled_meanwhile_is_not_sent(street: Street) -> None:
    answers: list[Answer] = []
    senders = senders_of(street, answers)
    effect = replace(effect_of(Result.JOURNALLED), send_by=datetime.now(UTC) + timedelta(minutes=1))
    senders.send(effect, None)
    senders.ask(effect)
    effect.result = Result.FAILED
    await asyncio.sleep(0.1)
    assert answers == []
    assert street.carriers["cmcc"].calls == Counter()
    senders.ask(effect)  # a callback came: what was final may have been reversed
    async with asyncio.timeout(60):
        while not answers:
            await asyncio.sleep(0.01)
    assert street.carriers["cmcc"].calls == Counter({"ask": 1})
    await senders.close()


async def test_a_far_side_that_hangs_stops_no_other(street: Street) -> None:
    street.pace = replace(street.pace, in_flight=1)
    rail = street.rails["alipay"]
    real = rail.pay

    async def hangs(request: PayRequest) -> Outcome:
        return await asyncio.Future()

    rail.pay = hangs  # type: ignore[method-assign]
    street.policy = replace(
        street.policy,
        rails={"alipay": replace(rail.capabilities, timeout_s=60)},
        full_look=timedelta(milliseconds=50),
    )
    await street.sell(*(street.ask_card(street.card("cmcc", 10_000)) for _ in range(4)))

    async def delivered() -> bool:
        return (await street.states())["credited"] == 4

    await street.run(delivered)
    rail.pay = real  # type: ignore[method-assign]
    street.policy = replace(street.policy, rails={"alipay": rail.capabilities})
    assert await street.settle() == Counter({"closed": 4})


async def test_files_behind_many_waiting_sellers_are_reached(street: Street) -> None:
    now = datetime.now(UTC)
    far = now + timedelta(days=1)
    orders = new_ids(now=now, entropy=lambda n: bytes(n), count=140)
    await street.pool.executemany(
        "INSERT INTO work (book, order_id, lane, seller, due_at) VALUES ($1, $2, 1, $3, $4)",
        [(BOOK, order, 1 + n, now if n >= 138 else far) for n, order in enumerate(orders)],
    )
    async with street.pool.acquire() as conn:
        due, last = await gather.due_files(conn, book=BOOK, now=now, limit=100, after_seller=0)
        assert (due, last) == (orders[138:], 0)
        await conn.execute("UPDATE work SET due_at = $1", now)
        reached: set[int] = set()
        for _ in range(8):
            due, last = await gather.due_files(conn, book=BOOK, now=now, limit=20, after_seller=last)
            reached |= set(due)
    assert reached == set(orders)


async def test_while_sending_is_off_nothing_is_sent_and_no_order_moves_until_two_people_resume(
    street: Street,
) -> None:
    await street.demands("cmcc", 10_000)
    await street.pool.execute("UPDATE books SET routing = false, sending = false")  # as a restore leaves it
    await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    stop = asyncio.Event()
    task = asyncio.create_task(street.writer().run(stop))
    try:
        async with asyncio.timeout(60):
            while not await street.pool.fetchval("SELECT count(*) FROM writers"):
                await asyncio.sleep(0.05)
        await asyncio.sleep(1)
        assert await street.pool.fetchval("SELECT state FROM orders") == "submitted"
        assert await street.pool.fetchval("SELECT count(*) FROM effects") == 0
        assert street.carriers["cmcc"].calls["redeem"] == 0
        await approve(street, "operations:book:resume", before={"routing": False}, after={"routing": True})
        async with asyncio.timeout(60):
            while await street.pool.fetchval("SELECT state FROM orders") != "closed":
                await asyncio.sleep(0.05)
        assert street.carriers["cmcc"].calls["redeem"] == 1
    finally:
        stop.set()
        await task
    row = await street.pool.fetchrow("SELECT routing, sending FROM books")
    assert (row["routing"], row["sending"]) == (True, True)


async def test_sending_that_is_switched_off_holds_from_the_next_batch_on(street: Street) -> None:
    await street.demands("cmcc", 10_000)
    stop = asyncio.Event()
    task = asyncio.create_task(street.writer().run(stop))
    try:
        await asyncio.sleep(0.5)
        await street.pool.execute("UPDATE books SET sending = false")
        await street.sell(street.ask_card(street.card("cmcc", 10_000)))
        await asyncio.sleep(1)
        assert street.carriers["cmcc"].calls["redeem"] == 0
        await street.pool.execute("UPDATE books SET sending = true")
        async with asyncio.timeout(60):  # it was the switch that held it
            while street.carriers["cmcc"].calls["redeem"] == 0:
                await asyncio.sleep(0.05)
    finally:
        stop.set()
        await task


async def test_a_database_that_falls_silent_is_given_up(street: Street) -> None:
    conn = await writer_connection(street.url, answer_s=0.3)
    try:
        with pytest.raises(TimeoutError):
            await conn.execute("SELECT pg_sleep(20)")
    finally:
        conn.terminate()


async def test_leases_are_measured_by_the_databases_clock(street: Street) -> None:
    lease = timedelta(seconds=5)
    async with street.pool.acquire() as conn:
        assert await books.take(conn, book=BOOK, worker="a", lease=lease) == 1
        assert await books.candidates(conn, lease=lease) == []
        assert await books.take(conn, book=BOOK, worker="b", lease=lease) is None
        assert await books.seen(conn, book=BOOK, worker="a")
        off = abs(await conn.fetchval("SELECT clock_timestamp() - seen_at FROM writers"))
        assert off < timedelta(seconds=5)
        # a simulation brings its own clock
        later = datetime.now(UTC) + timedelta(minutes=1)
        assert await books.take(conn, book=BOOK, worker="b", lease=lease, now=later) == 2


def test_a_logged_error_quotes_no_row() -> None:
    error = asyncpg.UniqueViolationError("duplicate key")
    error.detail = "Key (number)=(13800000001) already exists."
    error.constraint_name = "orders_pkey"
    said = described(error)
    assert said == {"error": "UniqueViolationError", "sqlstate": "23505", "constraint_name": "orders_pkey"}
    assert described(ValueError("13800000001")) == {"error": "ValueError"}
