"""What a far side did is never guessed: when a reference that was not found counts, and what a late word changes."""

import asyncio
import secrets
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airback.domain.effects import Kind, Outcome, Result
from airback.domain.ids import new_reference
from airback.domain.ports.carrier import HoldKind, RedeemRequest
from airback.engine import advance as advance_module
from airback.engine.batch import Batch
from airback.engine.inbox import append_decision
from airback.engine.records import Answer, OpenEffect
from tests.engine.far_sides import capabilities, rail_capabilities
from tests.engine.street import BOOK, CARD, Street
from tests.engine.test_lifecycle import assert_clean


def batch_of(street: Street) -> Batch:
    return Batch(
        book=BOOK,
        epoch=1,
        now=datetime.now(UTC),
        entropy=secrets.token_bytes,
        keys=street.keys,
        policy=street.policy,
        rate_card=CARD,
        rate_cards_known={1: CARD},
        routing=True,
        next_seq=1,
    )


def effect_of(result: Result, kind: Kind = Kind.REDEEM) -> OpenEffect:
    now = datetime.now(UTC)
    ref = new_reference(entropy=secrets.token_bytes)
    return OpenEffect(
        1, kind, "carrier:cmcc", 7, 8, None, ref, 1_000, HoldKind.NONE, b"", now, now, now, 1, result
    )


async def test_nobody_asks_about_a_request_that_is_still_with_our_own_senders(street: Street) -> None:
    street.policy = replace(street.policy, look_again=timedelta(milliseconds=30))
    carrier = street.carriers["cmcc"]
    real = carrier.redeem

    async def slow(request: RedeemRequest) -> Outcome:
        await asyncio.sleep(0.7)
        return await real(request)

    carrier.redeem = slow  # type: ignore[method-assign]
    await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    assert await street.settle() == Counter({"closed": 1})
    assert carrier.calls == Counter({"redeem": 1})


async def test_a_former_workers_request_may_arrive_until_its_time_is_over(street: Street) -> None:
    carrier = street.carriers["cmcc"]
    carriers = {**street.policy.carriers, "cmcc": capabilities("cmcc", timeout_s=30)}
    street.policy = replace(street.policy, carriers=carriers)
    real, asked, under_way = carrier.redeem, carrier.ask, []

    async def late(request: RedeemRequest) -> Outcome:
        under_way.append(request)
        return await asyncio.Future()

    async def ask(*, kind: Kind, ref: str, hold: HoldKind = HoldKind.NONE) -> Outcome:
        answer = await asked(kind=kind, ref=ref, hold=hold)
        if under_way:  # it arrives just after the far side has said that it knows nothing of it
            await real(under_way.pop())
        return answer

    carrier.ask = ask  # type: ignore[method-assign]
    carrier.redeem = late  # type: ignore[method-assign]
    await street.sell(street.ask_card(street.card("cmcc", 10_000)))

    async def left() -> bool:
        return bool(under_way)

    await street.run(left)
    carrier.redeem = real  # type: ignore[method-assign]
    assert await street.settle() == Counter({"closed": 1})
    assert carrier.calls["redeem"] == 1
    await assert_clean(street)


@pytest.mark.parametrize(("result", "state"), [("succeeded", "closed"), ("failed", "failed:card_used")])
async def test_a_card_called_used_after_an_earlier_request_is_two_peoples_to_decide(
    street: Street, result: str, state: str
) -> None:
    carrier = street.carriers["cmcc"]
    card = street.card("cmcc", 10_000)

    def uses_it_unseen(_: Outcome) -> Outcome:
        street.cards[card[1]] = (10_000, "card_used")
        return Outcome(Result.FAILED, code="not_found")

    carrier.plan[Kind.REDEEM].append(uses_it_unseen)
    (order,) = await street.sell(street.ask_card(card))
    assert await street.settle() == Counter({"in_review:card_used": 1})
    assert await street.pool.fetchval("SELECT count(*) FROM alarms WHERE kind = 'card_in_doubt'") == 1
    ref = await street.pool.fetchval(
        "SELECT e.ref FROM effects e JOIN open_effects o ON o.effect_id = e.id WHERE e.kind = 'redeem'"
    )
    body: dict[str, Any] = {
        "proposal": "pro_1",
        "action": "operations:effect:resolve",
        "subject": ref,
        "before": {"result": "unknown"},
        "after": {"effect": ref, "result": result},
        "reason": "by the carrier's letter",
        "proposed_by": "a",
        "decided_by": "b",
    }
    await append_decision(street.pool, book=BOOK, body=body, at=datetime.now(UTC))

    async def ended() -> bool:
        return (await street.order(order))["closed_at"] is not None

    await street.run(ended)
    assert await street.states() == Counter({state: 1})
    kept = await street.pool.fetchval("SELECT bool_and(expires_at IS NULL) FROM claims WHERE kind = 'card'")
    assert kept is True


async def test_a_success_that_comes_after_failure_is_recorded_and_becomes_somebodys_work(
    street: Street,
) -> None:
    batch, effect = batch_of(street), effect_of(Result.FAILED)
    answer = Answer(effect, Outcome(Result.SUCCEEDED, amount_fen=1_000), asked=False)
    advance_module.advance(batch, answers=[answer], letters=(), due=())
    assert [(row.applied, row.outcome.result) for row in batch.results] == [(False, Result.SUCCEEDED)]
    assert [(alarm.kind, alarm.subject) for alarm in batch.alarms] == [("done_after_failure", effect.ref)]


async def test_an_execution_told_twice_raises_an_alarm(street: Street) -> None:
    street.carriers["cmcc"].plan[Kind.TRANSFER].append(
        lambda o: replace(o, detail={**o.detail, "executions": 2})
    )
    await street.sell(street.ask_balance(street.line("13800000001"), 10_000))
    assert await street.settle() == Counter({"closed": 1})
    assert await street.pool.fetchval("SELECT count(*) FROM alarms WHERE kind = 'delivered_more'") == 1


async def test_a_grace_no_longer_than_a_request_is_refused(street: Street) -> None:
    good = capabilities("cmcc", timeout_s=5, not_found_final_after_s=6)
    rail = rail_capabilities(timeout_s=5, not_found_final_after_s=6)
    replace(street.policy, carriers={"cmcc": good}, rails={"alipay": rail}).check()
    for bad in (replace(good, not_found_final_after_s=5), replace(good, timeout_s=10)):
        with pytest.raises(ValueError, match="cmcc"):
            replace(street.policy, carriers={"cmcc": bad}, rails={"alipay": rail}).check()
    with pytest.raises(ValueError, match="alipay"):
        replace(street.policy, carriers={"cmcc": good}, rails={"alipay": replace(rail, timeout_s=6)}).check()
