"""A reseller of the sandbox: keeps demands coming through our own API, as a stranger with an API key would.

It looks at what is still open of its demands, and places new ones wherever a carrier's open demand has fallen below
the target: sizes that take whole cards of every face value, prices of 96–99 % of face, deadlines of a day. A batch
whose answer was lost is sent again, the same bytes under the same idempotency key, so nothing is wanted twice.
"""

import asyncio
import contextlib
import json
import logging
import random
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Final, Self

from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import PyreqwestError

from airback.sandbox import notices

#: Amounts wanted, in yuan. Those of 500 and more take any card; the small ones are somebody's monthly top-up.
AMOUNTS_YUAN: Final = (30, 50, 100, 200, 300, 500, 500, 1_000, 1_000, 2_000)
#: A card is redeemed whole, so some demands must have room for the largest face value, in fen.
LARGEST_CARD_FEN: Final = 500_00
#: So many demands of a carrier have that room at any time.
ROOMY: Final = 6
#: The least and the most paid, in ppm of face value.
PRICES_PPM: Final = (960_000, 990_000)
WANTED_FOR: Final = timedelta(hours=24)
#: Numbers topped up again and again, per carrier.
NUMBERS: Final = 60

_MOST_PER_REQUEST: Final = 200
_PAGE: Final = 200
_MOST_PAGES: Final = 5
_LONGEST_PAUSE_S: Final = 5.0
_LOGGER: Final = logging.getLogger(__name__)


class Unavailable(Exception):
    """The API or the sandbox could not be asked, or said to come back later (`after_s`)."""

    def __init__(self, reason: str, *, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


@dataclass(slots=True)
class Placed:
    """What became of the demands placed so far: how many, for how much, and refusals by code."""

    demands: int = 0
    amount_fen: int = 0
    refused: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Batch:
    key: str
    body: bytes = field(repr=False)


class Reseller:
    """One outlet's buyer. `seed` draws numbers, amounts and prices; `open_target_fen` is per carrier. `told`: it wants notices."""

    def __init__(
        self,
        *,
        api_url: str,
        api_key: str,
        sandbox_url: str,
        carriers: Sequence[str],
        seed: int,
        open_target_fen: int,
        now: Callable[[], datetime],
        told: bool = False,
    ) -> None:
        self.placed = Placed()
        self._to_register = told
        self._api_url = api_url.rstrip("/")
        self._sandbox_url = sandbox_url.rstrip("/")
        self._carriers = tuple(carriers)
        self._seed = seed
        self._open_target_fen = open_target_fen
        self._now = now
        self._dice = random.Random(f"reseller {seed}")
        self._numbers: dict[str, list[str]] = {}
        self._unanswered: _Batch | None = None
        self._headers = {"authorization": f"Bearer {api_key}", "accept-language": "en"}
        self._client = (
            ClientBuilder().timeout(timedelta(seconds=20)).no_proxy().follow_redirects(False).build()
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def step(self) -> int:
        """Look, and place what is missing; how many demands were placed. Raises Unavailable."""
        try:
            return await self._step()
        except (KeyError, TypeError, ValueError) as error:
            raise Unavailable(f"an answer of another form: {type(error).__name__}") from error

    async def _step(self) -> int:
        before = self.placed.demands
        if self._to_register:
            await self._register()
        if self._unanswered is not None:
            await self._send(self._unanswered)
        open_fen, roomy, free_fen = await self._look()
        wanted: list[dict[str, Any]] = []
        for carrier in self._carriers:
            for demand in await self._missing(carrier, open_fen.get(carrier, 0), roomy.get(carrier, 0)):
                free_fen -= demand["amount_fen"]
                if free_fen < 0:
                    break  # what the deposit does not cover would be refused
                wanted.append(demand)
        for start in range(0, len(wanted), _MOST_PER_REQUEST):
            body = json.dumps({"demands": wanted[start : start + _MOST_PER_REQUEST]}).encode()
            self._unanswered = _Batch(key=f"reseller-{secrets.token_hex(12)}", body=body)
            await self._send(self._unanswered)
        return self.placed.demands - before

    async def _register(self) -> None:
        """Ask to be told of fills, and tell our receiver what notices will be signed with."""
        body = json.dumps({"url": self._sandbox_url + notices.PATH}).encode()
        said = await self._ask("POST", f"{self._api_url}/v1/webhook", body=body)
        secret = json.dumps({"secret": said["secret"]}).encode()
        await self._ask("POST", self._sandbox_url + notices.SECRET_PATH, body=secret)
        self._to_register = False

    async def _look(self) -> tuple[dict[str, int], dict[str, int], int]:
        """Open fen by carrier, demands with room for the largest card by carrier, free deposit."""
        open_fen: dict[str, int] = {}
        roomy: dict[str, int] = {}
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            query = f"?limit={_PAGE}" + (f"&cursor={cursor}" if cursor else "")
            page = await self._ask("GET", f"{self._api_url}/v1/demands{query}")
            wanted = [demand for demand in page["demands"] if demand["state"] == "open"]
            for demand in wanted:
                carrier = demand["carrier"]
                open_fen[carrier] = open_fen.get(carrier, 0) + demand["open_fen"]
                if demand["open_fen"] >= LARGEST_CARD_FEN:
                    roomy[carrier] = roomy.get(carrier, 0) + 1
            cursor = page["next"]
            if cursor is None or not wanted:
                break  # newest first: what is older than a page without an open one has been filled as well
        balances = await self._ask("GET", f"{self._api_url}/v1/balances")
        return open_fen, roomy, int(balances["outlet"]["free_fen"])

    async def _missing(self, carrier: str, open_fen: int, roomy: int) -> list[dict[str, Any]]:
        """Demands that bring a carrier's open demand to the target again."""
        if open_fen >= self._open_target_fen and roomy >= ROOMY:
            return []
        numbers = await self._numbers_of(carrier)
        deadline_at = (self._now() + WANTED_FOR).isoformat()
        missing: list[dict[str, Any]] = []
        while open_fen < self._open_target_fen or roomy < ROOMY:
            if open_fen < self._open_target_fen:
                amount_fen = self._dice.choice(AMOUNTS_YUAN) * 100
            else:
                amount_fen = 2 * LARGEST_CARD_FEN
            open_fen += amount_fen
            roomy += amount_fen >= LARGEST_CARD_FEN
            missing.append(
                {
                    "number": self._dice.choice(numbers),
                    "amount_fen": amount_fen,
                    "price_ppm": self._dice.randrange(PRICES_PPM[0], PRICES_PPM[1] + 1, 1_000),
                    "deadline_at": deadline_at,
                    "client_ref": f"rs-{secrets.token_hex(8)}",
                }
            )
        # The roomy ones first, should the deposit not reach.
        return sorted(missing, key=lambda demand: demand["amount_fen"] < LARGEST_CARD_FEN)

    async def _numbers_of(self, carrier: str) -> list[str]:
        """Numbers of the sandbox's subscriber book: the same ones for the same seed."""
        if carrier not in self._numbers:
            make = {"count": NUMBERS, "seed": f"reseller {self._seed} {carrier}", "carriers": [carrier]}
            made = await self._ask(
                "POST", f"{self._sandbox_url}/sandbox/subscribers", body=json.dumps({"make": make}).encode()
            )
            self._numbers[carrier] = [number for number, _ in made["numbers"]]
        return self._numbers[carrier]

    async def _send(self, batch: _Batch) -> None:
        """Place a batch; it stays unanswered when this raises."""
        said = await self._ask("POST", f"{self._api_url}/v1/demands", body=batch.body, key=batch.key)
        self._unanswered = None
        for demand, answer in zip(json.loads(batch.body)["demands"], said["demands"], strict=True):
            if answer["status"] == 201:
                self.placed.demands += 1
                self.placed.amount_fen += demand["amount_fen"]
            else:
                code = str(answer["problem"]["code"])
                self.placed.refused[code] = self.placed.refused.get(code, 0) + 1

    async def _ask(self, method: str, url: str, *, body: bytes | None = None, key: str | None = None) -> Any:
        request = self._client.request(method, url)
        if url.startswith(self._api_url):
            request = request.headers(self._headers)
        if key is not None:
            request = request.header("idempotency-key", key)
        if body is not None:
            request = request.header("content-type", "application/json").body_bytes(body)
        try:
            response = await request.build().send()
            content = bytes(await response.bytes())
        except PyreqwestError as error:
            raise Unavailable(type(error).__name__) from None
        if response.status >= 400:
            later = response.get_header("retry-after") or ""
            if body is not None and response.status in (400, 409, 413, 415, 422):
                self._unanswered = None  # refused whole: the same bytes would be refused again
            raise Unavailable(f"HTTP {response.status}", after_s=float(later) if later.isdecimal() else None)
        try:
            return json.loads(content)
        except ValueError:
            raise Unavailable("no JSON") from None


async def run(
    *,
    api_url: str,
    api_key: str,
    sandbox_url: str,
    carriers: Sequence[str],
    seed: int,
    open_target_fen: int,
    stop: asyncio.Event,
    every_s: float = 1.0,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ready: asyncio.Event | None = None,
    told: bool = False,
) -> Placed:
    """Keep demands coming until `stop` is set; what was placed.

    `ready` is set once every carrier's open demand has reached the target for the first time. An API that is away,
    restarting or busy is asked again after a pause that grows to five seconds, and Retry-After is heeded.
    """
    async with Reseller(
        api_url=api_url,
        api_key=api_key,
        sandbox_url=sandbox_url,
        carriers=carriers,
        seed=seed,
        open_target_fen=open_target_fen,
        now=now,
        told=told,
    ) as reseller:
        pause_s = 0.1
        while not stop.is_set():
            try:
                await reseller.step()
            except Unavailable as error:
                _LOGGER.info("reseller waits: %s", error)
                wait_s = pause_s if error.after_s is None else min(error.after_s, 2 * _LONGEST_PAUSE_S)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            else:
                wait_s, pause_s = every_s, 0.1
                if ready is not None:
                    ready.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), wait_s)
        return reseller.placed
