"""A rate card's whole way in a browser: drafted, previewed, proposed, approved by another, in force, and back again."""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from litestar import Litestar
from litestar.datastructures import State as AppState
from playwright.async_api import Page, expect

from airback.pricing.cards import RateCard, card_in_force, parse_card
from airback.store import books
from airback.web.console.routes import CONSOLE_ROUTERS
from airback.web.routes import SELLER_ROUTERS
from tests.browser.conftest import PATIENCE_MS, PHONE, OpenPage, served
from tests.browser.seeing import barriers
from tests.browser.test_console_pages import WIDE, enter, picture
from tests.engine.street import BOOK, Street, open_street
from tests.engine.test_review import folded
from tests.web.console import history
from tests.web.console.world import World
from tests.web.seller.stage import StagePlatform

BASE = "[id='factors.base.rates_ppm.cmcc.balance']"
FIRST = "[id='factors.face.bands.0.upto_fen']"


class Published(StagePlatform):
    """The platform as it runs: prices by what is published, whenever somebody looks."""

    async def rate_card(self) -> RateCard:
        rows = await self.street.pool.fetch(books.SQL.rate_cards, BOOK, 0)
        return card_in_force([parse_card(row["document"]) for row in rows], self.now())


@dataclass
class House:
    """Public pages and console at one address, over a book with a past and a writer."""

    address: str
    street: Street


@pytest_asyncio.fixture(loop_scope="session")
async def house(database_url: str, pool: asyncpg.Pool, tmp_path: Path) -> AsyncIterator[House]:
    street = await open_street(database_url, pool, tmp_path / "keys")
    await folded(street)
    platform: Any = Published(street)
    app = Litestar(
        route_handlers=[*SELLER_ROUTERS, *CONSOLE_ROUTERS],
        state=AppState({"platform": platform}),
        openapi_config=None,
    )
    world = World(platform, app)
    await world.appoint("chen.jing", "pricing")
    await world.appoint("liu.yang", "finance")
    async with pool.acquire() as conn:
        await history.put(conn, *history.a_week(), keys=street.keys, now=datetime.now(UTC))
    async with served(app) as address:
        yield House(address, street)


async def see(page: Page, screenshots: Path, name: str) -> None:
    """Both widths, and what shuts people out."""
    for size in (PHONE, WIDE):
        await page.set_viewport_size(size)  # type: ignore[arg-type]
        await page.wait_for_timeout(150)  # charts take their new size
        await picture(page, screenshots / f"desk-{name}-{size['width']}.png")
    assert await barriers(page) == [], name


async def public_rate(page: Page, screenshots: Path, name: str) -> str:
    """What the public table says of 100 yuan of China Mobile's balance."""
    await page.goto("/rates")
    await page.screenshot(path=screenshots / f"desk-{name}-public.png")
    return await page.locator("tr", has_text="100").first.inner_text()


async def approve(page: Page, proposal: str, reason: str, house: House) -> None:
    await page.goto(proposal)
    await page.fill("#reason", reason)
    await page.click("button[value=approved]")
    await page.wait_for_url("**told=decided", timeout=PATIENCE_MS)
    await folded(house.street)


async def test_a_rate_card_goes_its_whole_way_and_back(
    house: House, open_page: OpenPage, screenshots: Path
) -> None:
    chen = await open_page(house.address, size=WIDE)
    liu = await open_page(house.address, size=WIDE)
    before = await public_rate(chen, screenshots, "01-before")
    await enter(chen, "chen.jing")
    await enter(liu, "liu.yang")

    await chen.goto("/console/prices")
    await chen.fill("#start #name", "移动余额降两个点")
    await see(chen, screenshots, "02-prices")
    await chen.click("#start button[type=submit]")
    await chen.wait_for_url("**/edit", timeout=PATIENCE_MS)

    # what cannot be read is said at its field, and what was typed stays
    await chen.fill(BASE, "八十六")
    await chen.fill(FIRST, "60")
    await chen.click("#save")
    await expect(chen.locator("[id='factors.base.rates_ppm.cmcc.balance-fault']")).to_contain_text("百分数")
    await expect(chen.locator(BASE)).to_have_value("八十六")
    await expect(chen.locator(FIRST)).to_have_value("60")
    await see(chen, screenshots, "03-refused")
    await chen.fill(BASE, "86")
    await chen.fill(FIRST, "50")
    await chen.click("#save")
    await chen.wait_for_url("**told=saved", timeout=PATIENCE_MS)
    await expect(chen.locator(".console-diff ins")).to_have_text(["86 %"])
    await see(chen, screenshots, "04-draft")
    draft = chen.url.partition("?")[0]

    await chen.click("text=按历史订单试算")
    await expect(chen.locator("main")).to_contain_text("共 33 笔成交")
    await expect(chen.locator(".console-chart svg")).to_have_count(2)
    await see(chen, screenshots, "05-preview")
    await chen.goto(f"/console/prices/backtest?card={draft.rpartition('/')[2]}&days=7&margin=6")
    await expect(chen.locator("main")).to_contain_text("损益")
    await see(chen, screenshots, "06-backtest")

    # a time that has passed is refused, and the reason stays
    await chen.goto(draft)
    await chen.fill("#effective", "2026-01-01T00:00")
    await chen.fill("#reason", "竞争对手下调")
    await chen.click("#propose button[type=submit]")
    await expect(chen.locator("[role=alert]")).to_contain_text("生效时间已经过去")
    await expect(chen.locator("#reason")).to_have_value("竞争对手下调")
    await chen.fill("#effective", "")
    await chen.click("#propose button[type=submit]")
    await chen.wait_for_url("**/approvals/pro_*told=proposed", timeout=PATIENCE_MS)
    proposal = chen.url.partition("?")[0]
    await expect(chen.locator("main")).to_contain_text("提议人不得审批自己的提议")
    await see(chen, screenshots, "07-own-approval")

    await approve(liu, proposal, "已核对试算", house)
    await liu.goto("/console/prices")
    await expect(liu.locator("main")).to_contain_text("竞争对手下调")
    await see(liu, screenshots, "08-in-force")
    lowered = await public_rate(chen, screenshots, "09-lowered")
    assert lowered != before

    await chen.goto("/console/prices/versions/1")
    await see(chen, screenshots, "10-version")
    await chen.fill("#back #reason", "卖家流失,退回原价")
    await chen.click("#back button[type=submit]")
    await chen.wait_for_url("**/approvals/pro_*told=proposed", timeout=PATIENCE_MS)
    await approve(liu, chen.url.partition("?")[0], "同意退回", house)
    await liu.goto("/console/prices")
    await expect(liu.locator("main")).to_contain_text("卖家流失")
    await see(liu, screenshots, "11-back")
    assert await public_rate(chen, screenshots, "12-back") == before
    versions = await house.street.pool.fetch(
        "SELECT version, proposed_by, approved_by FROM rate_cards ORDER BY 1"
    )
    assert [tuple(row) for row in versions][1:] == [
        (2, "chen.jing", "liu.yang"),
        (3, "chen.jing", "liu.yang"),
    ]


@pytest.mark.parametrize("name", ["草稿甲"])
async def test_two_people_at_one_draft_lose_nothing(
    house: House, open_page: OpenPage, screenshots: Path, name: str
) -> None:
    one, other = [await open_page(house.address, size=WIDE) for _ in range(2)]
    for page in (one, other):
        await enter(page, "chen.jing")
    await one.goto("/console/prices")
    await one.fill("#start #name", f"{name}-{secrets.token_hex(2)}")
    await one.click("#start button[type=submit]")
    await one.wait_for_url("**/edit", timeout=PATIENCE_MS)
    await other.goto(one.url)
    await other.fill(BASE, "87")
    await other.click("#save")
    await other.wait_for_url("**told=saved", timeout=PATIENCE_MS)
    await one.fill(BASE, "85")
    await one.click("#save")
    await expect(one.locator("[role=alert]").first).to_contain_text("已被他人修改")
    await expect(one.locator(BASE)).to_have_value("85")
    await see(one, screenshots, "13-changed")
