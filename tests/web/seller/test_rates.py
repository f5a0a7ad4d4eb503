"""The public rate table: what counts now, and every list that was published."""

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

from airback.pricing.cards import RateCard, parse_card
from airback.pricing.default_card import DEFAULT_CARD
from airback.pricing.facts import Market
from tests.web.seller.stage import Browser, Stage


def published(version: int, since: datetime, until: datetime | None = None, **factors: Any) -> RateCard:
    """A card of those days with changes of factors."""
    document: dict[str, Any] = copy.deepcopy(DEFAULT_CARD)
    document |= {
        "version": version,
        "effective_from": f"{since:%Y-%m-%d}T00:00:00Z",
        "effective_until": None if until is None else f"{until:%Y-%m-%d}T00:00:00Z",
    }
    for name, changes in factors.items():
        document["factors"][name] |= changes
    return parse_card(document)


async def test_the_table_shows_classes_demand_and_what_outlets_give_now(
    stage: Stage, browser: Browser
) -> None:
    await browser.open("/rates")
    assert "金牌客户" in browser.text and "50,000.00" in browser.text and "+0.8 %" in browser.text
    assert "1,000,000.00" in browser.text and "最高求购价减 1 %" in browser.text
    assert "84.63" in browser.text  # a hundred yuan of balance
    stage.platform.market = Market(wanted={"cmcc": (5_000_000, 800_000)})
    await browser.open("/rates")
    assert "75.67" in browser.text and "84.63" not in browser.text  # 79 % less 3 %, less the rail
    await browser.open("/")
    assert "75.67" in browser.text


async def test_every_published_list_is_kept_and_says_what_it_is(stage: Stage, browser: Browser) -> None:
    now = datetime.now(UTC)
    days = timedelta(days=1)
    platform = stage.platform
    platform.former = [
        published(2, now - 40 * days, base={"rates_ppm": {"cmcc.balance": 800_000}}),
        published(3, now - 20 * days, now + 20 * days),
        published(4, now + 5 * days, standing={"on": False}, demand={"on": False}),
    ]
    platform.card = published(5, now - 10 * days)
    await browser.open("/rates")
    assert "历次公布的价格表" in browser.text
    assert all(f"第 {version} 版" in browser.text for version in (2, 3, 4, 5))
    await browser.open("/rates/2")
    assert "失效,仅供查阅" in browser.text.replace("，", ",") and "76.66" in browser.text
    await browser.open("/rates/4")
    assert "尚未生效" in browser.text and "金牌客户" not in browser.text
    await browser.open("/rates/3")
    assert "仅供查阅" in browser.text
    await browser.open("/rates/5")
    assert "仅供查阅" not in browser.text
    await browser.open("/rates/9")
    assert browser.page.status_code == 404
    await browser.open("/rates/x")
    assert browser.page.status_code == 404


async def test_a_list_that_another_stands_in_for_says_so(stage: Stage, browser: Browser) -> None:
    now = datetime.now(UTC)
    stage.platform.former = [published(2, now - timedelta(days=40))]
    stage.platform.card = published(3, now - timedelta(days=2), now + timedelta(days=2))
    await browser.open("/rates/2")
    assert "暂时代替" in browser.text


async def test_the_estimate_and_the_quote_read_the_same_facts(stage: Stage, browser: Browser) -> None:
    from tests.web.seller.stage import card_quote

    stage.platform.market = Market(wanted={"cucc": (5_000_000, 800_000)}, classes={}, lowest="basic")
    card = stage.street.card("cucc", 10_000)
    await card_quote(browser, card)
    assert "75.67" in browser.text and "出货价上限" in browser.text
