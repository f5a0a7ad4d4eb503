"""Every seller's page on a phone and on a desk, in both languages: seen, and open to everybody."""

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from playwright.async_api import Page, expect

from airback.pricing.exposure import Exposure, Limits
from tests.browser.conftest import DESK, PHONE, OpenPage, Site
from tests.browser.seeing import CONTRAST, EVERYTHING, barriers, look
from tests.engine.test_corrections import taken_back
from tests.web.seller.stage import NUMBER, RIGHT_CODE


class Walk:
    """One walk through the pages, a picture of each."""

    def __init__(self, page: Page, folder: Path, name: str, rules: dict[str, Any] | None) -> None:
        self.page = page
        self.folder = folder
        self.name = name
        self.rules = rules
        self.found: dict[str, list[str]] = {}

    async def see(self, what: str) -> None:
        await look(self.page, self.folder / f"{self.name}-{what}.png")
        problems = await barriers(self.page, self.rules) if self.rules else []
        if problems:
            self.found[what] = problems

    async def open(self, path: str, what: str) -> None:
        await self.page.goto(path)
        await self.see(what)

    async def next(self) -> None:
        async with self.page.expect_navigation():
            await self.page.click("main form button[type=submit]")


async def publish_index(pool: asyncpg.Pool) -> None:
    """Indices of two weeks, the later one of two carriers."""
    cells = [
        {"carrier": carrier, "face": face, "province": province, "expiry": expiry, "orders": 10 * (9 - n)}
        | {"lower_ppm": rate - 9_000, "median_ppm": rate, "upper_ppm": rate + 6_000 + 1_000 * n}
        for carrier in ("cmcc", "ctcc")
        for n, (face, province, expiry, rate) in enumerate(
            (
                ("0", "44", "1", 843_000),
                ("1", "44", "1", 871_000),
                ("1", "51", "1", 889_000),
                ("1", None, "3", 880_000),
                ("2", None, None, 876_000),
                (None, None, None, 868_000),
            )
        )
    ]
    document = {"least_sellers": 10, "most_share_ppm": 250_000, "cells": cells}
    for week in (date(2026, 10, 26), date(2026, 11, 2)):
        await pool.execute("INSERT INTO rate_index VALUES (1, $1, $2, $3)", week, document, datetime.now(UTC))


# what shuts people out is the same in both languages and at any width; only colours differ in the dark
@pytest.mark.parametrize(
    ("language", "size", "colours", "rules"),
    [
        ("zh", PHONE, "light", EVERYTHING),
        ("en", PHONE, "dark", CONTRAST),
        ("en", DESK, "light", None),
    ],
    ids=["zh-phone", "en-phone-dark", "en-desk"],
)
async def test_every_page_can_be_seen_and_used_by_everybody(
    site: Site,
    open_page: OpenPage,
    screenshots: Path,
    request: pytest.FixtureRequest,
    language: str,
    size: dict[str, int],
    colours: str,
    rules: dict[str, Any] | None,
) -> None:
    page = await open_page(site.address, size=size, language=language, color_scheme=colours)
    walk = Walk(page, screenshots, request.node.callspec.id, rules)
    await walk.see("01-start")
    await walk.open("/rates", "02-rates")
    await walk.open("/market", "02-market-unpublished")
    await publish_index(site.stage.street.pool)
    await walk.open("/market", "02-market")
    await walk.open("/rates/1", "02-rates-of-a-version")
    await walk.open("/agreement", "03-agreement")
    await walk.open("/privacy", "04-privacy")
    await walk.open("/orders", "05-no-orders")
    await walk.open("/sell/balance", "06-number")
    await page.fill("#number", "1380013")
    await walk.next()
    await walk.see("07-number-refused")
    await page.fill("#number", NUMBER)
    await walk.next()
    await walk.see("08-code")
    async with page.expect_navigation():
        await page.fill("#code", "111111")
    await walk.see("09-code-wrong")
    async with page.expect_navigation():
        await page.fill("#code", RIGHT_CODE)
    await walk.see("10-amount")
    await page.click("[data-pick='50']")
    await page.wait_for_selector("#estimate strong")
    await page.fill("#payee_account", "nobody")
    await page.fill("#payee_name", "张三")
    await walk.next()
    await expect(page.locator("#estimate strong")).to_be_visible()
    await walk.see("11-amount-refused")
    await page.fill("#payee_account", "a.rather.long.address.of.somebody@mail.example.com")
    await page.fill("#payee_name", "阿卜杜拉·买买提江")
    await walk.next()
    await page.wait_for_selector(".valid[data-state]")
    await walk.see("12-quote")
    assert not await page.is_checked("#agreement")
    await page.check("#agreement")
    await walk.next()
    await page.wait_for_url("**/orders/ord_*")
    await walk.see("13-order")
    number, code, face_fen, carrier = site.stage.street.card("ctcc", 5_000)
    await walk.open("/sell/card", "14-card")
    await page.check(f"[name=carrier][value={carrier}]", force=True)
    await page.check(f"[name=face][value='{face_fen // 100}']", force=True)
    await page.wait_for_selector("#estimate strong")
    await page.fill("#card_number", f"{number[:4]} {number[4:]}")
    await page.fill("#payee_account", "13800138000")
    await page.fill("#payee_name", "李四")
    await walk.next()
    await walk.see("15-card-quote")
    shown, platform = page.url, site.stage.platform
    platform.exposure = Exposure(Limits(person_fen=1))
    await walk.open(shown, "15-card-quote-too-many-open")
    platform.exposure = Exposure(Limits())
    await page.goto(shown)
    await page.fill("#card_code", "12")
    await page.check("#agreement")
    await walk.next()
    await walk.see("16-card-code-refused")
    assert await page.input_value("#card_code") == "" and await page.is_checked("#agreement")
    await page.fill("#card_code", code)
    assert await page.get_attribute("#card_code", "type") == "password"
    await page.click("[data-reveal]")
    assert await page.get_attribute("#card_code", "type") == "text"
    await walk.next()
    await page.wait_for_url("**/orders/ord_*")
    await walk.open("/orders", "17-orders")
    await walk.open("/orders/ord_0000000000000", "18-not-found")
    assert walk.found == {}


async def test_the_order_is_followed_live_to_the_money(
    site: Site, open_page: OpenPage, screenshots: Path
) -> None:
    page = await open_page(site.address)
    await sell_balance(page, payee_name="错名")
    held = page.locator("#part-steps .step_done")
    await site.stage.street.settle(timeout_s=120)
    await page.wait_for_selector("#part-ask form")
    await look(page, screenshots / "live-01-payee-refused.png")
    assert await barriers(page) == []
    assert await held.count() == 4
    await page.fill("#payee_account", "13800138000")
    await page.fill("#payee_name", "张三")
    async with page.expect_navigation():
        await page.click("#part-ask button")

    async def paid() -> bool:
        return bool(
            await site.stage.street.pool.fetchval("SELECT count(*) FROM orders WHERE state = 'closed'")
        )

    await site.stage.street.run(paid, timeout_s=120)
    await page.wait_for_selector(".standing_done")
    await page.wait_for_selector("a[href$='receipt.pdf']")
    await look(page, screenshots / "live-02-paid.png")
    assert await barriers(page) == []

    # Later the rail gives the money back: the order, which has ended, asks for a payee and is paid again.
    (order_id,) = [row["id"] for row in await site.stage.street.pool.fetch("SELECT id FROM orders")]
    await taken_back(site.stage.street, order_id, "pay")
    await page.reload()
    await page.wait_for_selector("#part-steps .step_asks")
    await look(page, screenshots / "live-03-returned.png")
    assert await barriers(page) == []
    await page.fill("#payee_account", "13800138000")
    await page.fill("#payee_name", "张三")
    async with page.expect_navigation():
        await page.click("#part-ask button")

    async def repaid() -> bool:
        return bool(await site.stage.street.pool.fetchval("SELECT count(*) FROM orders WHERE paid_fen > 0"))

    await site.stage.street.run(repaid, timeout_s=120)
    await page.wait_for_selector(".standing_done")
    await look(page, screenshots / "live-04-paid-again.png")


async def test_a_code_can_be_sent_again_after_a_minute(site: Site, open_page: OpenPage) -> None:
    page = await open_page(site.address)
    await page.goto("/sell/balance")
    await page.fill("#number", NUMBER)
    async with page.expect_navigation():
        await page.click("main form button[type=submit]")
    again, said = page.locator("#resend button"), page.locator("#resend [role=status]")
    await expect(again).to_be_disabled()
    await expect(again).to_have_text(re.compile(r"^\d\d 秒后可重新获取$"))
    site.stage.platform.ahead = timedelta(seconds=61)
    await page.reload()
    await again.click()
    await expect(said).to_have_text("验证码已重新发送。")
    await expect(again).to_have_text(re.compile(r"^\d\d 秒后可重新获取$"))
    await expect(again).to_be_disabled()
    assert [number for number, _text in site.stage.subscribers.sent] == [NUMBER, NUMBER]


async def test_an_order_is_cancelled_before_the_airtime_leaves(site: Site, open_page: OpenPage) -> None:
    page = await open_page(site.address)
    await sell_balance(page)
    await page.click(".confirming > summary")
    async with page.expect_navigation():
        await page.click(".confirming button")
    await site.stage.street.settle(timeout_s=120)
    await page.wait_for_selector(".standing_ended")
    assert "订单已取消" in await page.inner_text("h1")


async def test_a_second_tap_sends_nothing(site: Site, open_page: OpenPage) -> None:
    page = await open_page(site.address)
    await sell_balance(page, tap=2)
    assert await site.stage.street.pool.fetchval("SELECT count(*) FROM orders") == 1


async def test_the_way_back_shows_the_quote_again_and_sells_nothing_twice(
    site: Site, open_page: OpenPage
) -> None:
    page = await open_page(site.address)
    await sell_balance(page)
    order = page.url
    await page.go_back()
    await page.wait_for_load_state()
    if await page.locator("[data-sell]").count():
        await page.check("#agreement")
        async with page.expect_navigation():
            await page.click("[data-sell]")
        assert page.url.partition("?")[0] == order.partition("?")[0]
    assert await site.stage.street.pool.fetchval("SELECT count(*) FROM orders") == 1


async def test_everything_but_the_live_parts_works_without_scripts(site: Site, open_page: OpenPage) -> None:
    page = await open_page(site.address, java_script_enabled=False)
    await page.goto("/sell/balance")
    await page.fill("#number", NUMBER)
    await page.click("main form button[type=submit]")
    await page.fill("#code", RIGHT_CODE)
    await page.click("main form button[type=submit]")
    await page.wait_for_url("**/amount")
    await page.fill("#amount", "30")
    await page.fill("#payee_account", "13800138000")
    await page.fill("#payee_name", "张三")
    await page.click("main form button[type=submit]")
    await page.check("#agreement")
    await page.click("[data-sell]")
    await page.wait_for_url("**/orders/ord_*")
    await site.stage.street.settle(timeout_s=120)
    await page.wait_for_selector(".standing_done")  # the page asks again by itself


async def sell_balance(page: Page, *, payee_name: str = "张三", tap: int = 1) -> None:
    """From the start to the order's page."""
    await page.goto("/sell/balance")
    await page.fill("#number", NUMBER)
    async with page.expect_navigation():
        await page.click("main form button[type=submit]")
    async with page.expect_navigation():
        await page.fill("#code", RIGHT_CODE)
    await page.fill("#amount", "30")
    await page.fill("#payee_account", "13800138000")
    await page.fill("#payee_name", payee_name)
    async with page.expect_navigation():
        await page.click("main form button[type=submit]")
    await page.check("#agreement")
    async with page.expect_navigation(url="**/orders/ord_*"):
        await page.click("[data-sell]", click_count=tap, no_wait_after=True)


@pytest.mark.parametrize(
    ("language", "size", "rules"),
    [("zh", PHONE, EVERYTHING), ("en", DESK, EVERYTHING)],
    ids=["zh-phone", "en-desk"],
)
async def test_a_seller_names_a_price_changes_it_and_it_is_met(
    site: Site,
    open_page: OpenPage,
    screenshots: Path,
    request: pytest.FixtureRequest,
    language: str,
    size: dict[str, int],
    rules: dict[str, Any],
) -> None:
    page = await open_page(site.address, size=size, language=language)
    walk = Walk(page, screenshots, f"offer-{request.node.callspec.id}", rules)
    await walk.open("/offers", "01-nothing-proved")
    await page.goto("/sell/balance")
    await page.fill("#number", NUMBER)
    await walk.next()
    async with page.expect_navigation():
        await page.fill("#code", RIGHT_CODE)
    await page.fill("#amount", "100")
    await page.fill("#payee_account", NUMBER)
    await page.fill("#payee_name", "张三")
    await page.click("#own-price > summary")
    await page.fill("#net", "20")
    await walk.see("02-own-price")
    async with page.expect_navigation():
        await page.click("#own-price > button")
    await expect(page.locator("#agreement-error")).to_be_visible()
    await page.check("#agreement")
    async with page.expect_navigation():
        await page.click("#own-price > button")
    await expect(page.locator("#net-error")).to_be_visible()  # the quote is better
    await walk.see("03-refused")
    await page.fill("#net", "90.50")
    await page.check("input[name=deadline][value='72']")
    async with page.expect_navigation():
        await page.click("#own-price > button")
    assert "/offers/off_" in page.url
    await walk.see("04-resting")
    address = page.url
    await page.fill("#net", "90")
    await walk.next()
    await walk.see("05-changed")
    await walk.open("/offers", "06-mine")
    pool = site.stage.street.pool

    async def met() -> bool:
        return bool(await pool.fetchval("SELECT order_id FROM offers"))

    await site.stage.street.run(met)
    await page.goto(address)
    await walk.see("07-met")
    await page.click("main .weui-btn_primary")
    await page.wait_for_url("**/orders/ord_*")
    await walk.see("08-its-order")
    assert walk.found == {}
