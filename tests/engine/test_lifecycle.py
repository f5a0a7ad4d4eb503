"""Orders from submission to their end, by every path of the table."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from airback.domain.effects import Kind, Outcome, Result
from airback.domain.ports.carrier import LineStatus
from airback.engine.inbox import append_cancel, append_payee, append_withdraw, seal_payee
from airback.evidence.receipts import check_receipt
from airback.queries.verify import verify
from tests.engine.street import BOOK, Street


async def assert_clean(street: Street) -> None:
    findings = await verify(
        street.pool,
        book=BOOK,
        now=datetime.now(UTC),
        keys=street.keys,
        carriers=street.carriers,
        rails=street.rails,
    )
    assert {name: f.found for name, f in findings.items() if f.violations or f.unchecked} == {}


async def test_balances_and_cards_of_every_carrier_close_paid_and_receipted(street: Street) -> None:
    asks = []
    for index, carrier in enumerate(street.carriers):
        number = street.line(f"1380000000{index}", carrier, 80_000)
        asks.append(street.ask_balance(number, 45_000, seller=f"s{index}", notify_number=number))
        asks.append(street.ask_card(street.card(carrier, 10_000), seller=f"s{index}"))
    ids = await street.sell(*asks)
    assert await street.settle() == Counter({"closed": 8})
    await assert_clean(street)
    paid = sum([(await street.order(i))["paid_fen"] for i in ids])
    assert paid == await street.balance("clearing:alipay")
    assert paid == sum(street.rails["alipay"].paid.values())
    for receipt in await street.pool.fetch("SELECT document FROM receipts"):
        assert check_receipt(receipt["document"], keys=street.keys) == []
    assert len(street.messenger.texts) == 12


async def test_a_balance_fills_several_demands_and_a_card_one(street: Street) -> None:
    number = street.line("13800000001", "cmcc", 100_000)
    balance, card = await street.sell(
        street.ask_balance(number, 100_000), street.ask_card(street.card("ctcc", 20_000))
    )
    assert await street.settle() == Counter({"closed": 2})
    fills = await street.pool.fetch("SELECT order_id, face_fen FROM fills ORDER BY id")
    assert sorted(f["face_fen"] for f in fills if f["order_id"] == balance) == [
        10_000,
        30_000,
        30_000,
        30_000,
    ]
    assert [f["face_fen"] for f in fills if f["order_id"] == card] == [20_000]


async def test_the_best_price_is_filled_first_then_the_oldest(street: Street) -> None:
    (dear,) = await street.demands("cmcc", 30_000, price_ppm=990_000, outlet="shop2")
    await street.deposit(1_000_000, outlet="shop2")
    (order,) = await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    await street.settle()
    assert await street.pool.fetchval("SELECT demand_id FROM fills WHERE order_id=$1", order) == dear


@pytest.mark.parametrize(
    ("state", "code"),
    [("card_used", "card_used"), ("card_expired", "card_expired"), ("card_unknown", "card_unknown")],
)
async def test_a_card_that_the_carrier_refuses_ends_failed_and_harms_nobody(
    street: Street, state: str, code: str
) -> None:
    await street.sell(street.ask_card(street.card("cmcc", 10_000, state)))
    assert await street.settle() == Counter({f"failed:{code}": 1})
    assert await street.balance("proceeds") == 0
    assert (
        await street.pool.fetchval("SELECT sum(open_fen) FROM open_demands WHERE carrier='cmcc'")
        == 12 * 30_000
    )
    await assert_clean(street)


async def test_a_card_of_another_face_is_requoted_and_paid_by_what_it_was(street: Street) -> None:
    (order_id,) = await street.sell(street.ask_card(street.card("cmcc", 10_000, true_fen=5_000)))
    assert await street.settle() == Counter({"closed": 1})
    order = await street.order(order_id)
    assert order["delivered_fen"] == 5_000
    assert order["quote"]["face_fen"] == 5_000
    assert order["first_quote"]["face_fen"] == 10_000
    assert order["paid_fen"] == order["quote"]["net_fen"] < order["first_quote"]["net_fen"]
    await assert_clean(street)


async def test_numbers_that_cannot_sell_are_declined_by_name(street: Street) -> None:
    street.line("13800000001", "cmcc", 100)
    street.subscribers.line("13800000002", "cmcc", 50_000, LineStatus.SUSPENDED)
    street.subscribers.line("13800000003", "cmcc", 50_000, LineStatus.DEAD)
    street.line("13800000004", "cucc", 50_000)
    street.subscribers.swapped.add(street.line("13800000005", "cmcc", 50_000))
    numbers = ["13800000001", "13800000002", "13800000003", "13800000004", "13800000005", "13800000006"]
    await street.sell(*(street.ask_balance(n, 10_000, carrier="cmcc") for n in numbers))
    assert await street.settle() == Counter(
        {
            "declined:balance_insufficient": 1,
            "declined:number_suspended": 1,
            "declined:number_dead": 2,
            "declined:carrier_mismatch": 1,
            "declined:sim_swapped": 1,
        }
    )
    assert street.carriers["cmcc"].calls["hold"] == 0
    await assert_clean(street)


async def test_without_an_outlet_an_order_is_declined_before_anything_is_held(street: Street) -> None:
    await street.pool.execute("DELETE FROM open_demands")
    number = street.line("13800000001", "cmcc", 50_000)
    await street.sell(street.ask_balance(number, 10_000), street.ask_card(street.card("cmcc", 10_000)))
    assert await street.settle() == Counter({"declined:no_outlet": 2})
    assert street.carriers["cmcc"].calls == Counter()


async def test_an_outlet_without_money_is_passed_over(street: Street) -> None:
    await street.demands("cmcc", 30_000, price_ppm=999_000, outlet="shop2")
    (order,) = await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    assert await street.settle() == Counter({"closed": 1})
    assert await street.pool.fetchval("SELECT outlet FROM fills WHERE order_id=$1", order) == "shop"


async def test_a_demand_below_the_sellers_price_is_not_filled(street: Street) -> None:
    await street.pool.execute("DELETE FROM open_demands")
    await street.demands("cmcc", 30_000, price_ppm=700_000)
    await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    assert await street.settle() == Counter({"declined:no_outlet": 1})


async def test_a_hold_that_the_carrier_refuses_declines_the_order_and_frees_the_outlet(
    street: Street,
) -> None:
    street.carriers["cmcc"].plan[Kind.HOLD].append(Outcome(Result.FAILED, code="hold_refused"))
    await street.sell(street.ask_balance(street.line("13800000001"), 10_000))
    assert await street.settle() == Counter({"declined:hold_refused": 1})
    row = await street.pool.fetchrow("SELECT * FROM accounts WHERE code='deposit:shop'")
    assert row["debits_pending"] == 0
    await assert_clean(street)


async def test_a_number_that_refuses_airtime_makes_room_for_another_demand(street: Street) -> None:
    street.carriers["cmcc"].plan[Kind.TRANSFER].append(Outcome(Result.FAILED, code="target_refused"))
    await street.sell(street.ask_balance(street.line("13800000001"), 10_000))
    assert await street.settle() == Counter({"closed": 1})
    assert await street.pool.fetchval("SELECT count(*) FROM fills WHERE state='failed'") == 1
    await assert_clean(street)


async def test_after_the_hold_the_platform_honours_the_price_from_its_float(street: Street) -> None:
    await street.pool.execute(
        "DELETE FROM open_demands WHERE id NOT IN (SELECT id FROM open_demands WHERE carrier='cmcc' LIMIT 1)"
    )
    street.carriers["cmcc"].plan[Kind.TRANSFER].append(Outcome(Result.FAILED, code="target_refused"))
    await street.sell(street.ask_balance(street.line("13800000001"), 10_000))
    assert await street.settle() == Counter({"closed": 1})
    assert await street.balance("stock", "cmcc.balance") == 10_000
    assert await street.balance("float") < 10_000_000
    await assert_clean(street)


@pytest.mark.parametrize("trick", ["lost", "unsent", "vanish"])
@pytest.mark.parametrize("kind", [Kind.HOLD, Kind.TRANSFER, Kind.PAY])
async def test_an_answer_that_never_came_costs_nothing_and_repeats_nothing(
    street: Street, kind: Kind, trick: str
) -> None:
    far = street.rails["alipay"] if kind is Kind.PAY else street.carriers["cmcc"]
    far.plan[kind].append(trick)
    await street.sell(street.ask_balance(street.line("13800000001"), 10_000))
    assert await street.settle() == Counter({"closed": 1})
    assert sum(1 for line in far.lines if line.kind is kind) == 1
    await assert_clean(street)


@pytest.mark.parametrize("trick", ["lost", "unsent", "vanish"])
async def test_a_redemption_without_an_answer_is_asked_about_and_done_once(
    street: Street, trick: str
) -> None:
    street.carriers["cbn"].plan[Kind.REDEEM].append(trick)
    await street.sell(street.ask_card(street.card("cbn", 10_000)))
    assert await street.settle() == Counter({"closed": 1})
    assert len(street.carriers["cbn"].lines) == 1
    await assert_clean(street)


async def test_less_delivered_than_asked_is_made_up_by_another_fill(street: Street) -> None:
    street.carriers["cmcc"].plan[Kind.TRANSFER].append(
        lambda o: Outcome(Result.SUCCEEDED, far_ref="x", amount_fen=4_000)
    )
    await street.sell(street.ask_balance(street.line("13800000001"), 10_000))
    assert await street.settle() == Counter({"closed": 1})
    assert sorted(r["delivered_fen"] for r in await street.pool.fetch("SELECT delivered_fen FROM fills")) == [
        4_000,
        6_000,
    ]
    await assert_clean(street)


async def test_more_delivered_than_asked_is_posted_and_becomes_somebodys_work(street: Street) -> None:
    street.carriers["cmcc"].plan[Kind.TRANSFER].append(
        lambda o: Outcome(Result.SUCCEEDED, far_ref="x", amount_fen=12_000)
    )
    (order,) = await street.sell(street.ask_balance(street.line("13800000001"), 10_000))
    assert await street.settle() == Counter({"closed": 1})
    assert (await street.order(order))["delivered_fen"] == 10_000
    assert await street.pool.fetchval("SELECT count(*) FROM alarms WHERE kind='delivered_more'") == 1


async def test_a_card_worth_more_than_its_outlet_has_paid_in_overdraws_it_as_a_fact(street: Street) -> None:
    await street.deposit(12_000, outlet="shop2")
    await street.demands("cmcc", 60_000, price_ppm=990_000, outlet="shop2")
    await street.sell(street.ask_card(street.card("cmcc", 10_000, true_fen=50_000)))
    await street.settle()
    alarms = [
        row["kind"]
        for row in await street.pool.fetch("SELECT kind FROM alarms WHERE subject='deposit:shop2'")
    ]
    assert alarms == ["account_overdrawn"]  # a fact: none of ours set aside what was not there
    assert await street.balance("deposit:shop2") == 12_000 - 49_500
    assert await street.pool.fetchval("SELECT routing FROM books") is False
    await assert_clean(street)


async def test_a_wrong_payee_name_waits_for_the_seller_and_is_paid_once_corrected(street: Street) -> None:
    (order,) = await street.sell(street.ask_card(street.card("cmcc", 10_000), payee="错名"))
    assert await street.settle() == Counter({"awaiting_seller:payee_name_mismatch": 1})
    assert await street.balance("clearing:alipay") == 0
    sealed = seal_payee(order_id=order, account="s1@example.com", name="张三", keys=street.keys)
    await append_payee(street.pool, book=BOOK, order_id=order, sealed=sealed, at=datetime.now(UTC))

    async def closed() -> bool:
        return (await street.order(order))["state"] == "closed"

    await street.run(closed)
    await assert_clean(street)


async def test_a_files_orders_of_one_seller_share_a_payout_and_peoples_do_not(street: Street) -> None:
    cards = [street.ask_card(street.card("cmcc", 10_000), seller="firm", lane=1) for _ in range(5)]
    people = [street.ask_card(street.card("ctcc", 10_000), seller="ann") for _ in range(2)]
    await street.sell(*cards, *people)
    assert await street.settle() == Counter({"closed": 7})
    shares = await street.pool.fetch("SELECT count(*) AS n FROM payout_orders GROUP BY payout_id")
    assert sum(r["n"] for r in shares) == 7
    assert len(shares) < 7
    assert (
        await street.pool.fetchval(
            "SELECT count(*) FROM (SELECT payout_id FROM payout_orders po JOIN orders o ON o.id=po.order_id WHERE o.lane=0 GROUP BY 1 HAVING count(*)>1) x"
        )
        == 0
    )
    await assert_clean(street)


async def test_cancelling_before_the_hold_is_free(street: Street) -> None:
    (order,) = await street.sell(street.ask_balance(street.line("13800000001"), 10_000))
    await append_cancel(street.pool, book=BOOK, order_id=order, at=datetime.now(UTC))
    assert await street.settle() == Counter({"cancelled:cancelled": 1})
    assert street.carriers["cmcc"].calls["hold"] == 0
    await assert_clean(street)


async def test_cancelling_while_the_hold_is_unknown_waits_for_it_and_then_releases(street: Street) -> None:
    carrier = street.carriers["cmcc"]
    (order,) = await street.sell(street.ask_balance(street.line("13800000001"), 10_000))
    carrier.plan[Kind.HOLD].append("lost")
    real, carrier.asked = carrier.asked, lambda ref: Outcome(Result.PROCESSING)  # type: ignore[method-assign]

    async def sent() -> bool:
        return (
            carrier.calls["hold"] > 0
            and await street.pool.fetchval("SELECT count(*) FROM effect_results") > 1
        )

    await street.run(sent)
    await append_cancel(street.pool, book=BOOK, order_id=order, at=datetime.now(UTC))
    carrier.asked = real  # type: ignore[method-assign]
    assert await street.settle() == Counter({"cancelled:cancelled": 1})
    assert carrier.calls["release"] == 1
    assert await street.balance("held", "cmcc.balance") == 0
    await assert_clean(street)


async def test_cancelling_after_a_delivery_was_committed_is_too_late(street: Street) -> None:
    (order,) = await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    street.carriers["cmcc"].plan[Kind.REDEEM].append("lost")

    async def redeemed() -> bool:
        return street.carriers["cmcc"].calls["redeem"] > 0

    await street.run(redeemed)
    await append_cancel(street.pool, book=BOOK, order_id=order, at=datetime.now(UTC))
    assert await street.settle() == Counter({"closed": 1})
    assert (await street.order(order))["cancel"] in ("too_late", None)


async def test_an_order_nobody_touched_in_time_expires(street: Street) -> None:
    await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    await street.pool.execute("UPDATE orders SET submitted_at = submitted_at - interval '1 day'")
    assert await street.settle() == Counter({"expired:order_expired": 1})
    assert street.carriers["cmcc"].calls == Counter()
    assert await street.pool.fetchval("SELECT count(*) FROM claims WHERE kind='card'") == 0


async def test_a_carrier_that_is_away_for_a_moment_declines_nobody(street: Street) -> None:
    street.subscribers.away = 2
    await street.sell(street.ask_balance(street.line("13800000001"), 10_000))
    assert await street.settle() == Counter({"closed": 1})


async def test_a_carrier_that_stays_away_declines_with_its_name(street: Street) -> None:
    street.subscribers.away = 1000
    await street.sell(street.ask_balance(street.line("13800000001"), 10_000))
    assert await street.settle(timeout_s=90) == Counter({"declined:carrier_unreachable": 1})


async def test_a_withdrawn_demand_is_not_filled(street: Street) -> None:
    await street.pool.execute("DELETE FROM open_demands")
    (demand,) = await street.demands("cmcc", 30_000)
    await append_withdraw(street.pool, book=BOOK, demand_id=demand, outlet="shop", at=datetime.now(UTC))

    async def gone() -> bool:
        return not await street.pool.fetchval("SELECT count(*) FROM open_demands")

    await street.run(gone)
    await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    assert await street.settle() == Counter({"declined:no_outlet": 1})


async def test_a_paused_book_makes_orders_wait_and_takes_them_up_again(street: Street) -> None:
    await street.pool.execute("UPDATE books SET routing = false")
    (order,) = await street.sell(street.ask_card(street.card("cmcc", 10_000)))

    async def waits() -> bool:
        due = await street.pool.fetchval("SELECT due_at FROM work WHERE order_id=$1", order)
        return bool(due > datetime.now(UTC) + timedelta(seconds=1))

    await street.run(waits)
    assert (await street.order(order))["state"] == "submitted"
    await street.pool.execute("UPDATE books SET routing = true")
    assert await street.settle() == Counter({"closed": 1})
