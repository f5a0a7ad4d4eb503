"""A platform in the test's own process: a clock that is set by hand, a directory of numbers, and who sells what."""

import hashlib
import itertools
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from litestar import Litestar

import airback
from airback.adapters.keys.files import FileKeys
from airback.api.credentials import BUYING, SELLING, create_client
from airback.api.routes import APP_EXCEPTION_HANDLERS, ROUTERS
from airback.domain.effects import Outcome, Resend, Result
from airback.domain.ids import new_reference
from airback.domain.ports.carrier import (
    CarrierCapabilities,
    CodeCheck,
    CodeRefused,
    FarSideUnreachable,
    HoldKind,
    Line,
    LineStatus,
)
from airback.domain.ports.rail import Notification, RailCapabilities
from airback.engine.submit import AGREEMENT, OrderAsk
from airback.market.pauses import Pauses
from airback.orders.proofs import make_proof
from airback.pricing.cards import DEFAULT_CARD, RateCard, parse_card
from airback.pricing.exposure import Exposure, Limits
from airback.pricing.facts import Market
from airback.pricing.quotes import QuoteAsk, make_quote, sign_quote
from airback.store import pauses

BOOK = 1
NOW = datetime(2026, 11, 2, 4, 0, tzinfo=UTC)
SELLER = "13800138000"
ONE_TIME_CODE = "204816"
HOLDS = {"cmcc": HoldKind.NATIVE, "ctcc": HoldKind.NATIVE, "cucc": HoldKind.CUSTODY, "cbn": HoldKind.CUSTODY}


def rail_capabilities(name: str = "alipay", **changes: Any) -> RailCapabilities:
    values: dict[str, Any] = {
        "name": name,
        "resend": Resend.SAME_REFERENCE,
        "least_fen": 10,
        "most_fen": 5_000_000,
        "name_checked": True,
        "licence": None,
        "counted_by_far_side": True,
        "not_found_final_after_s": 0,
        "ask_every_s": 1,
        "ask_at_most_every_s": 60,
        "requests_per_s": 100,
        "concurrency": 8,
        "timeout_s": 5,
    }
    return RailCapabilities(**(values | changes))


def carrier_capabilities(carrier: str) -> CarrierCapabilities:
    return CarrierCapabilities(
        carrier=carrier,
        contract_id=f"test-{carrier}",
        hold=HOLDS[carrier],
        custody_given_back=True,
        resend=Resend.NEVER,
        not_found_final_after_s=0,
        final_after_s=0,
        ask_every_s=1,
        ask_at_most_every_s=60,
        requests_per_s=100,
        concurrency=8,
        timeout_s=5,
    )


class DeskSubscribers:
    """The directory: numbers by what is known of them; the code that was sent is always `ONE_TIME_CODE`."""

    def __init__(self) -> None:
        self.lines: dict[str, Line] = {}
        self.reachable = True
        self.refuses_code: str | None = None
        self.sent: list[str] = []
        self.asked: Counter[str] = Counter()
        self.checks: dict[str, CodeCheck] = {}

    def add(
        self,
        number: str,
        carrier: str = "cmcc",
        *,
        sellable_fen: int = 20_000,
        status: LineStatus = LineStatus.ACTIVE,
    ) -> None:
        self.lines[number] = Line(
            number=number,
            carrier=carrier,
            status=status,
            principal_fen=sellable_fen,
            promotional_fen=0,
            reserved_fen=0,
            sellable_fen=sellable_fen,
            expires_at=None,
            province="44",
        )

    def _reach(self) -> None:
        if not self.reachable:
            raise FarSideUnreachable(far_side="subscribers", reason="connection refused")

    async def inspect(self, number: str) -> Line | None:
        self._reach()
        self.asked[number] += 1
        return self.lines.get(number)

    async def send_code(self, *, number: str, text: str) -> str:
        self._reach()
        if self.refuses_code:
            raise CodeRefused(code=self.refuses_code)
        assert "{{code}}" in text
        self.sent.append(number)
        return f"authentication-{len(self.sent)}"

    async def check_code(self, *, authentication_id: str, code: str) -> CodeCheck:
        self._reach()
        if authentication_id in self.checks:
            return self.checks[authentication_id]
        return CodeCheck.RIGHT if code == ONE_TIME_CODE else CodeCheck.WRONG

    async def holds_number(self, *, number: str, device_token: str) -> bool | None:
        return None

    async def sim_swapped(self, *, number: str, within_hours: int) -> bool | None:
        return False


class DeskRail:
    """Knows only how to read notifications: `genuine=<ref>` is one."""

    def __init__(self, capabilities: RailCapabilities) -> None:
        self.capabilities = capabilities

    def read_notification(
        self, *, headers: dict[str, str], body: bytes, now: datetime
    ) -> Notification | None:
        head, _, ref = body.decode().partition("=")
        if head != "genuine":
            return None
        return Notification(ref, Outcome(Result.SUCCEEDED, far_ref="far-1", amount_fen=100))


class DeskCarrier:
    def __init__(self, carrier: str) -> None:
        self.capabilities = carrier_capabilities(carrier)


@dataclass
class DeskSettings:
    fonts_dir: Path = Path(airback.__file__).parent / "web/static/vendor/fonts"


@dataclass
class Desk:
    """What `airback.queries.platform.Platform` asks for, and hands to place things with."""

    pool: asyncpg.Pool
    keys: Any
    book: int = BOOK
    settings: DeskSettings = field(default_factory=DeskSettings)
    subscribers: DeskSubscribers = field(default_factory=DeskSubscribers)
    carriers: Mapping[str, Any] = field(
        default_factory=lambda: {carrier: DeskCarrier(carrier) for carrier in HOLDS}
    )
    rails: dict[str, Any] = field(default_factory=lambda: {"alipay": DeskRail(rail_capabilities())})
    messenger: Any = None
    clock: datetime = NOW
    dice: random.Random = field(default_factory=lambda: random.Random(7))
    card: RateCard = field(default_factory=lambda: parse_card(DEFAULT_CARD))
    market: Market = field(default_factory=Market)
    exposure: Exposure = field(default_factory=lambda: Exposure(Limits()))
    codes: Any = field(default_factory=lambda: itertools.count(100_000_000_000_000_000))

    async def rate_card(self) -> RateCard:
        return self.card

    async def rate_cards(self) -> list[RateCard]:
        return [self.card]

    async def price_facts(self) -> Market:
        return self.market

    async def pauses(self) -> Pauses:
        return await pauses.standing(self.pool, book=BOOK, now=self.now())

    def now(self) -> datetime:
        return self.clock

    def entropy(self, count: int, /) -> bytes:
        return self.dice.randbytes(count)

    def pass_time(self, **span: float) -> None:
        self.clock += timedelta(**span)

    # -- things to sell

    def quote(
        self,
        *,
        client: str = "acme",
        seller_ref: str = "user-1",
        product: str = "card",
        carrier: str = "cmcc",
        face_fen: int = 10_000,
        rail: str = "alipay",
        number: str | None = None,
        card_number: str | None = None,
        book: int | None = None,
        valid_for_s: int = 600,
    ) -> dict[str, Any]:
        if product == "balance":
            number = number or SELLER
        else:
            card_number = card_number or "20261102000017"
        ask = QuoteAsk(
            product=product,
            carrier=carrier,
            face_fen=face_fen,
            number=number,
            card_number=card_number,
            expires_on=None,
            province=None,
            rail=rail,
            seller=f"{client}/{seller_ref}",
        )
        body = make_quote(
            book=book or self.book,
            card=self.card,
            ask=ask,
            quote_id=new_reference(entropy=self.entropy),
            issued_at=self.clock,
            valid_for_s=valid_for_s,
        )
        return sign_quote(body, keys=self.keys)

    def proof(self, number: str = SELLER) -> str:
        return make_proof(number, self.clock, self.keys)

    def new_code(self) -> str:
        return str(next(self.codes))

    def ask(self, **changes: Any) -> OrderAsk:
        """A card's ask that would be accepted, but for the changes."""
        quote_terms = {
            name: changes.pop(name)
            for name in ("client", "product", "carrier", "face_fen", "rail", "number", "card_number", "book")
            if name in changes
        }
        seller_ref = changes.get("seller_ref", "user-1")
        balance = quote_terms.get("product") == "balance"
        values: dict[str, Any] = {
            "seller_ref": seller_ref,
            "proof": self.proof(quote_terms.get("number", SELLER)) if balance else None,
            "card_code": None if balance else self.new_code(),
            "payee_account": "13900139000",
            "payee_name": "王小明",
            "client_ref": None,
            "notify_number": None,
            "language": "zh",
            "agreement": AGREEMENT,
            "lane": 0,
        }
        if "quote" not in changes:
            values["quote"] = self.quote(seller_ref=seller_ref, **quote_terms)
        return OrderAsk(**(values | changes))

    def order(self, **changes: Any) -> dict[str, Any]:
        """The same ask as the API takes it."""
        ask = self.ask(**changes)
        names = (
            "quote", "seller_ref", "proof", "card_code", "payee_account", "payee_name", "client_ref",
            "notify_number", "language", "agreement",
        )  # fmt: skip
        return {name: getattr(ask, name) for name in names if getattr(ask, name) is not None}

    @property
    def rail_capabilities(self) -> dict[str, RailCapabilities]:
        return {name: rail.capabilities for name, rail in self.rails.items()}

    # -- people and machines

    async def client(
        self,
        client: str = "acme",
        *,
        kind: str = "company",
        scopes: Sequence[str] | None = None,
        outlet: str | None = None,
        **options: Any,
    ) -> str:
        """A key of a client that is put on record."""
        async with self.pool.acquire() as conn:
            return await create_client(
                conn,
                book=self.book,
                client=client,
                kind=kind,
                scopes=scopes if scopes is not None else BUYING if kind == "outlet" else SELLING,
                keys=self.keys,
                now=self.clock,
                entropy=self.entropy,
                outlet=outlet,
                **options,
            )

    async def deposit(self, outlet: str, amount_fen: int) -> None:
        """Money an outlet paid in, as far as its own account shows it."""
        from airback.ledger.accounts import deposit

        account = deposit(outlet)
        await self.pool.execute(
            "INSERT INTO accounts (book, id, code, asset, side, bounded, credits_posted) VALUES ($1,$2,$3,$4,$5,$6,$7)",
            self.book, account.id, account.code, account.asset, account.side, account.bounded, amount_fen,
        )  # fmt: skip

    def app(self) -> Litestar:
        app = Litestar(
            list(ROUTERS),
            openapi_config=None,
            exception_handlers=APP_EXCEPTION_HANDLERS,
            logging_config=None,
            debug=False,
        )
        app.state.platform = self
        return app


class Api:
    """The API as a client sees it, without a socket."""

    def __init__(self, desk: Desk, *, key: str | None, address: str = "192.0.2.1") -> None:
        self.desk = desk
        self.key = key
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(desk.app(), client=(address, 4711), raise_app_exceptions=False),
            base_url="http://airback.test",
        )
        self._keys = itertools.count(1)

    async def call(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        key: str | None = None,
        idempotency: str | None = "",
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        """`idempotency` "" makes a fresh key; None leaves the header out."""
        sent = {"accept-language": "en", **(headers or {})}
        secret = self.key if key is None else key
        if secret:
            sent.setdefault("authorization", f"Bearer {secret}")
        if method == "POST" and idempotency is not None:
            sent.setdefault("idempotency-key", idempotency or f"key-{next(self._keys)}")
        if content is not None:
            sent.setdefault("content-type", "application/json")
            return await self.http.request(method, path, content=content, headers=sent)
        return await self.http.request(method, path, json=json, headers=sent)

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.call("GET", path, **options)

    async def post(self, path: str, json: Any = None, **options: Any) -> httpx.Response:
        return await self.call("POST", path, json, **options)


def open_desk(pool: asyncpg.Pool, keys_dir: Path) -> Desk:
    return Desk(pool=pool, keys=FileKeys(keys_dir))


def code_of(answer: httpx.Response) -> str:
    """A problem's code, after a look at its form."""
    assert answer.headers["content-type"].startswith("application/problem+json"), answer.text
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["type"] == f"urn:airback:refusal:{problem['code']}"
    assert problem["title"]
    assert problem["remedy"]
    return str(problem["code"])


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
