"""A sale from the first page to the order, and what stands in its way."""

from airback.domain.money import parse_yuan
from tests.web.seller.stage import RIGHT_CODE, Browser, Stage, balance_quote, card_quote, prove


async def test_a_balance_is_sold_from_the_first_page_to_the_money(stage: Stage, browser: Browser) -> None:
    await browser.open("/")
    assert browser.page.status_code == 200
    await prove(browser)
    assert browser.path == "/sell/balance/amount"
    assert "118.50" in browser.text
    await browser.send("/sell/balance/amount", amount="50", payee_account="13800138000", payee_name="张三")
    assert browser.path.startswith("/sell/") and "您将收到" in browser.text
    promised = browser.text.partition("您将收到 ¥ ")[2].partition(" ")[0]
    await browser.send(browser.path, agreement="2026-11")
    assert browser.path.startswith("/orders/ord_"), browser.text
    assert await stage.street.settle() == {"closed": 1}
    await browser.open(browser.path)
    assert "款项已付出" in browser.text
    receipt = await browser.client.get(f"{browser.path}/receipt.json")
    assert receipt.json()["payment"]["paid_fen"] == parse_yuan(promised)


async def test_a_card_is_sold_and_its_code_never_comes_back(stage: Stage, browser: Browser) -> None:
    card = stage.street.card("cucc", 10_000)
    await card_quote(browser, card)
    quoted = browser.path
    assert "卡密" in browser.text and card[1] not in browser.page.text
    await browser.send(quoted, card_code=card[1])
    assert browser.page.status_code == 422 and card[1] not in browser.page.text
    await browser.send(quoted, card_code=f"{card[1][:9]} {card[1][9:]}", agreement="2026-11")
    assert browser.path.startswith("/orders/ord_"), browser.text
    assert card[1] not in browser.page.text
    assert await stage.street.settle() == {"closed": 1}
    await browser.open(browser.path)
    assert "款项已付出" in browser.text


async def test_a_wrong_code_is_refused_and_the_right_one_still_counts(browser: Browser) -> None:
    await browser.open("/sell/balance")
    await browser.send("/sell/balance", number="138 0013 8000")
    assert browser.path == "/sell/balance/code"
    await browser.send("/sell/balance/code", code="111111")
    assert browser.page.status_code == 422 and "验证码不正确" in browser.text
    await browser.send("/sell/balance/code", code=RIGHT_CODE)
    assert browser.path == "/sell/balance/amount"


async def test_two_taps_make_one_order(stage: Stage, browser: Browser) -> None:
    await balance_quote(browser)
    page = browser.page
    await browser.send(browser.path, agreement="2026-11")
    first = browser.path
    browser.page = page
    await browser.send(page.url.path, agreement="2026-11")
    assert await stage.street.pool.fetchval("SELECT count(*) FROM orders") == 1
    assert browser.path == first
