"""Published classes: what closed is counted once, and whoever meets a class's thresholds is in it, for as long as they do."""

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

from airback.engine.classify import classify
from airback.pricing.default_card import DEFAULT_CARD
from airback.queries.price_facts import PriceFacts
from airback.store import books
from tests.engine.street import BOOK, CARD, Street


async def publish(street: Street, version: int, *thresholds: tuple[str, int, int]) -> None:
    """A card whose classes begin at these (name, face value in fen, orders)."""
    document: dict[str, Any] = copy.deepcopy(DEFAULT_CARD)
    document["version"] = version
    document["factors"]["standing"]["classes"] = [
        {"name": name, "zh": name, "en": name, "least_face_fen": face, "least_orders": orders, "rate_ppm": n * 1000}
        for n, (name, face, orders) in enumerate(thresholds)
    ]  # fmt: skip
    await street.pool.execute(
        "INSERT INTO rate_cards (book, version, document, effective_at, proposed_by, approved_by, created_at) "
        "VALUES ($1, $2, $3, $4, 'a', 'b', $4)",
        BOOK, version, document, datetime.now(UTC) - timedelta(seconds=1),
    )  # fmt: skip


async def run(street: Street, *, later: timedelta = timedelta(0)) -> int:
    async with street.pool.acquire() as conn:
        return await classify(conn, book=BOOK, now=datetime.now(UTC) + later)


async def classes(street: Street) -> dict[str, str]:
    rows = await street.pool.fetch("SELECT client, ref, class FROM seller_classes WHERE book = $1", BOOK)
    return {f"{row['client']}/{row['ref']}": row["class"] for row in rows}


async def test_sellers_rise_by_what_they_closed_and_fall_when_it_is_long_ago(street: Street) -> None:
    await publish(street, 2, ("basic", 0, 0), ("silver", 20_000, 2), ("gold", 1_000_000, 2))
    for seller, cards in (("s1", 2), ("s2", 1)):
        for _ in range(cards):
            await street.sell(street.ask_card(street.card(face_fen=10_000), seller=seller))
    await street.settle()
    assert await run(street) == 1
    assert await classes(street) == {"test/s1": "silver"}
    assert await run(street) == 0  # nothing is counted twice
    await street.sell(street.ask_card(street.card(face_fen=10_000), seller="s2"))
    await street.settle()
    assert await run(street) == 1
    assert await classes(street) == {"test/s1": "silver", "test/s2": "silver"}
    found = await street.pool.fetch("SELECT orders, face_fen FROM seller_days WHERE book = $1", BOOK)
    assert [tuple(row) for row in found] == [(2, 20_000), (2, 20_000)]
    assert await run(street, later=timedelta(days=91)) == 2
    assert set((await classes(street)).values()) == {"basic"}


async def test_another_card_classes_everybody_anew(street: Street) -> None:
    await street.sell(street.ask_card(street.card(face_fen=10_000)))
    await street.settle()
    assert await run(street) == 0  # by the default card one order is not enough
    await publish(street, 2, ("basic", 0, 0), ("known", 10_000, 1))
    assert await run(street) == 1
    assert await classes(street) == {"test/s1": "known"}


async def test_a_card_without_classes_and_a_book_without_a_card_class_nobody(street: Street) -> None:
    document = copy.deepcopy(DEFAULT_CARD)
    document["version"] = 2
    del document["factors"]["standing"]
    await street.pool.execute(
        "INSERT INTO rate_cards (book, version, document, effective_at, proposed_by, approved_by, created_at) "
        "VALUES ($1, 2, $2, $3, 'a', 'b', $3)", BOOK, document, datetime.now(UTC) - timedelta(seconds=1),
    )  # fmt: skip
    assert await run(street) == 0
    await books.create(street.pool, book=77, name="Empty", now=datetime.now(UTC))
    async with street.pool.acquire() as conn:
        assert await classify(conn, book=77, now=datetime.now(UTC)) == 0


async def test_prices_read_demand_the_best_bid_and_the_class(street: Street) -> None:
    await publish(street, 2, ("basic", 0, 0), ("silver", 10_000, 1))
    facts = PriceFacts(book=BOOK)
    now = datetime.now(UTC)
    before = await facts.read(street.pool, card=CARD, now=now)
    assert before.class_of("test/s1") == "basic"
    read = before.of("cmcc", "card", "basic")
    row = await street.pool.fetchrow(
        "SELECT sum(open_fen)::bigint, max(price_ppm) FROM open_demands WHERE book = $1 AND carrier = 'cmcc'", BOOK
    )  # fmt: skip
    assert (read.demand_fen, read.outlet_ppm, read.cap) == (row[0], row[1], None)
    assert read.demand_fen == 12 * 30_000
    await street.sell(street.ask_card(street.card(face_fen=10_000)))
    await street.settle()
    await run(street)
    after = await facts.read(street.pool, card=CARD, now=now)
    assert (after.class_of("test/s1"), after.class_of("test/s2")) == ("silver", "basic")
    assert (await facts.read(street.pool, card=CARD, now=now)).class_of("test/s1") == "silver"
    none = await facts.read(street.pool, card=None, now=now + timedelta(days=30))
    assert none.class_of("test/s1") is None  # and no demand is open any more
    assert none.of("cmcc", "card").outlet_ppm is None


async def test_bids_that_no_order_goes_to_bound_prices_only_where_there_is_no_other(street: Street) -> None:
    now = datetime.now(UTC)
    await street.pool.execute("DELETE FROM open_demands")
    await street.demands("cmcc", 10_000, price_ppm=960_000, outlet="shop")
    await street.demands("cmcc", 20_000, price_ppm=900_000, outlet="shop2")

    async def read() -> tuple[int | None, int | None]:
        found = (await PriceFacts(book=BOOK).read(street.pool, card=CARD, now=now)).of("cmcc", "card")
        return found.demand_fen, found.outlet_ppm

    async def pause(outlet: str) -> None:
        await street.pool.execute(
            "INSERT INTO pauses (book, id, kind, subject, reason_zh, reason_en, since, begun_by) "
            "VALUES ($1, (SELECT 1 + count(*) FROM pauses), 'outlet', $2, '检修', 'repair', $3, 'a')",
            BOOK, outlet, now - timedelta(minutes=1),
        )  # fmt: skip

    assert await read() == (30_000, 960_000)
    await street.pool.execute(
        "INSERT INTO outlet_health (book, outlet, state, since, until, rests, probes_taken, taken, refused, taken_before, refused_before) "
        "VALUES ($1, 'shop', 'resting', $2, $3, 1, 0, 0, 0, 0, 0)",
        BOOK, now, now + timedelta(minutes=1),
    )  # fmt: skip
    assert await read() == (20_000, 900_000)
    await street.pool.execute("UPDATE outlet_health SET until = $1", now)  # it may be probed again
    assert await read() == (30_000, 960_000)
    await pause("shop")
    assert await read() == (20_000, 900_000)
    await pause("shop2")
    assert await read() == (0, 960_000)
