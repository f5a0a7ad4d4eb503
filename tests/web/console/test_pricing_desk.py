"""The pricing desk as a pricing person uses it: drafts, the form, previews, proposals, and the way back."""

import copy
import json
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from airback.adapters.keys.files import FileKeys
from airback.pricing.cards import parse_card
from airback.pricing.default_card import DEFAULT_CARD
from airback.pricing.facts import Cap, Facts
from airback.pricing.quotes import public_rate_table
from tests.web.console import history
from tests.web.console.world import BOOK, Person, World

PRICES = "/console/prices"
BASE = "factors.base.rates_ppm.cmcc.balance"


async def publish(
    world: World, version: int, document: dict[str, Any] = DEFAULT_CARD, *, at: datetime | None = None
) -> None:
    """A published rate card, as the writer would have written it."""
    moment = at or datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=version)
    dated = {**document, "version": version, "effective_from": moment.strftime("%Y-%m-%dT%H:%M:%SZ")}
    await world.pool.execute(
        "INSERT INTO rate_cards (book,version,document,effective_at,proposed_by,approved_by,created_at)"
        " VALUES ($1,$2,$3,$4,'chen','liu',$4)",
        BOOK,
        version,
        dated,
        moment,
    )


def fields(answer: httpx.Response) -> dict[str, str]:
    """Every field of the page's figure form as a browser would send it back."""
    found = re.search(r'<form method="post" action="[^"]+/edit" novalidate>(.*?)</form>', answer.text, re.S)
    assert found is not None, answer.text[:2000]
    values = {}
    for tag in re.findall(r"<input[^>]*>", found[1]):
        attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if attributes.get("type") != "checkbox" or re.search(r"\schecked\b", tag):
            values[unescape(attributes["name"])] = unescape(attributes.get("value", ""))
    for name, body in re.findall(r'<textarea[^>]*name="([^"]+)"[^>]*>(.*?)</textarea>', found[1], re.S):
        values[name] = unescape(body)
    for name, body in re.findall(r'<select[^>]*name="([^"]+)"[^>]*>(.*?)</select>', found[1], re.S):
        chosen = re.search(r'<option value="([^"]*)" selected>', body)
        values[name] = unescape(chosen[1]) if chosen else ""
    return values


async def start(person: Person, *, name: str = "双十一", source: str = "1") -> str:
    """A new draft; its address."""
    answer = await person.post(f"{PRICES}/drafts", name=name, source=source)
    assert answer.status_code == 303, answer.text[:2000]
    return answer.headers["location"].removesuffix("/edit")


async def change(person: Person, draft: str, **over: str) -> httpx.Response:
    """Open the form, change some fields, send it."""
    values = fields(await person.get(f"{draft}/edit")) | over
    return await person.client.post(f"{draft}/edit", data=values)


async def document_of(person: Person, draft: str) -> dict[str, Any]:
    answer = await person.get(f"{draft}/card.json")
    assert "attachment" in answer.headers["content-disposition"]
    document: dict[str, Any] = json.loads(answer.text)
    return document


@pytest.fixture
async def desk(world: World) -> World:
    await publish(world, 1)
    return world


@pytest.fixture
async def chen(desk: World) -> Person:
    return await desk.person("chen", "pricing")


async def test_a_draft_is_started_changed_and_proposed_and_only_another_person_approves(
    desk: World, chen: Person
) -> None:
    draft = await start(chen)
    saved = await change(chen, draft, **{BASE: "89.5"})
    assert (saved.status_code, saved.headers["location"]) == (303, f"{draft}?told=saved")
    shown = (await chen.get(draft)).text
    assert re.search(r"<del>88 %</del>.*?<ins>89.5 %</ins>", shown, re.S) and "编辑中" in shown
    assert (await document_of(chen, draft))["factors"]["base"]["rates_ppm"]["cmcc.balance"] == 895_000
    values = {"revision": "2", "reason": "同行上调", "effective": ""}
    answer = await chen.post(f"{draft}/propose", **values)
    assert answer.status_code == 303
    proposal = answer.headers["location"].partition("?")[0]
    assert f"{draft}/preview" in (await chen.get(proposal)).text
    refused = await chen.post(proposal, decision="approved", reason="好")
    assert refused.status_code == 409 and "提议人不得审批自己的提议" in refused.text
    assert "待审批" in (await chen.get(draft)).text
    for address, sent in ((f"{draft}/propose", values), (f"{draft}/discard", {"revision": "3"})):
        closed = await chen.post(address, **sent)
        assert closed.status_code == 409 and "草稿已经提交审批" in closed.text
    assert (await chen.get(f"{draft}/edit")).status_code == 409
    other = await desk.person("liu", "finance")
    assert (await other.post(proposal, decision="approved", reason="已核对")).status_code == 303
    (body,) = await desk.inbox()
    assert body["subject"] == draft.rpartition("/")[2] and body["before"]["version"] == "1"
    assert body["after"]["document"]["factors"]["base"]["rates_ppm"]["cmcc.balance"] == 895_000
    assert "已批准" in (await chen.get(draft)).text
    again = await start(chen, name="再来", source=draft.rpartition("/")[2])
    assert (await document_of(chen, again))["factors"]["base"]["rates_ppm"]["cmcc.balance"] == 895_000


async def test_a_rejected_draft_is_worked_on_again(desk: World, chen: Person) -> None:
    draft = await start(chen)
    answer = await chen.post(f"{draft}/propose", revision="1", reason="试", effective="")
    other = await desk.person("liu", "pricing")
    await other.post(answer.headers["location"].partition("?")[0], decision="rejected", reason="不妥")
    assert (await change(chen, draft, **{BASE: "87"})).status_code == 303
    assert "编辑中" in (await chen.get(draft)).text


async def test_a_form_that_is_refused_keeps_what_was_typed_and_says_where(desk: World, chen: Person) -> None:
    draft = await start(chen)
    typed = {
        BASE: "九十",
        "factors.promotion.from": "yesterday",
        "limits.card.most_fen": "5.123",
        "factors.region.places": "11 1\n11 2",
        "fee.note": "<script>alert(7)</script>",
        "factors.competition.source": "",
    }
    answer = await change(chen, draft, **typed)
    assert answer.status_code == 422
    for name, text in typed.items():
        assert fields(answer)[name] == text, name
    assert answer.text.count('aria-invalid="true"') == 5 and "有 5 处需要更正" in answer.text
    assert f'id="{BASE}-fault"' in answer.text and "请填写 -100 到 100 的百分数" in answer.text
    assert "<script>alert" not in answer.text
    assert (await document_of(chen, draft)) == {**DEFAULT_CARD, "effective_from": "2026-01-02T00:00:00Z"}


@pytest.mark.parametrize(
    ("typed", "where", "remedy"),
    [
        ({BASE: "100.0001"}, BASE, "改为不超过 100 %"),
        ({"factors.base.on": ""}, "factors.base.on", "基准回收率须一直启用"),
        ({"factors.face.bands.0.upto_fen": "200"}, "factors.face.bands.1.upto_fen", "逐档递增"),
        ({"factors.region.places": "11 9"}, "factors.region.places", "级别须是上面列出的"),
        (
            {
                "factors.promotion.from": "2026-12-02T00:00:00",
                "factors.promotion.until": "2026-12-01T00:00:00",
            },
            "factors.promotion.until",
            "结束须晚于开始",
        ),
        ({"factors.bounds.most_ppm": "10"}, "factors.bounds.most_ppm", "上限须在下限"),
        ({"factors.face.range_ppm.0": "5"}, "factors.face.range_ppm.0", "下限不得高于上限"),
    ],
)
async def test_what_the_card_does_not_allow_is_said_at_its_field(
    desk: World, chen: Person, typed: dict[str, str], where: str, remedy: str
) -> None:
    answer = await change(chen, await start(chen), **typed)
    assert answer.status_code == 422
    assert remedy in answer.text and "有 1 处需要更正" in answer.text
    assert (f'id="{where}-fault"' in answer.text) is (where != "factors.base.on")


async def test_a_band_is_added_and_another_goes_when_it_is_emptied(desk: World, chen: Person) -> None:
    draft = await start(chen)
    added = {"factors.face.bands.3.upto_fen": "300", "factors.face.bands.3.rate_ppm": "0.5"}
    emptied = {"factors.face.bands.0.upto_fen": "", "factors.face.bands.0.rate_ppm": ""}
    assert (await change(chen, draft, **added, **emptied)).status_code == 303
    assert (await document_of(chen, draft))["factors"]["face"]["bands"] == [
        {"upto_fen": 9_999, "rate_ppm": -20_000},
        {"upto_fen": 30_000, "rate_ppm": 5_000},
        {"upto_fen": None, "rate_ppm": 0},
    ]


async def test_an_asset_that_is_emptied_is_not_bought_and_a_promotion_has_its_dates(
    desk: World, chen: Person
) -> None:
    draft = await start(chen)
    typed = {
        "factors.base.rates_ppm.cbn.card": "",
        "factors.promotion.on": "on",
        "factors.promotion.from": "2026-11-11T00:00",
        "factors.promotion.until": "2026-11-12T00:00",
    }
    assert (await change(chen, draft, **typed)).status_code == 303
    factors = (await document_of(chen, draft))["factors"]
    assert "cbn.card" not in factors["base"]["rates_ppm"]
    assert (factors["promotion"]["on"], factors["promotion"]["from"], factors["promotion"]["until"]) == (
        True,
        "2026-11-10T16:00:00Z",
        "2026-11-11T16:00:00Z",
    )


async def test_of_two_who_save_at_once_the_second_is_told_and_loses_nothing(
    desk: World, chen: Person
) -> None:
    other = await desk.person("sun", "pricing")
    draft = await start(chen)
    seen = fields(await chen.get(f"{draft}/edit"))
    assert (await change(other, draft, **{BASE: "90"})).status_code == 303
    answer = await chen.client.post(f"{draft}/edit", data=seen | {BASE: "91"})
    assert answer.status_code == 409 and "草稿在您打开之后已被他人修改" in answer.text
    assert fields(answer)[BASE] == "91" and "sun" in answer.text
    assert (await document_of(chen, draft))["factors"]["base"]["rates_ppm"]["cmcc.balance"] == 900_000
    late = await chen.post(f"{draft}/propose", revision="1", reason="旧的", effective="")
    assert late.status_code == 409 and "已被他人修改" in late.text and "旧的" in late.text
    assert (await chen.post(f"{draft}/discard", revision="1")).status_code == 409
    assert (await chen.post(f"{draft}/discard", revision="x")).status_code == 403
    assert (await chen.post(f"{draft}/discard", revision="2")).status_code == 303
    assert draft not in (await chen.get(PRICES)).text


async def send_json(person: Person, draft: str, text: str, *, file: bytes | None = None) -> httpx.Response:
    values = {"csrf": await person.token(), "form": "json", "revision": "1", "name": "JSON", "document": text}
    files = {"file": ("card.json", b"" if file is None else file, "application/json")}
    return await person.client.post(f"{draft}/edit", data=values, files=files)


async def test_a_document_is_pasted_or_uploaded(desk: World, chen: Person) -> None:
    changed = {**DEFAULT_CARD, "fee": {**DEFAULT_CARD["fee"], "rate_ppm": 35_000}}
    pasted, uploaded = await start(chen), await start(chen)
    assert (await send_json(chen, pasted, json.dumps(changed))).status_code == 303
    raw = b"\xef\xbb\xbf" + json.dumps(changed, ensure_ascii=False).encode()
    assert (await send_json(chen, uploaded, "", file=raw)).status_code == 303
    for draft in (pasted, uploaded):
        assert (await document_of(chen, draft))["fee"]["rate_ppm"] == 35_000


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("{", "document"),
        ("[1]", "document"),
        ('{"v": 1.5}', "document"),
        ("{}", "v"),
        (json.dumps({**DEFAULT_CARD, "more": 1}), "more"),
    ],
)
async def test_a_document_that_is_no_card_is_refused_and_stays_in_the_box(
    desk: World, chen: Person, text: str, field: str
) -> None:
    draft = await start(chen)
    answer = await send_json(chen, draft, text)
    assert answer.status_code == 422 and f"({field})" in answer.text
    box = re.search(r'<textarea[^>]*id="document"[^>]*>(.*?)</textarea>', answer.text, re.S)
    assert box is not None and unescape(box[1]) == text
    wrong = await send_json(chen, draft, "", file=b"\xff\xfe\x00")
    assert wrong.status_code == 422 and "文件编码无法识别" in wrong.text


@pytest.mark.parametrize(
    ("effective", "until", "said"),
    [
        ("2026-11-20T11:00", "", "生效时间已经过去"),
        ("tomorrow", "", "字段内容不符合要求"),
        ("2026-12-01T08:00", "", "重叠"),
        ("2026-11-25T08:00", "2026-12-05T08:00:00", "重叠"),
        ("2026-12-05T08:00", "2026-12-06T08:00:00", "会有一段时间没有生效的价格表"),
    ],
)
async def test_a_time_that_does_not_fit_is_refused_before_anybody_approves(
    desk: World, chen: Person, effective: str, until: str, said: str
) -> None:
    await publish(desk, 2, at=datetime(2026, 12, 1, tzinfo=UTC))
    draft = await start(chen)
    assert (await change(chen, draft, effective_until=until)).status_code == 303
    answer = await chen.post(f"{draft}/propose", revision="2", reason="排期", effective=effective)
    assert answer.status_code in (409, 422) and said in answer.text
    assert effective in answer.text and "排期" in answer.text
    assert await desk.pool.fetchval("SELECT count(*) FROM proposals") == 0
    assert "已排期" in (await chen.get(PRICES)).text


async def test_going_back_to_a_version_is_one_act_and_one_approval(desk: World, chen: Person) -> None:
    bounded = {**DEFAULT_CARD, "effective_until": "2026-06-01T00:00:00Z"}
    await publish(desk, 2, bounded, at=datetime(2026, 5, 1, tzinfo=UTC))
    higher = {**DEFAULT_CARD, "fee": {**DEFAULT_CARD["fee"], "rate_ppm": 35_000}}
    await publish(desk, 3, higher, at=datetime(2026, 6, 1, tzinfo=UTC))
    page = (await chen.get(f"{PRICES}/versions/2")).text
    assert re.search(r"<del>3.5 %</del>.*?<ins>3 %</ins>", page, re.S)
    answer = await chen.post(f"{PRICES}/versions/2/back", reason="亏损")
    proposal = answer.headers["location"].partition("?")[0]
    assert (await chen.post(proposal, decision="approved", reason="急")).status_code == 409
    other = await desk.person("liu", "finance")
    assert (await other.post(proposal, decision="approved", reason="同意退回")).status_code == 303
    (body,) = await desk.inbox()
    assert (body["subject"], body["before"]["version"]) == ("back-to-version-2", "3")
    assert body["after"]["document"]["effective_until"] is None
    assert body["after"]["document"]["fee"]["rate_ppm"] == 30_000
    assert (await chen.post(f"{PRICES}/versions/2/back", reason="")).status_code == 422
    assert (await chen.post(f"{PRICES}/versions/3/back", reason="同一版")).status_code == 422
    assert (await chen.post(f"{PRICES}/versions/9/back", reason="没有")).status_code == 404
    assert (await chen.get(f"{PRICES}/versions/9")).status_code == 404


async def test_the_preview_says_in_money_what_would_have_changed(
    desk: World, chen: Person, tmp_path: Path
) -> None:
    async with desk.pool.acquire() as conn:
        await history.put(conn, *history.a_week(), keys=FileKeys(tmp_path))
    draft = await start(chen)
    unchanged = (await chen.get(f"{draft}/preview")).text
    assert "¥0.00" in unchanged and "不变 33 笔" in unchanged
    assert (
        await change(chen, draft, **{BASE: "87", "factors.base.rates_ppm.cbn.card": ""})
    ).status_code == 303
    answer = await chen.get(f"{draft}/preview?days=2")
    assert answer.status_code == 200
    for said in (
        "共 33 笔成交",
        "未计入",
        "在途 1 笔",
        "not_bought",
        "no_outlet",
        "order_expired",
        "data-chart",
    ):
        assert said in answer.text, said
    # four of the carrier's balances and the operator's own sell for one point less
    assert re.search(r"5 / 0", answer.text)
    english = (await chen.get(f"{draft}/preview?days=2&lang=en")).text
    assert "China Mobile · Balance" in english and "tier 1" in english and "place not stated" in english
    later = await chen.get(f"{draft}/preview?days=2&at=2026-12-01T00:00&lang=zh")
    assert later.status_code == 200 and "共 33 笔成交" in later.text
    backtest = await chen.get(f"{PRICES}/backtest?card={draft.rpartition('/')[2]}&margin=8")
    assert backtest.status_code == 200 and "no_outlet" in backtest.text and "损益" in backtest.text


@pytest.mark.parametrize("query", ["days=0", "days=x", "days=400", "at=now", "days=7&at=2026-13-01T00:00"])
async def test_a_preview_that_was_asked_for_wrongly_is_refused_by_name(
    desk: World, chen: Person, query: str
) -> None:
    answer = await chen.get(f"{await start(chen)}/preview?{query}")
    assert answer.status_code == 422 and "字段内容不符合要求" in answer.text


async def test_a_preview_without_history_says_so(desk: World, chen: Person) -> None:
    answer = await chen.get(f"{await start(chen)}/preview")
    assert "没有可以重算的订单" in answer.text and "请放宽天数" in answer.text
    for query, status in (("card=7", 404), ("margin=101", 422), ("margin=x", 422)):
        assert (await chen.get(f"{PRICES}/backtest?{query}")).status_code == status, query


async def test_whoever_may_only_read_starts_nothing(desk: World, chen: Person) -> None:
    draft = await start(chen)
    support = await desk.person("qian", "support")
    for address in (PRICES, draft, f"{PRICES}/versions/1", f"{draft}/card.json"):
        answer = await support.get(address)
        assert answer.status_code == 200 and 'action="/console/prices' not in answer.text
        assert "/preview" not in answer.text and "/backtest" not in answer.text
    for address in (f"{draft}/edit", f"{draft}/preview", f"{PRICES}/backtest"):
        assert (await support.get(address)).status_code == 403
    for address in (f"{PRICES}/drafts", f"{draft}/edit", f"{draft}/propose", f"{PRICES}/versions/1/back"):
        assert (await support.post(address, name="x", reason="x", revision="1")).status_code == 403
    for address in (f"{PRICES}/drafts/rcd_0000000000001", f"{PRICES}/drafts/x/preview"):
        assert (await chen.get(address)).status_code == 404
    assert (await chen.post(f"{PRICES}/drafts", name="x", source="77")).status_code == 404
    assert (await chen.post(f"{PRICES}/drafts", name="", source="1")).status_code == 422


async def test_a_scheduled_version_is_replaced_at_its_moment(desk: World, chen: Person) -> None:
    moment = datetime(2026, 12, 1, tzinfo=UTC)
    await publish(desk, 2, at=moment)
    draft = await start(chen)
    assert "替换已排期的版本" in (await chen.get(draft)).text
    wrong = await chen.post(f"{draft}/propose", revision="1", reason="改期", replaces="1")
    assert wrong.status_code == 422 and "(replaces)" in wrong.text
    answer = await chen.post(f"{draft}/propose", revision="1", reason="改期", replaces="2")
    assert answer.status_code == 303
    after = await desk.pool.fetchval("SELECT after FROM proposals")
    assert (after["replaces"], datetime.fromisoformat(after["effective_at"])) == ("2", moment)
    shown = (await chen.get(answer.headers["location"])).text
    assert "替换已排期的版本" in shown and "2026-12-01 08:00:00 UTC+8" in shown
    await publish(desk, 3, at=moment)
    page = (await chen.get(PRICES)).text
    scheduled = page[page.index("已排期") : page.index("定价因素")]
    assert "versions/3" in scheduled and "versions/2" not in scheduled


async def test_a_card_of_an_earlier_time_is_given_the_factors_it_lacks_and_its_prices_stay(
    world: World,
) -> None:
    old = copy.deepcopy(DEFAULT_CARD)
    for name in ("standing", "demand", "cap", "outlet"):
        del old["factors"][name]
    old["sources"]["own"] = "别处的话"
    await publish(world, 1, old)
    chen = await world.person("chen", "pricing")
    assert (
        "此价格表没有这些因素:客户等级、当前求购、促销期间上限、出货价上限".replace(":", "：")
        in (await chen.get(f"{PRICES}/versions/1")).text
    )
    draft = await start(chen)
    shown = await chen.get(f"{draft}/edit")
    # the key Enter presses a form's first button: it saves, and adds nothing
    assert shown.text.index('id="save"') < shown.text.index('value="lacking"')
    faulty = await change(chen, draft, add="lacking", **{BASE: "九十"})
    assert faulty.status_code == 422 and "standing" not in (await document_of(chen, draft))["factors"]
    added = await change(chen, draft, add="lacking", **{BASE: "87.5"})
    assert (added.status_code, added.headers["location"]) == (303, f"{draft}/edit")
    form = fields(await chen.get(f"{draft}/edit"))
    assert form["factors.standing.classes.2.rate_ppm"] == "0.8" and "factors.cap.on" not in form
    made = await document_of(chen, draft)
    assert made["factors"]["base"]["rates_ppm"]["cmcc.balance"] == 875_000
    assert made["sources"]["own"] == "别处的话"
    assert made["sources"][made["factors"]["demand"]["source"]] == DEFAULT_CARD["sources"]["own"]
    before, after = parse_card(old), parse_card(made)
    assert public_rate_table(before)[:1] != public_rate_table(after)[:1]  # what was typed counts
    made["factors"]["base"] = old["factors"]["base"]
    facts = Facts("gold", 10**8, 700_000, Cap(600_000, "x"))
    assert public_rate_table(parse_card(made), facts=lambda carrier, product: facts) == public_rate_table(
        before
    )
    assert "没有这些因素" not in (await chen.get(f"{draft}/edit")).text
    assert (await change(chen, draft, **{"factors.cap.on": "on"})).status_code == 303
    assert (await document_of(chen, draft))["factors"]["cap"]["on"] is True


async def test_a_document_with_a_key_twice_is_not_taken(desk: World, chen: Person) -> None:
    draft = await start(chen)
    text = json.dumps(await document_of(chen, draft)).replace('"fee": {', '"fee": {"rate_ppm": 990000, ', 1)
    assert json.loads(text)["fee"]["rate_ppm"] == 30_000  # the last one counts, the first one is read
    answer = await chen.post(f"{draft}/edit", form="json", revision="1", name="双十一", document=text)
    assert answer.status_code == 422
