"""Every page, with a day's business behind it: what it shows, to whom, and what a hostile text cannot do."""

import re
from typing import Any

import httpx
import pytest

from airback.domain import ids
from airback.staff.roles import Role
from tests.web.console.world import BOOK, World, furnish, insert_order, order_id

PAGES = {
    "/console": None,
    "/console/orders": "orders:read",
    "/console/orders/{main}": "orders:read",
    "/console/alarms": "orders:read",
    "/console/effects": "orders:read",
    "/console/approvals": "proposals:read",
    "/console/outlets": "outlets:read",
    "/console/outlet/{yida}": "outlets:read",
    "/console/outlets/terms": "outlet:propose",
    "/console/outlets/terms?kind=carrier_own": "outlet:propose",
    "/console/outlets/terms?outlet=yida": "outlet:propose",
    "/console/market/bids": "outlets:read",
    "/console/pauses": "outlets:read",
    "/console/approvals/propose/withdraw": "deposit:propose",
    "/console/approvals/propose/credit-line?about=yida": "deposit:propose",
    "/console/approvals/propose/lift": "resume:propose",
    "/console/money": "money:read",
    "/console/breaks": "money:read",
    "/console/breaks?show=all": "money:read",
    "/console/corrections": "money:read",
    "/console/corrections?show=all": "money:read",
    "/console/prices": "prices:read",
    "/console/licences": "licences:read",
    "/console/staff": "staff:read",
    "/console/account": None,
    "/console/approvals/propose/deposit": "deposit:propose",
    "/console/approvals/propose/float": "deposit:propose",
    "/console/approvals/propose/effect": "effect:propose",
    "/console/approvals/propose/order": "order:propose",
    "/console/approvals/propose/effect?about={ref}": "effect:propose",
    "/console/approvals/propose/pause": "pause:propose",
    "/console/approvals/propose/resume": "resume:propose",
    "/console/approvals/propose/licence": "licence:propose",
    "/console/approvals/propose/break": "break:propose",
    "/console/approvals/propose/break?about={brk}": "break:propose",
    "/console/approvals/propose/correction": "correction:propose",
    "/console/approvals/propose/correction?about={cor}": "correction:propose",
    "/console/prices/backtest": "rate_card:approve",
    "/console/prices/versions/{version}": "prices:read",
    "/console/prices/drafts/{draft}": "prices:read",
    "/console/prices/drafts/{draft}/preview": "rate_card:approve",
    "/console/prices/drafts/{draft}/edit": "rate_card:propose",
    "/console/approvals/propose/cap": "rate_card:propose",
    "/console/approvals/propose/cap?about={prm}": "rate_card:propose",
    "/console/market": "prices:read",
    "/console/market?carrier=ctcc&product=card&face=50&place=4401": "prices:read",
    "/console/market/record": "prices:read",
    "/console/market/matrix": "prices:read",
    "/console/market/arbitrage": "prices:read",
}
EVERYBODY = [role.value for role in Role]
CANARY = "\"><script>alert(7)</script>&amp;'x"


def fill(path: str, made: dict[str, Any]) -> str:
    return path.format(
        main=ids.public("ord", made["main"]),
        ref=made["ref"],
        brk=made["brk"],
        cor=made["cor"],
        draft=made["draft"],
        version=1,
        yida="yida",
        prm=made["prm"],
    )


def no_markup(answer: httpx.Response) -> None:
    assert "<script>alert" not in answer.text
    assert "&amp;#" not in answer.text  # nothing is escaped twice
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", answer.text, re.S)
    assert all(not body.strip() for body in scripts)
    assert not re.search(r"<[^>]+\s(on[a-z]+|style)=", answer.text)


async def test_every_page_answers_in_both_languages_with_its_headers(world: World) -> None:
    made = await furnish(world.pool)
    person = await world.person("ada", *EVERYBODY)
    for path in PAGES:
        for language in ("zh", "en"):
            address = fill(path, made)
            address += ("&" if "?" in address else "?") + f"lang={language}"
            answer = await person.get(address)
            assert answer.status_code == 200, (address, answer.text[:500])
            assert f'lang="{"zh-CN" if language == "zh" else "en"}"' in answer.text
            policy = answer.headers["content-security-policy"]
            assert "unsafe" not in policy
            assert answer.headers["cache-control"] == "no-store"
            no_markup(answer)
            if language == "en":
                main = re.sub(r"<main.*?</main>", "", answer.text, flags=re.S)
                left = re.findall("[\u4e00-\u9fff]+", main.replace("中文", "").replace("城南话费回收", ""))
                assert not left, (address, left)


async def test_every_page_answers_on_an_empty_book(world: World) -> None:
    person = await world.person("ada", *EVERYBODY)
    for path in PAGES:
        if "{" in path:
            continue
        answer = await person.get(path)
        assert answer.status_code == 200, (path, answer.text[:500])


async def test_a_page_is_for_the_roles_that_may_see_it(world: World) -> None:
    from airback.staff.roles import Permission, may

    made = await furnish(world.pool)
    for role in Role:
        person = await world.person(role.value, role.value)
        for path, needs in PAGES.items():
            answer = await person.get(fill(path, made))
            allowed = needs is None or may(roles=[role.value], permission=Permission(needs))
            assert answer.status_code == (200 if allowed else 403), (role, path)
            if not allowed:
                assert "您的角色无此权限" in answer.text


async def test_the_menu_leads_only_where_one_may_go(world: World) -> None:
    for role in Role:
        person = await world.person(role.value, role.value)
        home = await person.get("/console")
        for path in set(re.findall(r'class="nav-link" href="([^"]+)"', home.text)):
            assert (await person.get(path)).status_code == 200, (role, path)


async def test_nothing_that_is_stored_becomes_markup(world: World) -> None:
    made = await furnish(world.pool, mark=CANARY)
    async with world.pool.acquire() as conn:
        await conn.execute("UPDATE books SET name = $1, routing = false, pause_reason = $1", f"book{CANARY}")
        await conn.execute(
            "UPDATE orders SET agreement = $1, rail = $1, code = $1 WHERE id = $2", CANARY, made["main"]
        )
        part = {"name": "x", "zh": CANARY, "en": CANARY, "rate_ppm": 1, "amount_fen": 1, "source": CANARY}
        quote = {"id": CANARY, "card_version": CANARY, "components": [part], "number": CANARY}
        await conn.execute("UPDATE orders SET quote = $1 WHERE id = $2", quote, made["main"])
        await conn.execute("UPDATE effect_results SET detail = $1", {CANARY: CANARY})
        await conn.execute("UPDATE fills SET outlet = $1, number = $1", CANARY)
        await conn.execute("UPDATE payouts SET rail = $1, far_ref = $1, code = $1", CANARY)
        await conn.execute("UPDATE accounts SET code = code || $1 WHERE code LIKE 'payable%'", CANARY)
        await conn.execute("UPDATE transfers SET kind = kind || $1", CANARY)
        await conn.execute("UPDATE alarms SET kind = kind || $1, detail = $2", CANARY, {CANARY: CANARY})
        await conn.execute("UPDATE open_demands SET carrier = $1", CANARY)
        await conn.execute(
            "UPDATE effects SET far_side = 'carrier:' || $1, kind = $1 WHERE kind = 'redeem'", CANARY
        )
        for state, action in ((None, "finance:deposit:credit"), ("approved", "operations:book:pause")):
            await conn.execute(
                "INSERT INTO proposals (book,id,action,subject,before,after,reason,proposed_by,proposed_at,expires_at,"
                "decision,decided_by,decided_at,decision_reason) "
                "VALUES ($1,$2,$3,$4,$5,$6,$4,$7,$8,$9,$10::text,$11,$12::timestamptz,$4)",
                BOOK,
                5 if state is None else 6,
                action,
                CANARY,
                {CANARY: CANARY, "outlet": CANARY},
                {CANARY: [CANARY], "reason": CANARY, "routing": CANARY},
                f"wang{CANARY}",
                world.platform.clock,
                world.platform.clock.replace(year=2027),
                state,
                None if state is None else f"liu{CANARY}",
                None if state is None else world.platform.clock,
            )
    person = await world.person("ada", *EVERYBODY)
    pages = [*PAGES, f"/console/orders/{ids.public('ord', made['done'])}"]
    pages += [f"/console/approvals/{ids.public('pro', number)}" for number in (5, 6)]
    seen = 0
    for path in pages:
        answer = await person.get(fill(path, made))
        assert answer.status_code == 200, (path, answer.text[:500])
        no_markup(answer)
        seen += answer.text.count("&lt;script&gt;alert(7)&lt;/script&gt;")
    assert seen > 60  # the canaries are on the pages, as text


@pytest.mark.parametrize(
    "path",
    ["/console/orders", "/console/effects", "/console/money", "/console/sign-in", "/console/approvals"],
)
async def test_nothing_that_is_asked_becomes_markup(world: World, path: str) -> None:
    person = await world.person("ada", *EVERYBODY)
    for key in ("search", "result", "account", "after", "next", "told", "lang"):
        answer = await person.client.get(path, params={key: CANARY})
        assert answer.status_code in (200, 303), (path, key)
        no_markup(answer)


@pytest.mark.parametrize("key", ["search", "state", "after"])
async def test_a_control_character_is_refused_by_name(world: World, key: str) -> None:
    person = await world.person("ada", "operations")
    answer = await person.client.get("/console/orders", params={key: "a\x00b"})
    assert answer.status_code == 422
    assert "field_invalid" in answer.text


async def test_numbers_are_never_shown_whole(world: World) -> None:
    made = await furnish(world.pool)
    person = await world.person("ada", *EVERYBODY)
    for path in (*PAGES, f"/console/orders/{ids.public('ord', made['done'])}"):
        answer = await person.get(fill(path, made))
        assert not re.search(r"1380013\d{4}|13900139000|8011\d{12}", answer.text), path


async def test_the_overview_counts_what_is_there(world: World) -> None:
    await furnish(world.pool)
    person = await world.person("ada", *EVERYBODY)
    text = re.sub(r"\s+", " ", (await person.get("/console?lang=en")).text)
    for said in (
        '<div class="h1 mb-1 console-figure">10</div>',  # open orders
        "2 need a person",
        "Open corrections: 3",
        '<div class="h1 mb-1 console-figure">18</div>',  # accepted in 24 hours
        "¥50,652.36",  # safeguarded less what left through rails
        "¥44,568.82",  # owed
        "2 unknown",
        "The writer is at work",
        "Effect unresolved",
        "95.5 %",
    ):
        assert said in text, said


async def test_a_shortfall_of_client_money_is_said(world: World) -> None:
    await furnish(world.pool)
    async with world.pool.acquire() as conn:
        await conn.execute(
            "UPDATE accounts SET credits_posted = credits_posted + 2000000 WHERE code = 'cash:safeguarded'"
        )
    person = await world.person("ada", "finance")
    assert "不足" in (await person.get("/console")).text
    assert "缺" in (await person.get("/console/money")).text


async def test_a_writer_that_is_quiet_is_said(world: World) -> None:
    await furnish(world.pool)
    world.pass_by(minutes=1)
    person = await world.person("ada", "operations")
    assert "没有记账进程" in (await person.get("/console")).text


async def test_orders_go_on_by_cursor_without_gap_or_repeat(world: World) -> None:
    async with world.pool.acquire() as conn:
        for n in range(120):
            await insert_order(conn, id=order_id(500 - n), state="closed", number=f"138{n:08d}")
    person = await world.person("ada", "operations")
    seen: list[str] = []
    path = "/console/orders"
    while True:
        text = (await person.get(path)).text
        seen += re.findall(r'href="/console/orders/(ord_[0-9A-Z]{13})"', text)
        following = re.search(r'rel="next" href="([^"]+)"', text)
        if following is None:
            break
        path = following[1].replace("&amp;", "&")
    assert len(seen) == len(set(seen)) == 120
    assert seen == sorted(seen, reverse=True)


async def test_orders_are_filtered_by_state(world: World) -> None:
    await furnish(world.pool)
    person = await world.person("ada", "operations")
    for state, count in (("closed", 4), ("held", 1), ("in_review", 1)):
        text = (await person.get(f"/console/orders?state={state}")).text
        assert len(re.findall(r'class="mono text-nowrap" href="/console/orders/ord_', text)) == count
    assert (await person.get("/console/orders?state=odd")).status_code == 422


async def test_the_one_search_box_finds_anything(world: World) -> None:
    made = await furnish(world.pool)
    person = await world.person("ada", "operations")
    main, done = ids.public("ord", made["main"]), ids.public("ord", made["done"])
    for text, where in (
        (main, main),
        (main.lower(), main),
        (ids.public("fil", made["main"] + 3), main),
        (made["ref"], main),
        (ids.public("pay", made["done"] + 5), done),
    ):
        answer = await person.post("/console/orders", search=text, state="")
        assert answer.status_code == 303
        found = await person.get(answer.headers["location"])
        assert found.headers.get("location") == f"/console/orders/{where}", text
    listed = await person.get("/console/orders?search=ORD-2026-0007")
    assert listed.text.count('class="mono text-nowrap" href="/console/orders/ord_') == 1
    assert "没有找到" in (await person.get("/console/orders?search=nothing-like-it")).text


async def test_a_number_that_is_searched_for_stays_out_of_addresses(world: World) -> None:
    await furnish(world.pool)
    person = await world.person("ada", "operations")
    answer = await person.post("/console/orders", search="138 0013 8000", state="")
    assert answer.status_code == 200
    assert answer.text.count('class="mono text-nowrap" href="/console/orders/ord_') == 1
    assert "138\u00a0****\u00a08000" in answer.text
    assert "13800138000" not in answer.text.replace(" ", "")


async def test_one_order_shows_its_whole_story(world: World) -> None:
    made = await furnish(world.pool)
    person = await world.person("ada", *EVERYBODY)
    text = (await person.get(f"/console/orders/{ids.public('ord', made['main'])}?lang=en")).text
    for said in (
        "Base rate",
        "Remaining validity",
        "¥86.91",
        "reserveBalance",
        "138****8011",
        "rb-2217",
        "The far side&#39;s answer was lost.",
        "deposit:yida",
        "Pending, posted",
        "Overdue",
        "Propose a result",
        "Ask for cancellation",
    ):
        assert said in text, said
    at = [
        text.index(each)
        for each in ("Submitted</strong>", "Screened</strong>", "Verified</strong>", "Held</strong>")
    ]
    assert at == sorted(at)


async def test_raw_exchanges_are_for_roles_that_may_read_them(world: World) -> None:
    made = await furnish(world.pool)
    person = await world.person("ada", "administrator")
    text = (await person.get(f"/console/orders/{ids.public('ord', made['main'])}")).text
    assert "reserveBalance" not in text
    assert "您的角色看不到原始往来" in text


@pytest.mark.parametrize("public", ["ord_0000000000000", "ord_x", "pay_0000000000001", "%3Cb%3E"])
async def test_an_order_that_is_none_is_not_found(world: World, public: str) -> None:
    person = await world.person("ada", "operations")
    assert (await person.get(f"/console/orders/{public}")).status_code == 404


async def test_a_lost_database_is_said_as_such(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    person = await world.person("ada", "operations")

    class Gone:
        def acquire(self) -> Any:
            raise ConnectionRefusedError("connect call failed: password=secret")

    monkeypatch.setattr(world.platform, "pool", Gone())
    answer = await person.get("/console")
    assert answer.status_code == 503
    assert "服务暂时不可用" in answer.text
    assert "secret" not in answer.text
