"""What a page must not do: show a stranger's order, take a forged form, lose what was typed, leak a code."""

import base64
import json
import re
from datetime import timedelta
from typing import Any

import pytest

from airback.domain.ports.carrier import CodeCheck
from airback.web.seller.session import COOKIE
from tests.engine.test_corrections import taken_back
from tests.web.seller.stage import NUMBER, PAYEE, Browser, Stage, balance_quote, card_quote, prove

AGREED = "2026-11"


async def sold(browser: Browser) -> str:
    """Sell a balance; the order's address."""
    await balance_quote(browser)
    await browser.send(browser.path, agreement=AGREED)
    assert browser.path.startswith("/orders/ord_"), browser.text
    return browser.path


async def test_a_strangers_order_is_not_found_like_one_that_does_not_exist(
    stage: Stage, browser: Browser
) -> None:
    order = await sold(browser)
    async with stage.browser() as stranger:
        for path in (
            order,
            f"{order}/live",
            f"{order}/receipt.json",
            f"{order}/receipt.pdf",
            "/orders/ord_0000000000000",
        ):
            answer = await stranger.open(path)
            assert answer.status_code == 404, path
            assert "没有找到" in stranger.text
        await stranger.open("/privacy")
        csrf = re.search(r'name="csrf" value="([^"]+)"', stranger.page.text)
        assert csrf is not None
        for action in ("cancel", "payee"):
            assert (await stranger.post(f"{order}/{action}", csrf=csrf[1])).status_code == 404
    assert await stage.street.pool.fetchval("SELECT count(*) FROM inbox WHERE order_id IS NOT NULL") == 0


async def test_the_seller_finds_the_order_again_on_another_device_by_the_number(
    stage: Stage, browser: Browser
) -> None:
    order = await sold(browser)
    async with stage.browser() as other:
        await other.open("/orders")
        assert "还没有订单" in other.text
        await other.open("/orders/find")
        stage.platform.ahead = timedelta(minutes=2)
        await other.send("/sell/balance", number=NUMBER)
        await other.send("/sell/balance/code", code="246810")
        assert other.path == "/orders"
        assert order in other.page.text
        assert (await other.open(order)).status_code == 200


async def test_a_number_that_was_only_typed_for_notices_opens_nothing(stage: Stage, browser: Browser) -> None:
    await card_quote(browser, card := stage.street.card(), notify_number=NUMBER)
    await browser.send(browser.path, card_code=card[1], agreement=AGREED)
    order = browser.path
    async with stage.browser() as other:
        await prove(other, NUMBER)
        assert (await other.open(order)).status_code == 404


async def test_a_form_without_this_sessions_token_does_nothing(stage: Stage, browser: Browser) -> None:
    await balance_quote(browser)
    quoted = browser.path
    form = dict(re.findall(r'name="(csrf|quote)" value="([^"]+)"', browser.page.text))
    for csrf in ("", "0" * 26):
        answer = await browser.post(quoted, quote=form["quote"], agreement=AGREED, csrf=csrf)
        assert answer.status_code == 403
        assert "没有提交任何内容" in browser.text
    assert await stage.street.pool.fetchval("SELECT count(*) FROM orders") == 0


async def test_a_session_cookie_that_was_changed_counts_for_nothing(browser: Browser) -> None:
    await prove(browser)
    value = browser.client.cookies[COOKIE]
    browser.client.cookies.delete(COOKIE)
    browser.client.cookies.set(
        COOKIE, value[:-4] + ("AAAA" if value[-4:] != "AAAA" else "BBBB"), domain="pages.test"
    )
    await browser.open("/sell/balance/amount")
    assert browser.path == "/sell/balance"


async def test_cookies_are_for_the_server_alone_and_carry_nothing_readable(
    stage: Stage, browser: Browser
) -> None:
    await prove(browser)
    answer = await browser.client.post(
        "/sell/balance/amount",
        data={
            **dict(re.findall(r'name="(csrf|rail)" value="([^"]+)"', browser.page.text)),
            "amount": "50",
            **PAYEE,
        },
        follow_redirects=False,
    )
    cookies = answer.headers.get_list("set-cookie")
    assert cookies
    for cookie in cookies:
        assert "HttpOnly" in cookie and "SameSite=lax" in cookie
        assert NUMBER not in cookie and "张" not in cookie
        raw = base64.urlsafe_b64decode(cookie.partition("=")[2].partition(";")[0] + "==")
        assert NUMBER.encode() not in raw
    assert any("Path=/sell/" in cookie for cookie in cookies)
    secure = await browser.client.get("/privacy", headers={"x-forwarded-proto": "https", "cookie": ""})
    assert all("Secure" in cookie for cookie in secure.headers.get_list("set-cookie"))


async def test_every_page_forbids_foreign_and_inline_code(browser: Browser) -> None:
    for path in (
        "/",
        "/rates",
        "/agreement",
        "/privacy",
        "/orders",
        "/sell/balance",
        "/sell/card",
        "/nothing/here",
    ):
        answer = await browser.open(path)
        if path == "/nothing/here":
            continue
        policy = answer.headers["content-security-policy"]
        assert (
            "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        )
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_the_language_is_kept_and_chinese_comes_first(browser: Browser) -> None:
    assert 'lang="zh-CN"' in (await browser.open("/")).text
    assert 'lang="en"' in (await browser.open("/?lang=en")).text
    await browser.open("/sell/card")
    assert "Sell a recharge card" in browser.text
    assert 'href="/sell/card?lang=zh"' in browser.page.text
    await browser.open("/?lang=xx")
    assert "Turn unused airtime" in browser.text


async def test_nothing_typed_is_lost_but_codes(stage: Stage, browser: Browser) -> None:
    card = stage.street.card()
    await browser.open("/sell/card")
    typed = {
        "carrier": "cmcc",
        "face": "100",
        "card_number": card[0],
        "payee_account": "nobody",
        "payee_name": "张三",
    }
    answer = await browser.send("/sell/card", **typed)
    assert answer.status_code == 422
    assert (
        'value="nobody"' in answer.text
        and f'value="{card[0]}"' in answer.text
        and 'value="张三"' in answer.text
    )
    assert re.search(r'value="cmcc" required checked', answer.text)


async def test_what_is_typed_is_never_markup(browser: Browser) -> None:
    await browser.open("/sell/balance")
    answer = await browser.send("/sell/balance", number='"><script>alert(1)</script>')
    assert "<script>alert" not in answer.text and "&lt;script&gt;" in answer.text


async def test_a_quote_that_expired_is_shown_anew_and_agreed_anew(stage: Stage, browser: Browser) -> None:
    await balance_quote(browser)
    before = re.search(r'name="quote" value="([^"]+)"', browser.page.text)
    stage.platform.ahead = timedelta(minutes=11)
    answer = await browser.send(browser.path, agreement=AGREED)
    assert answer.status_code == 422 and "报价已过期" in browser.text
    after = re.search(r'name="quote" value="([^"]+)"', browser.page.text)
    assert before and after and before[1] != after[1]
    assert not re.search(r'name="agreement"[^>]*checked', answer.text)
    await browser.send(browser.path, agreement=AGREED)
    assert browser.path.startswith("/orders/")


async def test_a_quote_that_was_changed_sells_nothing(stage: Stage, browser: Browser) -> None:
    await balance_quote(browser)
    text = re.search(r'name="quote" value="([^"]+)"', browser.page.text)
    assert text is not None
    document: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text[1]))
    document["net_fen"] += 1
    forged = base64.urlsafe_b64encode(json.dumps(document).encode()).decode()
    for quote in (forged, "", "!!!", "bm90IGpzb24="):
        answer = await browser.send(browser.path, agreement=AGREED, quote=quote)
        assert answer.status_code == 422
    assert await stage.street.pool.fetchval("SELECT count(*) FROM orders") == 0


async def test_an_old_proof_is_asked_again_and_the_sale_goes_on_where_it_was(
    stage: Stage, browser: Browser
) -> None:
    await balance_quote(browser)
    sale = browser.path
    stage.platform.ahead = timedelta(minutes=16)
    await browser.open(sale)
    assert "重新获取验证码" in browser.text
    await browser.send("/sell/balance")
    assert browser.path == "/sell/balance/code"
    await browser.send("/sell/balance/code", code="246810")
    assert browser.path == sale
    await browser.send(sale, agreement=AGREED)
    assert browser.path.startswith("/orders/")


async def test_more_than_the_number_can_sell_is_refused_before_a_quote(browser: Browser) -> None:
    await prove(browser)
    answer = await browser.send("/sell/balance/amount", amount="118.51", **PAYEE)
    assert answer.status_code == 422 and "可用余额不足" in browser.text
    assert 'value="118.51"' in answer.text
    await browser.send("/sell/balance/amount", amount="118.50", **PAYEE)
    assert browser.path.startswith("/sell/")


@pytest.mark.parametrize(
    ("number", "said"),
    [("13900000001", "没有可卖的余额"), ("13900000002", "已停机"), ("13900000009", "空号")],
)
async def test_a_line_that_cannot_sell_says_why(browser: Browser, number: str, said: str) -> None:
    await prove(browser, number)
    assert said in browser.text


async def test_a_carrier_that_cannot_be_reached_is_told_and_nothing_is_lost(
    stage: Stage, browser: Browser
) -> None:
    await browser.open("/sell/balance")
    stage.subscribers.unreachable = True
    answer = await browser.send("/sell/balance", number=NUMBER)
    assert answer.status_code == 422 and "暂时无法连接" in browser.text and f'value="{NUMBER}"' in answer.text
    stage.subscribers.unreachable = False
    stage.platform.ahead = timedelta(minutes=2)
    await prove(browser)
    stage.subscribers.away = 1
    await browser.open("/sell/balance/amount")
    assert "暂时无法连接" in browser.text


async def test_codes_are_not_sent_as_often_as_somebody_asks(stage: Stage, browser: Browser) -> None:
    for _ in range(3):
        async with stage.browser() as other:
            await other.open("/sell/balance")
            await other.send("/sell/balance", number=NUMBER)
    assert len(stage.subscribers.sent) == 1
    for minutes in range(1, 9):
        stage.platform.ahead = timedelta(minutes=minutes, seconds=minutes)
        async with stage.browser() as other:
            await other.open("/sell/balance")
            await other.send("/sell/balance", number=NUMBER)
    assert len(stage.subscribers.sent) == 5


async def test_a_code_that_lapsed_or_was_guessed_too_often_is_named(stage: Stage, browser: Browser) -> None:
    await browser.open("/sell/balance")
    await browser.send("/sell/balance", number=NUMBER)
    stage.subscribers.answers = [CodeCheck.EXPIRED, CodeCheck.TOO_MANY]
    await browser.send("/sell/balance/code", code="111111")
    assert "验证码已过期" in browser.text
    await browser.send("/sell/balance/code", code="222222")
    assert "次数过多" in browser.text
    assert "222222" not in browser.page.text


async def test_an_order_is_cancelled_while_that_is_free(stage: Stage, browser: Browser) -> None:
    order = await sold(browser)
    await browser.send(f"{order}/cancel")
    assert "已申请取消" in browser.text
    assert await stage.street.settle() == {"cancelled:cancelled": 1}
    await browser.open(order)
    assert "订单已取消" in browser.text and "全部留在您的号码上" in browser.text


async def test_a_payee_the_rail_refused_is_corrected_and_paid(stage: Stage, browser: Browser) -> None:
    await prove(browser)
    await browser.send("/sell/balance/amount", amount="50", payee_account="13800138000", payee_name="错名")
    await browser.send(browser.path, agreement=AGREED)
    order = browser.path
    assert await stage.street.settle() == {"awaiting_seller:payee_name_mismatch": 1}
    await browser.open(order)
    assert "需要您更正收款信息" in browser.text and "收款人姓名与账户不符" in browser.text
    answer = await browser.send(f"{order}/payee", payee_account="nobody", payee_name="张三")
    assert answer.status_code == 422 and 'value="nobody"' in answer.text
    await browser.send(f"{order}/payee", payee_account="13800138000", payee_name="张三")
    assert browser.path == order

    async def paid() -> bool:
        return bool(await stage.street.pool.fetchval("SELECT count(*) FROM orders WHERE state = 'closed'"))

    await stage.street.run(paid)
    await browser.open(order)
    assert "款项已付出" in browser.text


async def test_a_payment_that_came_back_after_the_end_asks_for_a_payee_and_is_paid_again(
    stage: Stage, browser: Browser
) -> None:
    order = await sold(browser)
    assert await stage.street.settle() == {"closed": 1}
    (number,) = [row["id"] for row in await stage.street.pool.fetch("SELECT id FROM orders")]
    await taken_back(stage.street, number, "pay")
    await browser.open("/orders")
    assert "请更正收款信息" in browser.text
    await browser.open(order)
    assert "付款被退回" in browser.text and "退了回来" in browser.text and "款项已付出" not in browser.text
    assert "data-live" in browser.page.text
    await browser.send(f"{order}/payee", payee_account="13800138000", payee_name="张三")
    assert "已收到更正" in browser.text

    async def paid() -> bool:
        return bool(await stage.street.pool.fetchval("SELECT count(*) FROM orders WHERE paid_fen > 0"))

    await stage.street.run(paid)
    await browser.open(order)
    assert "款项已付出" in browser.text
    assert "/payee" not in browser.page.text


async def test_a_card_with_another_face_is_priced_again_and_says_so(stage: Stage, browser: Browser) -> None:
    card = stage.street.card(face_fen=10_000, true_fen=5_000)
    await card_quote(browser, card)
    await browser.send(browser.path, card_code=card[1], agreement=AGREED)
    order = browser.path
    assert await stage.street.settle() == {"closed": 1}
    await browser.open(order)
    assert "实际面值是 50 元" in browser.text


async def test_a_refused_card_says_why_and_the_code_is_nowhere(stage: Stage, browser: Browser) -> None:
    card = stage.street.card(state="card_used")
    await card_quote(browser, card)
    await browser.send(browser.path, card_code=card[1], agreement=AGREED)
    order = browser.path
    await stage.street.settle()
    await browser.open(order)
    assert "订单未能完成" in browser.text and "已被使用" in browser.text
    assert card[1] not in browser.page.text


async def test_a_sale_left_for_too_long_is_gone_and_says_so(stage: Stage, browser: Browser) -> None:
    await balance_quote(browser)
    stage.platform.ahead = timedelta(minutes=31)
    answer = await browser.open(browser.path)
    assert answer.status_code == 410 and "已经过期" in browser.text


async def test_signing_out_forgets_the_orders_of_this_device(browser: Browser) -> None:
    order = await sold(browser)
    await browser.open("/privacy")
    await browser.send("/leave")
    assert (await browser.open(order)).status_code == 404


async def test_the_estimate_is_the_quote(browser: Browser) -> None:
    answer = await browser.open("/sell/estimate?product=card&carrier=cmcc&face=100")
    assert "86.62" in answer.text  # ⌊100 × (0.90 − 0.03) × (1 − 0.0043)⌋
    for asked, said in (
        ("product=card&carrier=cmcc&face=77", "面值不在回收范围内"),
        ("product=balance&carrier=cmcc&amount=x", "金额不是有效数字"),
        ("product=balance&carrier=cmcc&amount=1", "金额低于最低限额"),
        ("product=gold&carrier=cmcc&face=10", "目前不回收"),
    ):
        await browser.open(f"/sell/estimate?{asked}")
        assert said in browser.text, asked


async def test_a_body_that_is_no_form_is_refused_by_name(browser: Browser) -> None:
    for content, kind, status in (
        (b"{}", "application/json", 415),
        (b"number=\xff\xfe", "application/x-www-form-urlencoded", 400),
        (b"number=%ff", "application/x-www-form-urlencoded", 400),
        (b"a=1&" * 50, "application/x-www-form-urlencoded", 400),
        (b"x" * 40_000, "application/x-www-form-urlencoded", 413),
    ):
        answer = await browser.client.post("/sell/balance", content=content, headers={"content-type": kind})
        assert answer.status_code == status, (kind, content[:10])
        assert "Traceback" not in answer.text


async def test_static_files_are_kept_for_ever_under_their_version_only(browser: Browser) -> None:
    page = await browser.open("/")
    address = re.search(r'href="(/static/seller/seller\.css\?v=[0-9a-f]{12})"', page.text)
    assert address is not None
    answer = await browser.open(address[1])
    assert answer.status_code == 200 and "immutable" in answer.headers["cache-control"]
    assert (await browser.open("/static/seller/seller.css?v=0")).headers["cache-control"] == "no-cache"
    for path in (
        "/static/../templates.py",
        "/static/seller/../../routes.py",
        "/static/vendor/fonts/NotoSansSC-Bold.ttf",
        "/static/x.css",
    ):
        assert (await browser.client.get(path)).status_code == 404, path
