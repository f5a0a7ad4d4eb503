"""Outlets in the engine: terms, pauses, money lent and paid back, and notices, decided by people and carried out."""

import asyncio
import json
import secrets
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airback.domain import ids
from airback.domain.effects import Outcome, Result
from airback.domain.refusals import Refused
from airback.engine import batch, gather, hook, pause, tell, writer
from airback.engine.act import record_act
from airback.engine.inbox import append_callback, append_decision
from airback.engine.outlets import CREDIT_LINE, LIFT, RESEND, TERMS, WITHDRAW
from airback.market.profiles import PROFILES
from airback.market.terms import ChannelKind
from airback.orders.intake import FILES
from airback.pricing.default_card import DEFAULT_CARD
from airback.store import outlets, pauses
from tests.engine.street import BOOK, Street
from tests.engine.test_lifecycle import assert_clean


def terms(**changes: Any) -> dict[str, Any]:
    document = PROFILES[ChannelKind.VERTICAL].draft()
    document |= {"daily_fen": 2_000_000, "funds": "bank", "per_minute": 60}
    return document | {"settle_from_days": 0, "settle_to_days": 1} | changes


async def decide(
    street: Street, action: str, after: dict[str, Any], *, before: dict[str, Any] | None = None
) -> str:
    proposal = ids.public("pro", secrets.randbits(60))
    body = {
        "proposal": proposal,
        "action": action,
        "subject": "x",
        "before": before or {},
        "after": after,
        "reason": "agreed",
        "decision": "approved",
        "proposed_by": "wang",
        "decided_by": "liu",
    }
    await append_decision(street.pool, book=BOOK, body=body, at=datetime.now(UTC))
    return proposal


async def folded(street: Street) -> None:
    """Run until the inbox is empty."""

    async def empty() -> bool:
        return not await street.pool.fetchval("SELECT count(*) FROM inbox")

    await street.run(empty)


async def begin(street: Street, kind: str, subject: str, **changes: Any) -> int:
    values: dict[str, Any] = {"reason_zh": "系统维护", "reason_en": "Maintenance", "until": None}
    async with street.pool.acquire() as conn:
        return await pause.begin(
            conn,
            book=BOOK,
            kind=kind,
            subject=subject,
            rails=["alipay"],
            by="wang",
            roles=changes.pop("roles", ["operations"]),
            now=datetime.now(UTC),
            entropy=secrets.token_bytes,
            **(values | changes),
        )


async def alarms(street: Street) -> set[str]:
    return {row["kind"] for row in await street.pool.fetch("SELECT kind FROM alarms WHERE closed_at IS NULL")}


# -- terms


async def test_approved_terms_are_a_version_and_the_ones_in_force_are_read(street: Street) -> None:
    now = datetime.now(UTC)
    after = {"outlet": "kaka", "name": "卡卡", "effective_at": now.isoformat(), "document": terms()}
    await decide(street, TERMS, after, before={"version": "0"})
    await folded(street)
    later = {**after, "effective_at": (now + timedelta(days=1)).isoformat()}
    await decide(street, TERMS, {**later, "document": terms(per_minute=5)}, before={"version": "1"})
    await folded(street)
    async with street.pool.acquire() as conn:
        versions = await outlets.versions(conn, book=BOOK, outlet="kaka")
        standing = (await outlets.standings(conn, book=BOOK, now=datetime.now(UTC)))["kaka"]
    assert [one.version for one in versions] == [2, 1]
    assert (versions[0].proposed_by, versions[0].approved_by) == ("wang", "liu")
    assert standing.terms.per_minute == 60  # the second version's time has not come
    assert (standing.daily_left_fen, standing.success_ppm, standing.delay_s) == (2_000_000, 1_000_000, 86_400)
    assert await street.pool.fetchval("SELECT name FROM outlets WHERE outlet = 'kaka'") == "卡卡"


async def test_terms_that_were_proposed_on_an_older_version_are_stale(street: Street) -> None:
    after = {
        "outlet": "shop",
        "name": "shop",
        "effective_at": datetime.now(UTC).isoformat(),
        "document": terms(),
    }
    await decide(street, TERMS, after, before={"version": "0"})
    await decide(street, TERMS, after, before={"version": "0"})
    await folded(street)
    assert await street.pool.fetchval("SELECT count(*) FROM outlet_terms") == 1
    assert await alarms(street) == {"decision_stale"}


async def test_what_outlets_took_today_is_left_out_of_their_limits_and_counted_as_their_record(
    street: Street,
) -> None:
    after = {
        "outlet": "shop",
        "name": "shop",
        "effective_at": datetime.now(UTC).isoformat(),
        "document": terms(),
    }
    await decide(street, TERMS, after, before={"version": "0"})
    await street.sell(*(street.ask_card(street.card("cmcc", 10_000), seller=f"s{n}") for n in range(3)))
    assert await street.settle() == Counter({"closed": 3})
    async with street.pool.acquire() as conn:
        now = datetime.now(UTC)
        standing = (await outlets.standings(conn, book=BOOK, now=now))["shop"]
        record = (await outlets.records(conn, book=BOOK, now=now))["shop"]
    assert standing.daily_left_fen == 2_000_000 - 30_000
    assert standing.per_minute_left == 60 - 3
    assert (record.delivered, record.failed, record.delivered_fen, record.success_ppm) == (3, 0, 30_000, None)


# -- pauses


async def test_a_paused_outlet_gets_nothing_until_two_people_lift_it(street: Street) -> None:
    pause_id = await begin(street, "outlet", "shop")
    await folded(street)
    await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    assert await street.settle() == Counter({"declined:no_outlet": 1})
    lift = {"pause": ids.public("pau", pause_id)}
    await decide(street, LIFT, lift, before={"kind": "outlet", "subject": "shop"})
    await folded(street)
    await street.sell(street.ask_card(street.card("cmcc", 10_000), seller="s2"))
    assert (await street.settle())["closed"] == 1
    # lifting it twice finds nothing that stands
    await decide(street, LIFT, lift, before={"kind": "outlet", "subject": "shop"})
    await folded(street)
    assert "decision_stale" in await alarms(street)
    actions = {row["action"] for row in await street.pool.fetch("SELECT action FROM events")}
    assert {"operations:pause:begun", "operations:pause:lift"} <= actions


async def test_a_paused_rail_makes_the_payment_wait_and_nothing_else(street: Street) -> None:
    await begin(street, "rail", "alipay")
    (order,) = await street.sell(street.ask_card(street.card("cmcc", 10_000)))

    async def credited() -> bool:
        return (await street.order(order))["state"] == "credited"

    await street.run(credited)
    assert street.rails["alipay"].paid == {}
    await street.pool.execute("UPDATE pauses SET until = now(), since = now() - interval '1 hour'")
    await street.pool.execute("UPDATE work SET due_at = now()")
    assert await street.settle() == Counter({"closed": 1})
    await assert_clean(street)


async def test_an_order_of_a_paused_carrier_waits_untouched(street: Street) -> None:
    await begin(street, "carrier", "cmcc")
    (order,) = await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    (other,) = await street.sell(street.ask_card(street.card("ctcc", 10_000), seller="s2"))

    async def closed() -> bool:
        return (await street.order(other))["state"] == "closed"

    await street.run(closed)
    assert (await street.order(order))["state"] == "submitted"
    assert not street.carriers["cmcc"].calls


@pytest.mark.parametrize(
    ("kind", "subject", "changes", "code", "field"),
    [
        ("moon", "x", {}, "field_invalid", "kind"),
        ("carrier", "marsmobile", {}, "carrier_unknown", "subject"),
        ("province", "Guangdong", {}, "field_invalid", "subject"),
        ("outlet", "nobody", {}, "not_found", "subject"),
        ("rail", "gold", {}, "rail_unavailable", "subject"),
        ("carrier", "cmcc", {"reason_zh": " "}, "pause_reason_missing", "reason_zh"),
        ("carrier", "cmcc", {"reason_en": "x" * 201}, "pause_reason_missing", "reason_en"),
        ("carrier", "cmcc", {"until": datetime(2020, 1, 1, tzinfo=UTC)}, "deadline_past", "until"),
        ("carrier", "cmcc", {"roles": ["support"]}, "role_missing", None),
    ],
)
async def test_what_cannot_be_paused_is_refused_by_name(
    street: Street, kind: str, subject: str, changes: dict[str, Any], code: str, field: str | None
) -> None:
    with pytest.raises(Refused) as refused:
        await begin(street, kind, subject, **changes)
    assert (refused.value.code, refused.value.field) == (code, field)
    async with street.pool.acquire() as conn:
        assert (await pauses.standing(conn, book=BOOK, now=datetime.now(UTC))).every == ()


async def test_a_subject_is_paused_once(street: Street) -> None:
    await begin(street, "carrier", "cmcc")
    with pytest.raises(Refused) as refused:
        await begin(street, "carrier", "cmcc")
    assert refused.value.code == "already_decided"


# -- money


async def test_a_credit_line_is_earmarked_like_a_deposit_and_backed_by_the_operators_cash(
    street: Street,
) -> None:
    await street.pool.execute("DELETE FROM open_demands")
    await street.demands("cmcc", 30_000, outlet="shop2")
    await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    assert await street.settle() == Counter({"declined:no_outlet": 1})  # it has no money
    await decide(street, CREDIT_LINE, {"outlet": "shop2", "amount_fen": 50_000}, before={"line_fen": 0})
    await folded(street)
    own = await street.balance("cash:own")
    assert await street.balance("receivable:shop2") == await street.balance("deposit:shop2") == 50_000
    await street.sell(street.ask_card(street.card("cmcc", 10_000), seller="s2"))
    assert (await street.settle())["closed"] == 1
    assert await street.balance("deposit:shop2") == 50_000 - 9_800
    # 9 800 are in use: the line can be lowered to that and not below; what was lent is not paid back as a deposit
    await decide(street, CREDIT_LINE, {"outlet": "shop2", "amount_fen": 0}, before={"line_fen": 50_000})
    await decide(street, WITHDRAW, {"outlet": "shop2", "amount_fen": 1})
    await folded(street)
    assert await street.balance("receivable:shop2") == 50_000
    assert "decision_impossible" in await alarms(street)
    await street.pool.execute("DELETE FROM open_demands")
    await decide(street, CREDIT_LINE, {"outlet": "shop2", "amount_fen": 9_800}, before={"line_fen": 50_000})
    await folded(street)
    assert await street.balance("receivable:shop2") == 9_800
    assert await street.balance("deposit:shop2") == 0
    assert await street.balance("cash:own") == own + 40_200
    await assert_clean(street)


async def test_no_more_is_lent_than_the_operator_has(street: Street) -> None:
    await folded(street)
    own = await street.balance("cash:own")
    await decide(street, CREDIT_LINE, {"outlet": "shop", "amount_fen": own}, before={"line_fen": 0})
    await decide(street, CREDIT_LINE, {"outlet": "shop2", "amount_fen": 1}, before={"line_fen": 0})
    await folded(street)
    assert (await street.balance("receivable:shop"), await street.balance("receivable:shop2")) == (own, 0)
    assert await street.balance("cash:own") == 0
    assert await alarms(street) == {"decision_impossible"}
    await assert_clean(street)


async def test_only_what_is_free_of_a_deposit_is_paid_back(street: Street) -> None:
    await street.pool.execute("DELETE FROM open_demands")
    await street.demands("cmcc", 100_000)  # wants 98 000 of it
    await folded(street)
    before = await street.balance("deposit:shop")
    await decide(street, WITHDRAW, {"outlet": "shop", "amount_fen": before - 98_000 + 1})
    await folded(street)
    assert await street.balance("deposit:shop") == before
    await decide(street, WITHDRAW, {"outlet": "shop", "amount_fen": before - 98_000})
    await folded(street)
    assert await street.balance("deposit:shop") == 98_000
    assert await street.balance("cash:safeguarded") >= 98_000
    await assert_clean(street)


# -- notices


async def hooked(street: Street) -> str:
    async with street.pool.acquire() as conn:
        return await hook.register(
            conn,
            book=BOOK,
            outlet="shop",
            url="http://127.0.0.1:9/hook",
            allow_loopback=True,
            keys=street.keys,
            now=datetime.now(UTC),
            entropy=secrets.token_bytes,
        )


async def test_an_outlet_is_told_of_its_fill_and_of_nothing_else(street: Street) -> None:
    secret = await hooked(street)
    await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    assert await street.settle() == Counter({"closed": 1})
    (notice,) = street.outlet.told
    said = json.loads(notice.body)
    assert (notice.secret, notice.url, said["type"]) == (secret, "http://127.0.0.1:9/hook", "fill.delivered")
    assert (said["data"]["delivered_fen"], said["data"]["pays_fen"]) == (10_000, 9_800)
    assert set(said["data"]) == {
        "fill", "demand", "carrier", "number", "delivered_fen", "price_ppm", "pays_fen",
    }  # fmt: skip
    assert secret not in repr(notice)


async def test_an_outlet_without_an_address_costs_no_effect(street: Street) -> None:
    await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    await street.settle()
    assert await street.pool.fetchval("SELECT count(*) FROM effects WHERE kind = 'webhook'") == 0


async def test_a_notice_is_tried_again_under_the_same_reference_until_it_is_taken(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "_TELL_EVERY_S", 0)
    await hooked(street)
    street.outlet.plan += [Outcome(Result.UNKNOWN, code="hook_refused", detail={"status": 500})] * 2
    await street.sell(street.ask_card(street.card("cmcc", 10_000)))

    async def taken() -> bool:
        rows = await street.pool.fetch(
            "SELECT r.result FROM effect_results r JOIN effects e ON e.id = r.effect_id WHERE e.kind = 'webhook' ORDER BY n"
        )
        return [row["result"] for row in rows] == ["unknown", "unknown", "succeeded"]

    await street.run(taken)
    assert len(street.outlet.told) == 3
    assert len({notice.ref for notice in street.outlet.told}) == 1
    await street.settle()
    await assert_clean(street)


async def test_a_new_writer_tells_what_the_last_one_could_not(street: Street) -> None:
    await hooked(street)
    street.outlet.plan.append(Outcome(Result.UNKNOWN, code="answer_lost"))
    await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    await street.settle()
    assert len(street.outlet.told) == 1

    async def over() -> bool:
        return not await street.pool.fetchval("SELECT count(*) FROM open_effects")

    await street.run(over)
    assert {notice.ref for notice in street.outlet.told} == {street.outlet.told[0].ref}
    await assert_clean(street)


async def test_a_notice_that_was_refused_for_good_is_somebodys_work_and_can_be_sent_again(
    street: Street,
) -> None:
    await hooked(street)
    street.outlet.plan.append(Outcome(Result.FAILED, code="hook_refused", detail={"status": 410}))
    await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    await street.settle()
    assert "notice_failed" in await alarms(street)
    (first,) = street.outlet.told
    ref = await street.pool.fetchval("SELECT ref FROM effects WHERE kind = 'webhook'")
    await record_act(
        street.pool,
        book=BOOK,
        action=RESEND,
        subject=ref,
        before={},
        after={"outlet": "shop"},
        reason="resend",
        by="wang",
        now=datetime.now(UTC),
    )

    async def told_twice() -> bool:
        return len(street.outlet.told) == 2

    await street.run(told_twice)
    assert street.outlet.told[1] == first  # whoever receives it knows it by its reference
    await street.settle()
    await assert_clean(street)


async def test_a_published_price_list_is_told_to_every_outlet_with_an_address(street: Street) -> None:
    await hooked(street)
    document = {**DEFAULT_CARD, "version": 2}
    after = {"document": document, "effective_at": datetime.now(UTC).isoformat()}
    await decide(street, "pricing:rate_card:publish", after, before={"version": "1"})

    async def told() -> bool:
        return bool(street.outlet.told)

    await street.run(told)
    assert json.loads(street.outlet.told[0].body)["type"] == "prices.published"


async def test_an_outlet_that_takes_no_notice_is_told_no_more_than_so_many_at_once(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tell, "MOST_WAITING", 2)
    await hooked(street)
    street.outlet.plan += [Outcome(Result.UNKNOWN, code="answer_lost")] * 100
    for n in range(4):
        await street.sell(street.ask_card(street.card("cmcc", 10_000), seller=f"s{n}"))
        await street.settle()
    assert await street.pool.fetchval("SELECT count(*) FROM effects WHERE kind = 'webhook'") == 2
    assert "notices_not_made" in await alarms(street)
    street.outlet.plan.clear()

    async def over() -> bool:
        return not await street.pool.fetchval("SELECT count(*) FROM open_effects")

    await street.run(over)
    await street.sell(street.ask_card(street.card("cmcc", 10_000), seller="s9"))
    await street.settle()
    assert await street.pool.fetchval("SELECT count(*) FROM effects WHERE kind = 'webhook'") == 3


async def test_a_callback_about_a_notice_asks_nobody(street: Street) -> None:
    await hooked(street)
    await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    await street.settle()
    ref = await street.pool.fetchval("SELECT ref FROM effects WHERE kind = 'webhook'")
    await append_callback(street.pool, book=BOOK, ref=ref, body={}, at=datetime.now(UTC))
    await folded(street)  # a question to an outlet has no answer, so its letter would stay for ever


async def test_notices_wait_behind_files_and_never_pass_for_persons_work(street: Street) -> None:
    await hooked(street)
    street.outlet.plan.append(Outcome(Result.UNKNOWN, code="answer_lost"))
    await street.sell(street.ask_card(street.card("cmcc", 10_000)))
    await street.settle()
    async with street.pool.acquire() as conn:
        (notice,) = [e for e in await gather.open_effects(conn, book=BOOK, epoch=1) if e.kind == "webhook"]
    assert notice.lane == FILES


async def test_what_comes_back_from_a_paused_outlet_is_not_sold_to_it_in_the_same_batch(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "REFRESH_S", 0.02)
    await street.pool.execute("DELETE FROM open_demands")
    await street.settle()
    await street.demands("cmcc", 30_000)  # a part of it stays open
    carrier = street.carriers["cmcc"]
    real = carrier.hold
    calls = 0

    async def hold(request: Any) -> Outcome:
        nonlocal calls
        calls += 1
        if calls > 1:
            return await real(request)
        await begin(street, "outlet", "shop")
        await asyncio.sleep(0.1)
        waiting = [street.line(f"138000001{n:02d}") for n in range(20)]
        await street.sell(*(street.ask_balance(line, 10_000, seller=line) for line in waiting))
        await asyncio.sleep(0.4)  # they look for an outlet all the time, and so in the batch of this answer
        return Outcome(Result.FAILED, code="hold_refused")

    carrier.hold = hold  # type: ignore[method-assign]
    street.policy = replace(street.policy, outlet_patience=timedelta(seconds=2), retry_after=timedelta(0))
    await street.sell(street.ask_balance(street.line("13800000001"), 10_000))
    assert await street.settle() == Counter({"declined:hold_refused": 1, "declined:no_outlet": 20})
    assert await street.pool.fetchval("SELECT count(*) FROM fills") == 1
    await assert_clean(street)


async def test_days_that_are_over_are_not_counted_again_and_again(street: Street) -> None:
    """Thirty days of a market are millions of fills, and the writer counts every half minute."""
    now = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
    document = terms(daily_fen=2_000_000, monthly_fen=9_000_000)
    await street.pool.execute(
        "INSERT INTO outlet_terms VALUES (1, 'shop', 1, $1, '2026-01-01Z', 'a', 'b', '2026-01-01Z')", document
    )

    async def fill(at: datetime, state: str = "delivered") -> None:
        (fill_id,) = ids.new_ids(now=at, entropy=secrets.token_bytes)
        await street.pool.execute(
            "INSERT INTO fills (book,id,order_id,outlet,number,face_fen,price_ppm,pays_fen,state,delivered_fen,created_at)"
            " VALUES (1,$1,$1,'shop','13900000000',10000,980000,9800,$2,10000,$3)",
            fill_id,
            state,
            at,
        )

    for days in (40, 25, 3, 0):  # another month's, last month's, this month's, today's
        await fill(now - timedelta(days=days))
    await fill(now - timedelta(days=2), "failed")
    counted = outlets.Counted()
    reads: list[tuple[Any, ...]] = []

    class Counting:
        async def fetch(self, text: str, *values: Any) -> Any:
            if text == outlets.SQL.taken_between:
                reads.append(values)
            return await street.pool.fetch(text, *values)

    async def left(at: datetime) -> tuple[int, int]:
        reads.clear()
        one = (await outlets.standings(Counting(), book=BOOK, now=at, counted=counted))["shop"]
        afresh = (await outlets.standings(street.pool, book=BOOK, now=at))["shop"]
        assert one == afresh
        return 2_000_000 - one.daily_left_fen, 9_000_000 - one.monthly_left_fen

    assert await left(now) == (10_000, 20_000)
    assert len(reads) == 31
    await fill(now)
    assert await left(now + timedelta(seconds=30)) == (20_000, 30_000)
    assert len(reads) == 2
    # what came in the day's last seconds, after it was last read, counts for the month when the next day has begun
    midnight = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
    await fill(midnight - timedelta(seconds=1))
    assert await left(midnight + timedelta(seconds=5)) == (0, 40_000)
    assert len(reads) == 3
    first = datetime(2026, 11, 30, 16, 0, tzinfo=UTC)  # in December nothing was taken yet
    assert await left(first) == (0, 0)
