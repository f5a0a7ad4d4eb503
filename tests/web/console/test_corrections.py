"""Corrections on their page, and the form that proposes to settle one."""

import re

import pytest

from airback.domain import ids
from tests.web.console.world import BOOK, World, furnish

FORM = "/console/approvals/propose/correction"


def said(html: str) -> str:
    """What a page says: its text without markup, in one line."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


async def test_open_corrections_are_listed_the_oldest_first(world: World) -> None:
    made = await furnish(world.pool)
    person = await world.person("ada", "finance")
    page = (await person.get("/console/corrections?lang=en")).text
    assert re.findall(r"cor_[0-9A-Z]{13}(?=</div>)", page) == [ids.public("cor", n) for n in (91, 92, 93)]
    rows = [said(row) for row in re.findall(r"<tr>(.*?)</tr>", page, re.S)[1:]]
    for row, parts in zip(
        rows,
        (
            ("Delivery reversed", "¥95.50", "¥65.50", "Recovered ¥30.00", "Operator", "9 days ago", "Settle"),
            ("Delivery reversed", "¥95.50", "¥86.91", "Seller", "27 h ago", "Settle"),
            ("Payment returned", "¥86.91", "Seller", "3 h ago", "Settled by paying the seller again"),
        ),
        strict=True,
    ):
        for part in (*parts, "China Mobile", ids.public("ord", made["done"])):
            assert part in row, (part, row)
    assert page.count(f'href="/console/orders/{ids.public("ord", made["done"])}"') == 3
    assert page.count(f'href="{FORM}?about=') == 2  # nobody decides a returned payment
    assert re.search(r'href="/console/corrections".*?<span class="badge[^>]*>3</span>', page, re.S)


async def test_settled_corrections_follow_the_open_ones(world: World) -> None:
    await furnish(world.pool)
    person = await world.person("ada", "examiner")
    page = (await person.get("/console/corrections?show=all&lang=en")).text
    assert re.findall(r"cor_[0-9A-Z]{13}(?=</div>)", page) == [ids.public("cor", n) for n in (91, 92, 93, 94)]
    last = said(page[page.index(ids.public("cor", 94)) :])
    for part in ("¥47.75", "¥0.00", "Recovered ¥40.00", "Written off ¥3.45", "Settled"):
        assert part in last, part
    assert FORM not in page  # an examiner changes nothing


async def test_a_settlement_is_proposed_with_what_stands(world: World) -> None:
    made = await furnish(world.pool)
    person = await world.person("ada", "finance")
    form = (await person.get(f"{FORM}?about={made['cor']}&lang=en")).text
    assert "¥65.50" in form and "Recovered: the money came back" in form
    answer = await person.post(
        FORM, about=made["cor"], settlement="recovered", amount="20.50", reason="bank slip 31"
    )
    assert answer.status_code == 303, answer.text
    async with world.pool.acquire() as conn:
        row = await conn.fetchrow(
            "SELECT action, subject, before, after FROM proposals WHERE book = $1", BOOK
        )
    assert (row["action"], row["subject"]) == ("finance:correction:settle", made["cor"])
    assert row["before"] == {
        "correction": made["cor"],
        "order": ids.public("ord", made["done"]),
        "far_side": "carrier:cmcc",
        "bearer": "platform",
        "total_fen": 9_550,
        "left_fen": 6_550,
    }
    assert row["after"] == {"correction": made["cor"], "settlement": "recovered", "amount_fen": 2_050}
    shown = said((await person.get(f"{answer.headers['location']}&lang=zh")).text)
    assert "款项已追回" in shown and "¥20.50" in shown and "平台" in shown


@pytest.mark.parametrize(
    ("correction", "settlement", "amount", "status", "code", "sentence"),
    [
        (94, "recovered", "1", 409, "correction", "This correction is already settled."),
        (
            93,
            "recovered",
            "1",
            409,
            "correction",
            "A returned payment is settled by paying the seller again.",
        ),
        (91, "recovered", "65.51", 422, "amount_fen", "The amount is above what is left to settle."),
        (91, "repaid", "1", 422, "settlement", "A field does not have the required form."),
        (91, "", "1", 422, "settlement", "A field does not have the required form."),
        (91, "recovered", "0", 422, "amount_fen", "The amount must be above zero."),
        (91, "recovered", "", 422, "amount_fen", "The amount is not a number."),
        (99, "recovered", "1", 404, "correction", "Nothing was found under this address."),
    ],
)
async def test_what_cannot_be_settled_is_refused_by_name(
    world: World, correction: int, settlement: str, amount: str, status: int, code: str, sentence: str
) -> None:
    await furnish(world.pool)
    person = await world.person("ada", "finance")
    answer = await person.post(
        f"{FORM}?lang=en",
        about=ids.public("cor", correction),
        settlement=settlement,
        amount=amount,
        reason="bank slip 31",
    )
    assert answer.status_code == status
    assert sentence in answer.text and f"({code})" in answer.text
    async with world.pool.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM proposals") == 0


async def test_the_form_lists_only_what_people_may_settle(world: World) -> None:
    await furnish(world.pool)
    person = await world.person("ada", "finance")
    page = (await person.get(FORM)).text
    assert set(re.findall(rf'href="{FORM}\?about=(cor_[0-9A-Z]+)"', page)) == {
        ids.public("cor", 91),
        ids.public("cor", 92),
    }
