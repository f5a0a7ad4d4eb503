"""Standing bids beside the writer: taken back while fills are under way, and never in the writer's way."""

import asyncio
import secrets
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from airback.domain.effects import Outcome, Result
from airback.domain.ports.carrier import HoldRequest
from airback.domain.refusals import Refused
from airback.engine import stand
from tests.engine.street import BOOK, Street
from tests.engine.test_lifecycle import assert_clean

NUMBER = "13900000001"


async def place(street: Street, **changes: Any) -> int:
    values: dict[str, Any] = {
        "carrier": "cmcc",
        "numbers": [NUMBER],
        "price_ppm": 985_000,
        "order_fen": 10_000,
        "daily_fen": 100_000,
    }
    if NUMBER not in street.subscribers.lines:
        street.line(NUMBER)
    return await stand.place(
        street.pool,
        book=BOOK,
        outlet="shop",
        ask=stand.BidAsk(**(values | changes)),
        subscribers=street.subscribers,
        now=datetime.now(UTC),
        entropy=secrets.token_bytes,
    )


async def withdraw(street: Street, bid_id: int) -> None:
    async with street.pool.acquire() as conn:
        await stand.withdraw(conn, book=BOOK, outlet="shop", bid_id=bid_id, at=datetime.now(UTC))


async def open_numbers(street: Street) -> list[str]:
    return [row["number"] for row in await street.pool.fetch("SELECT number FROM open_demands")]


@pytest.fixture
async def quiet(street: Street) -> Street:
    """Nobody else bids, and the outlet's money is there."""
    await street.pool.execute("DELETE FROM open_demands")
    await street.settle()
    return street


async def test_what_comes_back_of_a_withdrawn_bid_is_not_wanted_again(quiet: Street) -> None:
    bid = await place(quiet, daily_fen=10_000)
    carrier = quiet.carriers["cmcc"]

    async def refuses_after_withdrawal(request: HoldRequest) -> Outcome:
        assert await open_numbers(quiet) == []  # all of it is earmarked
        await withdraw(quiet, bid)
        while await quiet.pool.fetchval("SELECT count(*) FROM inbox"):
            await asyncio.sleep(0.01)
        return Outcome(Result.FAILED, code="hold_refused")

    carrier.hold = refuses_after_withdrawal  # type: ignore[method-assign]
    await quiet.sell(quiet.ask_balance(quiet.line("13800000001"), 10_000))
    assert await quiet.settle() == Counter({"declined:hold_refused": 1})
    assert await open_numbers(quiet) == []
    await assert_clean(quiet)


async def test_a_bid_that_is_withdrawn_while_demands_are_made_from_it_leaves_none(quiet: Street) -> None:
    bid = await place(quiet)
    await quiet.pool.execute("DELETE FROM open_demands")
    async with quiet.pool.acquire() as conn, conn.transaction():
        # the writer in the midst of making the next one
        assert await stand.demands.lock_outlet(conn, book=BOOK, outlet="shop")
        await stand._refill(
            conn, book=BOOK, outlet="shop", now=datetime.now(UTC), entropy=secrets.token_bytes
        )
        withdrawing = asyncio.create_task(withdraw(quiet, bid))
        await asyncio.sleep(0.2)
    await withdrawing
    await quiet.settle()
    assert await open_numbers(quiet) == []


async def test_the_writer_waits_for_nobody_who_places_demands(quiet: Street) -> None:
    await place(quiet)
    async with quiet.pool.acquire() as conn, conn.transaction():
        await stand.demands.lock_outlet(conn, book=BOOK, outlet="shop")
        await quiet.sell(quiet.ask_card(quiet.card("cmcc", 10_000)))
        assert await quiet.settle(timeout_s=8) == Counter({"closed": 1})


async def test_an_outlet_has_no_more_bids_than_the_writer_can_look_at(
    quiet: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stand, "MOST_BIDS", 1)
    bid = await place(quiet, client_ref="a")
    with pytest.raises(Refused, match="bids_too_many"):
        await place(quiet, client_ref="b")
    await withdraw(quiet, bid)
    await place(quiet, client_ref="c")


async def test_each_number_wants_one_demand_within_the_bids_limits(quiet: Street) -> None:
    others = [quiet.line(f"1390000001{n}") for n in range(3)]
    await place(quiet, numbers=[NUMBER, *others], daily_fen=25_000, total_fen=25_000)
    rows = await quiet.pool.fetch("SELECT number, open_fen FROM open_demands ORDER BY number")
    assert [tuple(row) for row in rows] == [(NUMBER, 10_000), (others[0], 10_000), (others[1], 5_000)]
    await quiet.sell(quiet.ask_card(quiet.card("cmcc", 10_000)))
    await quiet.settle()
    async with quiet.pool.acquire() as conn:
        await stand.refill(conn, book=BOOK, now=datetime.now(UTC), entropy=secrets.token_bytes)
    rows = await quiet.pool.fetch("SELECT number, open_fen FROM open_demands ORDER BY number")
    assert [tuple(row) for row in rows] == [(others[0], 10_000), (others[1], 5_000)]  # the day is full
