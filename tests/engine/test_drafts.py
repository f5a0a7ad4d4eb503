"""Drafts of rate cards from the first figure to the writer's word, and the schedule that the writer keeps."""

import copy
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airback.domain import ids
from airback.domain.refusals import Refused
from airback.engine import draft as drafting
from airback.engine import propose
from airback.pricing.cards import card_in_force, parse_card
from airback.pricing.default_card import DEFAULT_CARD
from airback.store import books
from airback.store import rate_card_drafts as drafts
from airback.store.rate_card_drafts import State
from tests.engine.street import BOOK, Street
from tests.engine.test_review import folded

PRICING = ["pricing"]


def now() -> datetime:
    return datetime.now(UTC)


async def start(street: Street, **over: Any) -> int:
    return await drafting.start(
        street.pool,
        **{
            "book": BOOK, "name": "lower", "based_on": 1, "document": DEFAULT_CARD, "by": "chen", "roles": PRICING,
            "now": now(), "entropy": secrets.token_bytes,
        } | over,
    )  # fmt: skip


async def save(street: Street, draft: int, **over: Any) -> int:
    return await drafting.save(
        street.pool,
        **{
            "book": BOOK, "draft": draft, "revision": 1, "name": "lower", "document": cheaper(), "by": "chen",
            "roles": PRICING, "now": now(),
        } | over,
    )  # fmt: skip


async def put(street: Street, draft: int, **over: Any) -> int:
    async with street.pool.acquire() as conn:
        return await drafting.propose_draft(
            conn,
            **{
                "book": BOOK, "draft": draft, "revision": 1, "before": {"version": "1"}, "effective_at": now().isoformat(),
                "reason": "lower", "by": "chen", "roles": PRICING, "now": now(), "entropy": secrets.token_bytes,
            } | over,
        )  # fmt: skip


async def approve(street: Street, proposal: int, **over: Any) -> None:
    async with street.pool.acquire() as conn:
        await propose.decide(
            conn,
            **{
                "book": BOOK, "proposal": proposal, "decision": "approved", "reason": "seen", "by": "liu",
                "roles": PRICING, "now": now(),
            } | over,
        )  # fmt: skip


def cheaper() -> dict[str, Any]:
    document = copy.deepcopy(DEFAULT_CARD)
    document["factors"]["base"]["rates_ppm"]["cmcc.balance"] = 800_000
    return document


async def cards(street: Street) -> list[Any]:
    return [parse_card(row["document"]) for row in await street.pool.fetch(books.SQL.rate_cards, BOOK, 0)]


async def state(street: Street, draft: int, *, later: timedelta = timedelta(0)) -> State:
    found = await drafts.get(street.pool, book=BOOK, draft=draft)
    assert found is not None
    return found.state(now=now() + later)


async def test_a_draft_becomes_a_card_in_force_and_going_back_is_the_older_one_again(street: Street) -> None:
    draft = await start(street)
    assert await save(street, draft) == 2
    proposal = await put(street, draft, revision=2)
    assert await state(street, draft) is State.PROPOSED
    with pytest.raises(Refused) as refused:
        await approve(street, proposal, by="chen")
    assert refused.value.code == "same_person"
    await approve(street, proposal)
    await folded(street)
    assert await state(street, draft) is State.APPROVED
    found = await cards(street)
    assert card_in_force(found, now()).base.rates_ppm["cmcc.balance"] == 800_000
    row = await street.pool.fetchrow("SELECT * FROM rate_cards WHERE version = 2")
    assert (row["proposal"], row["proposed_by"], row["approved_by"]) == (proposal, "chen", "liu")
    async with street.pool.acquire() as conn:
        back = await drafting.propose_return(
            conn, book=BOOK, version=1, document=found[0].document, before={"version": "2"}, reason="loss", by="chen",
            roles=PRICING, now=now(), entropy=secrets.token_bytes,
        )  # fmt: skip
    await approve(street, back)
    await folded(street)
    in_force = card_in_force(await cards(street), now())
    assert in_force.version == 3 and in_force.base == found[0].base


async def test_an_expired_or_rejected_proposal_gives_the_draft_back(street: Street) -> None:
    draft = await start(street)
    proposal = await put(street, draft)
    assert await state(street, draft, later=timedelta(hours=72)) is State.WORKED_ON
    for attempt in (save(street, draft, revision=2), put(street, draft, revision=2)):
        with pytest.raises(Refused) as refused:
            await attempt
        assert refused.value.code == "draft_closed"
    await approve(street, proposal, decision="rejected")
    assert await save(street, draft, revision=2) == 3
    await drafting.discard(
        street.pool, book=BOOK, draft=draft, revision=3, by="sun", roles=PRICING, now=now()
    )
    assert await state(street, draft) is State.DISCARDED
    with pytest.raises(Refused) as refused:
        await save(street, draft, revision=4)
    assert refused.value.code == "draft_closed"


@pytest.mark.parametrize(
    ("over", "code", "field"),
    [
        ({"roles": ["support"]}, "role_missing", None),
        ({"name": ""}, "field_missing", "name"),
        ({"name": "x" * 81}, "field_invalid", "name"),
        ({"document": {}}, "field_missing", "v"),
        ({"document": [1]}, "field_invalid", "document"),
        (
            {"document": {**DEFAULT_CARD, "sources": {f"{n}": "x" * 400 for n in range(400)}}},
            "field_invalid",
            None,
        ),
    ],
)
async def test_what_is_no_draft_is_refused_by_name(
    street: Street, over: dict[str, Any], code: str, field: str | None
) -> None:
    draft = await start(street)
    for attempt in (start(street, **over), save(street, draft, **over)):
        with pytest.raises(Refused) as refused:
            await attempt
        assert refused.value.code == code and (field is None or refused.value.field == field)
    assert await street.pool.fetchval("SELECT count(*) FROM rate_card_drafts WHERE revision = 1") == 1


async def test_a_document_too_large_to_be_proposed_is_not_kept(street: Street) -> None:
    wide = {
        **DEFAULT_CARD,
        "sources": {**DEFAULT_CARD["sources"], **{f"s{n}": "x" * 390 for n in range(400)}},
    }
    with pytest.raises(Refused) as refused:
        await start(street, document=wide)
    assert refused.value.code == "body_too_large"


async def test_of_two_who_change_one_revision_one_is_told(street: Street) -> None:
    draft = await start(street)
    await save(street, draft)
    for attempt in (
        save(street, draft),
        put(street, draft),
        drafting.discard(street.pool, book=BOOK, draft=draft, revision=1, by="sun", roles=PRICING, now=now()),
    ):
        with pytest.raises(Refused) as refused:
            await attempt
        assert refused.value.code == "draft_changed"
    with pytest.raises(Refused) as refused:
        await save(street, draft + 1)
    assert (refused.value.code, refused.value.field) == ("not_found", "draft")
    assert await street.pool.fetchval("SELECT count(*) FROM proposals") == 0


async def test_times_that_do_not_fit_are_refused_before_anybody_approves(street: Street) -> None:
    draft = await start(street)
    tomorrow = now() + timedelta(days=1)
    with pytest.raises(Refused) as refused:
        await put(street, draft, effective_at=(now() - timedelta(hours=1)).isoformat())
    assert (refused.value.code, refused.value.field) == ("effective_past", "effective_at")
    ending = {**DEFAULT_CARD, "effective_until": f"{tomorrow:%Y-%m-%dT%H:%M:%SZ}"}
    bounded = await start(street, document=ending, based_on=None)
    with pytest.raises(Refused) as refused:
        await put(street, bounded)
    assert (refused.value.code, refused.value.field) == ("card_gap", "effective_until")
    assert await state(street, bounded) is State.WORKED_ON


async def test_what_was_scheduled_between_proposal_and_approval_keeps_its_day(street: Street) -> None:
    tomorrow = f"{now() + timedelta(days=1):%Y-%m-%dT%H:%M:%S+00:00}"
    proposals = [await put(street, await start(street), effective_at=tomorrow) for _ in range(2)]
    for proposal in proposals:
        await approve(street, proposal)
    await folded(street)
    assert [card.version for card in await cards(street)] == [1, 2]
    alarm = await street.pool.fetchrow("SELECT kind, subject FROM alarms WHERE kind LIKE 'decision%'")
    assert tuple(alarm) == ("decision_impossible", ids.public("pro", proposals[1]))


async def test_a_scheduled_card_is_replaced_by_another_that_two_people_agree_on(street: Street) -> None:
    tomorrow = f"{now() + timedelta(days=1):%Y-%m-%dT%H:%M:%S+00:00}"
    await approve(street, await put(street, await start(street), effective_at=tomorrow))
    await folded(street)
    better = await start(street)
    await save(street, better)
    for replaces, code in ((None, "card_overlap"), (1, "field_invalid"), (7, "field_invalid")):
        with pytest.raises(Refused) as refused:
            await put(street, better, revision=2, effective_at=tomorrow, replaces=replaces)
        assert refused.value.code == code
    await approve(street, await put(street, better, revision=2, effective_at=tomorrow, replaces=2))
    await folded(street)
    found = await cards(street)
    assert card_in_force(found, now() + timedelta(days=2)).version == 3
    assert card_in_force(found, now()).version == 1
    assert not await street.pool.fetchval("SELECT count(*) FROM alarms WHERE kind LIKE 'decision%'")
