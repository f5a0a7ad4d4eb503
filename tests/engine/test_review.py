"""Payments that do not go through, orders that wait for two people, and decisions that no longer fit."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airback.domain import ids
from airback.domain.effects import Kind, Outcome, Result
from airback.engine.inbox import append_cancel, append_decision, append_payee, seal_payee
from airback.pricing.cards import card_in_force, parse_card
from airback.pricing.default_card import DEFAULT_CARD
from tests.engine.far_sides import Misbehaving
from tests.engine.street import BOOK, Street
from tests.engine.test_lifecycle import assert_clean


async def decide(street: Street, order: int, course: str, *, code: str | None) -> None:
    public = ids.public("ord", order)
    await approve(
        street,
        "operations:order:decide",
        before={"order": public, "state": "in_review", "code": code},
        after={"order": public, "course": course},
    )


async def approve(
    street: Street, action: str, *, before: dict[str, Any], after: dict[str, Any], proposal: str = "pro_1"
) -> None:
    body = {
        "proposal": proposal,
        "action": action,
        "subject": "x",
        "before": before,
        "after": after,
        "reason": "why",
        "proposed_by": "a",
        "decided_by": "b",
    }
    await append_decision(street.pool, book=BOOK, body=body, at=datetime.now(UTC))


async def folded(street: Street) -> None:
    async def empty() -> bool:
        return not await street.pool.fetchval("SELECT count(*) FROM inbox")

    await street.run(empty)


async def test_a_rail_that_is_away_for_a_while_sends_nobody_to_review(street: Street) -> None:
    street.rails["alipay"].plan[Kind.PAY].extend(["unsent"] * 7)
    (order,) = await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    assert await street.settle() == Counter({"closed": 1})
    assert sum(street.rails["alipay"].purposes.values()) == 1
    assert await street.pool.fetchval("SELECT count(*) FROM alarms WHERE kind='payout_delayed'") == 1
    actions = [
        r["action"] for r in await street.pool.fetch("SELECT action FROM events WHERE order_id=$1", order)
    ]
    assert "engine:order:in_review" not in actions
    await assert_clean(street)


async def test_a_float_that_is_too_small_delays_payments_and_says_so(street: Street) -> None:
    street.rails["alipay"].plan[Kind.PAY].append(Outcome(Result.FAILED, code="float_insufficient"))
    await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    assert await street.settle() == Counter({"closed": 1})
    assert (
        await street.pool.fetchval("SELECT subject FROM alarms WHERE kind='payout_delayed'") == "rail:alipay"
    )


async def test_two_people_have_a_refused_payment_made_again(street: Street) -> None:
    street.rails["alipay"].plan[Kind.PAY].append(Outcome(Result.FAILED, code="rail_refused"))
    (order,) = await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    assert await street.settle() == Counter({"in_review:rail_refused": 1})
    await decide(
        street, order, "fail", code="rail_refused"
    )  # what was delivered is paid, whatever two people say
    await folded(street)
    assert await street.states() == Counter({"in_review:rail_refused": 1})
    assert await street.pool.fetchval("SELECT count(*) FROM alarms WHERE kind='decision_impossible'") == 1
    await decide(street, order, "pay", code="rail_refused")
    assert await street.settle() in (Counter({"closed": 1}), Counter({"in_review:rail_refused": 1}))

    async def closed() -> bool:
        return (await street.order(order))["state"] == "closed"

    await street.run(closed)
    await assert_clean(street)


@pytest.mark.parametrize(
    ("course", "state"), [("decline", "declined:delivery_failed"), ("fail", "failed:delivery_failed")]
)
async def test_two_people_end_an_order_and_its_hold_is_given_back(
    street: Street, course: str, state: str
) -> None:
    (order,) = await street.sell(street.ask_balance(street.line("13800000001"), 10_000))
    street.carriers["cmcc"].plan[Kind.TRANSFER].extend([Outcome(Result.FAILED, code="target_refused")] * 6)
    assert await street.settle() == Counter({"in_review:delivery_failed": 1})
    # nothing stays reserved for an order that waits for people
    assert await street.pool.fetchval("SELECT count(*) FROM fills WHERE state='reserved'") == 0
    row = await street.pool.fetchrow("SELECT debits_pending FROM accounts WHERE code='deposit:shop'")
    assert row["debits_pending"] == 0
    await decide(street, order, course, code="delivery_failed")
    await folded(street)
    assert await street.settle() == Counter({state: 1})
    assert street.carriers["cmcc"].calls["release"] == 1
    assert await street.balance("held", "cmcc.balance") == 0
    await assert_clean(street)


async def test_a_decision_about_something_that_changed_is_logged_and_not_executed(street: Street) -> None:
    await approve(street, "operations:book:pause", before={"routing": False}, after={"routing": False})
    await folded(street)
    assert await street.pool.fetchval("SELECT routing FROM books") is True
    body = await street.pool.fetchval("SELECT body FROM events WHERE action='operations:book:pause'")
    assert b'"decision":"stale"' in bytes(body)
    assert await street.pool.fetchval("SELECT count(*) FROM alarms WHERE kind='decision_stale'") == 1
    await approve(street, "operations:book:pause", before={"routing": True}, after={"routing": False})
    await folded(street)
    assert await street.pool.fetchval("SELECT routing FROM books") is False


async def test_an_order_that_awaits_its_payee_is_not_moved_by_a_late_cancellation(street: Street) -> None:
    (order,) = await street.sell(street.ask_card(street.card("cmcc", 10_000), payee="错名"))
    assert await street.settle() == Counter({"awaiting_seller:payee_name_mismatch": 1})
    await append_cancel(street.pool, book=BOOK, order_id=order, at=datetime.now(UTC))
    await folded(street)
    assert await street.states() == Counter({"awaiting_seller:payee_name_mismatch": 1})
    sealed = seal_payee(order_id=order, account="s1@example.com", name="张三", keys=street.keys)
    await append_payee(street.pool, book=BOOK, order_id=order, sealed=sealed, at=datetime.now(UTC))
    await folded(street)
    assert await street.settle() == Counter({"closed": 1})


async def test_a_price_list_counts_from_the_time_that_was_approved(street: Street) -> None:
    now = datetime.now(UTC)
    # an old document published again counts from now on, a future one from then
    for version, at in ((1, now - timedelta(days=1)), (2, now + timedelta(hours=1))):
        await approve(
            street,
            "pricing:rate_card:publish",
            before={"version": str(version)},
            after={"document": DEFAULT_CARD, "effective_at": at.isoformat()},
        )
        await folded(street)
    rows = await street.pool.fetch("SELECT version, document, effective_at FROM rate_cards ORDER BY version")
    cards = [parse_card(row["document"]) for row in rows]
    assert [card.version for card in cards] == [1, 2, 3]
    assert [card.effective_from for card in cards][1:] == [row["effective_at"] for row in rows][1:]
    assert cards[1].effective_from >= now - timedelta(seconds=1)
    assert card_in_force(cards, datetime.now(UTC)).version == 2
    assert card_in_force(cards, now + timedelta(hours=2)).version == 3


async def test_a_card_that_no_request_reached_can_be_ended(street: Street) -> None:
    street.carriers["cmcc"].plan[Kind.REDEEM].extend(["unsent"] * 6)
    (order,) = await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    assert await street.settle() == Counter({"in_review:delivery_failed": 1})
    await decide(street, order, "fail", code="delivery_failed")
    await folded(street)
    assert await street.states() == Counter({"failed:delivery_failed": 1})
    assert (
        await street.pool.fetchval("SELECT sum(open_fen) FROM open_demands WHERE carrier='cmcc'") == 360_000
    )
    await assert_clean(street)


async def test_an_order_that_people_end_is_no_outlets_probe_any_more(street: Street) -> None:
    await street.pool.execute(
        "INSERT INTO outlet_health (book, outlet, state, since, until, rests, probes_taken, taken, refused, taken_before,"
        " refused_before) VALUES (1, 'shop', 'resting', now(), now() - interval '1 s', 1, 0, 0, 5, 0, 0)"
    )
    street.carriers["cmcc"].plan[Kind.REDEEM].extend(["unsent"] * 6)
    (order,) = await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    assert await street.settle() == Counter({"in_review:delivery_failed": 1})
    assert await street.pool.fetchval("SELECT probe FROM outlet_health") is not None
    await decide(street, order, "fail", code="delivery_failed")
    await folded(street)
    # otherwise nothing is sent there for two hours
    assert await street.pool.fetchval("SELECT probe FROM outlet_health") is None


async def stop(street: Street, order: int, *, state: str) -> None:
    """Two people take an order that is under way out of it."""
    public = ids.public("ord", order)
    await approve(
        street,
        "operations:order:decide",
        before={"order": public, "state": state, "code": None},
        after={"order": public, "course": "review"},
    )
    await folded(street)
    assert (await street.order(order))["state"] == "in_review"


async def open_of(street: Street, kind: str) -> int:
    """How many effects of a kind have no final result."""
    return int(
        await street.pool.fetchval(
            "SELECT count(*) FROM open_effects o JOIN effects e ON e.book = o.book AND e.id = o.effect_id"
            " WHERE e.kind = $1",
            kind,
        )
    )


async def under_way(street: Street, far_side: Misbehaving, kind: str, *, state: str) -> str:
    """Work until the far side has an effect of that kind under way, its order in that state; its reference."""

    async def there() -> bool:
        return (
            bool(far_side.taken)
            and await open_of(street, kind) == 1
            and await street.pool.fetchval("SELECT state FROM orders") == state
        )

    await street.run(there)
    (ref,) = far_side.taken
    return ref


async def test_an_order_stopped_on_its_way_stays_with_people_when_its_hold_succeeds(
    street: Street,
) -> None:
    carrier = street.carriers["cmcc"]
    carrier.plan[Kind.HOLD].append(Outcome(Result.PROCESSING))
    (order,) = await street.sell(street.ask_balance(street.line("13800000001"), 10_000))
    ref = await under_way(street, carrier, "hold", state="verified")
    await stop(street, order, state="verified")
    carrier.taken[ref] = Outcome(Result.SUCCEEDED, far_ref="h1", amount_fen=10_000)

    async def held() -> bool:
        return bool((await street.order(order))["held_fen"] == 10_000)

    await street.run(held)
    assert (await street.order(order))["state"] == "in_review"
    assert carrier.calls["transfer"] == 0
    await decide(street, order, "resume", code=None)
    await folded(street)
    assert await street.settle() == Counter({"closed": 1})


async def test_an_order_stopped_on_its_way_is_not_paid_anew_when_its_payment_fails(
    street: Street,
) -> None:
    rail = street.rails["alipay"]
    rail.plan[Kind.PAY].append(Outcome(Result.PROCESSING))
    (order,) = await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    ref = await under_way(street, rail, "pay", state="credited")
    await stop(street, order, state="credited")
    rail.taken[ref] = Outcome(Result.FAILED, code="float_insufficient")

    async def answered() -> bool:
        return await open_of(street, "pay") == 0

    await street.run(answered)
    assert (await street.order(order))["state"] == "in_review"
    assert sum(rail.purposes.values()) == 0
    await decide(street, order, "pay", code=None)
    await folded(street)
    assert await street.settle() == Counter({"closed": 1})
    assert sum(rail.purposes.values()) == 1
