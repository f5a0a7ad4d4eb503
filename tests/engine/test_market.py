"""Orders and demands at their edges: hidden markets, withdrawals, parts that come back, amounts of nothing."""

import asyncio
from collections import Counter
from datetime import UTC, datetime

from airback.domain.effects import Kind, Outcome, Result
from airback.domain.ports.carrier import TransferRequest
from airback.engine.inbox import append_withdraw
from tests.engine.street import BOOK, Street
from tests.engine.test_lifecycle import assert_clean


async def tiny_demands(street: Street, count: int) -> None:
    """Many demands of one yuan each, dearer than all others."""
    await street.pool.execute(
        """WITH d AS (SELECT i, 1000 + i AS id FROM generate_series(1, $1) AS i), placed AS (
               INSERT INTO demands (book, id, outlet, carrier, number, amount_fen, price_ppm, deadline_at, created_at)
               SELECT 1, id, 'shop', 'cmcc', '198' || lpad(i::text, 8, '0'), 100, 990000, now() + interval '2 h', now() FROM d)
           INSERT INTO open_demands (book, id, outlet, carrier, number, price_ppm, open_fen, deadline_at)
           SELECT 1, id, 'shop', 'cmcc', '198' || lpad(i::text, 8, '0'), 990000, 100, now() + interval '2 h' FROM d""",
        count,
    )


async def test_tiny_demands_hide_the_market_from_no_card(street: Street) -> None:
    await tiny_demands(street, 600)
    await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    assert await street.settle() == Counter({"closed": 1})


async def test_demands_are_read_until_the_batch_is_filled(street: Street) -> None:
    await tiny_demands(street, 600)
    # its own number's demands take nothing: one page alone would not do
    await street.pool.execute("UPDATE open_demands SET number = '13800000001' WHERE price_ppm = 990000")
    await street.sell(street.ask_balance(street.line("13800000001"), 20_000))
    assert await street.settle() == Counter({"closed": 1})


async def test_a_demand_withdrawn_in_the_same_batch_is_not_filled(street: Street) -> None:
    await street.pool.execute("DELETE FROM open_demands")
    (demand,) = await street.demands("cmcc", 30_000)
    await append_withdraw(street.pool, book=BOOK, demand_id=demand, outlet="shop", at=datetime.now(UTC))
    await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    assert await street.settle() == Counter({"declined:no_outlet": 1})
    assert street.carriers["cmcc"].calls == Counter()


async def test_what_comes_back_of_a_withdrawn_demand_stays_withdrawn(street: Street) -> None:
    await street.pool.execute("DELETE FROM open_demands")
    (demand,) = await street.demands("cmcc", 10_000)
    carrier = street.carriers["cmcc"]
    real = carrier.transfer

    async def refuses_after_withdrawal(request: TransferRequest) -> Outcome:
        if request.to_number == "19900000000":
            return await real(request)
        await append_withdraw(street.pool, book=BOOK, demand_id=demand, outlet="shop", at=datetime.now(UTC))
        while await street.pool.fetchval("SELECT count(*) FROM inbox"):
            await asyncio.sleep(0.01)
        return Outcome(Result.FAILED, code="target_refused")

    carrier.transfer = refuses_after_withdrawal  # type: ignore[method-assign]
    await street.sell(street.ask_balance(street.line("13800000001"), 10_000))
    assert await street.settle() == Counter({"closed": 1})  # the house took it
    assert await street.pool.fetchval("SELECT count(*) FROM open_demands") == 0
    await assert_clean(street)


async def test_what_was_not_delivered_of_a_demand_is_wanted_again(street: Street) -> None:
    street.carriers["cmcc"].plan[Kind.TRANSFER].append(
        lambda o: Outcome(Result.SUCCEEDED, far_ref="x", amount_fen=4_000)
    )
    await street.sell(street.ask_balance(street.line("13800000001"), 10_000))
    assert await street.settle() == Counter({"closed": 1})
    still = await street.pool.fetchval("SELECT sum(open_fen) FROM open_demands WHERE carrier = 'cmcc'")
    assert still == 12 * 30_000 - 10_000


async def test_a_card_that_is_worth_more_than_its_outlet_pays_leaves_sellers_money_covered(
    street: Street,
) -> None:
    """A larger card has a better rate than the one it was sold as, and its outlet bought at the rate of that one."""
    await street.pool.execute("DELETE FROM open_demands")
    await street.settle()
    await street.demands("cmcc", 60_000, price_ppm=861_000)
    (order,) = await street.sell(street.ask_card(street.card("cmcc", 3_000, true_fen=50_000)))
    assert await street.settle() == Counter({"closed": 1})
    short = (await street.order(order))["net_fen"] - 50_000 * 861_000 // 1_000_000
    assert short > 0
    assert await street.balance("cash:own") == 10_000_000 - short
    await assert_clean(street)


async def test_a_hold_of_nothing_is_no_hold(street: Street) -> None:
    street.carriers["cmcc"].plan[Kind.HOLD].append(
        lambda o: Outcome(Result.SUCCEEDED, far_ref="x", amount_fen=0)
    )
    await street.sell(street.ask_balance(street.line("13800000001"), 10_000))
    assert await street.settle() == Counter({"declined:hold_refused": 1})
    assert await street.balance("held", "cmcc.balance") == 0
    row = await street.pool.fetchrow("SELECT debits_pending FROM accounts WHERE code = 'deposit:shop'")
    assert row["debits_pending"] == 0
