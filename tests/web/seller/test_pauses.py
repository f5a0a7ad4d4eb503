"""A seller reads why something is not bought, before and wherever they would have got a price."""

import pytest

from airback.market.pauses import Pause, PauseKind
from airback.store import pauses
from tests.engine.street import BOOK
from tests.web.seller.stage import Browser, Stage, balance_quote, card_quote


async def pause(stage: Stage, kind: PauseKind, subject: str, *, n: int = 1) -> None:
    one = Pause(n, kind, subject, "线路<检修>中", "Repairs", stage.platform.now())
    async with stage.street.pool.acquire() as conn:
        await pauses.insert(conn, book=BOOK, pause=one, by="wang")


async def test_the_first_page_says_what_is_paused_and_why_but_names_no_outlet(
    stage: Stage, browser: Browser
) -> None:
    assert "暂停" not in (await browser.open("/")).text
    for n, (kind, subject) in enumerate(
        ((PauseKind.CARRIER, "cucc"), (PauseKind.RAIL, "alipay"), (PauseKind.OUTLET, "shop"))
    ):
        await pause(stage, kind, subject, n=n)
    await browser.open("/")
    assert "暂停收购 中国联通 线路<检修>中" in browser.text
    assert "暂停付款到 支付宝" in browser.text
    assert "<检修>" not in browser.page.text and "shop" not in browser.text


@pytest.mark.parametrize(("kind", "subject"), [(PauseKind.CARRIER, "cucc"), (PauseKind.RAIL, "alipay")])
async def test_no_price_is_offered_for_what_is_paused(
    stage: Stage, browser: Browser, kind: PauseKind, subject: str
) -> None:
    await pause(stage, kind, subject)
    await card_quote(browser, stage.street.card("cucc", 10_000))
    assert browser.page.status_code == 422
    assert browser.path == "/sell/card" and "线路<检修>中" in browser.text


async def test_a_quote_from_before_the_pause_is_not_bought(stage: Stage, browser: Browser) -> None:
    await balance_quote(browser)
    await pause(stage, PauseKind.CARRIER, "cmcc")
    await browser.send(browser.path, agreement="2026-11")
    assert browser.page.status_code == 422 and "线路<检修>中" in browser.text
    assert await stage.street.pool.fetchval("SELECT count(*) FROM orders") == 0
