"""The market's pages: terms proposed through the form, a pause begun by one, money that is not free, the book of bids."""

import json
import re
from typing import Any

import pytest

from airback.domain import ids
from airback.staff.roles import Role
from tests.web.console.world import World, furnish, insert_account

EVERYBODY = [role.value for role in Role]
TERMS: dict[str, Any] = {
    "outlet": "kaka",
    "name": "卡卡礼品网",
    "kind": "vertical",
    "source": "合同 2026-11",
    "own_network": "",
    "funds": "bank",
    "effective": "",
    "reason": "新签合同",
    "order_least_fen": "10",
    "order_most_fen": "5,000",
    "daily_fen": "20000.00",
    "monthly_fen": "",
    "fee_fen": "0",
    "fee_ppm": "1.5",
    "delay_s": "5",
    "per_minute": "60",
    "settle_from_days": "0",
    "settle_to_days": "1",
    "rate_carrier": ["cmcc", "", "ctcc"],
    "rate_product": ["card", "", "balance"],
    "rate_least_fen": ["10", "", "10"],
    "rate_most_fen": ["5000", "", "5000"],
    "rate_price_ppm": ["88", "", "85.25"],
}


async def test_terms_are_proposed_as_they_were_typed(world: World) -> None:
    await furnish(world.pool)
    person = await world.person("ada", *EVERYBODY)
    answer = await person.post("/console/outlets/terms", **TERMS)
    assert answer.status_code == 303, answer.text[:3000]
    (row,) = await world.pool.fetch("SELECT * FROM proposals")
    assert (row["action"], row["subject"], row["before"]) == ("market:outlet:terms", "kaka", {"version": "0"})
    document = row["after"]["document"]
    assert (document["daily_fen"], document["fee_ppm"], document["monthly_fen"]) == (2_000_000, 15_000, None)
    assert document["rates"][1] == {
        "carrier": "ctcc", "product": "balance", "least_fen": 1_000, "most_fen": 500_000, "price_ppm": 852_500,
    }  # fmt: skip
    shown = await person.get(answer.headers["location"])
    assert shown.status_code == 200
    assert "rates[2].price_ppm" in shown.text and "85.25 %" in shown.text


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"outlet": "Kaka!"}, "渠道代码不合要求"),
        ({"daily_fen": ""}, "渠道没有限额"),
        ({"rate_price_ppm": ["100.1", "", "85"]}, "超过面值的 100%"),
        ({"order_least_fen": "6000"}, "互相矛盾"),
        ({"source": ""}, "没有写明来源"),
        ({"rate_price_ppm": ["eighty", "", "85"]}, "字段内容不符合要求"),
        ({"reason": ""}, "理由"),
    ],
)
async def test_what_was_typed_stays_when_it_is_refused(
    world: World, changes: dict[str, Any], code: str
) -> None:
    person = await world.person("ada", *EVERYBODY)
    answer = await person.post("/console/outlets/terms", **{**TERMS, **changes})
    assert answer.status_code == 422
    alert = re.search(r'role="alert".*?</div>', answer.text, re.S)
    assert alert is not None and code in alert[0]
    assert 'value="85.25"' in answer.text or "rate_price_ppm" in changes
    assert await world.pool.fetchval("SELECT count(*) FROM proposals") == 0


async def test_one_person_pauses_at_once_and_a_second_proposal_lifts(world: World) -> None:
    await furnish(world.pool)
    person = await world.person("ada", *EVERYBODY)
    told = {
        "subject": "province:",
        "region": "44",
        "reason_zh": "线路检修",
        "reason_en": "Repairs",
        "until": "",
    }
    answer = await person.post("/console/pauses", **told)
    assert answer.headers["location"] == "/console/pauses?told=paused"
    page = await person.get("/console/pauses")
    assert "线路检修" in page.text
    pause = await world.pool.fetchrow("SELECT * FROM pauses WHERE subject = '44'")
    assert (pause["kind"], pause["subject"], pause["begun_by"]) == ("province", "44", "ada")
    (letter,) = await world.inbox()
    assert (letter["action"], letter["decision"]) == ("operations:pause:begun", "recorded")
    lift = await person.post(
        "/console/approvals/propose/lift", about=ids.public("pau", pause["id"]), reason="已修好"
    )
    assert lift.status_code == 303
    (row,) = await world.pool.fetch("SELECT * FROM proposals")
    assert row["before"] == {"kind": "province", "subject": "44", "reason": "线路检修"}
    over = await person.post("/console/approvals/propose/lift", about="pau_0000000000009", reason="已修好")
    assert (over.status_code, "该暂停已结束" in over.text) == (409, True)
    missing = await person.post("/console/pauses", **{**told, "reason_en": ""})
    assert (missing.status_code, "中英文" in missing.text) == (422, True)
    support = await world.person("sue", "support")
    assert (await support.get("/console/pauses")).status_code == 403


async def test_what_is_not_free_is_not_proposed(world: World) -> None:
    await furnish(world.pool)
    person = await world.person("ada", *EVERYBODY)
    for form, amount, text in (
        ("withdraw", "99999", "可退部分不足"),
        ("credit-line", "0", None),
        ("withdraw", "1", None),
    ):
        answer = await person.post(
            f"/console/approvals/propose/{form}", about="yida", amount=amount, reason="渠道来函"
        )
        if text is None:
            assert answer.status_code == 303, answer.text[:2000]
        else:
            assert (answer.status_code, text in answer.text) == (409, True)


async def test_the_book_shows_each_price_and_renews_itself(world: World) -> None:
    await furnish(world.pool)
    person = await world.person("ada", *EVERYBODY)
    page = await person.get("/console/market/bids")
    assert "95.5 %" in page.text and "94.8 %" in page.text
    asks = re.sub(r"<[^>]+>", " ", page.text.partition("卖盘")[2].partition("最近成交")[0])
    rows = [" ".join(row.split()) for row in asks.split("中国移动")[1:]]
    # of two sellers at 91.2 % and 91.16 % the tenths are shown, each apart; the lowest first
    assert [row.split()[0] for row in rows] == ["91.1", "91.2", "93"]
    assert 'hx-get="/console/market/bids"' in page.text
    chart = re.search(r"data-chart=\"([^\"]+)\"", page.text)
    assert chart is not None
    option = json.loads(chart[1].replace("&#34;", '"').replace("&amp;", "&"))
    mobile = next(series for series in option["series"] if series["name"] == "中国移动")
    # at 94.8 % or better, and so at the lowest price of all, both demands; at 95.5 % the first alone; above it nobody
    assert mobile["data"] == [[905_000, 150_000], [948_000, 150_000], [955_000, 50_000], [955_000, 0]]
    world.pass_by(hours=1)
    assert "data-chart" not in (await person.get("/console/market/bids")).text


async def test_a_notice_that_was_never_taken_is_sent_again_by_hand(world: World) -> None:
    await furnish(world.pool)
    person = await world.person("ada", *EVERYBODY)
    page = await person.get("/console/outlet/yida")
    assert "https://yida.example/" in page.text and "HTTP 410" in page.text
    ref = await world.pool.fetchval(
        "SELECT ref FROM effects e JOIN effect_results r ON r.effect_id = e.id WHERE kind = 'webhook' AND result = 'failed'"
    )
    assert (await person.post("/console/outlets/resend", outlet="yida", ref="other")).status_code == 404
    assert (await person.post("/console/outlets/resend", outlet="yida", ref=ref)).status_code == 303
    (letter,) = await world.inbox()
    assert (letter["action"], letter["subject"]) == ("market:notice:resent", ref)


async def test_a_credit_line_in_use_is_not_called_back(world: World) -> None:
    await furnish(world.pool)
    async with world.pool.acquire() as conn:
        # everything in its deposit was lent and all of that is wanted by its demands
        await insert_account(conn, "deposit:lent", credits=300_000)
        await insert_account(conn, "receivable:lent", debits=300_000)
        await conn.execute(
            "INSERT INTO outlets (book,outlet,name,created_at) VALUES (1,'lent','借','2026-11-01Z')"
        )
        await conn.execute(
            "INSERT INTO open_demands (book,id,outlet,carrier,number,price_ppm,open_fen,deadline_at) "
            "VALUES (1,900,'lent','cmcc','13900139000',1000000,250000,'2027-01-01Z')"
        )
    person = await world.person("ada", *EVERYBODY)
    for amount, status in (("2400", 409), ("2500", 303)):
        answer = await person.post(
            "/console/approvals/propose/credit-line", about="lent", amount=amount, reason="到期"
        )
        assert answer.status_code == status, (amount, answer.text[:1500])
        assert ("授信额度正在使用" in answer.text) is (status == 409)


async def test_a_credit_line_beyond_the_operators_own_cash_is_not_proposed(world: World) -> None:
    await furnish(world.pool)
    person = await world.person("ada", *EVERYBODY)
    own_fen = await world.pool.fetchval(
        "SELECT coalesce(sum(debits_posted - credits_posted), 0)::bigint FROM accounts WHERE code = 'cash:own'"
    )
    line_fen = await world.pool.fetchval(
        "SELECT coalesce(sum(debits_posted - credits_posted), 0)::bigint FROM accounts WHERE code = 'receivable:yida'"
    )
    amount = str((max(0, own_fen) + line_fen) // 100 + 1)
    answer = await person.post(
        "/console/approvals/propose/credit-line", about="yida", amount=amount, reason="渠道来函"
    )
    assert (answer.status_code, "自有资金不足" in answer.text) == (409, True)
