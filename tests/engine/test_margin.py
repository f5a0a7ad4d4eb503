"""The margin agrees with the ledger, fen by fen; agreements split what is the operator's; bookings take two people."""

import secrets
from datetime import UTC, datetime, time, timedelta
from typing import Any

from airback.domain.ids import new_reference
from airback.engine.inbox import append_decision
from airback.engine.publish_index import publish_due
from airback.market.rate_index import Privacy
from airback.pricing.formula import CHINA
from airback.queries import margin as reads
from airback.queries import rate_index
from airback.queries.verify import verify
from tests.engine.street import BOOK, Street

AGREEMENT = {
    "title": "推荐人与代理",
    "source": "合同 2026-001",
    "shares": [
        {"kind": "reserve", "base": "face", "share_ppm": 5_000, "rounding": "up"},
        {"kind": "referrer", "party": "li-si", "base": "platform", "share_ppm": 100_000},
        {"kind": "agent", "party": "north", "fixed_fen": 30},
    ],
}


async def decide(
    street: Street, action: str, after: dict[str, Any], before: dict[str, Any] | None = None
) -> None:
    """Two people's approved decision, folded in."""
    body = {
        "proposal": new_reference(entropy=secrets.token_bytes),
        "action": action,
        "subject": "x",
        "before": before or {},
        "after": after,
        "reason": "agreed",
        "decision": "approved",
        "proposed_by": "fin1",
        "decided_by": "fin2",
    }
    await append_decision(street.pool, book=BOOK, body=body, at=datetime.now(UTC))
    await street.settle()


async def agree(street: Street, scope: str = "client:test", **over: Any) -> None:
    after = {"scope": scope, "document": AGREEMENT | over, "effective_at": datetime.now(UTC).isoformat()}
    await decide(street, "finance:split:agree", after)


async def sell(street: Street) -> list[int]:
    orders = await street.sell(
        street.ask_balance(street.line("13800000001"), 50_000, seller="a"),  # to two demands
        street.ask_card(street.card("ctcc", 5_000), seller="b"),
        street.ask_card(street.card("cucc", 10_000), seller="c"),
    )
    assert (await street.settle())["closed"] >= 3
    return orders


async def changes(street: Street) -> int:
    """What all result accounts stand at, credit positive: the book began with nothing on them."""
    return int(
        await street.pool.fetchval(
            "SELECT coalesce(sum(credits_posted - debits_posted), 0) FROM accounts WHERE asset = 'CNY' AND split_part(code, ':', 1)"
            " IN ('fee', 'spread', 'rail_cost', 'rebate', 'shared', 'loss', 'cost')"
        )
    )


async def today(street: Street, by: str) -> reads.Margin:
    async with street.pool.acquire() as conn:
        # a test that runs over midnight still sees all of it
        return await reads.margin(conn, book=BOOK, during=reads.last_days(2, now=datetime.now(UTC)), by=by)


async def test_every_way_of_dividing_sums_to_the_change_of_the_accounts(street: Street) -> None:
    await street.demands("cmcc", 20_000, 20_000, price_ppm=990_000, outlet="shop2")
    await street.deposit(10_000_000, outlet="shop2")
    await street.settle()
    await agree(street)
    divided, *_ = await sell(street)
    day = datetime.now(UTC).date().isoformat()
    cost = {"amount_fen": 1_234, "period_from": day, "period_to": day, "source": "发票 7"}
    await decide(street, "finance:booking:post", {"line": "compliance", **cost})
    await decide(street, "finance:booking:post", {"line": "rebate", "carrier": "ctcc", **cost})
    # a loss on one fill of the divided order, and a rail's charge
    await street.pool.execute(
        "INSERT INTO accounts (book, id, code, asset, side, bounded, debits_posted) VALUES (1, 77, 'loss', 'CNY', 'debit', false, 333)"
    )
    fill = await street.pool.fetchrow(
        "SELECT id, order_id FROM fills WHERE outlet = 'shop' AND order_id = $1", divided
    )
    effect = await street.pool.fetchval("SELECT id FROM effects WHERE fill_id = $1", fill["id"])
    await street.pool.execute(
        "INSERT INTO corrections (book, id, order_id, effect_id, kind, bearer, amount_fen, claim_fen, opened_at)"
        " VALUES (1, 5, $1, $2, 'delivery_reversed', 'platform', 333, 0, now())",
        fill["order_id"],
        effect,
    )
    await street.pool.execute(
        "INSERT INTO transfers (book, subject, kind, leg, phase, asset, debit, credit, amount_fen, order_id, event_at, created_at)"
        " SELECT 1, 5, 'reversal', 2, 'posted', 'CNY', 77, id, 333, $1, now(), now() FROM accounts WHERE code = 'deposit:shop'",
        fill["order_id"],
    )
    # the rail's statement shows its charge for the divided order's payment, and two people book it
    await street.pool.execute(
        "INSERT INTO breaks (book, id, statement, far_side, day, explanation, state, owner, due_at, confidence_ppm, reference,"
        " direction, our_fee_fen, our_amount_fen, left_fen, at, opened_at, closed_at, resolved_by)"
        " SELECT 1, 6, 1, 'rail:alipay', now()::date, 'fee', 'corrected', 'finance', now(), 1000000, e.ref, 'out', 0, 1, -21,"
        " now(), now(), now(), 'pro_x' FROM effects e JOIN payout_orders po ON po.payout_id = e.payout_id WHERE po.order_id = $1",
        fill["order_id"],
    )
    await street.pool.execute(
        "INSERT INTO transfers (book, subject, kind, leg, phase, asset, debit, credit, amount_fen, event_at, created_at)"
        " SELECT 1, 6, 'correct', 0, 'posted', 'CNY', r.id, c.id, 21, now(), now() FROM accounts r, accounts c"
        " WHERE r.code = 'rail_cost' AND c.code = 'clearing:alipay'"
    )
    await street.pool.execute(
        "UPDATE accounts SET debits_posted = debits_posted + 21 WHERE code = 'rail_cost'"
    )
    total = await changes(street)
    for by in reads.SEGMENTS:
        found = await today(street, by)
        assert found.whole.total_fen == total, by
        assert sum(one.total_fen for one in found.segments) == total, by
        assert found.whole.face_fen == 65_000 and found.whole.orders == 3, by
        for key, amount in found.whole.lines.items():
            parts = [one.lines[key] for one in found.segments if one.lines[key] is not None]
            assert sum(parts) == (amount or 0), (by, key)
        lines = found.whole.lines
        charged = sum(lines[key] or 0 for key in ("fee", "spread", "rail_charged"))
        assert found.whole.proceeds_fen - found.whole.net_fen == charged, by
        for key in ("tax", "anti_fraud", "other"):
            assert lines[key] is None, (by, key)  # nothing was posted: empty, not zero
    by_outlet = {one.key: one for one in (await today(street, "outlet")).segments}
    assert set(by_outlet) == {"shop", "shop2", None}
    assert by_outlet["shop"].lines["loss"] == -333 and by_outlet["shop2"].lines["loss"] is None
    assert by_outlet["shop2"].face_fen == 40_000 and by_outlet["shop2"].proceeds_fen == 39_600
    assert by_outlet[None].lines["compliance"] == -1_234
    by_carrier = {one.key: one for one in (await today(street, "carrier")).segments}
    assert by_carrier["ctcc"].lines["rebate"] == 1_234
    assert by_carrier["cmcc"].lines["rail_paid"] == -21 and by_carrier["ctcc"].lines["rail_paid"] is None
    by_face = {one.key: one.face_fen for one in (await today(street, "face")).segments}
    assert by_face == {"0": 5_000, "1": 10_000, "3": 50_000, None: 0}


async def test_an_agreement_splits_the_operators_part_and_leaves_the_seller_alone(street: Street) -> None:
    await street.settle()
    await agree(street)
    orders = await sell(street)
    reserve = referrer = agent = 0
    for order_id in orders:
        order = await street.order(order_id)
        assert order["credited_fen"] == order["net_fen"] == order["quote"]["net_fen"] == order["paid_fen"]
        pays = await street.pool.fetchval("SELECT sum(pays_fen) FROM fills WHERE order_id = $1", order_id)
        part = pays - order["quote"]["net_fen"] - order["quote"]["rail_cost_fen"]  # fee and spread
        reserve += -(-order["face_fen"] * 5_000 // 1_000_000)
        referrer += part // 10
        agent += 30
        async with street.pool.acquire() as conn:
            shown = await reads.split_of_order(conn, book=BOOK, order_id=order_id)
        assert [one.kind for one in shown] == ["reserve", "referrer", "agent"]
        assert [one.account for one in shown] == ["reserve", "party:li-si", "party:north"]
    assert await street.balance("reserve") == reserve
    assert await street.balance("party:li-si") == referrer
    assert await street.balance("party:north") == agent
    assert await street.balance("proceeds") == 0
    findings = await verify(
        street.pool,
        book=BOOK,
        now=datetime.now(UTC),
        keys=street.keys,
        carriers=street.carriers,
        rails=street.rails,
    )
    assert not {name: found.violations for name, found in findings.items() if found.violations}
    # sellers read of none of it
    assert not await street.pool.fetchval(
        "SELECT count(*) FROM events WHERE action = 'engine:split:posted' AND order_id IS NOT NULL"
    )


async def test_an_order_submitted_before_the_agreement_is_not_split(street: Street) -> None:
    await street.settle()
    await sell(street)
    await agree(street, scope="channel:files")  # these are people's orders
    await sell_one(street, "13800000002")
    assert await street.balance("party:li-si") == 0
    await agree(street, scope="channel:people")
    await sell_one(street, "13800000003")
    assert await street.balance("party:north") == 30
    # one without shares ends it
    before = {"version": "2"}
    after = {
        "scope": "channel:people",
        "document": AGREEMENT | {"shares": []},
        "effective_at": datetime.now(UTC).isoformat(),
    }
    await decide(street, "finance:split:agree", after, before)
    await sell_one(street, "13800000004")
    assert await street.balance("party:north") == 30


async def sell_one(street: Street, number: str) -> None:
    await street.sell(street.ask_balance(street.line(number), 10_000, seller=number))
    await street.settle()


async def test_an_agreement_that_was_replaced_meanwhile_is_stale(street: Street) -> None:
    await street.settle()
    await agree(street)
    await agree(street)  # proposed when there was none
    assert await street.pool.fetchval("SELECT count(*) FROM split_agreements") == 1
    assert await street.pool.fetchval("SELECT count(*) FROM alarms WHERE kind = 'decision_stale'") == 1


async def test_no_more_is_paid_to_a_party_than_is_owed_to_it(street: Street) -> None:
    await street.settle()
    await agree(street)
    await sell(street)
    own = await street.balance("cash:own")
    owed = await street.balance("party:north")
    pay = {"account": "party:north", "source": "银行回单 3"}
    await decide(street, "finance:party:pay", pay | {"amount_fen": owed + 1})
    assert await street.balance("party:north") == owed
    assert await street.pool.fetchval("SELECT count(*) FROM alarms WHERE kind = 'decision_impossible'") == 1
    await decide(street, "finance:party:pay", pay | {"amount_fen": owed})
    assert await street.balance("party:north") == 0
    assert await street.balance("cash:own") == own - owed
    # the reserve bears losses instead
    reserve = await street.balance("reserve")
    total = await changes(street)
    await decide(
        street, "finance:party:pay", {"account": "reserve", "source": "决议 1", "amount_fen": reserve}
    )
    assert await street.balance("reserve") == 0 and await street.balance("loss") == -reserve
    assert await changes(street) == total + reserve
    assert (await today(street, "carrier")).whole.total_fen == total + reserve


async def test_what_was_booked_keeps_its_period_and_its_source(street: Street) -> None:
    await street.settle()
    after = {
        "line": "anti_fraud",
        "amount_fen": 5_000,
        "period_from": "2026-10-01",
        "period_to": "2026-10-31",
        "source": "发票 2026-88",
    }
    await decide(street, "finance:booking:post", after)
    async with street.pool.acquire() as conn:
        (booking,) = await reads.bookings(conn, book=BOOK, during=reads.last_days(2, now=datetime.now(UTC)))
    assert (booking.line, booking.amount_fen, booking.source) == ("anti_fraud", 5_000, "发票 2026-88")
    assert (str(booking.period_from), str(booking.period_to)) == ("2026-10-01", "2026-10-31")
    assert (booking.proposed_by, booking.approved_by) == ("fin1", "fin2")
    found = await today(street, "carrier")
    assert found.whole.lines["anti_fraud"] == -5_000 == found.whole.total_fen
    assert found.whole.ppm(-5_000) is None  # no volume: no share of it


async def test_a_week_is_published_once_when_it_is_over(street: Street) -> None:
    for n in range(4):
        await street.sell(street.ask_balance(street.line(f"1380000010{n}"), 10_000, seller=f"s{n}"))
    assert await street.settle() == {"closed": 4}
    privacy = Privacy(least_sellers=3)
    async with street.pool.acquire() as conn:
        assert await publish_due(conn, book=BOOK, now=datetime.now(UTC), privacy=privacy) == []
        today = datetime.now(CHINA)
        monday = today.date() + timedelta(days=7 - today.weekday())
        later = datetime.combine(monday, time(2), tzinfo=CHINA)
        (week,) = await publish_due(conn, book=BOOK, now=later, privacy=privacy)
        index = await rate_index.index_of(conn, book=BOOK, week=None)
        assert index is not None and index.week == week and week.weekday() == 0
        (cell,) = index.cells
        assert (cell.carrier, cell.face, cell.province, cell.expiry) == ("cmcc", "1", "", "")
        net = await street.pool.fetchval("SELECT min(net_fen) FROM orders")
        assert cell.median_ppm == cell.lower_ppm == net * 100 - net * 100 % 1_000 and cell.orders == 0
        # what is written later, or another rule, changes nothing of what was published
        assert await publish_due(conn, book=BOOK, now=later, privacy=Privacy()) == []
        assert await rate_index.index_of(conn, book=BOOK, week=week) == index
        assert await rate_index.weeks(conn, book=BOOK) == [week]
