"""Where orders go: by net value where outlets have terms, around outlets that refuse, and why it was so."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from airback.domain.effects import Outcome, Result
from airback.domain.ports.carrier import TransferRequest
from airback.market.health import Watch
from tests.engine.street import Street
from tests.engine.test_lifecycle import assert_clean


@pytest.fixture
async def market(street: Street) -> Street:
    """Two outlets with money: `shop` pays more, `shop2` less."""
    await street.pool.execute("DELETE FROM open_demands")
    await street.deposit(100_000_000, outlet="shop2")
    await street.settle()  # so that the money is there before the first order
    await street.demands("cmcc", *[10_000] * 40, price_ppm=985_000)
    await street.demands("cmcc", *[10_000] * 40, price_ppm=980_000, outlet="shop2")
    return street


def refuse(street: Street, refuses: Callable[[str], bool]) -> None:
    """Numbers of which `refuses` is true take nothing from now on."""
    carrier = street.carriers["cmcc"]
    real = carrier.transfer

    async def transfer(request: TransferRequest) -> Outcome:
        if refuses(request.to_number):
            return Outcome(Result.FAILED, code="target_refused")
        return await real(request)

    carrier.transfer = transfer  # type: ignore[method-assign]


async def sell(street: Street, count: int, face_fen: int = 10_000) -> None:
    for _ in range(count):
        number = f"138{len(street.subscribers.lines):08d}"
        await street.sell(street.ask_balance(street.line(number), face_fen))


async def agree(street: Street, outlet: str, **changes: Any) -> None:
    """Terms that cost nothing beside what `changes` says."""
    rate = {
        "carrier": "cmcc",
        "product": "balance",
        "least_fen": 1,
        "most_fen": 10_000_000,
        "price_ppm": 980_000,
    }
    terms = {
        "kind": "reseller",
        "rates": [rate],
        "order_least_fen": 100,
        "order_most_fen": 20_000,
        "daily_fen": 10_000_000,
        "delay_s": 0,
        "fee_ppm": 0,
        "fee_fen": 0,
        "funds": "bank",
        "per_minute": 1000,
        "settle_from_days": 0,
        "settle_to_days": 0,
        "source": "test",
    }
    await street.pool.execute(
        "INSERT INTO outlet_terms VALUES (1, $1, 1, $2, '2026-01-01Z', 'a', 'b', '2026-01-01Z')",
        outlet,
        terms | changes,
    )


async def delivered(street: Street) -> Counter[str]:
    rows = await street.pool.fetch(
        "SELECT outlet, count(*) AS n FROM fills WHERE state = 'delivered' GROUP BY 1"
    )
    return Counter({row["outlet"]: row["n"] for row in rows})


async def test_a_fill_keeps_why_it_went_there(market: Street) -> None:
    await sell(market, 1)
    assert await market.settle() == Counter({"closed": 1})
    assert await market.pool.fetchval("SELECT routed FROM fills") == {
        "worth": 985_000,
        "passed": [],  # the next four demands are of the same outlet
    }
    await market.pool.execute("UPDATE open_demands SET open_fen = 5000 WHERE outlet = 'shop'")
    await market.sell(market.ask_card(market.card("cmcc", 10_000)))
    await market.settle()
    routed = await market.pool.fetchval("SELECT routed FROM fills WHERE outlet = 'shop2'")
    assert routed == {
        "worth": 980_000,
        "passed": [],
    }  # a card's demands are read by what they can take at once


async def test_an_outlet_that_refuses_leaves_the_pool_and_comes_back_by_probes(market: Street) -> None:
    watch = Watch(least=3, rest=timedelta(milliseconds=400), probes=2)
    market.policy = replace(market.policy, watch=watch)
    of_shop = {
        row["number"] for row in await market.pool.fetch("SELECT number FROM demands WHERE outlet = 'shop'")
    }
    refusing = True
    refuse(market, lambda number: refusing and number in of_shop)
    await sell(market, 6)
    assert await market.settle() == Counter({"closed": 6})
    assert set(await delivered(market)) <= {"shop2", "house"}
    health = await market.pool.fetchrow("SELECT * FROM outlet_health WHERE outlet = 'shop'")
    assert health["state"] in ("resting", "probing")
    alarm = "SELECT count(*) FROM alarms WHERE kind = 'outlet_resting' AND closed_at IS NULL"
    assert await market.pool.fetchval(alarm) == 1

    refusing = False
    for _ in range(20):
        await asyncio.sleep(0.2)
        await sell(market, 1, 5_000)
        await market.settle()
        if await market.pool.fetchval("SELECT state FROM outlet_health WHERE outlet = 'shop'") == "well":
            break
    else:
        pytest.fail("it never came back")
    assert (await delivered(market))["shop"] >= watch.probes
    assert await market.pool.fetchval(alarm) == 0
    actions = [
        row["action"] for row in await market.pool.fetch("SELECT action FROM events WHERE order_id IS NULL")
    ]
    assert "engine:outlet:resting" in actions
    assert actions[-1] == "engine:outlet:well"
    await assert_clean(market)


async def test_a_resting_outlet_is_passed_over_by_the_next_writer_too(market: Street) -> None:
    await market.pool.execute(
        "INSERT INTO outlet_health (book, outlet, state, since, until, rests, probes_taken, taken, refused, taken_before,"
        " refused_before) VALUES (1, 'shop', 'resting', now(), now() + interval '1 h', 1, 0, 0, 5, 0, 0)"
    )
    await sell(market, 2)
    assert await market.settle() == Counter({"closed": 2})
    assert await delivered(market) == Counter({"shop2": 2})
    routed = await market.pool.fetchval("SELECT routed FROM fills LIMIT 1")
    assert routed["passed"] == [["shop", 985_000, "resting"]]


async def test_terms_decide_by_net_value_and_their_limits_are_carried_on(market: Street) -> None:
    await agree(market, "shop", fee_ppm=10_000)
    await agree(market, "shop2", daily_fen=20_000)
    market.pace = replace(market.pace, batch=1)  # each order in a batch of its own
    await sell(market, 3)
    assert await market.settle() == Counter({"closed": 3})
    assert await delivered(market) == Counter({"shop2": 2, "shop": 1})
    routed = await market.pool.fetchval("SELECT routed FROM fills WHERE outlet = 'shop'")
    assert routed == {"worth": 975_000, "passed": [["shop2", 980_000, "daily_limit"]]}
    await assert_clean(market)


async def test_a_cheap_demand_that_is_worth_more_is_read_behind_many_dear_ones(market: Street) -> None:
    await market.demands("cmcc", *[10_000] * 600, price_ppm=984_000)
    await agree(market, "shop", fee_ppm=30_000)
    await sell(market, 1)
    assert await market.settle() == Counter({"closed": 1})
    assert await delivered(market) == Counter({"shop2": 1})


async def test_a_fill_given_back_frees_its_probe(market: Street) -> None:
    """The carrier refuses the hold: the outlet was not asked, and the next order may be its probe."""
    await market.pool.execute(
        "INSERT INTO outlet_health (book, outlet, state, since, until, rests, probes_taken, taken, refused, taken_before,"
        " refused_before) VALUES (1, 'shop', 'resting', now(), now() - interval '1 s', 1, 0, 0, 5, 0, 0)"
    )
    carrier = market.carriers["cmcc"]
    real = carrier.hold
    asked = 0

    async def hold(request):  # type: ignore[no-untyped-def]
        nonlocal asked
        asked += 1
        return Outcome(Result.FAILED, code="hold_refused") if asked == 1 else await real(request)

    carrier.hold = hold  # type: ignore[method-assign]
    await sell(market, 1, 5_000)
    assert await market.settle() == Counter({"declined:hold_refused": 1})
    row = await market.pool.fetchrow("SELECT state, probe FROM outlet_health WHERE outlet = 'shop'")
    assert tuple(row) == ("probing", None)
    await sell(market, 1, 5_000)
    await market.settle()
    row = await market.pool.fetchrow(
        "SELECT state, probe, probes_taken FROM outlet_health WHERE outlet = 'shop'"
    )
    assert tuple(row) == ("probing", None, 1)
