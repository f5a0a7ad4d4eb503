"""A person with too many unused quotes reads why there is no other, and sells one of those they have."""

from airback.pricing.exposure import Exposure, Limits
from tests.web.seller.stage import Browser, Stage, balance_quote


async def test_a_person_with_too_many_open_quotes_reads_the_limit_and_a_sale_makes_room(
    stage: Stage, browser: Browser
) -> None:
    stage.platform.exposure = Exposure(Limits(person_fen=5_000))
    await balance_quote(browser)
    here, page = browser.path, browser.page
    await browser.open(here)  # each opening is a quote of its own
    assert "未使用的报价已达上限" in browser.text and "50.00 元" in browser.text
    browser.page = page
    await browser.send(here, agreement="2026-11")
    assert browser.path.startswith("/orders/")
    now_s = int(stage.platform.now().timestamp())
    assert stage.platform.exposure.live_fen("carrier:cmcc", now_s=now_s) == 0
