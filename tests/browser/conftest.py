"""A real browser, one for the whole run, and the seller's pages to point it at.

Chromium is the machine's own (Debian: `apt-get install chromium`), or the one that stands in
AIRBACK_CHROMIUM. Where there is none the tests do not run, and say so at the end of the run.
"""

import asyncio
import contextlib
import os
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
import uvicorn
from litestar import Litestar
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from airback.store.pool import connect
from tests.engine.street import open_street
from tests.web.seller.stage import Stage, open_stage

CHROMIUM = os.environ.get("AIRBACK_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
MISSING = (
    "BROWSER TESTS DID NOT RUN: no Chromium on this machine. "
    "Install it (apt-get install chromium) or name it in AIRBACK_CHROMIUM."
)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--in-process-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SCREENSHOTS = Path(__file__).parent.parent / "screenshots"
VENDOR = Path(__file__).parent.parent / "vendor"
AXE = VENDOR / "axe" / "axe.min.js"
FONTS = VENDOR / "fonts.conf"  # the fetched font, so that pictures look alike on every machine
PATIENCE_MS = 120_000
TIMEOUT_S = 900
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}

expect.set_options(timeout=PATIENCE_MS)

OpenPage = Callable[..., Awaitable[Page]]


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests here share one browser, so one event loop and, under xdist, one worker; a machine may be slow.

    Without a browser every one of them is skipped, by name and aloud.
    """
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("browser"))
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason=MISSING))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[*FLAGS],
            env={**os.environ, "FONTCONFIG_FILE": str(FONTS)} if FONTS.exists() else None,
            timeout=PATIENCE_MS,
        )
        try:
            yield browser
        finally:
            await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    """A pool on a fresh database, in the loop that the tests here share."""
    opened = await connect(database_url, max_size=10, application_name="airback tests")
    try:
        yield opened
    finally:
        await asyncio.wait_for(opened.close(), timeout=60)


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(chromium: Browser) -> AsyncIterator[OpenPage]:
    """Opens pages that fail the test when a script fails, the content policy is broken or a stranger is asked."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    async def opened(
        address: str, *, size: dict[str, int] = PHONE, language: str = "zh", **options: object
    ) -> Page:
        context = await chromium.new_context(
            viewport=size,  # type: ignore[arg-type]
            locale="zh-CN" if language == "zh" else "en-GB",
            reduced_motion="reduce",
            base_url=address,
            **options,  # type: ignore[arg-type]
        )
        contexts.append(context)
        page = await context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: complaints.append(f"script: {error}"))
        page.on("console", lambda m: complaints.append(m.text) if _is_complaint(m.type, m.text) else None)
        page.on(
            "request",
            lambda r: complaints.append(r.url) if not r.url.startswith((address, "data:")) else None,
        )
        await page.goto(f"/?lang={language}")
        return page

    yield opened
    for context in contexts:
        await context.close()
    assert complaints == []


def _is_complaint(kind: str, text: str) -> bool:
    # a refused form answers 4xx, which the browser reports although the page shows it as it should
    return kind in ("error", "warning") and "the server responded with a status of 4" not in text


class Server(uvicorn.Server):
    """A server that says when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.up.set()


@contextlib.asynccontextmanager
async def served(app: Litestar) -> AsyncIterator[str]:
    """The application over HTTP for as long as the block runs; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        server = Server(uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        await server.up.wait()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


@dataclass
class Site:
    """The pages at an address, over a street in this process."""

    address: str
    stage: Stage


@pytest_asyncio.fixture(loop_scope="session")
async def site(database_url: str, pool: asyncpg.Pool, tmp_path: Path) -> AsyncIterator[Site]:
    """The pages, served over HTTP; nothing works on the orders until a test runs the street."""
    street = await open_street(database_url, pool, tmp_path / "keys")
    for carrier in street.carriers:
        await street.demands(carrier, *[30_000] * 4)
    stage = open_stage(street)
    async with served(stage.app) as address:
        yield Site(address, stage)


@pytest.fixture(scope="session")
def screenshots() -> Iterator[Path]:
    SCREENSHOTS.mkdir(exist_ok=True)
    yield SCREENSHOTS
