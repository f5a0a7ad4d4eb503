"""The database runs out of disk or of connections while orders come in: each is acknowledged or refused, none is lost.

A refusal is `unavailable` (503) with a time to come again. When there is room again, the same requests are sent once
more; then every order has ended, once, and every invariant holds.
"""

import asyncio
import contextlib
import errno
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from airback.api.crowd import Crowd
from airback.domain.ids import parse_public
from airback.engine.submit import OrderAsk
from airback.queries.verify import verify
from airback.store.embedded import EmbeddedDatabase, ensure_running
from airback.store.migrate import migrate
from airback.store.pool import connect
from airback.store.problems import TROUBLE
from tests.api.desk import Desk, code_of
from tests.engine.street import BOOK, Street, open_street

pytestmark = pytest.mark.timeout(900)

DISK_BYTES = 400 << 20
#: Room for a write that is under way is no promise: with so many refusals the disk is full for everybody.
REFUSALS = 10
MOST_ORDERS = 400
END_ALL_BUT = """
    SELECT count(pg_terminate_backend(pid, 1000)) FROM pg_stat_activity
     WHERE backend_type = 'client backend' AND pid <> ALL ($1::int[])
"""


class Open(Desk):
    """The API's platform, by the time it is."""

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass
class Shop:
    """Sellers in front of the API, and their own record of what it told them."""

    street: Street
    http: httpx.AsyncClient
    sold: dict[str, dict[str, Any]] = field(default_factory=dict)
    acknowledged: dict[str, int] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)

    def new(self) -> str:
        """The idempotency key of a card that is about to be sold."""
        key = f"key-{len(self.sold)}"
        ask = self.street.ask_card(self.street.card("ctcc", 10_000), seller=f"s{len(self.sold) % 7}")
        self.sold[key] = _body(ask)
        return key

    async def send(self, key: str) -> bool:
        """Send a request, for the first time or again; whether it was acknowledged. Any other end fails the test."""
        answer = await self.http.post("/v1/orders", json=self.sold[key], headers={"idempotency-key": key})
        if answer.status_code == 201:
            order = parse_public("ord", answer.json()["id"])
            assert order is not None and self.acknowledged.setdefault(key, order) == order
            return True
        assert (answer.status_code, code_of(answer)) == (503, "unavailable")
        assert int(answer.headers["retry-after"]) > 0
        self.refused.add(key)
        return False

    async def send_again(self) -> None:
        """Send what was refused until it is acknowledged."""
        async with asyncio.timeout(300):
            for key in sorted(self.refused):
                while not await self.send(key):
                    await asyncio.sleep(0.2)

    async def all_ended(self) -> bool:
        """Whether every order has ended, and nothing waits for its writer."""
        try:
            return not await self.street.pool.fetchval(
                "SELECT (SELECT count(*) FROM work) + (SELECT count(*) FROM inbox) + (SELECT count(*) FROM open_effects)"
            )
        except TROUBLE:
            return False


def _body(ask: OrderAsk) -> dict[str, Any]:
    names = ("quote", "seller_ref", "card_code", "payee_account", "payee_name", "language", "agreement")
    return {name: getattr(ask, name) for name in names}


@asynccontextmanager
async def opened(server: EmbeddedDatabase, keys_dir: Path) -> AsyncIterator[Shop]:
    """A street on that server, with its writer at work and the API in front of it."""
    await migrate(server.url)
    pool = await connect(server.url, max_size=10)
    stop = asyncio.Event()
    street = await open_street(server.url, pool, keys_dir)
    await street.demands("ctcc", *[1_000_000] * 6)
    writing = asyncio.create_task(_write(street, stop))
    try:
        async with asyncio.timeout(60):  # outlets' deposits are in before anybody sells
            while await pool.fetchval("SELECT count(*) FROM inbox"):
                await asyncio.sleep(0.05)
        desk = Open(pool=pool, keys=street.keys, carriers=street.carriers, rails=dict(street.rails))
        key = await desk.client("test")
        transport = httpx.ASGITransport(Crowd(desk.app()), raise_app_exceptions=False)
        headers = {"authorization": f"Bearer {key}", "accept-language": "en"}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://airback.test", headers=headers
        ) as http:
            yield Shop(street, http)
    finally:
        stop.set()
        await asyncio.wait_for(writing, 60)
        pool.terminate()


async def _write(street: Street, stop: asyncio.Event) -> None:
    """As `airback work` does: a worker that lost its book, or could not begin, comes again."""
    while not stop.is_set():
        with contextlib.suppress(*TROUBLE):
            await street.writer().run(stop)
        await asyncio.sleep(0.1)


async def converged(shop: Shop) -> None:
    """Everything acknowledged is there, ended, once; and every invariant holds."""
    async with asyncio.timeout(300):
        while not await shop.all_ended():
            await asyncio.sleep(0.1)
    assert set(shop.acknowledged) == set(shop.sold)
    rows = await shop.street.pool.fetch("SELECT id FROM orders")
    assert {row["id"] for row in rows} == set(shop.acknowledged.values())
    assert await shop.street.states() == {"closed": len(rows)}
    street = shop.street
    findings = await verify(
        street.pool,
        book=BOOK,
        now=datetime.now(UTC),
        keys=street.keys,
        carriers=street.carriers,
        rails=street.rails,
    )
    assert {name: finding.found for name, finding in findings.items() if finding.violations} == {}


@pytest.fixture
def disk() -> Iterator[Path]:
    """A small disk of its own."""
    with tempfile.TemporaryDirectory(prefix="airback-disk-") as name:
        options = f"size={DISK_BYTES},mode=755"
        try:
            done = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", options, "airback-test", name],
                capture_output=True,
                check=False,
            )
        except FileNotFoundError:
            done = None
        if done is None or done.returncode != 0:
            pytest.skip("the full disk DID NOT RUN: a disk of its own could not be mounted (root may)")
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", "--lazy", name], check=True)


def fill(disk: Path) -> Path:
    """A file that takes all that is left."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                assert error.errno == errno.ENOSPC
    return ballast


async def test_a_full_disk_refuses_orders_and_loses_none(disk: Path, tmp_path: Path) -> None:
    with ensure_running(disk / "data", durable=True) as server:
        async with opened(server, tmp_path / "keys") as shop:
            for _ in range(3):
                assert await shop.send(shop.new())
            ballast = fill(disk)
            while len(shop.refused) < REFUSALS and len(shop.sold) < MOST_ORDERS:
                await asyncio.gather(*(shop.send(shop.new()) for _ in range(4)))
            assert len(shop.refused) >= REFUSALS
            assert os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize < 1 << 20
            ballast.unlink()
            await shop.send_again()
            await converged(shop)


async def test_a_storm_of_connections_refuses_orders_and_loses_none(tmp_path: Path) -> None:
    with ensure_running(tmp_path / "data", durable=False) as server:
        async with opened(server, tmp_path / "keys") as shop:
            for _ in range(3):
                assert await shop.send(shop.new())
            async with contextlib.AsyncExitStack() as storm:
                # The API and the writer lose what they hold, until somebody else was quicker to take it.
                others: list[asyncpg.Connection[asyncpg.Record]] = []
                while True:
                    with pytest.raises(asyncpg.TooManyConnectionsError):
                        while True:
                            others.append(await asyncpg.connect(server.url, timeout=30))
                            storm.push_async_callback(others[-1].close)
                    if len(others) == int(await others[0].fetchval("SHOW max_connections")):
                        break  # a superuser may have all of them
                    await others[0].execute(END_ALL_BUT, [other.get_server_pid() for other in others])
                keys = [shop.new() for _ in range(60)]
                assert not any(await asyncio.gather(*(shop.send(key) for key in keys)))
            await shop.send_again()
            await converged(shop)
