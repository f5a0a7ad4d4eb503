"""A balance and a card sold to the end on a phone, over real wires: database, sandbox, API and worker as processes."""

import json
import re
import secrets
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

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


async def test_a_balance_and_a_card_are_sold_to_the_end(
    database_url: str,
    open_page: OpenPage,
    screenshots: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # an installation's processes find their database as an operator says it: in the environment
    monkeypatch.setenv("AIRBACK_DATABASE_URL", database_url)
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
        again = page.locator("#resend button")
        await expect(again).to_be_disabled()
        await expect(again).to_contain_text(re.compile(r"\d+ 秒后可重新获取"))
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
        promised = await agree(page, look_at=screenshots / "sold-05-quote.png")
        await follow(page, promised, screenshots / "sold-06-order.png", screenshots / "sold-07-paid.png")
        await save_receipt(page)

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
        promised = await agree(page, look_at=screenshots / "sold-09-card-quote.png")
        assert card_code not in await page.content()
        await follow(
            page, promised, screenshots / "sold-10-card-order.png", screenshots / "sold-11-card-paid.png"
        )
        await save_receipt(page)
        await page.goto("/orders")
        assert await page.locator(".row").count() == 2
        await look(page, screenshots / "sold-12-orders.png")

        counts = desk(running, "/sandbox/counts")
        assert (counts["payments"], counts["duplicates"], counts["delivered_fen"]) == (2, 0, 20_000)


async def agree(page: Page, *, look_at: Path) -> int:
    """Read the quote, tick what is not ticked, sell; the sum that was promised, in fen."""
    left = page.locator("[data-countdown]")
    await expect(left).to_have_text(re.compile(r"^(10:00|9:\d\d|[78]:\d\d)$"))
    earlier = await left.inner_text()
    figures = [fen(figure) for figure in await page.locator(".quote ~ .sheet .parts dd").all_inner_texts()]
    _face, *parts, net = figures
    assert len(parts) >= 4 and sum(parts) == net == fen(await page.inner_text(".quote__sum"))
    await expect(page.locator("#agreement")).not_to_be_checked()
    await page.check("#agreement")
    await expect(left).not_to_have_text(earlier)
    await look(page, look_at)
    async with page.expect_request(lambda r: r.resource_type == "eventsource") as stream:
        async with page.expect_navigation(url="**/orders/ord_*") as arrival:
            await page.click("[data-sell]")
        assert "standing_done" not in await (await arrival.value).text()
        assert "/live?seen=" in (await stream.value).url
    return net


async def follow(page: Page, promised_fen: int, under_way: Path, paid: Path) -> None:
    """Watch the order to the money on one page, which nothing but the server's events renews."""
    await page.evaluate("window.same = true")
    await look(page, under_way)
    await expect(page.locator(".standing_done")).to_be_visible()
    assert await page.evaluate("window.same")
    marks = await page.locator(".step").evaluate_all("steps => steps.map(s => s.className)")
    assert len(marks) >= 4 and set(marks) == {"step step_done"}
    assert fen(await page.inner_text(".standing__sum")) == promised_fen
    await look(page, paid)


async def save_receipt(page: Page) -> None:
    async with page.expect_download() as download:
        await page.click("a[href$='receipt.pdf']")
    assert is_pdf(await (await download.value).path())


def is_pdf(path: str | Path) -> bool:
    """Whether the file is a PDF."""
    return Path(path).read_bytes().startswith(b"%PDF-")


def fen(shown: str) -> int:
    """`−¥1,234.50` in fen."""
    return int(re.sub(r"[^0-9−]", "", shown).replace("−", "-"))


async def press(page: Page) -> None:
    """The page's one button."""
    async with page.expect_navigation():
        await page.click("main form button[type=submit]")
