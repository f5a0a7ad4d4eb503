"""Accepting orders when several want the same thing at once, and when a process dies on the way."""

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from airback.domain.refusals import Refused
from airback.engine import submit as module
from airback.engine.submit import Accepted, OrderAsk, submit
from airback.store import intake
from tests.api.desk import BOOK, HOLDS, Desk, digest, open_desk


@pytest.fixture
def desk(pool: asyncpg.Pool, tmp_path: Path) -> Desk:
    return open_desk(pool, tmp_path / "keys")


async def place(desk: Desk, *asks: OrderAsk, key: str | None = None, body: str = "body") -> list[Any]:
    return await submit(
        desk.pool,
        book=BOOK,
        client="acme",
        asks=asks,
        now=desk.now(),
        entropy=desk.entropy,
        keys=desk.keys,
        idempotency=None if key is None else (key, digest(body)),
        rails=desk.rail_capabilities,
        hold_kinds=HOLDS,
    )


def codes(answers: list[Any]) -> list[str]:
    return ["accepted" if isinstance(a, Accepted) else a.code for a in answers]


async def count(desk: Desk, table: str = "orders") -> int:
    return int(await desk.pool.fetchval(f"SELECT count(*) FROM {table}"))


class Died(BaseException):
    """The process ended here."""


@pytest.fixture
def dies_before_inserting(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The next request ends between its claims and its orders, as a killed process would."""
    whole = module._insert

    async def die(*args: Any, **kwargs: Any) -> None:
        monkeypatch.setattr(module, "_insert", whole)
        raise Died

    def arm() -> None:
        monkeypatch.setattr(module, "_insert", die)

    return arm


async def test_fifty_identical_requests_at_once_make_one_order(desk: Desk) -> None:
    ask = desk.ask(client_ref="r")
    answers = await asyncio.gather(*(place(desk, ask, key="k") for _ in range(50)))
    assert {codes(answer)[0] for answer in answers} == {"accepted"}
    assert len({answer[0].order_id for answer in answers}) == 1
    assert sum(not answer[0].replayed for answer in answers) == 1
    assert await count(desk) == await count(desk, "work") == await count(desk, "idempotency") == 1


async def test_one_key_with_fifty_bodies_at_once_makes_one_order(desk: Desk) -> None:
    async def one(n: int) -> str:
        try:
            return codes(await place(desk, desk.ask(), key="k", body=f"body {n}"))[0]
        except Refused as refused:
            return refused.code

    answers = await asyncio.gather(*(one(n) for n in range(50)))
    assert sorted(set(answers)) == ["accepted", "idempotency_key_reused"]
    assert answers.count("accepted") == 1
    assert await count(desk) == 1
    assert await count(desk, "claims") == 2  # nothing is left of those that lost


async def test_a_card_in_twenty_requests_at_once_is_accepted_once(desk: Desk) -> None:
    code = desk.new_code()
    asks = [desk.ask(card_code=code, seller_ref=f"user-{n}") for n in range(20)]
    answers = await asyncio.gather(*(place(desk, ask, key=f"k{n}") for n, ask in enumerate(asks)))
    said = [codes(answer)[0] for answer in answers]
    assert said.count("accepted") == 1
    assert said.count("card_duplicate") == 19
    assert await count(desk) == 1
    assert await count(desk, "claims") == 2


async def test_a_quote_in_twenty_requests_at_once_is_used_once(desk: Desk) -> None:
    quote = desk.quote()
    answers = await asyncio.gather(*(place(desk, desk.ask(quote=quote)) for _ in range(20)))
    said = [codes(answer)[0] for answer in answers]
    assert said.count("accepted") == 1
    assert said.count("quote_used") == 19
    assert await count(desk) == 1
    permanent = await desk.pool.fetchval("SELECT count(*) FROM claims WHERE expires_at IS NULL")
    assert (permanent, await count(desk, "claims")) == (2, 2)


async def test_batches_with_the_same_things_in_other_orders_never_wait_crosswise(desk: Desk) -> None:
    asks = [desk.ask(client_ref=f"r-{n}", seller_ref=f"user-{n}") for n in range(20)]
    batches = [asks, asks[::-1], asks[10:] + asks[:10], asks[::2] + asks[1::2]]
    answers = await asyncio.gather(*(place(desk, *batch) for batch in batches))
    assert sum(codes(answer).count("accepted") for answer in answers) == 20
    assert await count(desk) == 20


async def test_the_same_request_after_a_crash_takes_over_its_own_claims(
    desk: Desk, dies_before_inserting: Any
) -> None:
    ask = desk.ask(client_ref="r")
    dies_before_inserting()
    with pytest.raises(Died):
        await place(desk, ask, key="k")
    assert (await count(desk), await count(desk, "claims")) == (0, 2)
    (claimed,) = {row["order_id"] for row in await desk.pool.fetch("SELECT order_id FROM claims")}
    desk.pass_time(seconds=5)
    (again,) = await place(desk, ask, key="k")
    assert again == Accepted(claimed)  # the id assigned before the crash
    assert await count(desk) == 1


async def test_after_a_crash_another_seller_gets_the_card_when_the_claim_has_expired(
    desk: Desk, dies_before_inserting: Any
) -> None:
    code = desk.new_code()
    dies_before_inserting()
    with pytest.raises(Died):
        await place(desk, desk.ask(card_code=code))
    desk.pass_time(minutes=9)
    assert codes(await place(desk, desk.ask(card_code=code, seller_ref="user-2"))) == ["card_duplicate"]
    desk.pass_time(minutes=2)
    assert codes(await place(desk, desk.ask(card_code=code, seller_ref="user-2"))) == ["accepted"]


async def test_a_sleeper_whose_claims_were_taken_over_inserts_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = desk.new_code()
    sleeper = desk.ask(card_code=code)
    whole, awake, asleep = module._insert, asyncio.Event(), asyncio.Event()

    async def sleep(*args: Any, **kwargs: Any) -> None:
        if not asleep.is_set():
            asleep.set()
            await awake.wait()
        await whole(*args, **kwargs)

    monkeypatch.setattr(module, "_insert", sleep)
    sleeping = asyncio.create_task(place(desk, sleeper))
    await asleep.wait()
    desk.pass_time(minutes=11)
    assert codes(await place(desk, desk.ask(card_code=code, seller_ref="user-2"))) == ["accepted"]
    awake.set()
    assert codes(await sleeping) == ["card_duplicate"]
    assert await count(desk) == 1
    assert await count(desk, "claims") == 2


async def test_a_reference_taken_between_claim_and_insert_is_refused_and_frees_the_card(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = intake.taken_refs

    async def none_yet(*args: Any, **kwargs: Any) -> set[str]:
        await taken(*args, **kwargs)
        return set()

    assert codes(await place(desk, desk.ask(client_ref="r"))) == ["accepted"]
    monkeypatch.setattr(intake, "taken_refs", none_yet)
    ask = desk.ask(client_ref="r")
    assert codes(await place(desk, ask, desk.ask())) == ["client_ref_used", "accepted"]
    assert codes(await place(desk, dataclasses.replace(ask, client_ref="r2"))) == ["accepted"]


async def test_a_refused_twin_takes_nothing_from_the_request_that_came_first(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = desk.new_code()
    assert codes(await place(desk, desk.ask(card_code=used, seller_ref="user-2"))) == ["accepted"]
    first = desk.ask()
    whole, awake, asleep = module._insert, asyncio.Event(), asyncio.Event()

    async def sleep(*args: Any, **kwargs: Any) -> None:
        if not asleep.is_set():
            asleep.set()
            await awake.wait()
        await whole(*args, **kwargs)

    monkeypatch.setattr(module, "_insert", sleep)
    sleeping = asyncio.create_task(place(desk, first))
    await asleep.wait()
    twin = dataclasses.replace(first, card_code=used)
    assert codes(await place(desk, twin)) == ["card_duplicate"]
    awake.set()
    assert codes(await sleeping) == ["accepted"]
