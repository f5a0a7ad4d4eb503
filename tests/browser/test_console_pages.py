"""The console in a real browser: every page at a desk and on a phone, two people's decision, nothing cut off."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from airback.adapters.keys.files import FileKeys
from airback.domain import ids
from airback.staff.roles import Role
from tests.browser.conftest import DESK, PATIENCE_MS, PHONE, OpenPage, served
from tests.browser.seeing import barriers, photograph
from tests.web.console import history
from tests.web.console.earnings import earn
from tests.web.console.world import PASSWORD, World, furnish, open_world

WIDE = {"width": 1280, "height": 900}
EVERYBODY = [role.value for role in Role]

_TOO_WIDE = """() => document.documentElement.scrollWidth > innerWidth
    ? [...document.querySelectorAll('body *')]
        .filter(e => e.checkVisibility() && e.getBoundingClientRect().right > innerWidth + 1)
        .map(e => e.outerHTML.slice(0, 160)).slice(0, 5)
    : []"""

_ASTRAY = """() => [...document.querySelectorAll('table:not(.table-mobile-md) td')]
    .filter(e => e.checkVisibility() && getComputedStyle(e).display !== 'table-cell')
    .map(e => e.outerHTML.slice(0, 160)).slice(0, 5)"""


@dataclass
class Console:
    """The console at an address, with a day's business in its book."""

    address: str
    world: World
    made: dict[str, Any]


@pytest_asyncio.fixture(loop_scope="session")
async def console(pool: asyncpg.Pool, tmp_path: Path) -> AsyncIterator[Console]:
    world = await open_world(pool)
    made = await furnish(pool)
    await earn(pool, made)
    async with pool.acquire() as conn:
        await history.put(conn, *history.a_week(), keys=FileKeys(tmp_path / "keys"))
    await world.appoint("ada", *EVERYBODY)
    await world.appoint("liu.yang", "finance", "operations", "compliance", "pricing")
    await world.appoint("wang.fang", "finance", "support")
    async with served(world.app) as address:
        yield Console(address, world, made)


async def enter(page: Page, name: str, language: str = "zh") -> None:
    await page.goto(f"/console/sign-in?lang={language}")
    await page.fill("#name", name)
    await page.fill("#password", PASSWORD)
    await page.click("button[type=submit]")
    await page.wait_for_url("**/console", timeout=PATIENCE_MS)


async def picture(page: Page, path: Path) -> None:
    """A picture of the whole page; it must not scroll sideways, and each table's cells stand below its heads."""
    too_wide, astray = await page.evaluate(_TOO_WIDE), await page.evaluate(_ASTRAY)
    assert not too_wide, f"{path.name}: too wide: {too_wide}"
    assert not astray, f"{path.name}: not a cell of its table: {astray}"
    await photograph(page, path)


def pages(made: dict[str, Any], proposal: str) -> dict[str, str]:
    return {
        "overview": "/console",
        "orders": "/console/orders",
        "order": f"/console/orders/{ids.public('ord', made['main'])}",
        "order-paid": f"/console/orders/{ids.public('ord', made['done'])}",
        "alarms": "/console/alarms",
        "effects": "/console/effects",
        "approvals": "/console/approvals",
        "approval": f"/console/approvals/{proposal}",
        "propose-deposit": "/console/approvals/propose/deposit",
        "propose-effect": f"/console/approvals/propose/effect?about={made['ref']}",
        "propose-licence": "/console/approvals/propose/licence",
        "propose-pause": "/console/approvals/propose/pause",
        "outlets": "/console/outlets",
        "outlet": "/console/outlet/yida",
        "outlet-terms": "/console/outlets/terms?kind=carrier_own",
        "bids": "/console/market/bids",
        "pauses": "/console/pauses",
        "propose-credit-line": "/console/approvals/propose/credit-line?about=yida",
        "money": "/console/money",
        "breaks": "/console/breaks",
        "corrections": "/console/corrections?show=all",
        "propose-correction": f"/console/approvals/propose/correction?about={made['cor']}",
        "margin": "/console/margin",
        "margin-empty": "/console/margin?from=2026-01-01&to=2026-01-31&by=day",
        "propose-booking": "/console/approvals/propose/booking",
        "propose-party": "/console/approvals/propose/party?about=party:li-si",
        "propose-split": "/console/approvals/propose/split?about=client:street",
        "prices": "/console/prices",
        "prices-version": "/console/prices/versions/1",
        "prices-draft": f"/console/prices/drafts/{made['draft']}",
        "prices-draft-edit": f"/console/prices/drafts/{made['draft']}/edit",
        "prices-preview": f"/console/prices/drafts/{made['draft']}/preview",
        "prices-backtest": f"/console/prices/backtest?card={made['draft']}&margin=3",
        "market": "/console/market",
        "market-record": "/console/market/record",
        "matrix": "/console/market/matrix",
        "arbitrage": "/console/market/arbitrage",
        "propose-cap": f"/console/approvals/propose/cap?about={made['prm']}",
        "licences": "/console/licences",
        "staff": "/console/staff",
        "account": "/console/account",
    }


async def put_deposit(page: Page) -> str:
    """Propose a deposit through the form; the proposal's public id."""
    await page.goto("/console/approvals/propose/deposit?about=yida")
    await page.fill("#amount", "5,000.00")
    await page.fill("#reason", "银行回单 20261120-0031,到账 5,000 元")
    await page.click("main button[type=submit]")
    await page.wait_for_url("**/console/approvals/pro_*", timeout=PATIENCE_MS)
    return page.url.rsplit("/", 1)[1].partition("?")[0]


# what shuts people out is the same in both languages
@pytest.mark.parametrize(
    ("size", "width", "language", "checked"),
    [(WIDE, 1280, "zh", True), (PHONE, 390, "en", False)],
    ids=["zh-1280", "en-390"],
)
async def test_every_page_is_whole_and_shuts_nobody_out(
    console: Console,
    open_page: OpenPage,
    screenshots: Path,
    size: dict[str, int],
    width: int,
    language: str,
    checked: bool,
) -> None:
    page = await open_page(console.address, size=size, language=language)
    found: dict[str, list[str]] = {}

    async def see(name: str) -> None:
        await picture(page, screenshots / f"console-{name}-{language}-{width}.png")
        if checked and (problems := await barriers(page)):
            found[name] = problems

    await page.goto(f"/console/sign-in?lang={language}")
    await see("sign-in")
    await enter(page, "ada", language)
    proposal = await put_deposit(page)
    for name, address in pages(console.made, proposal).items():
        await page.goto(address)
        await see(name)
    await page.goto(f"/console/orders/{ids.public('ord', console.made['main'])}")
    for summary in await page.locator(".console-exchange > summary").all():
        await summary.click()
    await see("order-raw")
    assert found == {}


async def test_two_people_decide_and_one_cannot(
    console: Console, open_page: OpenPage, screenshots: Path
) -> None:
    first = await open_page(console.address, size=WIDE)
    await enter(first, "wang.fang")
    proposal = await put_deposit(first)
    await expect(first.locator("main")).to_contain_text("提议人不得审批自己的提议")
    second = await open_page(console.address, size=WIDE)
    await enter(second, "liu.yang")
    await second.click("text=渠道保证金入账")
    await second.wait_for_url(f"**/console/approvals/{proposal}")
    await expect(second.locator(".console-diff ins")).to_have_text(["¥5,000.00"])
    await second.fill("#reason", "已与银行流水核对")
    await second.click("text=批准")
    await second.wait_for_url("**told=decided")
    await expect(second.locator("main")).to_contain_text("已与银行流水核对")
    await picture(second, screenshots / "console-approval-decided-zh-1280.png")
    (body,) = await console.world.inbox()
    assert (body["decision"], body["proposed_by"], body["decided_by"]) == (
        "approved",
        "wang.fang",
        "liu.yang",
    )


async def test_a_wrong_password_leaves_the_name_and_says_what_to_do(
    console: Console, open_page: OpenPage, screenshots: Path
) -> None:
    page = await open_page(console.address, size=PHONE)
    await page.goto("/console/sign-in")
    await page.fill("#name", "wang.fang")
    await page.fill("#password", "not the password")
    await page.press("#password", "Enter")
    await expect(page.locator("[role=alert]")).to_contain_text("用户名或密码不正确")
    await expect(page.locator("#name")).to_have_value("wang.fang")
    await expect(page.locator("#password")).to_have_value("")
    await picture(page, screenshots / "console-sign-in-refused-zh-390.png")


async def test_the_keyboard_reaches_the_content_first_and_the_menu_opens_on_a_phone(
    console: Console, open_page: OpenPage, screenshots: Path
) -> None:
    page = await open_page(console.address, size=PHONE)
    await enter(page, "ada")
    await page.goto("/console/orders")
    await page.keyboard.press("Tab")
    await expect(page.locator(".console-skip")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#content")).to_be_focused()
    await page.click(".console-nav-narrow > summary")
    await picture(page, screenshots / "console-menu-zh-390.png")
    await page.click(".console-nav-narrow >> text=资金")
    await page.wait_for_url("**/console/money")


async def test_the_overview_renews_itself(console: Console, open_page: OpenPage) -> None:
    page = await open_page(console.address, size=DESK)
    await enter(page, "ada")
    await expect(page.locator("#live")).to_contain_text("警报")
    async with console.world.pool.acquire() as conn:
        await conn.execute("UPDATE books SET routing = false")
    await expect(page.locator("#live")).to_contain_text("收购已暂停", timeout=60_000)
