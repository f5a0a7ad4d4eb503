"""Propose and decide on a real database: every refusal, in order, and what reaches the book's writer."""

import asyncio
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from airback.compliance.licences import Licence
from airback.domain import ids
from airback.domain.refusals import Refused
from airback.engine import act, appoint, propose
from airback.pricing.default_card import DEFAULT_CARD
from airback.store import books, licences, proposals

NOW = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
DEPOSIT: dict[str, Any] = {
    "action": "finance:deposit:credit",
    "subject": "yida",
    "before": {"outlet": "yida", "balance_fen": 0},
    "after": {"outlet": "yida", "amount_fen": 50_000},
    "reason": "银行回单 20261120-7",
    "by": "wang",
    "roles": ["finance"],
}


async def put(conn: asyncpg.Connection, **over: Any) -> int:
    return await propose.propose(conn, book=1, now=NOW, entropy=secrets.token_bytes, **{**DEPOSIT, **over})


async def settle(conn: asyncpg.Connection, proposal: int, **over: Any) -> proposals.Proposal:
    given = {
        "decision": "approved",
        "reason": "已核对",
        "by": "liu",
        "roles": ["finance"],
        "now": NOW,
        **over,
    }
    return await propose.decide(conn, book=1, proposal=proposal, **given)


async def inbox(conn: asyncpg.Connection) -> list[dict[str, Any]]:
    return [
        row["body"]
        for row in await conn.fetch("SELECT body FROM inbox WHERE book = 1 AND kind = 'decision' ORDER BY id")
    ]


async def test_a_proposal_changes_nothing_and_waits(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as conn:
        proposal = await put(conn)
        found = await proposals.get(conn, book=1, proposal=proposal)
        assert found is not None
        assert found.state(now=NOW) == "open"
        assert (found.before, found.after, found.reason) == (
            DEPOSIT["before"],
            DEPOSIT["after"],
            DEPOSIT["reason"],
        )
        assert found.expires_at == NOW + timedelta(hours=72)
        assert await inbox(conn) == []
        assert await proposals.count_open(conn, book=1, now=NOW) == 1
        assert await proposals.get(conn, book=2, proposal=proposal) is None


async def test_an_approval_reaches_the_writer_with_both_names_and_both_reasons(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as conn:
        proposal = await put(conn)
        decided = await settle(conn, proposal)
        assert (decided.decision, decided.decided_by, decided.decided_at) == ("approved", "liu", NOW)
        (body,) = await inbox(conn)
    assert body == {
        "proposal": ids.public("pro", proposal),
        "action": "finance:deposit:credit",
        "subject": "yida",
        "before": DEPOSIT["before"],
        "after": DEPOSIT["after"],
        "reason": "银行回单 20261120-7",
        "decision": "approved",
        "decision_reason": "已核对",
        "proposed_by": "wang",
        "proposed_at": "2026-11-20T04:00:00+00:00",
        "decided_by": "liu",
    }


async def test_a_rejection_reaches_the_log_as_well(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as conn:
        await settle(conn, await put(conn), decision="rejected", reason="回单金额不符")
        (body,) = await inbox(conn)
    assert (body["decision"], body["decision_reason"]) == ("rejected", "回单金额不符")


@pytest.mark.parametrize(
    ("over", "code", "field"),
    [
        ({"action": "finance:deposit:take"}, "field_invalid", "action"),
        ({"roles": ["support"]}, "role_missing", None),
        ({"roles": []}, "role_missing", None),
        ({"reason": ""}, "reason_missing", "reason"),
        ({"reason": " \n "}, "reason_missing", "reason"),
        ({"reason": "x" * 1001}, "field_invalid", "reason"),
        ({"reason": "a\x00b"}, "field_invalid", "reason"),
        ({"subject": ""}, "field_invalid", "subject"),
        ({"subject": "x" * 201}, "field_invalid", "subject"),
        ({"after": {"outlet": "yida"}}, "field_missing", "amount_fen"),
        ({"after": {"outlet": "yida", "amount_fen": -5}}, "amount_not_positive", "amount_fen"),
        ({"before": {"blob": "x" * 300_000}}, "body_too_large", None),
        # the most significant first: who, why, what
        ({"roles": ["support"], "reason": ""}, "role_missing", None),
        ({"reason": "", "subject": ""}, "reason_missing", "reason"),
    ],
)
async def test_a_proposal_is_refused(
    pool: asyncpg.Pool, over: dict[str, Any], code: str, field: str | None
) -> None:
    async with pool.acquire() as conn:
        with pytest.raises(Refused) as refused:
            await put(conn, **over)
        assert (refused.value.code, refused.value.field) == (code, field)
        assert await conn.fetchval("SELECT count(*) FROM proposals") == 0


LICENCE = {
    "number": "Z1",
    "issuer": "PBoC",
    "capabilities": ["stored_balance"],
    "valid_from": "2026-01-01T00:00:00Z",
    "valid_until": "2027-01-01T00:00:00Z",
}


@pytest.mark.parametrize(
    ("action", "roles", "after", "field"),
    [
        (
            "compliance:licence:record",
            "compliance",
            {**LICENCE, "valid_until": "2025-01-01T00:00:00Z"},
            "valid_until",
        ),
        ("compliance:licence:record", "compliance", {**LICENCE, "capabilities": ["all"]}, "capabilities"),
        ("operations:book:pause", "operations", {"routing": True, "reason": "x"}, "routing"),
        ("operations:book:resume", "operations", {"routing": False}, "routing"),
        (
            "pricing:rate_card:publish",
            "pricing",
            {"document": {**DEFAULT_CARD, "version": "two"}, "effective_at": "2026-12-01T00:00:00Z"},
            "version",
        ),
    ],
)
async def test_what_makes_no_sense_is_refused_before_anybody_has_to_read_it(
    pool: asyncpg.Pool, action: str, roles: str, after: dict[str, Any], field: str
) -> None:
    async with pool.acquire() as conn:
        with pytest.raises(Refused) as refused:
            await put(conn, action=action, roles=[roles], after=after, before={})
        assert (refused.value.code, refused.value.field) == ("field_invalid", field)


async def test_a_rate_card_that_can_be_read_may_be_proposed(pool: asyncpg.Pool) -> None:
    after = {"document": DEFAULT_CARD, "effective_at": "2026-12-01T00:00:00Z"}
    async with pool.acquire() as conn:
        await put(conn, action="pricing:rate_card:publish", roles=["pricing"], after=after, before={})


async def test_a_rate_card_that_leaves_a_gap_or_takes_anothers_moment_is_not_proposed(
    pool: asyncpg.Pool,
) -> None:
    first = {**DEFAULT_CARD, "effective_until": "2027-02-01T00:00:00Z"}
    async with pool.acquire() as conn:
        await books.publish_first(conn, book=1, document=first, now=NOW)
        for at, code in (("2027-02-02T00:00:00Z", "card_gap"), ("2027-01-05T00:00:00Z", "card_overlap")):
            after = {"document": DEFAULT_CARD, "effective_at": at}
            with pytest.raises(Refused) as refused:
                await put(conn, action="pricing:rate_card:publish", roles=["pricing"], after=after, before={})
            assert (refused.value.code, refused.value.field) == (code, "effective_at")


@pytest.mark.parametrize(
    ("over", "code"),
    [
        ({"roles": ["support"]}, "role_missing"),
        ({"roles": ["operations"]}, "role_missing"),
        ({"decision": "maybe"}, "field_invalid"),
        ({"decision": "open"}, "field_invalid"),
        ({"by": "wang"}, "same_person"),
        ({"by": "wang", "decision": "rejected"}, "same_person"),
        ({"reason": ""}, "reason_missing"),
        ({"reason": "\t"}, "reason_missing"),
        ({"now": NOW + timedelta(hours=72)}, "proposal_expired"),
        # the most significant first
        ({"roles": ["support"], "by": "wang", "reason": ""}, "role_missing"),
        ({"by": "wang", "reason": ""}, "same_person"),
        ({"by": "wang", "now": NOW + timedelta(hours=80)}, "same_person"),
    ],
)
async def test_a_decision_is_refused_and_nothing_is_half_done(
    pool: asyncpg.Pool, over: dict[str, Any], code: str
) -> None:
    async with pool.acquire() as conn:
        proposal = await put(conn)
        with pytest.raises(Refused) as refused:
            await settle(conn, proposal, **over)
        assert refused.value.code == code
        found = await proposals.get(conn, book=1, proposal=proposal)
        assert found is not None
        assert found.decision is None
        assert await inbox(conn) == []


async def test_an_unknown_proposal_is_not_found(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as conn:
        with pytest.raises(Refused) as refused:
            await settle(conn, 5)
        assert refused.value.code == "not_found"


async def test_a_decision_stands(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as conn:
        proposal = await put(conn)
        await settle(conn, proposal, decision="rejected")
        for over in ({}, {"by": "zhao"}, {"by": "wang"}, {"now": NOW + timedelta(days=9)}):
            with pytest.raises(Refused) as refused:
                await settle(conn, proposal, **over)
            assert refused.value.code == "already_decided"
        assert len(await inbox(conn)) == 1


async def test_of_many_who_decide_at_once_exactly_one_decides(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as conn:
        proposal = await put(conn)

    async def one(n: int) -> str:
        async with pool.acquire() as conn:
            try:
                await settle(conn, proposal, by=f"person{n}", decision=("approved", "rejected")[n % 2])
            except Refused as refused:
                return refused.code
            return "decided"

    said = await asyncio.gather(*(one(n) for n in range(8)))
    assert sorted(said) == ["already_decided"] * 7 + ["decided"]
    async with pool.acquire() as conn:
        found = await proposals.get(conn, book=1, proposal=proposal)
        (body,) = await inbox(conn)
    assert found is not None
    assert found.decided_by == f"person{said.index('decided')}" == body["decided_by"]
    assert found.decision == body["decision"]


async def test_the_decision_and_its_letter_are_one_transaction(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fall(*_: Any, **__: Any) -> None:
        raise RuntimeError("the lights went out")

    monkeypatch.setattr(propose, "append_decision", fall)
    async with pool.acquire() as conn:
        proposal = await put(conn)
        with pytest.raises(RuntimeError):
            await settle(conn, proposal)
        found = await proposals.get(conn, book=1, proposal=proposal)
    assert found is not None
    assert found.decision is None


async def test_the_table_itself_refuses_one_person_twice(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as conn:
        proposal = await put(conn)
        with pytest.raises(asyncpg.CheckViolationError):
            await conn.execute(
                "UPDATE proposals SET decision='approved', decided_by='wang' WHERE id=$1", proposal
            )


async def test_may_decide_says_what_decide_would(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as conn:
        found = await proposals.get(conn, book=1, proposal=await put(conn))
    assert found is not None
    assert propose.may_decide(found, by="liu", roles=["finance"], now=NOW) is None
    assert propose.may_decide(found, by="wang", roles=["finance"], now=NOW) == "same_person"
    assert propose.may_decide(found, by="liu", roles=["support"], now=NOW) == "role_missing"
    assert (
        propose.may_decide(found, by="liu", roles=["finance"], now=NOW + timedelta(days=4))
        == "proposal_expired"
    )


async def test_open_proposals_stand_in_the_order_they_expire(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as conn:
        slow = await put(conn)
        quick = await put(
            conn,
            action="operations:book:pause",
            roles=["risk"],
            after={"routing": False, "reason": "x"},
            before={"routing": True},
        )
        waiting = await proposals.open_proposals(conn, book=1, now=NOW)
        assert [each.id for each in waiting] == [quick, slow]
        later = NOW + timedelta(hours=30)
        assert [each.id for each in await proposals.open_proposals(conn, book=1, now=later)] == [slow]
        assert [each.id for each in await proposals.past_proposals(conn, book=1, now=later)] == [quick]


async def test_a_licence_recorded_again_replaces_the_first(pool: asyncpg.Pool) -> None:
    first = Licence("Z1", "PBoC", frozenset({"advance"}), NOW, NOW + timedelta(days=1), "liu")
    second = Licence(
        "Z1", "PBoC Shanghai", frozenset({"stored_balance"}), NOW, NOW + timedelta(days=9), "zhao"
    )
    async with pool.acquire() as conn:
        await licences.record_licence(conn, book=1, licence=first)
        await licences.record_licence(conn, book=1, licence=second)
        assert await licences.list_licences(conn, book=1) == [second]
        assert await licences.list_licences(conn, book=2) == []


# -- one person's acts


GOOD = "copper kettle on seven hills"


async def hire(conn: asyncpg.Connection, name: str, *roles: str) -> str:
    return await appoint.create_staff(
        conn, book=1, name=name, password=GOOD, roles=roles, by="setup", now=NOW, entropy=secrets.token_bytes
    )


async def test_an_account_is_created_and_logged_without_its_password(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as conn:
        assert await hire(conn, "Li.Na", "support", "finance") == "li.na"
        row = await conn.fetchrow("SELECT name, password, roles FROM staff")
        (body,) = await inbox(conn)
    assert row["roles"] == ["finance", "support"]
    assert row["password"].startswith("$argon2id$")
    assert (body["action"], body["subject"], body["after"]) == (
        "administrator:staff:created",
        "li.na",
        {"roles": ["finance", "support"]},
    )
    assert GOOD not in str(body)


async def test_a_name_is_taken_once(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as conn:
        await hire(conn, "li.na", "support")
        with pytest.raises(Refused) as refused:
            await hire(conn, "LI.NA", "finance")
        assert refused.value.code == "name_taken"
        assert len(await inbox(conn)) == 1


async def lay_off(conn: asyncpg.Connection, name: str, *, by: str = "ada", **over: Any) -> None:
    given = {"reason": "离职", "roles": ["administrator"], **over}
    await appoint.disable_staff(conn, book=1, name=name, by=by, now=NOW, **given)


async def test_disabling_is_refused(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as conn:
        for name, roles in (("ada", ["administrator"]), ("bo", ["support"])):
            await conn.execute(
                "INSERT INTO staff (book,name,password,roles,created_at) VALUES (1,$1,'x',$2,$3)",
                name,
                roles,
                NOW,
            )
        cases: list[tuple[str, dict[str, Any], str]] = [
            ("bo", {"roles": ["finance"]}, "role_missing"),
            ("bo", {"reason": " "}, "reason_missing"),
            ("ada", {}, "same_person"),
            ("nobody", {}, "not_found"),
            ("ada", {"by": "ghost"}, "field_invalid"),  # the last administrator stays
        ]
        for name, over, code in cases:
            with pytest.raises(Refused) as refused:
                await lay_off(conn, name, **over)
            assert refused.value.code == code, name
        assert await conn.fetchval("SELECT count(*) FROM staff WHERE disabled_at IS NULL") == 2
        assert await inbox(conn) == []
        await lay_off(conn, "bo")
        with pytest.raises(Refused):
            await lay_off(conn, "bo")
        (body,) = await inbox(conn)
    assert (body["action"], body["subject"], body["reason"]) == ("administrator:staff:disabled", "bo", "离职")


async def test_two_administrators_cannot_disable_each_other_at_once(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as conn:
        for name in ("ada", "bo"):
            await conn.execute(
                "INSERT INTO staff (book,name,password,roles,created_at) VALUES (1,$1,'x','{administrator}',$2)",
                name,
                NOW,
            )

    async def one(name: str, by: str) -> str:
        async with pool.acquire() as conn:
            try:
                await lay_off(conn, name, by=by)
            except Refused as refused:
                return refused.code
            return "done"

    said = await asyncio.gather(one("ada", "bo"), one("bo", "ada"))
    assert sorted(said) == ["done", "field_invalid"]
    async with pool.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM staff WHERE disabled_at IS NULL") == 1


async def test_cancelling_for_a_seller_is_logged_with_the_name_of_who_did(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as conn:
        for over, code in (({"roles": ["finance"]}, "role_missing"), ({"reason": ""}, "reason_missing")):
            with pytest.raises(Refused) as refused:
                await act.cancel_order(
                    conn,
                    book=1,
                    order_id=77,
                    by="bo",
                    now=NOW,
                    **{"reason": "卖家来电", "roles": ["support"], **over},
                )
            assert refused.value.code == code
        await act.cancel_order(
            conn, book=1, order_id=77, reason="卖家来电", by="bo", roles=["support"], now=NOW
        )
        rows = await conn.fetch("SELECT kind, order_id, body FROM inbox ORDER BY id")
    assert [(row["kind"], row["order_id"]) for row in rows] == [("decision", None), ("cancel", 77)]
    assert rows[0]["body"]["action"] == "staff:order:cancel_asked"
    assert rows[0]["body"]["proposed_by"] == "bo"
    assert rows[0]["body"]["decision"] == "recorded"
