"""The rate index on the seller's site."""

from datetime import UTC, date, datetime

from tests.api.test_margin import DOCUMENT
from tests.engine.street import BOOK
from tests.web.seller.stage import Browser, Stage


async def test_before_the_first_week_is_over_the_page_says_so(browser: Browser) -> None:
    assert (await browser.open("/market")).status_code == 200
    assert "还没有公布过" in browser.text


async def test_the_latest_week_is_shown_with_what_was_put_together(stage: Stage, browser: Browser) -> None:
    for week in (date(2026, 10, 19), date(2026, 10, 26)):
        await stage.street.pool.execute(
            "INSERT INTO rate_index VALUES ($1, $2, $3, $4)", BOOK, week, DOCUMENT, datetime.now(UTC)
        )
    answer = await browser.open("/market?carrier=cmcc")
    assert answer.status_code == 200
    for part in ("2026-10-26", "2026-11-01", "50–100元", "广东", "30天以内", "87.2%", "300元以上", "其余"):
        assert part in browser.text, part
    assert 'data-chart="' in answer.text
    answer = await browser.open("/market?week=2026-10-19&lang=en&carrier=%3Cscript%3E")
    assert answer.status_code == 200 and "Guangdong" in browser.text and "up to 30 days" in browser.text
    assert "<script>" not in answer.text.replace('<script type="module"', "").replace("<script src", "")
    assert (await browser.open("/market?week=2026-09-07")).status_code == 404
    assert (await browser.open("/market?week=soon")).status_code == 422
