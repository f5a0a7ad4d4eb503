"""A balance and a card sold to the end on a phone, over real wires: database, sandbox, API and worker as processes."""

import json
import secrets
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from airback.app.settings import Settings
from airback.app.together import Running, everything
from tests.browser.conftest import OpenPage
from tests.browser.seeing import look


def desk(running: Running, path: str, body: Any = None) -> Any:
    """The sandbox's own desk."""
    request = urllib.request.Request(
        f"{running.sandbox_url}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


@pytest.mark.timeout(900)
async def test_a_balance_and_a_card_are_sold_to_the_end(
    database_url: str, open_page: OpenPage, screenshots: Path, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path / "data", database_url=database_url)
    async with everything(settings) as running:
        number = f"139{secrets.randbelow(10**8):08d}"
        card_number, card_code = (
            f"{10**15 + secrets.randbelow(10**15)}",
            f"{10**17 + secrets.randbelow(10**17)}",
        )
        line = {"number": number, "carrier": "cucc", "principal_fen": 26_650, "status": "active"}
        desk(running, "/sandbox/subscribers", {"subscribers": [line]})
        card = {
            "card_number": card_number,
            "code": card_code,
            "carrier": "ctcc",
            "face_fen": 10_000,
            "state": "fresh",
        }
        desk(running, "/sandbox/cards", {"cards": [card]})
        page = await open_page(running.api_url)

        await look(page, screenshots / "sold-01-start.png")
        await page.click("a[href='/sell/balance']")
        await page.fill("#number", number)
        await look(page, screenshots / "sold-02-number.png")
        await press(page)
        await look(page, screenshots / "sold-03-code.png")
        code = str(desk(running, f"/sandbox/sms?number={number}")["messages"][0]["code"])
        if len(code) == 6:  # a complete code is sent by itself
            async with page.expect_navigation():
                await page.fill("#code", code)
        else:
            await page.fill("#code", code)
            await press(page)
        await page.click("[data-pick='100']")
        await page.wait_for_selector("#estimate strong")
        await page.fill("#payee_account", number)
        await page.fill("#payee_name", "王小明")
        await look(page, screenshots / "sold-04-amount.png")
        await press(page)
        await page.wait_for_selector(".valid[data-state]")
        promised = await page.inner_text(".quote__sum")
        await page.check("#agreement")
        await look(page, screenshots / "sold-05-quote.png")
        await press(page)
        await page.wait_for_url("**/orders/ord_*")
        await look(page, screenshots / "sold-06-order.png")
        await page.wait_for_selector(".standing_done")
        assert await page.inner_text(".standing__sum") == promised
        await look(page, screenshots / "sold-07-paid.png")
        async with page.expect_download() as download:
            await page.click("a[href$='receipt.pdf']")
        assert is_pdf(await (await download.value).path())

        await page.goto("/sell/card")
        await page.check("[name=carrier][value=ctcc]", force=True)
        await page.check("[name=face][value='100']", force=True)
        await page.wait_for_selector("#estimate strong")
        await page.fill("#card_number", card_number)
        await page.fill("#payee_account", "seller@example.com")
        await page.fill("#payee_name", "王小明")
        await look(page, screenshots / "sold-08-card.png")
        await press(page)
        await page.fill("#card_code", card_code)
        await page.check("#agreement")
        await look(page, screenshots / "sold-09-card-quote.png")
        await press(page)
        await page.wait_for_url("**/orders/ord_*")
        assert card_code not in await page.content()
        await page.wait_for_selector(".standing_done")
        await look(page, screenshots / "sold-10-card-paid.png")
        await page.goto("/orders")
        assert await page.locator(".row").count() == 2
        await look(page, screenshots / "sold-11-orders.png")

        counts = desk(running, "/sandbox/counts")
        assert (counts["payments"], counts["duplicates"], counts["delivered_fen"]) == (2, 0, 20_000)


def is_pdf(path: str | Path) -> bool:
    """Whether the file is a PDF."""
    return Path(path).read_bytes().startswith(b"%PDF-")


async def press(page: Page) -> None:
    """The page's one button."""
    async with page.expect_navigation():
        await page.click("main form button[type=submit]")
