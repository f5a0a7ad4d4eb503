"""Requests that share a statement: each gets its own answer, whatever its neighbours bring and whatever breaks."""

import asyncio
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from airback.domain.refusals import Refused
from airback.engine import submit as module
from airback.engine.submit import Accepted, OrderAsk, SharedIntake, submit
from airback.store import intake
from tests.api.desk import BOOK, HOLDS, Desk, digest, open_desk
from tests.engine.test_submit import Statements


@pytest.fixture
def desk(pool: asyncpg.Pool, tmp_path: Path) -> Desk:
    return open_desk(pool, tmp_path / "keys")


class Process:
    """The intake of one process; a refusal of a whole request is told as one."""

    def __init__(self, desk: Desk, pool: Any = None) -> None:
        self.desk = desk
        self.intake = SharedIntake(pool or desk.pool, book=BOOK, keys=desk.keys, entropy=desk.entropy)

    async def place(
        self, *asks: OrderAsk, key: str, body: str = "body", client: str = "acme"
    ) -> list[Accepted | Refused]:
        try:
            return await self.intake.submit(
                client=client,
                asks=asks,
                now=self.desk.now(),
                idempotency=(key, digest(body)),
                rails=self.desk.rail_capabilities,
                hold_kinds=HOLDS,
            )
        except Refused as refused:
            return [refused]

    async def place_all(self, asks: Sequence[OrderAsk]) -> list[Accepted | Refused]:
        """One request each, all at once."""
        answers = await asyncio.gather(*(self.place(ask, key=f"key {n}") for n, ask in enumerate(asks)))
        return [answer[0] for answer in answers]


def codes(answers: Sequence[Accepted | Refused]) -> list[str]:
    return ["accepted" if isinstance(a, Accepted) else a.code for a in answers]


async def count(desk: Desk, table: str = "orders") -> int:
    return int(await desk.pool.fetchval(f"SELECT count(*) FROM {table}"))


def flushes(pool: Statements) -> int:
    """How many shared statements were sent; the driver asks for types of its own accord."""
    return pool.texts.count(intake.SQL.accept)


async def whole(desk: Desk, orders: int) -> bool:
    """Whether there are so many orders, each with its work, its two claims for ever and its answer, and nothing else."""
    kept = [await count(desk, table) for table in ("orders", "work", "idempotency")]
    claims = await count(desk, "claims")
    lasting = await desk.pool.fetchval(
        "SELECT count(*) FROM claims c JOIN orders o ON o.book = c.book AND o.id = c.order_id WHERE c.expires_at IS NULL"
    )
    return kept == [orders] * 3 and claims == lasting == 2 * orders


async def test_an_order_is_the_same_row_whichever_way_it_came(desk: Desk) -> None:
    product: dict[str, Any] = {"product": "balance", "number": "13900139000", "notify_number": "13800138000"}
    for changes in ({}, product):
        long = desk.ask(client_ref="long", **changes)
        short = dataclasses.replace(long, client_ref="short", quote=desk.ask(**changes).quote)
        short = dataclasses.replace(short, card_code=None if changes else desk.new_code())
        (one,) = await submit(
            desk.pool, book=BOOK, client="acme", asks=[long], now=desk.now(), entropy=desk.entropy, keys=desk.keys,
            idempotency=("long", digest("body")), rails=desk.rail_capabilities, hold_kinds=HOLDS,
        )  # fmt: skip
        (other,) = await Process(desk).place(short, key="short")
        assert isinstance(one, Accepted)
        assert isinstance(other, Accepted)
        rows = [dict(r) for r in await desk.pool.fetch("SELECT * FROM orders ORDER BY client_ref")]
        assert [row["id"] for row in rows] == [one.order_id, other.order_id]
        assert [row["quote"] for row in rows] == [long.quote, short.quote]
        for row in rows:
            where = f"orders/payee/{row['id']}".encode()
            row["payee"] = desk.keys.unseal(purpose="payee", sealed=row["payee"], where=where)
            if row["card_code"] is not None:
                where = f"orders/card_code/{row['id']}".encode()
                code = desk.keys.unseal(purpose="card_code", sealed=row.pop("card_code"), where=where)
                assert code.decode() == (long if row["client_ref"] == "long" else short).card_code
            for name in ("id", "client_ref", "quote"):
                del row[name]
        assert rows[0] == rows[1]
        work = [dict(r) for r in await desk.pool.fetch("SELECT lane, seller, due_at FROM work")]
        assert work[0] == work[1]
        answers = [r["answer"] for r in await desk.pool.fetch("SELECT answer FROM idempotency ORDER BY key")]
        assert answers == [[{"order": one.order_id}], [{"order": other.order_id}]]
        for table in ("orders", "work", "claims", "idempotency"):
            await desk.pool.execute(f"DELETE FROM {table}")


async def test_what_comes_at_once_is_written_at_once_and_everybody_gets_the_own_answer(desk: Desk) -> None:
    pool = Statements(desk.pool)
    process = Process(desk, pool)
    asks = [desk.ask(client_ref=f"r-{n}", seller_ref=f"user-{n % 7}") for n in range(40)]
    answers = await process.place_all(asks)
    assert flushes(pool) == 1
    placed = {
        row["id"]: row["client_ref"] for row in await desk.pool.fetch("SELECT id, client_ref FROM orders")
    }
    assert [placed[a.order_id] for a in answers if isinstance(a, Accepted)] == [a.client_ref for a in asks]
    assert await whole(desk, 40)
    assert await count(desk, "parties") == 7
    # everybody who asks again hears the same
    again = await process.place_all(asks)
    assert again == [dataclasses.replace(a, replayed=True) for a in answers if isinstance(a, Accepted)]


async def test_nobody_waits_for_company_and_what_arrives_meanwhile_shares_the_next(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    begun, go_on = asyncio.Event(), asyncio.Event()
    accept = intake.accept

    async def slow(conn: Any, *, book: int, requests: Any) -> set[int]:
        written.append(len(requests))
        begun.set()
        await go_on.wait()
        return await accept(conn, book=book, requests=requests)

    monkeypatch.setattr(intake, "accept", slow)
    process = Process(desk)
    first = asyncio.create_task(process.place(desk.ask(), key="first"))
    await begun.wait()
    more = [desk.ask() for _ in range(9)]
    rest = asyncio.create_task(process.place_all(more))
    await asyncio.sleep(0.05)
    go_on.set()
    answers = [*await first, *await rest]
    assert codes(answers) == ["accepted"] * 10
    assert written == [1, 9]
    assert await whole(desk, 10)


async def test_a_statement_takes_only_so_many(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_SHARED", 5)
    pool = Statements(desk.pool)
    process = Process(desk, pool)
    assert codes(await process.place_all([desk.ask() for _ in range(12)])) == ["accepted"] * 12
    assert flushes(pool) == 3
    more = await process.place(*[desk.ask() for _ in range(7)], key="seven")  # one request is never divided
    assert codes(more) == ["accepted"] * 7
    assert flushes(pool) == 4


async def test_a_bad_one_among_good_ones_is_refused_alone(desk: Desk) -> None:
    process = Process(desk)
    used, spent = desk.ask(client_ref="taken"), desk.ask()
    await process.place_all([used, spent])
    answers = await asyncio.gather(
        process.place(desk.ask(), key="a"),
        process.place(desk.ask(card_code=used.card_code), key="b"),
        process.place(desk.ask(payee_name=" "), key="c"),
        process.place(dataclasses.replace(desk.ask(), quote=spent.quote), key="d"),
        process.place(desk.ask(client_ref="taken"), key="e"),
        process.place(desk.ask(), desk.ask(payee_account="?"), key="f"),
        process.place(desk.ask(), desk.ask(card_code=used.card_code), key="g"),
        process.place(desk.ask(), key="key 0", body="another"),
        process.place(desk.ask(seller_ref="user-2"), key="h"),
    )
    assert [codes(answer) for answer in answers] == [
        ["accepted"], ["card_duplicate"], ["payee_malformed"], ["quote_used"], ["client_ref_used"],
        ["accepted", "payee_malformed"], ["accepted", "card_duplicate"], ["idempotency_key_reused"], ["accepted"],
    ]  # fmt: skip
    assert [a.row for answer in answers for a in answer if isinstance(a, Refused) and a.row] == [
        1,
        1,
        1,
        1,
        2,
        2,
    ]
    assert await count(desk) == 6
    assert await count(desk, "claims") == 12


async def test_one_key_fifty_times_at_once_makes_one_order(desk: Desk) -> None:
    process, ask = Process(desk), desk.ask(client_ref="r")
    answers = await asyncio.gather(*(process.place(ask, key="k") for _ in range(50)))
    assert {codes(answer)[0] for answer in answers} == {"accepted"}
    assert len({a.order_id for (a,) in answers if isinstance(a, Accepted)}) == 1
    assert sum(isinstance(a, Accepted) and not a.replayed for (a,) in answers) == 1
    assert await whole(desk, 1)


async def test_one_key_with_many_bodies_at_once_stands_for_the_first(desk: Desk) -> None:
    process = Process(desk)
    answers = await asyncio.gather(*(process.place(desk.ask(), key="k", body=f"body {n}") for n in range(20)))
    assert codes([answer[0] for answer in answers]) == ["accepted"] + ["idempotency_key_reused"] * 19
    assert await whole(desk, 1)


@pytest.mark.parametrize("thing", ["card_duplicate", "quote_used", "client_ref_used"])
async def test_of_those_that_want_the_same_at_once_the_first_gets_it(desk: Desk, thing: str) -> None:
    process, code, quote = Process(desk), desk.new_code(), desk.quote()
    asks = {
        "card_duplicate": lambda n: desk.ask(card_code=code, seller_ref=f"user-{n}"),
        "quote_used": lambda n: desk.ask(quote=quote),
        "client_ref_used": lambda n: desk.ask(client_ref="the-same"),
    }
    answers = await process.place_all([asks[thing](n) for n in range(20)])
    assert codes(answers) == ["accepted"] + [thing] * 19
    assert await whole(desk, 1)


async def test_two_processes_that_want_the_same_at_the_same_moment_share_it_out(desk: Desk) -> None:
    processes = [Process(desk), Process(desk), Process(desk)]
    asks = [desk.ask(client_ref=f"r-{n}", seller_ref=f"user-{n}") for n in range(30)]
    orders = [asks, asks[::-1], asks[15:] + asks[:15]]
    answers = await asyncio.gather(
        *(
            asyncio.gather(*(process.place(ask, key=str(ask.client_ref)) for ask in mine))
            for process, mine in zip(processes, orders, strict=True)
        )
    )
    found = {a.order_id for each in answers for (a,) in each if isinstance(a, Accepted)}
    assert {code for each in answers for (code,) in map(codes, each)} == {
        "accepted"
    }  # twins hear the same answer
    assert len(found) == 30
    assert await whole(desk, 30)


async def test_a_request_that_nobody_waits_for_any_more_harms_no_neighbour(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    accept = intake.accept

    async def slow(conn: Any, *, book: int, requests: Any) -> set[int]:
        begun.set()
        await go_on.wait()
        return await accept(conn, book=book, requests=requests)

    monkeypatch.setattr(intake, "accept", slow)
    process = Process(desk)
    asks = [desk.ask() for _ in range(6)]
    tasks = [asyncio.create_task(process.place(ask, key=f"k{n}")) for n, ask in enumerate(asks[:3])]
    await begun.wait()
    tasks += [asyncio.create_task(process.place(ask, key=f"k{n}")) for n, ask in enumerate(asks[3:], start=3)]
    await asyncio.sleep(0)
    tasks[1].cancel()  # it is being written
    tasks[4].cancel()  # it is waiting for its turn
    await asyncio.sleep(0)
    go_on.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    gone = [isinstance(answer, asyncio.CancelledError) for answer in answers]
    assert gone == [False, True, False, False, True, False]
    assert await whole(desk, 5)
    (late,) = await process.place(asks[1], key="k1")
    assert isinstance(late, Accepted)
    assert late.replayed  # it was written although its caller had gone
    (never,) = await process.place(asks[4], key="k4")
    assert isinstance(never, Accepted)
    assert not never.replayed
    assert await whole(desk, 6)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_connection_lost_on_the_way_leaves_nobody_without_an_answer_and_nobody_twice(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    accept = intake.accept

    async def cut(conn: Any, *, book: int, requests: Any) -> set[int]:
        monkeypatch.setattr(intake, "accept", accept)
        if when == "after":
            await accept(conn, book=book, requests=requests)
        await conn.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        raise AssertionError("the connection outlived its end")

    monkeypatch.setattr(intake, "accept", cut)
    process = Process(desk)
    asks = [desk.ask(client_ref=f"r-{n}") for n in range(5)]
    answers = await process.place_all(asks)
    assert codes(answers) == ["accepted"] * 5
    assert {a.replayed for a in answers if isinstance(a, Accepted)} == {when == "after"}
    placed = {
        row["id"]: row["client_ref"] for row in await desk.pool.fetch("SELECT id, client_ref FROM orders")
    }
    assert [placed[a.order_id] for a in answers if isinstance(a, Accepted)] == [a.client_ref for a in asks]
    assert await whole(desk, 5)


async def test_a_statement_that_the_server_refuses_keeps_nothing_and_costs_only_its_cause(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = desk.ask()
    row = module._new_order

    def poisoned(one: Any, **options: Any) -> Any:
        made = row(one, **options)
        return made._replace(hold_kind="never heard of") if one.draft.payee_name == "毒" else made

    monkeypatch.setattr(module, "_new_order", poisoned)
    process = Process(desk)
    answers = await asyncio.gather(
        process.place(ask, key="a"),
        process.place(desk.ask(payee_name="毒"), key="b"),
        process.place(desk.ask(), key="c"),
        return_exceptions=True,
    )
    assert isinstance(answers[1], asyncpg.CheckViolationError)
    assert [codes(a) for a in (answers[0], answers[2]) if isinstance(a, list)] == [["accepted"]] * 2
    assert await count(desk) == 2


async def test_a_database_that_is_away_and_a_bug_reach_every_caller_and_the_intake_goes_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept, process = intake.accept, Process(desk)

    async def buggy(*_: Any, **__: Any) -> set[int]:
        raise ZeroDivisionError

    async def away(*_: Any, **__: Any) -> Any:
        raise ConnectionRefusedError

    monkeypatch.setattr(intake, "accept", buggy)
    tries = [process.place(desk.ask(), key=f"k{n}") for n in range(3)]
    assert [type(e) for e in await asyncio.gather(*tries, return_exceptions=True)] == [ZeroDivisionError] * 3
    monkeypatch.setattr(intake, "accept", away)
    monkeypatch.setattr(intake, "answer_of", away)
    tries = [process.place(desk.ask(), key=f"k{n}") for n in range(3)]
    assert [type(e) for e in await asyncio.gather(*tries, return_exceptions=True)] == [
        ConnectionRefusedError
    ] * 3
    monkeypatch.setattr(intake, "accept", accept)
    monkeypatch.undo()
    assert await count(desk, "claims") == 0
    assert codes(await process.place_all([desk.ask() for _ in range(3)])) == ["accepted"] * 3


async def test_claims_that_a_crash_left_behind_are_taken_over_by_the_same_request(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(BaseException):
        pass

    async def die(*_: Any, **__: Any) -> None:
        raise Died

    ask = desk.ask(client_ref="r")
    monkeypatch.setattr(module, "_insert", die)
    with pytest.raises(Died):
        await submit(
            desk.pool, book=BOOK, client="acme", asks=[ask], now=desk.now(), entropy=desk.entropy, keys=desk.keys,
            idempotency=("k", digest("body")), rails=desk.rail_capabilities, hold_kinds=HOLDS,
        )  # fmt: skip
    monkeypatch.undo()
    (claimed,) = {row["order_id"] for row in await desk.pool.fetch("SELECT order_id FROM claims")}
    assert await Process(desk).place(ask, key="k") == [Accepted(claimed)]
    assert await whole(desk, 1)


async def test_a_request_of_long_ago_gets_its_answer_although_its_quote_has_expired(desk: Desk) -> None:
    process, ask = Process(desk), desk.ask()
    (first,) = await process.place(ask, key="k")
    assert isinstance(first, Accepted)
    desk.pass_time(days=30)
    assert await process.place(ask, key="k") == [dataclasses.replace(first, replayed=True)]
    assert codes(await process.place(ask, key="other")) == ["quote_expired"]


async def test_a_seller_keeps_the_id_on_record_also_beside_a_new_index_key(desk: Desk) -> None:
    process = Process(desk)
    await process.place_all([desk.ask(), desk.ask(seller_ref="user-2")])
    desk.keys.rotate(purpose="seller_index")
    desk.keys.rotate(purpose="card_index")
    later = [desk.ask(), desk.ask(seller_ref="user-3"), desk.ask(seller_ref="user-3")]
    await asyncio.gather(*(process.place(ask, key=f"later {n}") for n, ask in enumerate(later)))
    rows = await desk.pool.fetch(
        "SELECT p.ref, count(*) AS n FROM orders o JOIN parties p ON p.book = o.book AND p.id = o.seller GROUP BY p.ref"
    )
    assert {row["ref"]: row["n"] for row in rows} == {"user-1": 2, "user-2": 1, "user-3": 2}
    assert await count(desk, "claims") == 2 * 2 + 3 * 3  # under both indexes while the key is being changed
