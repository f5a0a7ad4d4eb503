"""Whole buy-backs a second: from a durably submitted order to a closed one, with far sides that answer at once, in the
worker's process or over HTTP.

The engine runs in worker processes of its own, as `airback work` runs it; orders come in through `engine.submit`.
"""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import asyncpg

from airback.adapters.keys.files import FileKeys
from airback.api.credentials import create_client
from airback.app.bench.child import child
from airback.app.bench.instant import FarBooks, InstantFarSides, read_books
from airback.app.bench.own_database import own_database
from airback.app.far_sides import HOUSE_NUMBERS
from airback.app.opening import decide
from airback.app.platform import Platform, verified
from airback.app.settings import Settings
from airback.domain import ids
from airback.engine.submit import AGREEMENT, FILES, MOST_ASKS, PEOPLE, Accepted, OrderAsk, submit
from airback.orders.proofs import make_proof
from airback.pricing.cards import RateCard, parse_card
from airback.pricing.default_card import DEFAULT_CARD
from airback.pricing.quotes import QuoteAsk, make_quote, sign_quote
from airback.queries.verify import summary
from airback.store import books, demands
from airback.store import pool as pools
from airback.store.demands import NewDemand
from airback.store.migrate import migrate
from airback.store.named_sql import load

_SQL: Final = load("bench.sql", package="airback.app.bench")

CLIENT: Final = "bench"
OUTLET: Final = "bench-outlet"
_FACE_FEN: Final = 10_000
_DEPOSIT_FEN: Final = 10**13
#: Demands of each carrier at the beginning, each large enough for the whole run.
_DEMANDS: Final = 20
_LOOK_EVERY_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Lifecycles:
    """`closed` orders in `seconds` of wall time; `violations` is what `verify` found over all of them."""

    closed: int
    seconds: float
    violations: int
    checks: dict[str, Any]

    @property
    def per_s(self) -> float:
        """Closed a second."""
        return self.closed / self.seconds


async def lifecycles(
    server_url: str,
    directory: Path,
    *,
    orders: int,
    on_books: int,
    batch: int | None = None,
    over_http: bool = False,
) -> Lifecycles:
    """Sell `orders` balances, spread over so many books with a worker process each, in a database of their own.

    `batch` None: what production uses. `over_http`: the carriers are a process of their own, and sellers are paid
    into their stored balance; otherwise all far sides are in the worker's process.
    """
    async with own_database(server_url, "lifecycle") as url:
        return await _measure(
            url,
            directory / url.rpartition("/")[2],
            orders=orders,
            on_books=on_books,
            batch=batch,
            over_http=over_http,
        )


async def bare_calls(directory: Path, *, seconds: float, processes: int) -> float:
    """Sales a second whose carriers' calls the bare HTTP client makes, in so many processes at once."""
    file = directory / "bare.json"
    await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
    async with child("airback.app.bench.far_side", "--books-file", str(file)) as port:
        told = ("--far-side", f"http://127.0.0.1:{port}", "--seconds", str(seconds))
        clients = [
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "airback.app.bench.bare", *told), stdout=asyncio.subprocess.PIPE
            )
            for _ in range(processes)
        ]
        said = await asyncio.gather(*(client.communicate() for client in clients))
    return sum(float(out) for out, _ in said)


async def _measure(
    url: str, directory: Path, *, orders: int, on_books: int, batch: int | None, over_http: bool
) -> Lifecycles:
    await migrate(url)
    await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
    settings = [
        Settings(data_dir=directory, database_url=url, book=book, sandbox=False)
        for book in range(1, on_books + 1)
    ]
    keys = FileKeys(settings[0].keys_dir)
    connected = InstantFarSides().connected(operator=settings[0].operator, stored=over_http)
    async with await pools.connect(url, max_size=2) as pool:
        card = parse_card(DEFAULT_CARD)
        for one in settings:
            await open_book(pool, one, keys, now=datetime.now(UTC))
            share = orders // on_books
            await sell(pool, book=one.book, orders=share, card=card, keys=keys, connected=connected)
        wanted = orders // on_books * on_books
        async with contextlib.AsyncExitStack() as closing:
            far_side, files = None, []
            if over_http:
                files.append(directory / "carriers.json")
                module = ("airback.app.bench.far_side", "--books-file", str(files[0]))
                far_side = f"http://127.0.0.1:{await closing.enter_async_context(child(*module))}"
            workers = [
                Worker(url, directory, number=n, batch=batch, far_side=far_side) for n in range(on_books)
            ]
            files += [worker.books_file for worker in workers]
            for worker in workers:
                closing.push_async_callback(worker.stop)
            await asyncio.gather(*(worker.start() for worker in workers))
            begun = time.perf_counter()
            for worker in workers:
                worker.go()
            while (closed := await pool.fetchval(_SQL.closed)) < wanted:
                await asyncio.sleep(_LOOK_EVERY_S)
                for worker in workers:
                    worker.check()
            seconds = time.perf_counter() - begun
        left = [read_books(file) for file in files]
        found = [await checked(Platform(one, url, pool, keys, connected), left) for one in settings]
    return Lifecycles(
        closed=closed,
        seconds=seconds,
        violations=sum(one["violations"] for one in found),
        checks=found[0]["checks"],
    )


async def checked(platform: Platform, left: Sequence[FarBooks]) -> dict[str, Any]:
    """What `verify` finds in one book, beside everything the far sides executed but what another book sent."""
    refs = [line.ref for books_left in left for lines in books_left.values() for line in lines]
    others = {row["ref"] for row in await platform.pool.fetch(_SQL.sent_by_others, platform.book, refs)}
    sides = InstantFarSides()
    for books_left in left:
        sides.add(books_left, but=others)
    stored = "credit" in platform.connected.policy.rails
    platform.connected = sides.connected(operator=platform.settings.operator, stored=stored)
    return summary(await verified(platform))


async def open_book(pool: asyncpg.Pool, settings: Settings, keys: FileKeys, *, now: datetime) -> None:
    """A book with a price list, an outlet that has paid in, and demands for every carrier."""
    async with pool.acquire() as conn:
        await books.create(conn, book=settings.book, name=settings.operator, now=now)
        await books.publish_first(conn, book=settings.book, document=DEFAULT_CARD, now=now)
        await create_client(
            conn,
            book=settings.book,
            client=OUTLET,
            kind="outlet",
            outlet=OUTLET,
            scopes=["demands:write"],
            keys=keys,
            now=now,
            entropy=os.urandom,
        )
        for action, subject in (("finance:deposit:credit", OUTLET), ("finance:float:credit", "float")):
            after = {"outlet": subject, "amount_fen": _DEPOSIT_FEN}
            await decide(conn, settings, action, subject, after, now=now)
        licence = {
            "number": "BENCH-0001",
            "issuer": "bench",
            "capabilities": ["stored_balance"],
            "valid_from": now.isoformat(),
            "valid_until": (now + timedelta(days=1)).isoformat(),
        }
        await decide(conn, settings, "compliance:licence:record", "BENCH-0001", licence, now=now)
        wanted = [
            NewDemand(
                id=demand_id,
                client_ref=None,
                carrier=carrier,
                number=f"{house[:3]}9{place:07d}",
                amount_fen=_DEPOSIT_FEN,
                price_ppm=980_000,
                deadline_at=now + timedelta(days=1),
            )
            for carrier, house in HOUSE_NUMBERS.items()
            for place, demand_id in enumerate(ids.new_ids(now=now, entropy=os.urandom, count=_DEMANDS))
        ]
        await demands.place(conn, book=settings.book, outlet=OUTLET, demands=wanted, at=now)


async def sell(
    pool: asyncpg.Pool,
    *,
    book: int,
    orders: int,
    card: RateCard,
    keys: FileKeys,
    connected: Any,
    begin: int = 0,
    company: str | None = None,
) -> list[int]:
    """Submit so many sales of balances, each another number's, counted from `begin`: each another person's, or all of them
    a file of that company's. Order ids. Raises RuntimeError when one is refused."""
    rails = {name: rail.capabilities for name, rail in connected.far_sides.rails.items()}
    holds = {name: carrier.capabilities.hold for name, carrier in connected.far_sides.carriers.items()}
    houses = list(HOUSE_NUMBERS.items())
    accepted: list[int] = []
    for first in range(begin, begin + orders, MOST_ASKS):
        now = datetime.now(UTC)
        asks = [
            _ask(
                book,
                place,
                *houses[place % len(houses)],
                card=card,
                keys=keys,
                now=now,
                rail=next(iter(rails)),
                company=company,
            )
            for place in range(first, min(first + MOST_ASKS, begin + orders))
        ]
        answers = await submit(
            pool,
            book=book,
            client=CLIENT,
            asks=asks,
            now=now,
            entropy=os.urandom,
            keys=keys,
            idempotency=None,
            rails=rails,
            hold_kinds=holds,
        )
        accepted += [answer.order_id for answer in answers if isinstance(answer, Accepted)]
    if len(accepted) != orders:
        raise RuntimeError(f"{orders - len(accepted)} of {orders} orders were refused")
    return accepted


def _ask(
    book: int,
    place: int,
    carrier: str,
    house: str,
    *,
    card: RateCard,
    keys: FileKeys,
    now: datetime,
    rail: str,
    company: str | None,
) -> OrderAsk:
    seller, number = company or f"seller-{place}", f"{house[:3]}{place:08d}"
    ask = QuoteAsk(
        product="balance",
        carrier=carrier,
        face_fen=_FACE_FEN,
        number=number,
        card_number=None,
        expires_on=None,
        province=None,
        rail=rail,
        seller=f"{CLIENT}/{seller}",
    )
    quote = make_quote(
        book=book, card=card, ask=ask, quote_id=ids.new_reference(entropy=os.urandom), issued_at=now
    )
    return OrderAsk(
        quote=sign_quote(quote, keys=keys),
        seller_ref=seller,
        proof=make_proof(number, now, keys),
        card_code=None,
        payee_account=f"{seller}@example.com",
        payee_name="张三",
        client_ref=None,
        notify_number=None,
        language="zh",
        agreement=AGREEMENT,
        lane=PEOPLE if company is None else FILES,
    )


class WorkerFailed(Exception):
    """A worker process ended before its work did."""


class Worker:
    """One worker process: made ready, told to begin, told to end."""

    def __init__(
        self, url: str, directory: Path, *, number: int, batch: int | None, far_side: str | None
    ) -> None:
        self.books_file = directory / f"worker-{number}.json"
        self._arguments: Sequence[str] = (
            *("--data", str(directory), "--url", url, "--books", "1", "--books-file", str(self.books_file)),
            *(() if batch is None else ("--batch", str(batch))),
            *(() if far_side is None else ("--far-side", far_side)),
        )
        self._log = directory / f"worker-{number}.log"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until it could begin. Raises WorkerFailed."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "airback.app.bench.worker", *self._arguments),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        if await self._process.stdout.readline() != b"ready\n":
            raise WorkerFailed(self._log.read_text(errors="replace")[-600:])

    def go(self) -> None:
        """Begin."""
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(b"go\n")

    def check(self) -> None:
        """Raise WorkerFailed when it has ended by itself."""
        if self._process is None or self._process.returncode is not None:
            raise WorkerFailed(self._log.read_text(errors="replace")[-600:])

    async def stop(self) -> None:
        """End it and wait."""
        if self._process is None:
            return
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), 30)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
