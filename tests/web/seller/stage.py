"""The seller's pages on a stage: the application, a street behind it, and a browser without a screen."""

import re
import secrets
from collections.abc import Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from html import unescape
from types import SimpleNamespace
from typing import Any

import httpx
from litestar import Litestar
from litestar.datastructures import State as AppState

from airback.domain.ports.carrier import CodeCheck, CodeRefused, FarSideUnreachable, LineStatus
from airback.market.pauses import Pauses
from airback.pricing.cards import RateCard
from airback.pricing.exposure import Exposure, Limits
from airback.pricing.facts import Market
from airback.store import pauses
from airback.web.routes import SELLER_ROUTERS
from tests.engine.far_sides import FakeSubscribers
from tests.engine.street import BOOK, CARD, Street

RIGHT_CODE = "246810"
NUMBER = "13800138000"


class CodeDesk(FakeSubscribers):
    """Subscribers that send codes and compare them."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, str]] = []
        self.refuses: str | None = None
        self.unreachable = False
        self.answers: list[CodeCheck] = []

    async def send_code(self, *, number: str, text: str) -> str:
        if self.unreachable:
            raise FarSideUnreachable(far_side="subscribers", reason="refused")
        if self.refuses:
            raise CodeRefused(code=self.refuses)
        self.sent.append((number, text))
        return f"auth-{len(self.sent)}"

    async def check_code(self, *, authentication_id: str, code: str) -> CodeCheck:
        if self.answers:
            return self.answers.pop(0)
        return CodeCheck.RIGHT if code == RIGHT_CODE else CodeCheck.WRONG


@dataclass
class StagePlatform:
    """What the pages need of the running platform, on a street."""

    street: Street
    card: RateCard = CARD
    former: list[RateCard] = field(default_factory=list)
    market: Market = field(default_factory=Market)
    exposure: Exposure = field(default_factory=lambda: Exposure(Limits()))
    ahead: timedelta = timedelta(0)
    settings: Any = field(default_factory=lambda: SimpleNamespace(operator="Test"))
    book: int = 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self.street, name)

    async def rate_card(self) -> RateCard:
        return self.card

    async def rate_cards(self) -> list[RateCard]:
        return [*self.former, self.card]

    async def price_facts(self) -> Market:
        return self.market

    async def pauses(self) -> Pauses:
        return await pauses.standing(self.street.pool, book=BOOK, now=self.now())

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def entropy(self, count: int, /) -> bytes:
        return secrets.token_bytes(count)


class Browser:
    """Follows forms as a browser does: fills in the page's own fields, carries cookies, goes where it is sent."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.page: httpx.Response = None  # type: ignore[assignment]

    async def open(self, path: str) -> httpx.Response:
        self.page = await self.client.get(path)
        return self.page

    async def send(self, action: str, **fields: str) -> httpx.Response:
        """Post the page's form with that action: its hidden and filled-in fields, then `fields`."""
        form = next(
            body
            for attributes, body in re.findall(r"<form([^>]*)>(.*?)</form>", self.page.text, re.S)
            if f'action="{action}"' in attributes
        )
        values = {}
        for tag in re.findall(r"<input[^>]*>", form):
            found = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
            kind = found.get("type", "text")
            if "name" in found and (kind not in ("radio", "checkbox") or re.search(r"\schecked\b", tag)):
                values[found["name"]] = unescape(found.get("value", ""))
        return await self.post(action, **{**values, **fields})

    async def post(self, path: str, **fields: str) -> httpx.Response:
        """Post fields to an address, whatever the page holds."""
        self.page = await self.client.post(path, data=fields)
        return self.page

    @property
    def path(self) -> str:
        return self.page.url.path

    @property
    def text(self) -> str:
        """The page as it reads: no tags."""
        body = re.sub(r"<(script|style|head).*?</\1>", " ", self.page.text, flags=re.S)
        return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


@dataclass
class Stage:
    """One test's application."""

    street: Street
    platform: StagePlatform
    subscribers: CodeDesk
    app: Litestar

    @asynccontextmanager
    async def browser(self) -> Any:
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=True)  # type: ignore[arg-type]
        async with httpx.AsyncClient(
            transport=transport, base_url="http://pages.test", follow_redirects=True
        ) as client:
            yield Browser(client)


def open_stage(street: Street) -> Stage:
    subscribers = CodeDesk()
    street.subscribers = subscribers
    subscribers.line(NUMBER, "cmcc", 12_850)
    subscribers.lines[NUMBER] = replace(
        subscribers.lines[NUMBER],
        principal_fen=12_850,
        promotional_fen=3_000,
        sellable_fen=11_850,
        expires_at=datetime.now(UTC) + timedelta(days=400),
    )
    subscribers.line("13900000001", "ctcc", 0)
    subscribers.line("13900000002", "cucc", 5_000, LineStatus.SUSPENDED)
    platform = StagePlatform(street)
    app = Litestar(route_handlers=SELLER_ROUTERS, state=AppState({"platform": platform}), openapi_config=None)
    return Stage(street, platform, subscribers, app)


async def prove(browser: Browser, number: str = NUMBER) -> None:
    """Go through the code to the amount."""
    await browser.open("/sell/balance")
    await browser.send("/sell/balance", number=number)
    await browser.send("/sell/balance/code", code=RIGHT_CODE)


PAYEE: Mapping[str, str] = {"payee_account": "13800138000", "payee_name": "张三"}


async def balance_quote(browser: Browser, amount: str = "50") -> None:
    """As far as the quote for a balance."""
    await prove(browser)
    await browser.send("/sell/balance/amount", amount=amount, **PAYEE)


async def card_quote(browser: Browser, card: tuple[str, str, int, str], **changes: str) -> None:
    """As far as the quote for a card."""
    number, _, face_fen, carrier = card
    await browser.open("/sell/card")
    fields = {"carrier": carrier, "face": str(face_fen // 100), "card_number": number, **PAYEE}
    await browser.send("/sell/card", **{**fields, **changes})
