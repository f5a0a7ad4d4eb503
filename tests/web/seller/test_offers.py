"""A seller names their own price: it rests, is changed, withdrawn or met, and only who proved the number sees it."""

from tests.web.seller.stage import NUMBER, PAYEE, Browser, Stage, prove

OFFER = {**PAYEE, "amount": "100", "net": "90", "deadline": "24", "agreement": "2026-11"}


async def name_a_price(browser: Browser, **changes: str) -> None:
    """From the first page to an offer, or to what is wrong with it."""
    await browser.open("/sell/balance/amount")
    if browser.path != "/sell/balance/amount":
        await prove(browser)
    csrf = browser.page.text.partition('name="csrf" value="')[2].partition('"')[0]
    await browser.post("/sell/balance/offer", csrf=csrf, rail="alipay", **{**OFFER, **changes})


async def test_a_named_price_rests_is_changed_and_withdrawn(stage: Stage, browser: Browser) -> None:
    await prove(browser)
    assert 'formaction="/sell/balance/offer"' in browser.page.text
    await name_a_price(browser)
    assert browser.path.startswith("/offers/off_"), browser.text
    assert "等待买家" in browser.text and "90.00" in browser.text and "话费没有冻结" in browser.text
    until = await stage.street.pool.fetchval("SELECT deadline_at FROM offers")
    await browser.send(browser.path, net="89.6")  # the deadline stays unless another is chosen
    assert await stage.street.pool.fetchval("SELECT deadline_at FROM offers") == until
    await browser.send(browser.path, net="89.5", deadline="6")
    assert await stage.street.pool.fetchval("SELECT deadline_at FROM offers") < until
    assert "已按新的价格和时间等待" in browser.text and "89.50" in browser.text
    row = await stage.street.pool.fetchrow("SELECT * FROM offers")
    assert (row["net_fen"], row["seller_ref"], row["client"]) == (8_950, NUMBER, "web")
    address = browser.path
    await browser.open("/offers")
    assert "等待买家" in browser.text and address in browser.page.text
    await browser.open("/orders")
    assert 'href="/offers"' in browser.page.text
    await browser.open(address)
    await browser.send(f"{address}/withdraw")
    assert "已撤回" in browser.text and "保存修改" not in browser.text


async def test_an_offer_that_was_met_leads_to_its_order(stage: Stage, browser: Browser) -> None:
    await name_a_price(browser)
    address = browser.path

    async def met() -> bool:
        return bool(await stage.street.pool.fetchval("SELECT order_id FROM offers"))

    await stage.street.run(met)
    page = browser.page
    assert await stage.street.settle() == {"closed": 1}
    browser.page = page
    await browser.send(f"{address}/withdraw")  # from a page that was still open
    assert browser.page.status_code == 422 and "已成交" in browser.text
    order = browser.page.text.partition('href="/orders/ord_')[2].partition('"')[0]
    await browser.open(f"/orders/ord_{order}")
    assert "款项已付出" in browser.text and "卖家自定价" in browser.text


async def test_what_is_wrong_is_said_at_its_field_and_what_was_typed_stays(
    stage: Stage, browser: Browser
) -> None:
    for changes, said in (
        ({"net": "50"}, "您的出价没有高于现在的报价"),
        ({"net": "99"}, "加上费用后"),
        ({"net": "x"}, "net-error"),
        ({"deadline": "7"}, "deadline-error"),
        ({"agreement": ""}, "agreement-error"),
        ({"amount": "200"}, "amount-error"),
    ):
        await name_a_price(browser, **changes)
        assert browser.page.status_code == 422 and said in browser.page.text, said
        assert '<details class="calm own-price" id="own-price" open>' in browser.page.text
        assert f'value="{(OFFER | changes)["net"]}"' in browser.page.text
    assert await stage.street.pool.fetchval("SELECT count(*) FROM offers") == 0


async def test_a_second_tap_leads_to_the_first_offer(stage: Stage, browser: Browser) -> None:
    await name_a_price(browser)
    first = browser.path
    await name_a_price(browser)
    assert browser.path == first and "已有一笔等待中的出价" in browser.text
    assert await stage.street.pool.fetchval("SELECT count(*) FROM offers") == 1


async def test_who_has_not_proved_the_number_sees_no_offer(stage: Stage, browser: Browser) -> None:
    await name_a_price(browser)
    address = browser.path
    async with stage.browser() as other:
        await other.open("/offers")
        assert "先验证号码" in other.text
        await other.open(address)
        assert other.page.status_code == 404
        await prove(other, "13900000001")
        await other.open(address)
        assert other.page.status_code == 404
        await other.open("/offers")
        assert address not in other.page.text
