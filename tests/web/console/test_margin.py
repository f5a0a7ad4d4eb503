"""The margin's page and file, and the forms behind it."""

import csv
import io
import json
from typing import Any

import pytest

from airback.domain import ids
from airback.domain.refusals import REFUSALS
from airback.ledger.margin import Waterfall, lines_of
from airback.web.console.margin import plain_cell, waterfall_chart
from tests.web.console.earnings import AGREEMENT, earn
from tests.web.console.test_corrections import said
from tests.web.console.world import World, furnish

PROPOSE = "/console/approvals/propose"
BOOKING = {
    "line": "compliance",
    "amount": "120.50",
    "from": "2026-11-01",
    "until": "2026-11-15",
    "source": "发票 9",
    "reason": "律师费",
}


async def earning(world: World) -> dict[str, Any]:
    made = await furnish(world.pool)
    await earn(world.pool, made)
    return made


async def test_the_page_shows_every_line_and_what_it_comes_to(world: World) -> None:
    await earning(world)
    person = await world.person("ada", "finance")
    page = said((await person.get("/console/margin?lang=en&by=outlet")).text)
    for part in (
        "Platform fee Usual: 3–8 % of face (S1) ¥21.00 5.25 %",
        "Spread ¥12.88 3.22 %",
        "Tax withheld –",
        "Rails' charges paid Usual: about 1 % (S1) −¥1.30",
        "Carrier rebate Usual: 0.5–1.5 % (S1) ¥3.00",
        "Losses −¥1.80",
    ):
        assert part in page.replace("&#39;", "'"), part
    # 21.00 + 12.88 + 1.48 − 1.30 + 3.00 − 2.00 − 3.28 − 1.80 − 1.40 − 3.20 in the whole, four orders of 100 yuan
    assert "Margin ¥25.38 6.345 %" in page
    assert "yida" in page and "suxin" in page and "Of no segment" in page
    assert "Bad debt reckoned at 2.5%" in page and "¥10.00" in page
    assert "party:li-si" not in page and "li-si" in page


async def test_the_file_has_the_same_figures_and_no_formula(world: World) -> None:
    await earning(world)
    person = await world.person("ada", "examiner")
    answer = await person.get("/console/margin.csv?by=client&lang=en")
    assert answer.headers["content-disposition"].startswith(
        'attachment; filename="margin-2026-10-22-2026-11-20'
    )
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [row["Segment"] for row in rows] == ["street", "Of no segment", "Total"]
    assert rows[-1]["Margin (yuan)"] == "25.38" and rows[-1]["Tax withheld"] == ""
    assert plain_cell("=1+1") == "'=1+1" and plain_cell("cmcc") == "cmcc"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("from=2026-11-02&to=2026-11-01", "period_invalid"),
        ("from=2026-11-02&to=2026-12-01", "period_invalid"),
        ("from=2024-11-02&to=2026-11-01", "period_invalid"),
        ("from=yesterday", "field_invalid"),
        ("by=moon", "field_invalid"),
    ],
)
async def test_a_period_that_is_none_is_refused_by_name(world: World, query: str, code: str) -> None:
    person = await world.person("ada", "finance")
    answer = await person.get(f"/console/margin?{query}")
    assert answer.status_code == 422 and code in answer.text


async def test_who_may_not_read_money_sees_no_margin(world: World) -> None:
    person = await world.person("ada", "support")
    for path in ("/console/margin", "/console/margin.csv"):
        assert (await person.get(path)).status_code == 403
    assert "/console/margin" not in (await person.get("/console")).text


async def test_the_orders_page_shows_its_split_to_those_who_read_money(world: World) -> None:
    made = await earning(world)
    path = f"/console/orders/{ids.public('ord', made['done'])}?lang=en"
    page = said((await (await world.person("ada", "finance")).get(path)).text)
    assert "Split by agreement" in page and "Referrer party:li-si ¥0.82" in page
    page = said((await (await world.person("bo", "support")).get(path)).text)
    assert "party:li-si" not in page


async def after_of(world: World, line: str | None = None) -> Any:
    """What the proposal says shall be, or the one of that line."""
    return await world.pool.fetchval(
        "SELECT after FROM proposals WHERE $1::text IS NULL OR after ->> 'line' = $1", line
    )


async def test_a_cost_and_a_rebate_are_proposed_with_period_and_source(world: World) -> None:
    person = await world.person("ada", "finance")
    answer = await person.post(f"{PROPOSE}/booking", **BOOKING)
    assert answer.status_code == 303, answer.text
    assert await after_of(world) == {
        "line": "compliance",
        "amount_fen": 12_050,
        "period_from": "2026-11-01",
        "period_to": "2026-11-15",
        "source": "发票 9",
    }
    answer = await person.post(f"{PROPOSE}/booking", **BOOKING | {"line": "rebate", "carrier": "ctcc"})
    assert answer.status_code == 303 and (await after_of(world, "rebate"))["carrier"] == "ctcc"
    assert await world.inbox() == []  # nothing is booked before another person approves


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"line": "rebate"}, "field_missing", "carrier"),
        ({"carrier": "cmcc"}, "field_invalid", "carrier"),
        ({"line": "rebate", "carrier": "vodafone"}, "field_invalid", "carrier"),
        ({"until": "2026-10-31"}, "period_invalid", "period_to"),
        ({"from": "2026-12-01", "until": "2026-12-02"}, "period_invalid", "period_to"),
        ({"from": "2024-01-01"}, "period_invalid", "period_to"),
        ({"source": ""}, "field_invalid", "source"),
        ({"amount": "0"}, "amount_not_positive", "amount_fen"),
        ({"from": ""}, "field_invalid", "period_from"),
    ],
)
async def test_a_booking_that_cannot_be_is_refused_and_keeps_what_was_typed(
    world: World, changes: dict[str, str], code: str, field: str
) -> None:
    person = await world.person("ada", "finance")
    answer = await person.post(f"{PROPOSE}/booking", **BOOKING | changes)
    assert answer.status_code in (409, 422) and f"({field})" in answer.text
    assert REFUSALS[code].status == answer.status_code
    assert "律师费" in answer.text


async def test_what_a_party_is_paid_is_bounded_by_what_it_is_owed(world: World) -> None:
    await earning(world)
    person = await world.person("ada", "finance")
    assert "li-si" in (await person.get(f"{PROPOSE}/party")).text  # a list to choose from
    fields = {"about": "party:li-si", "source": "回单 1", "reason": "季度结算"}
    answer = await person.post(f"{PROPOSE}/party", amount="3.29", **fields)
    assert answer.status_code == 409 and "(amount_fen)" in answer.text
    answer = await person.post(f"{PROPOSE}/party", amount="3.28", **fields)
    assert answer.status_code == 303 and (await after_of(world))["amount_fen"] == 328
    answer = await person.post(f"{PROPOSE}/party", amount="1", **fields | {"about": "fee"})
    assert answer.status_code == 404


async def test_an_agreement_is_proposed_beside_the_one_in_force(world: World) -> None:
    await earning(world)
    person = await world.person("ada", "finance")
    form = (await person.get(f"{PROPOSE}/split?about=client:street")).text
    assert "li-si" in form and 'value="client:street"' in form
    document = AGREEMENT | {
        "shares": [{"kind": "agent", "party": "north", "base": "fee", "share_ppm": 50_000}]
    }
    answer = await person.post(
        f"{PROPOSE}/split", about="client:street", document=json.dumps(document), reason="新合同"
    )
    assert answer.status_code == 303, said(answer.text)
    row = await world.pool.fetchrow("SELECT before, after FROM proposals")
    assert row["before"]["version"] == "1" and row["after"]["document"] == document
    page = said((await person.get(f"{answer.headers['location']}&lang=en")).text)
    for part in (
        "What differs in the agreement",
        "shares[1].kind reserve agent",
        "shares[1].party – north",
        "5 %",
    ):
        assert part in page, part
    answer = await person.post(
        f"{PROPOSE}/split", about="client:nobody", document=json.dumps(document), reason="新合同"
    )
    assert answer.status_code == 404 and "(scope)" in answer.text
    for about, text, code in (
        ("street", json.dumps(document), "scope"),
        ("client:street", json.dumps(document | {"shares": [{"kind": "tax"}]}), "shares[1].share_ppm"),
        ("client:street", "{", "document"),
    ):
        answer = await person.post(f"{PROPOSE}/split", about=about, document=text, reason="新合同")
        assert answer.status_code == 422 and f"({code})" in answer.text


def test_the_bars_of_the_waterfall_begin_where_the_last_one_ended() -> None:
    entries = [("fee", 300), ("rail_paid", -500), ("rebate", 400)]
    whole = Waterfall("x", 1, 10_000, 9_000, 9_300, lines_of(entries))
    chart = waterfall_chart(whole, language="en")
    assert chart is not None
    unseen, above, below = (series["data"] for series in chart["series"])
    seen = [(u, a["value"], b["value"]) for u, a, b in zip(unseen, above, below, strict=True)]
    # fee 0…3 %, the charge 3…−2 %, the rebate −2…2 %, left 0…2 %
    assert seen == [(0, 30_000, 0), (0, 30_000, -20_000), (0, 20_000, -20_000), (0, 20_000, 0)]
    assert waterfall_chart(Waterfall("x", 0, 0, 0, 0, lines_of([])), language="en") is None
