"""What a far side takes back after it was final: who bears it, how two people settle it, and that the books agree."""

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from airback.domain import ids
from airback.domain.effects import Outcome, Result
from airback.domain.refusals import Refused
from airback.engine.inbox import append_callback, append_payee, seal_payee
from airback.orders.corrections import Bearer, Correction, Kind, Settlement, State
from tests.engine.far_sides import capabilities
from tests.engine.street import BOOK, Street
from tests.engine.test_lifecycle import assert_clean
from tests.engine.test_review import approve, folded

NOW = datetime(2026, 11, 20, 4, tzinfo=UTC)
FACE_FEN = 10_000


async def taken_back(street: Street, order: int, effect: str) -> asyncpg.Record:
    """The far side takes the order's last effect of a kind back and says so; the correction that this opened."""
    row = await street.pool.fetchrow(
        "SELECT ref, far_side FROM effects WHERE order_id = $1 AND kind = $2 ORDER BY id DESC LIMIT 1",
        order,
        effect,
    )
    port, _, name = row["far_side"].partition(":")
    side = street.carriers[name] if port == "carrier" else street.rails[name]
    side.done[row["ref"]] = Outcome(Result.REVERSED, amount_fen=side.done[row["ref"]].amount_fen)
    await append_callback(street.pool, book=BOOK, ref=row["ref"], body={}, at=datetime.now(UTC))

    async def corrected() -> bool:
        return bool(await street.pool.fetchval("SELECT count(*) FROM corrections"))

    await street.run(corrected)
    return await standing(street)


async def standing(street: Street) -> asyncpg.Record:
    """The one correction of the book."""
    (row,) = await street.pool.fetch("SELECT * FROM corrections")
    return row


async def settle(
    street: Street, row: asyncpg.Record, settlement: str, amount_fen: int, *, left_fen: int
) -> None:
    """Two people settle so much of it, having seen `left_fen`, and the writer does what they decided."""
    public = ids.public("cor", row["id"])
    await approve(
        street,
        "finance:correction:settle",
        before={"correction": public, "left_fen": left_fen},
        after={"correction": public, "settlement": settlement, "amount_fen": amount_fen},
    )
    await folded(street)


async def sold(street: Street) -> int:
    """An order that is closed."""
    (order,) = await street.sell(street.ask_balance(street.line("13800000001"), FACE_FEN))
    assert await street.settle() == Counter({"closed": 1})
    return order


async def paid_but_not_final(street: Street) -> int:
    """An order that is paid while its delivery can still be reversed."""
    carriers = {**street.policy.carriers, "cmcc": capabilities("cmcc", final_after_s=3600)}
    street.policy = replace(street.policy, carriers=carriers)
    (order,) = await street.sell(street.ask_balance(street.line("13800000001"), FACE_FEN))

    async def paid() -> bool:
        return bool(await street.pool.fetchval("SELECT paid_fen = net_fen FROM orders WHERE id = $1", order))

    await street.run(paid)
    return order


async def close_in_time(street: Street, order: int) -> None:
    """The hour passes, and the order closes."""
    await street.pool.execute("UPDATE orders SET final_at = now() WHERE id = $1", order)
    await street.pool.execute("UPDATE work SET due_at = now()")
    assert await street.settle() == Counter({"closed": 1})


async def open_alarms(street: Street) -> list[str]:
    return [row["kind"] for row in await street.pool.fetch("SELECT kind FROM alarms WHERE closed_at IS NULL")]


async def outcomes(street: Street) -> list[str]:
    """What became of each decision about a correction, in order."""
    rows = await street.pool.fetch(
        "SELECT body FROM events WHERE action = 'finance:correction:settle' ORDER BY seq"
    )
    return [json.loads(row["body"])["decision"] for row in rows]


async def test_a_delivery_reversed_after_its_order_closed_is_settled_in_parts(street: Street) -> None:
    deposit_fen = 100_000_000
    order = await sold(street)
    pays_fen = await street.pool.fetchval("SELECT sum(pays_fen)::bigint FROM fills")
    own_fen = await street.balance("cash:own")
    row = await taken_back(street, order, "transfer")
    assert (row["kind"], row["bearer"], row["amount_fen"], row["claim_fen"], row["order_id"]) == (
        "delivery_reversed", "platform", pays_fen, 0, order,
    )  # fmt: skip
    assert await open_alarms(street) == ["delivery_reversed"]
    assert await street.balance("deposit:shop") == deposit_fen
    assert await street.balance("loss") == pays_fen
    assert await street.balance("cash:own") == own_fen - pays_fen
    await assert_clean(street)

    await settle(street, row, "recovered", 3_000, left_fen=pays_fen)
    row = await standing(street)
    assert (row["recovered_fen"], row["written_off_fen"], row["closed_at"]) == (3_000, 0, None)
    assert await street.balance("loss") == pays_fen - 3_000
    assert await street.balance("cash:own") == own_fen - pays_fen + 3_000
    assert await open_alarms(street) == ["delivery_reversed"]
    await assert_clean(street)

    await settle(street, row, "recovered", pays_fen - 3_000, left_fen=pays_fen - 3_000)
    row = await standing(street)
    assert (row["recovered_fen"], row["written_off_fen"]) == (pays_fen, 0)
    assert row["closed_at"] is not None
    assert await street.balance("loss") == 0
    assert await street.balance("cash:own") == own_fen
    assert await open_alarms(street) == []
    assert (await street.order(order))["state"] == "closed"
    await assert_clean(street)
    assert await outcomes(street) == ["approved", "approved"]
    told = await street.pool.fetchval(
        "SELECT count(*) FROM events WHERE action = 'engine:correction:settled' AND order_id = $1", order
    )
    assert told == 2


async def test_what_the_operator_bears_is_written_off_without_a_posting(street: Street) -> None:
    row = await taken_back(street, await sold(street), "transfer")
    before = await street.pool.fetchval("SELECT count(*) FROM transfers")
    await settle(street, row, "written_off", row["amount_fen"], left_fen=row["amount_fen"])
    after = await standing(street)
    assert (after["written_off_fen"], after["closed_at"] is not None) == (row["amount_fen"], True)
    assert await street.pool.fetchval("SELECT count(*) FROM transfers") == before
    assert await street.balance("loss") == row["amount_fen"]
    assert await open_alarms(street) == []
    await assert_clean(street)


async def test_a_claim_on_the_seller_is_recovered_in_part_and_the_rest_becomes_loss(street: Street) -> None:
    order = await paid_but_not_final(street)
    row = await taken_back(street, order, "transfer")
    net_fen = (await street.order(order))["net_fen"]
    assert (row["bearer"], row["claim_fen"]) == ("seller", net_fen)
    recourse = f"recourse:{(await street.order(order))['seller']}"
    margin_fen = row["amount_fen"] - net_fen
    own_fen = await street.balance("cash:own")
    assert (await street.balance(recourse), await street.balance("loss")) == (net_fen, margin_fen)
    await settle(street, row, "recovered", 2_000, left_fen=net_fen)
    assert (await street.balance(recourse), await street.balance("loss")) == (net_fen - 2_000, margin_fen)
    assert await street.balance("cash:own") == own_fen + 2_000
    await assert_clean(street)
    await settle(street, row, "written_off", net_fen - 2_000, left_fen=net_fen - 2_000)
    assert await street.balance(recourse) == 0
    assert await street.balance("loss") == row["amount_fen"] - 2_000
    assert await street.balance("cash:own") == own_fen + 2_000
    row = await standing(street)
    assert (row["recovered_fen"], row["written_off_fen"]) == (2_000, net_fen - 2_000)
    assert row["closed_at"] is not None
    await close_in_time(street, order)
    await assert_clean(street)
    assert await open_alarms(street) == []


async def test_a_returned_payment_is_settled_by_paying_the_seller_again(street: Street) -> None:
    order = await paid_but_not_final(street)
    row = await taken_back(street, order, "pay")
    assert (row["kind"], row["closed_at"]) == ("payment_returned", None)
    await settle(street, row, "written_off", row["amount_fen"], left_fen=row["amount_fen"])
    assert await outcomes(street) == ["impossible"]
    assert (await standing(street))["closed_at"] is None
    await name_payee(street, order)

    async def repaid() -> bool:
        return (await standing(street))["closed_at"] is not None

    await street.run(repaid)
    row = await standing(street)
    assert (row["recovered_fen"], row["written_off_fen"]) == (0, 0)
    await close_in_time(street, order)
    assert "payment_returned" not in await open_alarms(street)
    await assert_clean(street)


async def name_payee(street: Street, order: int, name: str = "张三") -> None:
    """The seller names another payee."""
    sealed = seal_payee(order_id=order, account="13900000000", name=name, keys=street.keys)
    await append_payee(street.pool, book=BOOK, order_id=order, sealed=sealed, at=datetime.now(UTC))


async def test_a_payment_returned_after_its_order_closed_is_paid_again_where_it_stands(
    street: Street,
) -> None:
    order = await sold(street)
    net_fen = (await street.order(order))["net_fen"]
    row = await taken_back(street, order, "pay")
    assert (row["kind"], row["amount_fen"]) == ("payment_returned", net_fen)
    after = await street.order(order)
    assert (after["state"], after["paid_fen"], after["credited_fen"]) == ("closed", 0, net_fen)
    assert await street.balance(f"payable:{after['seller']}") == net_fen
    await assert_clean(street)

    # A payee who is none: the order stands as it stood, and the seller may name another.
    await name_payee(street, order, "错名")
    await folded(street)
    await street.settle()
    after = await street.order(order)
    assert (after["state"], after["paid_fen"]) == ("closed", 0)
    assert await open_alarms(street) == ["payment_returned", "payout_failed"]
    await assert_clean(street)

    await name_payee(street, order)
    await name_payee(street, order)  # twice, and paid once

    async def repaid() -> bool:
        return (await standing(street))["closed_at"] is not None

    await street.run(repaid)
    await street.settle()
    after = await street.order(order)
    assert (after["state"], after["paid_fen"]) == ("closed", net_fen)
    assert await street.balance(f"payable:{after['seller']}") == 0
    states = await street.pool.fetch("SELECT state FROM payouts ORDER BY id")
    assert [payout["state"] for payout in states] == ["returned", "failed", "paid"]
    assert await street.pool.fetchval("SELECT count(*) FROM work") == 0
    assert await open_alarms(street) == ["payout_failed"]
    await assert_clean(street)


async def test_more_than_is_left_is_not_carried_out(street: Street) -> None:
    row = await taken_back(street, await sold(street), "transfer")
    before = await street.pool.fetchval("SELECT count(*) FROM transfers")
    await settle(street, row, "recovered", row["amount_fen"] + 1, left_fen=row["amount_fen"])
    assert await outcomes(street) == ["impossible"]
    assert await standing(street) == row
    assert await street.pool.fetchval("SELECT count(*) FROM transfers") == before
    assert "decision_impossible" in await open_alarms(street)


async def test_the_same_money_counts_once_however_often_it_is_approved(street: Street) -> None:
    row = await taken_back(street, await sold(street), "transfer")
    public = ids.public("cor", row["id"])
    for _ in range(2):  # both letters are folded in one batch
        await approve(
            street,
            "finance:correction:settle",
            before={"left_fen": row["amount_fen"]},
            after={"correction": public, "settlement": "recovered", "amount_fen": 1_000},
        )
    await folded(street)
    assert await outcomes(street) == ["approved", "stale"]
    assert (await standing(street))["recovered_fen"] == 1_000
    assert await street.balance("loss") == row["amount_fen"] - 1_000
    await assert_clean(street)


async def test_what_is_settled_is_not_settled_again(street: Street) -> None:
    row = await taken_back(street, await sold(street), "transfer")
    await settle(street, row, "written_off", row["amount_fen"], left_fen=row["amount_fen"])
    await settle(street, row, "recovered", row["amount_fen"], left_fen=row["amount_fen"])
    await settle(street, row, "recovered", 1, left_fen=0)
    assert await outcomes(street) == ["approved", "stale", "impossible"]
    assert (await standing(street))["recovered_fen"] == 0


async def test_a_correction_that_is_none_is_not_settled(street: Street) -> None:
    row = await taken_back(street, await sold(street), "transfer")
    for public in ("cor_0000000000001", ids.public("ord", row["order_id"]), "x"):
        await approve(
            street,
            "finance:correction:settle",
            before={},
            after={"correction": public, "settlement": "recovered", "amount_fen": 1},
        )
    await folded(street)
    assert await outcomes(street) == ["impossible"] * 3
    assert await standing(street) == row


# -- the rules alone


def made(**changes: Any) -> Correction:
    values: dict[str, Any] = {
        "id": 1, "order_id": 2, "effect_id": 3, "kind": Kind.DELIVERY_REVERSED, "bearer": Bearer.SELLER,
        "amount_fen": 1_000, "claim_fen": 900, "opened_at": NOW,
    }  # fmt: skip
    return Correction(**(values | changes))


@pytest.mark.parametrize(
    ("changes", "left_fen"),
    [
        ({}, 900),
        ({"recovered_fen": 100, "written_off_fen": 200}, 600),
        ({"bearer": Bearer.PLATFORM, "claim_fen": 0}, 1_000),
        ({"kind": Kind.PAYMENT_RETURNED, "claim_fen": 0}, 1_000),
        ({"closed_at": NOW}, 0),
    ],
)
def test_what_is_left(changes: dict[str, Any], left_fen: int) -> None:
    assert made(**changes).left_fen == left_fen


@pytest.mark.parametrize(
    ("changes", "amount_fen", "code", "field"),
    [
        ({"closed_at": NOW}, 1, "correction_settled", "correction"),
        ({"kind": Kind.PAYMENT_RETURNED, "claim_fen": 0}, 1, "correction_repays", "correction"),
        ({}, 901, "correction_exceeded", "amount_fen"),
        ({"recovered_fen": 900 - 5}, 6, "correction_exceeded", "amount_fen"),
    ],
)
def test_each_refusal(changes: dict[str, Any], amount_fen: int, code: str, field: str) -> None:
    with pytest.raises(Refused) as refused:
        made(**changes).check(amount_fen)
    assert (refused.value.code, refused.value.field) == (code, field)


def test_it_is_settled_with_the_last_fen() -> None:
    made(recovered_fen=1).check(899)
    later = NOW + timedelta(days=1)
    part = made().settled(Settlement.RECOVERED, 899, now=later)
    assert (part.state, part.left_fen) == (State.OPEN, 1)
    whole = part.settled(Settlement.WRITTEN_OFF, 1, now=later)
    assert (whole.state, whole.closed_at, whole.recovered_fen, whole.written_off_fen) == (
        State.SETTLED, later, 899, 1,
    )  # fmt: skip
