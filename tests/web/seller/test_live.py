"""An order followed live: server-sent events over HTTP, one poller behind them."""

import asyncio
from contextlib import aclosing

import asyncpg
import pytest

from airback.web.seller import live
from airback.web.seller.live import Live, TooManyWatchers
from tests.web.seller.stage import Browser, Stage, balance_quote

AGREED = "2026-11"


async def sold(browser: Browser) -> str:
    await balance_quote(browser)
    await browser.send(browser.path, agreement=AGREED)
    return browser.path


def messages(text: str) -> list[dict[str, str]]:
    """The events of a stream: their fields, data joined."""
    found = []
    for block in text.split("\n\n"):
        fields: dict[str, str] = {}
        for line in block.splitlines():
            name, _, value = line.partition(": ")
            fields[name] = f"{fields[name]}\n{value}" if name in fields else value
        if "event" in fields:
            found.append(fields)
    return found


async def test_the_stream_tells_every_change_and_ends_with_the_order(stage: Stage, browser: Browser) -> None:
    order = await sold(browser)
    stream = asyncio.create_task(browser.client.get(f"{order}/live"))
    await asyncio.sleep(0.1)
    await stage.street.settle()
    answer = await asyncio.wait_for(stream, 20)
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = messages(answer.text)
    assert [m["event"] for m in told][-1] == "end"
    said = [m["data"] for m in told if m["event"] == "order"]
    assert "款项已付出" in said[-1] and 'id="part-steps"' in said[-1]
    assert "<script" not in answer.text


async def test_a_browser_that_comes_back_is_told_only_what_it_has_not_seen(
    stage: Stage, browser: Browser
) -> None:
    order = await sold(browser)
    await stage.street.settle()
    first = messages((await browser.client.get(f"{order}/live")).text)
    assert [m["event"] for m in first] == ["order", "end"]
    again = await browser.client.get(f"{order}/live", headers={"last-event-id": first[0]["id"]})
    assert [m["event"] for m in messages(again.text)] == ["end"]


async def test_many_watchers_are_one_question_a_second(
    stage: Stage, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sold(browser)
    order_id = await stage.street.pool.fetchval("SELECT id FROM orders")
    asked = []
    get_orders = live.orders.get_orders

    async def counted(conn: asyncpg.Connection, **of: object) -> object:
        asked.append(of)
        return await get_orders(conn, **of)  # type: ignore[arg-type]

    monkeypatch.setattr(live.orders, "get_orders", counted)
    desk = Live(pool=stage.street.pool, book=1)

    async def first() -> str:
        async with aclosing(desk.follow(order_id)) as views:
            async for view in views:
                assert view is not None
                return view.state
        raise AssertionError

    states = await asyncio.wait_for(asyncio.gather(*(first() for _ in range(50))), 10)
    assert states == ["submitted"] * 50
    assert len(asked) <= 2
    await asyncio.sleep(0)
    assert not desk._bells and not desk._views, "nobody watches, nothing is kept"


async def test_who_watches_while_the_poller_of_those_before_ends_is_told_as_well(
    stage: Stage, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sold(browser)
    order_id = await stage.street.pool.fetchval("SELECT id FROM orders")
    asked = asyncio.Event()
    get_orders = live.orders.get_orders

    async def slow(conn: asyncpg.Connection, **of: object) -> object:
        asked.set()
        try:
            await asyncio.sleep(0.3)
        finally:
            await asyncio.sleep(0.3)  # a question that is called off gives its connection back first
        return await get_orders(conn, **of)  # type: ignore[arg-type]

    monkeypatch.setattr(live.orders, "get_orders", slow)
    desk = Live(pool=stage.street.pool, book=1)
    watching = asyncio.ensure_future(anext(desk.follow(order_id)))
    await asked.wait()
    watching.cancel()
    await asyncio.wait([watching])
    async with aclosing(desk.follow(order_id)) as views:
        assert await asyncio.wait_for(anext(views), 10) is not None


async def test_more_watchers_than_a_process_may_have_are_turned_away(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MOST_WATCHERS", 0)
    with pytest.raises(TooManyWatchers):
        async with aclosing(Live(pool=stage.street.pool, book=1).follow(1)) as views:
            await anext(views)


async def test_a_page_without_scripts_asks_again_by_itself_until_the_end(
    stage: Stage, browser: Browser
) -> None:
    order = await sold(browser)
    assert '<noscript><meta http-equiv="refresh"' in browser.page.text
    await stage.street.settle()
    assert 'http-equiv="refresh"' not in (await browser.open(order)).text
