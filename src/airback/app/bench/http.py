"""`airback bench`, the part over HTTP: durable orders and signed quotes, beside an echo of the same server.

What runs is an installation as `airback serve` and `airback sandbox` make it, in a data directory of the bench's own, and a
big client with a key and a rate as any other is given. An exchange has one small body and one large one; its echo has the
large one both ways: the order as it is sent, the quote as it is answered (quotes are also set beside an echo of the small ask).
Rounds alternate between echoes and what they are the yardstick of; each ratio is taken within its round, and the median of the
rounds counts. The generator's own ceiling is measured in each round too. Every order that was answered with 201 is looked
for in the database afterwards.
"""

import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from airback.adapters.keys.files import FileKeys
from airback.api.credentials import SELLING, create_client
from airback.api.documents import OneQuote
from airback.api.reading import MOST_ITEMS
from airback.app.api_client import ApiClient
from airback.app.bench.child import child
from airback.app.bench.load import Job, Outcome
from airback.app.opening import open_installation
from airback.app.platform import database
from airback.app.settings import Settings
from airback.app.together import Running
from airback.domain.assets import CARRIERS
from airback.orders.intake import AGREEMENT
from airback.store import intake
from airback.store.pool import connect_once

CONNECTIONS: Final = 32
#: The generator counts as light when it could do so many times the echo.
LEAST_CEILING: Final = 1.5
_CLIENT: Final = "bench"
_REQUESTS_PER_MINUTE: Final = 6_000_000
_SELLERS: Final = 500
#: Bodies that are sent over and over, where a body may be.
_BODIES: Final = 2000
#: Orders are prepared for so many times what the last echo did; they cannot be sent twice.
_PREPARED: Final = 1.1
_FACES_YUAN: Final = (30, 50, 100)

Progress = Callable[[str, int, int], None]


class BenchFailed(Exception):
    """What was measured is not what it should be; the text says what."""


@dataclass(slots=True)
class _Rounds:
    """Answers a second of each kind, round by round."""

    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)
    accepted: int = 0

    def add(self, name: str, outcome: Outcome, *, status: str) -> Outcome:
        """Keep an outcome. Raises `BenchFailed` when anything but `status` was answered."""
        if set(outcome.statuses) != {status}:
            raise BenchFailed(f"{name} was answered with {outcome.statuses}, not with {status} alone")
        self.outcomes.setdefault(name, []).append(outcome)
        return outcome

    def ratio(self, name: str, to: str) -> float:
        """The median of the rounds' ratios."""
        pairs = zip(self.outcomes[name], self.outcomes[to], strict=True)
        return round(statistics.median(one.per_s / other.per_s for one, other in pairs), 3)

    def per_s(self, name: str) -> int:
        """The median of the rounds' speeds."""
        return round(statistics.median(one.per_s for one in self.outcomes[name]))

    def latency_ms(self, name: str) -> dict[str, float]:
        """Medians of the rounds' 50th and 99th percentile."""
        found = self.outcomes[name]
        return {
            "p50": statistics.median(one.p50_ms for one in found),
            "p99": statistics.median(one.p99_ms for one in found),
        }


async def bench(settings: Settings, *, seconds: float, rounds: int, progress: Progress) -> dict[str, Any]:
    """Measure. `settings.data_dir` is a directory for this alone, and its database is left full of orders that nobody
    works on. Each round measures six things for `seconds` each. Raises `BenchFailed`."""
    found = _Rounds()
    async with _stage(settings) as stage:
        sample, orders = stage.folder / "sample", stage.folder / "orders"
        await stage.prepare(_ask, sample)
        for turn in range(rounds):
            progress("http", turn, rounds)
            await stage.quotes(found, seconds=seconds)
            outcome = await stage.api.load(stage.echo, "/v1/echo", sample, seconds=seconds, keys=None)
            found.add("order_echo", outcome, status="200")
            most = found.outcomes["order_echo"][-1].per_s * seconds * _PREPARED
            await stage.api.prepare_orders(orders, count=max(CONNECTIONS, int(most)))
            outcome = await stage.api.load(
                stage.api.port, "/v1/orders", orders, seconds=seconds, keys=f"bench-{turn}"
            )
            found.add("order_post", outcome, status="201")
        progress("http", rounds, rounds)
        found.accepted = sum(outcome.requests for outcome in found.outcomes["order_post"])
        await _count(settings, stage.url, found.accepted)
    return _report(found)


async def quotes(
    settings: Settings,
    *,
    seconds: float,
    rounds: int,
    ask: Callable[[int], dict[str, Any]],
    furnish: Callable[[str], Awaitable[None]],
    progress: Progress,
) -> dict[str, Any]:
    """Measure single quotes alone. `ask(n)` is the n-th ask; `furnish(url)` puts what prices read into the database that
    was opened, before the API starts. Raises `BenchFailed`."""
    found = _Rounds()
    async with _stage(settings, furnish=furnish) as stage:
        await stage.prepare(ask, stage.folder / "sample")
        for turn in range(rounds):
            progress("http", turn, rounds)
            await stage.quotes(found, seconds=seconds)
        progress("http", rounds, rounds)
    ceiling, echoes = found.per_s("load_ceiling"), [found.per_s("quote_echo"), found.per_s("ask_echo")]
    return {
        "quote_post_ratio": found.ratio("quote_post", "quote_echo"),
        "quote_post_to_ask_echo": found.ratio("quote_post", "ask_echo"),
        "quote_post_per_s": found.per_s("quote_post"),
        "quote_echo_per_s": echoes[0],
        "ask_echo_per_s": echoes[1],
        "load_ceiling_to_echo": round(ceiling / max(echoes), 2),
        "quote_post_ms": found.latency_ms("quote_post"),
        "connections": CONNECTIONS,
    }


#: Live quotes are counted as ever, and never too many: most of these quotes are not used.
_UNLIMITED: Final = {
    "AIRBACK_SELLER_EXPOSURE_YUAN": "100000000000",
    "AIRBACK_CARRIER_EXPOSURE_YUAN": "100000000000",
    "AIRBACK_CLIENT_EXPOSURE_PPM": "1000000",
}


@dataclass(frozen=True, slots=True)
class _Stage:
    """An installation that serves, with the echo and the generator's own ceiling beside it."""

    url: str
    api: "_Api"
    ceiling: int
    echo: int
    folder: Path

    async def prepare(self, ask: Callable[[int], dict[str, Any]], sample: Path) -> None:
        """Write the asks, the answers to them, and orders by those."""
        bodies = map(msgspec.json.encode, map(ask, range(_BODIES)))
        (self.folder / "asks").write_bytes(b"\n".join(bodies))
        await self.api.prepare_orders(sample, count=_BODIES, answers=self.folder / "answers", ask=ask)

    async def quotes(self, found: _Rounds, *, seconds: float) -> None:
        """One round of single quotes and what they are compared with."""
        asks, answers = self.folder / "asks", self.folder / "answers"
        for name, port, path, bodies in (
            ("load_ceiling", self.ceiling, "/", answers),
            ("ask_echo", self.echo, "/v1/echo", asks),
            ("quote_post", self.api.port, "/v1/quotes", asks),
            ("quote_echo", self.echo, "/v1/echo", answers),
        ):
            outcome = await self.api.load(port, path, bodies, seconds=seconds, keys=None)
            found.add(name, outcome, status="200")


@contextlib.asynccontextmanager
async def _stage(
    settings: Settings, *, furnish: Callable[[str], Awaitable[None]] | None = None
) -> AsyncIterator[_Stage]:
    async with contextlib.AsyncExitStack() as closing:
        url = await closing.enter_async_context(database(settings))
        await open_installation(settings, url=url, now=datetime.now(UTC))
        if furnish is not None:
            await furnish(url)
        key = await _client(settings, url)
        running = Running(settings, url, environment=_UNLIMITED)
        for name in ("sandbox", "serve"):
            closing.push_async_callback(asyncio.to_thread, running.stop, name)
            await asyncio.to_thread(running.start, name)
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory(dir=settings.data_dir)))
        api = _Api(running.api_url, key, folder)
        ceiling = await closing.enter_async_context(child("airback.app.bench.load", "respond"))
        echo = await closing.enter_async_context(child("airback.app.bench.echo"))
        yield _Stage(url, api, ceiling, echo, folder)


def _report(found: _Rounds) -> dict[str, Any]:
    echoes = {name: found.per_s(f"{name}_echo") for name in ("order", "quote", "ask")}
    names = ("order_post", "quote_post", *(f"{name}_echo" for name in echoes))
    ceiling = found.per_s("load_ceiling")
    return {
        "order_post": found.ratio("order_post", "order_echo"),
        "quote_post": found.ratio("quote_post", "quote_echo"),
        "quote_post_to_ask_echo": found.ratio("quote_post", "ask_echo"),
        "order_post_per_s": found.per_s("order_post"),
        "quote_post_per_s": found.per_s("quote_post"),
        "echo_per_s": echoes,
        "load_ceiling_per_s": ceiling,
        "load_ceiling_to_echo": round(ceiling / max(echoes.values()), 2),
        "load_ceiling_enough": ceiling >= LEAST_CEILING * max(echoes.values()),
        "latency_ms": {name: found.latency_ms(name) for name in names},
        "connections": CONNECTIONS,
        "orders_accepted": found.accepted,
        "rounds": {
            name: [round(outcome.per_s) for outcome in outcomes] for name, outcomes in found.outcomes.items()
        },
    }


class _Api:
    """The installation's API as its big client uses it."""

    def __init__(self, url: str, key: str, folder: Path) -> None:
        self._url = url
        self._key = key
        self._folder = folder
        self._made = 0
        self.port = urlsplit(url).port or 80

    async def prepare_orders(
        self,
        bodies: Path,
        *,
        count: int,
        answers: Path | None = None,
        ask: Callable[[int], dict[str, Any]] | None = None,
    ) -> None:
        """Have `count` cards quoted, in batches, and write an order for each, and what single asks would have been
        answered: nothing of this is timed."""
        with bodies.open("wb") as file, (answers or Path(os.devnull)).open("wb") as said:
            async with ApiClient(url=self._url, key=self._key) as api:
                for start in range(0, count, MOST_ITEMS):
                    asks = [(ask or _ask)(self._made + n) for n in range(min(MOST_ITEMS, count - start))]
                    status, answer = await api.call("POST", "/v1/quotes", {"asks": asks})
                    if status != 200:
                        raise BenchFailed(f"quotes were answered with {status}")
                    for n, (asked, one) in enumerate(zip(asks, answer["quotes"], strict=True)):
                        order = _order(self._made + n, asked, one["quote"])
                        file.write(msgspec.json.encode(order) + b"\n")
                        said.write(msgspec.json.encode(OneQuote(one["quote"], AGREEMENT)) + b"\n")
                    self._made += len(asks)

    async def load(self, port: int, path: str, bodies: Path, *, seconds: float, keys: str | None) -> Outcome:
        """Run the generator in a process of its own. `keys`: each body goes out once, under a key of its own."""
        job = Job(
            port=port,
            path=path,
            headers={"authorization": f"Bearer {self._key}"},
            bodies=str(bodies),
            seconds=seconds,
            connections=CONNECTIONS,
            again=keys is None,
            keys=keys,
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "airback.app.bench.load",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            written, errors = await process.communicate(msgspec.json.encode(job))
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode:
            raise BenchFailed(f"the load generator failed: {errors.decode(errors='replace')[-600:]}")
        return msgspec.json.decode(written, type=Outcome)


async def _client(settings: Settings, url: str) -> str:
    """The key of a client whose agreed rate is beyond what the machine can do."""
    conn = await connect_once(url)
    try:
        return await create_client(
            conn,
            book=settings.book,
            client=_CLIENT,
            kind="company",
            scopes=SELLING,
            keys=FileKeys(settings.keys_dir),
            now=datetime.now(UTC),
            entropy=os.urandom,
            requests_per_minute=_REQUESTS_PER_MINUTE,
        )
    finally:
        await conn.close()


async def _count(settings: Settings, url: str, accepted: int) -> None:
    """Raise `BenchFailed` unless the database holds exactly the orders that were acknowledged, each whole."""
    conn = await connect_once(url)
    try:
        row = await conn.fetchrow(intake.SQL.count_accepted, settings.book, _CLIENT)
    finally:
        await conn.close()
    if set(row.values()) != {accepted}:
        raise BenchFailed(f"{accepted} orders were acknowledged, and the database holds {dict(row)}")


def _ask(n: int) -> dict[str, Any]:
    """The ask for the n-th card's price: faces, carriers and sellers vary."""
    carriers = sorted(CARRIERS)
    return {
        "product": "card",
        "carrier": carriers[n % len(carriers)],
        "face_yuan": str(_FACES_YUAN[n % len(_FACES_YUAN)]),
        "card_number": str(20_261_102_000_000 + n),
        "seller_ref": f"user-{n % _SELLERS}",
    }


def _order(n: int, ask: dict[str, Any], quote: dict[str, Any]) -> dict[str, Any]:
    """The order for the n-th card."""
    return {
        "quote": quote,
        "seller_ref": ask["seller_ref"],
        "card_code": str(100_000_000_000_000_000 + n),
        "payee_account": "13900139000",
        "payee_name": "王小明",
        "agreement": AGREEMENT,
        "client_ref": f"bench-{n}",
    }
