"""What a writer remembers is what the database has, whatever happened, and no more than it may hold."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from airback.engine import gather, memory
from airback.engine.inbox import append_cancel
from airback.ledger.accounts import account
from airback.simulator.run import simulate
from airback.store import books
from tests.engine.remembering import Differs, compare, every_step_compared
from tests.engine.street import BOOK, Street

pytestmark = pytest.mark.timeout(900)


async def test_the_memory_of_a_street_is_what_its_database_has(street: Street) -> None:
    asks = []
    for index, carrier in enumerate(street.carriers):
        number = street.line(f"1380000000{index}", carrier, 80_000)
        asks += [street.ask_balance(number, 45_000, seller="s1"), street.ask_card(street.card(carrier))]
    asks.append(street.ask_card(street.card(state="card_used"), seller="s1"))
    asks.append(street.ask_card(street.card(), seller="s1", payee="错名"))
    with every_step_compared() as compared:
        ids = await street.sell(*asks)
        await append_cancel(street.pool, book=1, order_id=ids[0], at=datetime.now(UTC))
        await street.settle()
    assert compared[0] > 20


async def test_a_bounded_memory_forgets_and_reads_again(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "MOST_ORDERS", 2)
    monkeypatch.setattr(memory, "MOST_ACCOUNTS", 3)
    asks = [street.ask_card(street.card(), seller="s1") for _ in range(6)]
    with every_step_compared() as compared:
        await street.sell(*asks)
        assert await street.settle() == Counter({"closed": 6})
    assert compared[0] > 0


async def test_money_that_comes_while_nothing_else_does_is_seen(street: Street) -> None:
    """A float credited in a batch without orders must not leave the float that was remembered before."""
    (order,) = await street.sell(street.ask_card(street.card()))
    writer = street.writer()._writer
    async with street.pool.acquire() as conn:
        epoch = await books.take(conn, book=BOOK, worker="w1", lease=timedelta(0))
        await writer.begin(conn, epoch)
        while await writer.step(conn):  # the first letters, and the order as far as its carrier
            pass
        fresh = writer._new_batch(datetime.now(UTC))
        await gather.facts(conn, fresh, writer._memory, order_ids={order}, payout_ids=[])
        writer._memory.keep(fresh)
        assert account("float").id in writer._memory.standings
        await street.deposit(777, action="finance:float:credit", outlet="float")
        assert await writer.step(conn)
        await compare(writer, conn)
        known = writer._memory.standings.get(account("float").id)
        assert known is None or known.credits_posted == 10_000_777
        await writer.close()


async def test_a_change_behind_the_writers_back_is_noticed(street: Street) -> None:
    """The comparison itself does not pass whatever it is shown."""
    (order,) = await street.sell(street.ask_card(street.card()))
    writer = street.writer()._writer
    async with street.pool.acquire() as conn:
        await writer._refresh(conn)
        fresh = writer._new_batch(datetime.now(UTC))
        await gather.facts(conn, fresh, writer._memory, order_ids={order}, payout_ids=[])
        writer._memory.keep(fresh)
        assert await compare(writer, conn) == 1
        await conn.execute("UPDATE orders SET attempts = attempts + 1")
        with pytest.raises(Differs, match="attempts is 1, remembered as 0"):
            await compare(writer, conn)


@pytest.mark.parametrize("seed", [6])
async def test_the_memory_of_a_simulated_year_is_what_its_database_has(server_url: str, seed: int) -> None:
    with every_step_compared() as compared:
        report = await simulate(server_url, seed=seed, orders=80, progress=lambda *_: None)
    assert report.get("found", []) == []
    assert compared[0] > 100
