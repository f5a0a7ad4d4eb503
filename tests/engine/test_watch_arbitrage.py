"""The arbitrage watch on a real database: caps, alarms and the log; the daily limit at the intake; two people's word."""

import asyncio
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from airback.domain import ids
from airback.domain.refusals import Refused
from airback.engine import watch_arbitrage
from airback.engine.submit import OrderAsk
from airback.engine.watch_arbitrage import record_promotion, report, watch_book, withdraw_promotion
from airback.pricing.arbitrage import NewPromotion
from airback.pricing.default_card import DEFAULT_CARD
from airback.store import books, price_caps
from tests.api.desk import BOOK, NOW, SELLER, Desk, digest, open_desk
from tests.engine.street import Street
from tests.engine.test_review import approve
from tests.engine.test_shared_intake import Process
from tests.engine.test_submit import Statements, codes, place

PRICING = ["pricing"]


def new(**changes: Any) -> NewPromotion:
    values: dict[str, Any] = {
        "carrier": "cmcc",
        "product": "card",
        "buy_ppm": 750_000,
        "since": NOW - timedelta(hours=1),
        "until": NOW + timedelta(days=1),
        "per_account_fen": None,
        "leaves_ppm": 12_000,
        "per_seller_fen_per_day": 20_000,
        "source": "双十一公告",
    }
    return NewPromotion(**(values | changes))


@pytest.fixture
async def desk(pool: asyncpg.Pool, tmp_path: Path) -> Desk:
    async with pool.acquire() as conn:
        await books.create(conn, book=BOOK, name="x", now=NOW)
        await books.publish_first(conn, book=BOOK, document=DEFAULT_CARD, now=NOW)
    return open_desk(pool, tmp_path / "keys")


async def put(desk: Desk, *, roles: Sequence[str] = PRICING, **changes: Any) -> int:
    async with desk.pool.acquire() as conn:
        return await record_promotion(
            conn,
            book=BOOK,
            promotion=new(**changes),
            by="chen",
            roles=roles,
            now=desk.now(),
            entropy=secrets.token_bytes,
        )


async def look(desk: Desk) -> list[watch_arbitrage.Watched]:
    async with desk.pool.acquire() as conn:
        return await watch_book(conn, book=BOOK, now=desk.now(), entropy=secrets.token_bytes)


async def live(desk: Desk) -> list[price_caps.PriceCap]:
    async with desk.pool.acquire() as conn:
        return await price_caps.live(conn, BOOK, desk.now())


async def logged(desk: Desk) -> list[str]:
    rows = await desk.pool.fetch("SELECT body FROM inbox WHERE book = $1 ORDER BY id", BOOK)
    return [row["body"]["action"] for row in rows]


async def alarms(desk: Desk, *, still_open: bool = True) -> int:
    return int(
        await desk.pool.fetchval(
            "SELECT count(*) FROM alarms WHERE kind = 'arbitrage' AND (closed_at IS NULL) = $1", still_open
        )
    )


async def test_a_promotion_that_pays_is_capped_at_once_with_an_alarm_and_an_entry_in_the_log(
    desk: Desk,
) -> None:
    promotion = await put(desk)
    (cap,) = await live(desk)
    assert (cap.carrier, cap.product, cap.promotion) == ("cmcc", "card", promotion)
    assert 750_000 < cap.most_ppm < 800_000
    assert cap.per_seller_fen_per_day == 20_000
    assert (cap.since, cap.until) == (NOW - timedelta(hours=1), NOW + timedelta(days=1))
    assert await logged(desk) == ["pricing:cap:set"]
    assert await alarms(desk) == 1
    detail = await desk.pool.fetchval("SELECT detail FROM alarms WHERE kind = 'arbitrage'")
    assert detail["profit_capped_fen"] * 2 <= detail["profit_fen"]


async def test_looking_again_changes_nothing_also_when_many_look_at_once(desk: Desk) -> None:
    await put(desk)
    before = await desk.pool.fetch("SELECT * FROM price_caps")
    desk.pass_time(minutes=1)
    await asyncio.gather(*(look(desk) for _ in range(5)))
    assert await desk.pool.fetch("SELECT * FROM price_caps") == before
    assert await logged(desk) == ["pricing:cap:set"]
    assert await alarms(desk) == 1


async def test_a_promotion_that_earns_a_trader_nothing_is_only_on_record(desk: Desk) -> None:
    await put(desk, buy_ppm=990_000)
    assert (await live(desk), await logged(desk), await alarms(desk)) == ([], [], 0)
    (one,) = await look(desk)
    assert one.finding is not None and one.finding.most_ppm is None


async def test_a_cap_of_what_is_to_come_stands_ready_and_counts_to_the_second(desk: Desk) -> None:
    await put(desk, since=NOW + timedelta(hours=2))
    assert await live(desk) == []
    desk.pass_time(hours=2)
    assert len(await live(desk)) == 1
    desk.clock = NOW + timedelta(days=1)
    assert await live(desk) == []
    await look(desk)
    assert (await alarms(desk), await alarms(desk, still_open=False)) == (0, 1)


async def test_a_new_rate_card_moves_the_cap_or_ends_it(desk: Desk) -> None:
    await put(desk)
    factors = DEFAULT_CARD["factors"]
    low = {**factors["base"], "rates_ppm": {"cmcc.card": 700_000}}
    document = {
        **DEFAULT_CARD,
        "version": 2,
        "effective_from": "2026-11-02T04:10:00Z",
        "factors": {**factors, "base": low},
    }
    await desk.pool.execute(
        "INSERT INTO rate_cards (book, version, document, effective_at, proposed_by, approved_by, created_at) "
        "VALUES ($1, 2, $2, $3, 'a', 'b', $3)",
        BOOK,
        document,
        NOW + timedelta(minutes=10),
    )
    desk.pass_time(minutes=11)
    await look(desk)
    assert await live(desk) == []
    assert await logged(desk) == ["pricing:cap:set", "pricing:cap:ended"]
    assert await alarms(desk) == 0


async def test_a_withdrawn_promotion_caps_no_more_and_is_withdrawn_once(desk: Desk) -> None:
    promotion = await put(desk)
    to_come = await put(desk, since=NOW + timedelta(hours=2), carrier="ctcc")

    async def withdraw(which: int, reason: str = "误登记") -> None:
        async with desk.pool.acquire() as conn:
            await withdraw_promotion(
                conn,
                book=BOOK,
                promotion_id=which,
                reason=reason,
                by="chen",
                roles=PRICING,
                now=desk.now(),
                entropy=secrets.token_bytes,
            )

    with pytest.raises(Refused, match="reason_missing"):
        await withdraw(promotion, " ")
    await withdraw(promotion)
    await withdraw(to_come)
    assert await live(desk) == []
    assert await alarms(desk) == 0
    assert sorted(await logged(desk)) == ["pricing:cap:ended"] * 2 + ["pricing:cap:set"] * 2
    for which in (promotion, 5):
        with pytest.raises(Refused, match="promotion_over"):
            await withdraw(which)
    async with desk.pool.acquire() as conn:
        found = await report(conn, book=BOOK, now=desk.now())
    assert {one.promotion.state(desk.now()) for one in found} == {"withdrawn"}


async def test_only_who_may_records(desk: Desk) -> None:
    with pytest.raises(Refused, match="role_missing"):
        await put(desk, roles=["support"])
    with pytest.raises(Refused, match="promotion_dates_reversed"):
        await put(desk, until=NOW - timedelta(hours=2))
    assert await desk.pool.fetchval("SELECT count(*) FROM carrier_promotions") == 0


# -- the daily limit


async def test_a_seller_sells_up_to_the_days_limit_and_no_further_either_way(desk: Desk) -> None:
    await put(desk)
    first = desk.ask(face_fen=10_000)
    assert codes(await place(desk, first, desk.ask(face_fen=5_000))) == ["accepted", "accepted"]
    answers = await place(desk, desk.ask(face_fen=10_000), desk.ask(face_fen=5_000), desk.ask(face_fen=1_000))
    assert codes(answers) == ["account_daily_limit", "accepted", "account_daily_limit"]
    (over,) = [a for a in answers[:1] if isinstance(a, Refused)]
    assert (over.field, over.row) == ("face_fen", 1)
    process = Process(desk)
    assert codes(await process.place(desk.ask(face_fen=1_000), key="a")) == ["account_daily_limit"]
    assert await desk.pool.fetchval("SELECT sum(face_fen) FROM orders") == 20_000


async def test_others_assets_sellers_and_days_are_not_limited(desk: Desk) -> None:
    await put(desk)
    process = Process(desk)
    full = desk.ask(face_fen=20_000)
    assert codes(await process.place(full, key="1")) == ["accepted"]
    assert codes(await process.place(desk.ask(face_fen=1_000), key="2")) == ["account_daily_limit"]
    assert codes(await process.place(desk.ask(face_fen=1_000, seller_ref="user-2"), key="3")) == ["accepted"]
    assert codes(await process.place(desk.ask(face_fen=1_000, carrier="cucc"), key="4")) == ["accepted"]
    desk.clock = datetime(2026, 11, 2, 16, 0, tzinfo=UTC)  # midnight in China
    assert codes(await process.place(desk.ask(face_fen=20_000), key="5")) == ["accepted"]
    desk.clock = NOW + timedelta(days=1)  # the promotion is over
    assert codes(await process.place(desk.ask(face_fen=20_000), key="6")) == ["accepted"]


async def test_a_refused_order_loses_nothing_and_one_that_ended_unharmed_counts_no_more(desk: Desk) -> None:
    await put(desk)
    assert codes(await place(desk, desk.ask(face_fen=20_000))) == ["accepted"]
    ask = desk.ask(face_fen=10_000)
    key = ("k", digest("1"))
    assert codes(await place(desk, ask, idempotency=key)) == ["account_daily_limit"]
    assert await desk.pool.fetchval("SELECT count(*) FROM claims") == 2
    await desk.pool.execute("UPDATE orders SET state = 'declined'")
    assert codes(await place(desk, ask, idempotency=key)) == ["accepted"]


async def test_many_requests_at_once_do_not_pass_the_limit_together(desk: Desk) -> None:
    await put(desk)
    processes = [Process(desk) for _ in range(4)]
    asks: list[OrderAsk] = [desk.ask(face_fen=5_000) for _ in range(12)]
    answers = await asyncio.gather(*(processes[n % 4].place(ask, key=f"k{n}") for n, ask in enumerate(asks)))
    assert (
        sorted(code for answer in answers for code in codes(answer))
        == ["accepted"] * 4 + ["account_daily_limit"] * 8
    )


async def test_one_number_has_one_limit_under_whatever_names_it_is_sold(desk: Desk) -> None:
    await put(desk, product="balance")

    def ask(client: str, ref: str, face_fen: int, number: str = SELLER) -> OrderAsk:
        return desk.ask(client=client, seller_ref=ref, product="balance", number=number, face_fen=face_fen)

    assert codes(await place(desk, ask("acme", "a", 10_000), ask("acme", "b", 5_000))) == ["accepted"] * 2
    rival = await place(desk, ask("rival", "a", 10_000), ask("rival", "a", 5_000), client="rival")
    assert codes(rival) == ["account_daily_limit", "accepted"]
    other = ask("rival", "z", 20_000, number="13900139000")
    assert codes(await place(desk, other, client="rival")) == ["accepted"]
    assert codes(await place(desk, ask("acme", "c", 1_000))) == ["account_daily_limit"]


async def test_one_number_brought_by_many_at_once_does_not_pass_the_limit(desk: Desk) -> None:
    await put(desk, product="balance")
    asks = [desk.ask(seller_ref=f"u{n}", product="balance", number=SELLER, face_fen=5_000) for n in range(10)]
    answers = await asyncio.gather(*(place(desk, ask) for ask in asks))
    assert sorted(code for answer in answers for code in codes(answer)) == (
        ["accepted"] * 4 + ["account_daily_limit"] * 6
    )


async def test_a_card_that_was_worth_more_than_it_was_sold_as_counts_in_full(desk: Desk) -> None:
    await put(desk)
    assert codes(await place(desk, desk.ask(face_fen=1_000))) == ["accepted"]
    await desk.pool.execute("UPDATE orders SET state = 'closed', delivered_fen = 20000")
    assert codes(await place(desk, desk.ask(face_fen=1_000))) == ["account_daily_limit"]


async def test_requests_for_the_same_sellers_and_other_assets_do_not_wait_for_each_other_for_ever(
    desk: Desk,
) -> None:
    await put(desk)
    await put(desk, carrier="cucc")
    await place(desk, desk.ask(seller_ref="a"), desk.ask(seller_ref="b"))

    def asks(first: str, second: str) -> list[OrderAsk]:
        return [
            desk.ask(face_fen=1_000, seller_ref=first),
            desk.ask(face_fen=1_000, seller_ref=second, carrier="cucc"),
        ]

    async with desk.pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT FROM parties WHERE ref = 'a' FOR UPDATE")
        one = asyncio.create_task(place(desk, *asks("a", "b")))
        await asyncio.sleep(0.2)
        other = asyncio.create_task(place(desk, *asks("b", "a")))
        await asyncio.sleep(0.2)
    assert codes(await one) == codes(await other) == ["accepted", "accepted"]


async def test_without_a_limit_the_short_way_asks_the_database_nothing_more(desk: Desk) -> None:
    counted = Statements(desk.pool)
    process = Process(desk, counted)
    await process.place(desk.ask(), key="1")
    counted.texts.clear()
    assert codes(await process.place(desk.ask(), key="2")) == ["accepted"]
    assert price_caps.SQL.live not in counted.texts


async def test_a_promotion_reports_what_was_bought_while_it_ran(desk: Desk) -> None:
    await put(desk)
    await place(desk, desk.ask(face_fen=20_000), desk.ask(face_fen=10_000, seller_ref="user-2"))
    async with desk.pool.acquire() as conn:
        (one,) = await report(conn, book=BOOK, now=desk.now())
        sold = await price_caps.sold_under(conn, book=BOOK, promotion=one.promotion, limit_fen=20_000)
    assert (sold.orders, sold.face_fen, sold.sellers, sold.at_limit) == (2, 30_000, 2, 1)


# -- two people's word


async def test_two_people_set_other_figures_and_the_watch_leaves_them(street: Street) -> None:
    now = datetime.now(UTC)
    async with street.pool.acquire() as conn:
        promotion = await record_promotion(
            conn,
            book=1,
            promotion=new(since=now - timedelta(hours=1), until=now + timedelta(days=1)),
            by="chen",
            roles=PRICING,
            now=now,
            entropy=secrets.token_bytes,
        )
        public = ids.public("prm", promotion)
        (cap,) = await price_caps.live(conn, 1, now)
    await approve(
        street,
        "pricing:cap:override",
        before={"promotion": public, "most_ppm": cap.most_ppm},
        after={"promotion": public, "most_ppm": 1_000_000},
    )

    async def overridden() -> bool:
        return await street.pool.fetchval("SELECT overridden_by FROM price_caps") is not None

    await street.run(overridden)
    async with street.pool.acquire() as conn:
        await watch_book(conn, book=1, now=datetime.now(UTC), entropy=secrets.token_bytes)
        (cap,) = await price_caps.live(conn, 1, datetime.now(UTC))
        assert (cap.most_ppm, cap.per_seller_fen_per_day) == (1_000_000, None)
        (one,) = await report(conn, book=1, now=datetime.now(UTC))
    assert one.cap is not None and one.cap.overridden_by == "b"
    assert one.finding is not None and one.finding.cut_ppm == 0
    events = await street.pool.fetch(
        "SELECT action FROM events WHERE action LIKE 'pricing:cap:%' ORDER BY seq"
    )
    assert [row["action"] for row in events] == ["pricing:cap:set", "pricing:cap:override"]


async def test_figures_for_a_cap_that_moved_or_is_gone_are_logged_as_stale_and_change_nothing(
    street: Street,
) -> None:
    public = ids.public("prm", 5)
    await approve(
        street,
        "pricing:cap:override",
        before={"promotion": public, "most_ppm": 800_000},
        after={"promotion": public, "most_ppm": 900_000},
    )

    async def told() -> bool:
        return bool(await street.pool.fetchval("SELECT count(*) FROM alarms WHERE kind = 'decision_stale'"))

    await street.run(told)
    assert await street.pool.fetchval("SELECT count(*) FROM price_caps") == 0
