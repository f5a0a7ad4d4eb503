"""The reseller against the real API over HTTP, on numbers of the real sandbox's book."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
import uvicorn

from airback.adapters.http.client import HttpFarSide
from airback.adapters.outlet.webhook import WebhookOutlet
from airback.domain.effects import Result
from airback.domain.ports.carrier import Line
from airback.domain.ports.outlet import Notice, StatementAsk
from airback.engine.tell import hook_place
from airback.sandbox import reseller
from airback.sandbox.reseller import LARGEST_CARD_FEN, ROOMY, Reseller, Unavailable
from airback.store import outlets
from tests.adapters.rail.sandbox_alipay import sandbox
from tests.api.desk import Desk, DeskSettings, DeskSubscribers, open_desk

CARRIERS = ("cmcc", "cbn")
TARGET_FEN = 1_000_000


class _Server(uvicorn.Server):
    """uvicorn's server, which leaves signals alone and says when it accepts connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.accepting = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.accepting.set()

    def capture_signals(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


class SandboxSubscribers(DeskSubscribers):
    """The directory asks the sandbox which carrier a number has."""

    def __init__(self, http: HttpFarSide) -> None:
        super().__init__()
        self.http = http

    async def inspect(self, number: str) -> Line | None:
        answer = await self.http.call("GET", "/sandbox/subscribers", query=[("number", number)])
        found = answer.json()["subscribers"]
        if number not in self.lines and found:
            self.add(number, found[0]["carrier"])
        return await super().inspect(number)


@dataclass
class SandboxSettings(DeskSettings):
    """Far sides are on this machine."""

    sandbox: bool = True


class Street:
    """An API at an address, a sandbox at another, an outlet's key."""

    def __init__(self, *, desk: Desk, sandbox_url: str, key: str) -> None:
        self.desk = desk
        self.sandbox_url = sandbox_url
        self.key = key
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.api_url = f"http://127.0.0.1:{self.port}"
        self.answers = 0
        self.swallow = 0

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """The API answers while this lasts."""
        app = self.desk.app()

        async def counting(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
            async def swallowing(message) -> None:  # type: ignore[no-untyped-def]
                lost = self.swallow > 0 and scope["method"] == "POST"
                if message["type"] == "http.response.body" and lost:
                    self.swallow -= 1
                    raise ConnectionError("the answer is lost")
                self.answers += message["type"] == "http.response.start"
                await send(message)

            await app(scope, receive, swallowing)

        server = _Server(uvicorn.Config(counting, log_config=None, lifespan="off", ws="none"))
        task = asyncio.create_task(server.serve(sockets=[self.listener]))
        await server.accepting.wait()
        try:
            yield
        finally:
            server.should_exit = True
            await task

    def reseller(self, *, seed: int = 7, target_fen: int = TARGET_FEN) -> Reseller:
        return Reseller(
            api_url=self.api_url,
            api_key=self.key,
            sandbox_url=self.sandbox_url,
            carriers=CARRIERS,
            seed=seed,
            open_target_fen=target_fen,
            now=self.desk.now,
        )

    async def demands(self) -> list[asyncpg.Record]:
        rows: list[asyncpg.Record] = await self.desk.pool.fetch(
            "SELECT d.carrier, d.number, d.amount_fen, d.price_ppm, d.deadline_at, o.open_fen FROM demands d"
            " JOIN open_demands o ON o.book = d.book AND o.id = d.id ORDER BY d.id"
        )
        return rows

    async def open_fen(self) -> dict[str, int]:
        open_fen = dict.fromkeys(CARRIERS, 0)
        for demand in await self.demands():
            open_fen[demand["carrier"]] += demand["open_fen"]
        return open_fen


@pytest.fixture
async def street(pool: asyncpg.Pool, tmp_path: Path) -> AsyncIterator[Street]:
    async with (
        sandbox(tmp_path) as sandbox_url,
        HttpFarSide(name="sandbox", base_url=sandbox_url, timeout_s=10, concurrency=8) as http,
    ):
        desk = open_desk(pool, tmp_path / "api-keys")
        desk.subscribers = SandboxSubscribers(http)
        key = await desk.client("north", kind="outlet", outlet="north")
        await desk.deposit("north", 100_000_000)
        street = Street(desk=desk, sandbox_url=sandbox_url, key=key)
        try:
            yield street
        finally:
            street.listener.close()


async def test_demands_reach_the_target_of_each_carrier_and_then_rest(street: Street) -> None:
    async with street.serving(), street.reseller() as buyer:
        assert await buyer.step() > 0
        assert all(open_fen >= TARGET_FEN for open_fen in (await street.open_fen()).values())
        assert buyer.placed.refused == {}
        assert await buyer.step() == 0


async def test_every_card_finds_room_and_every_price_leaves_a_margin(street: Street) -> None:
    async with street.serving(), street.reseller(target_fen=1_000) as buyer:
        await buyer.step()
    demands = await street.demands()
    for carrier in CARRIERS:
        roomy = [d for d in demands if d["carrier"] == carrier and d["amount_fen"] >= LARGEST_CARD_FEN]
        assert len(roomy) >= ROOMY
    assert all(960_000 <= demand["price_ppm"] <= 990_000 for demand in demands)
    assert all(demand["deadline_at"] > street.desk.now() for demand in demands)


async def test_what_was_used_up_is_wanted_again(street: Street) -> None:
    async with street.serving(), street.reseller() as buyer:
        await buyer.step()
        await street.desk.pool.execute(
            "DELETE FROM open_demands WHERE id IN (SELECT id FROM demands WHERE carrier = 'cbn')"
        )
        assert (await street.open_fen())["cbn"] == 0
        await buyer.step()
        assert (await street.open_fen())["cbn"] >= TARGET_FEN


async def test_a_batch_whose_answer_was_lost_is_not_wanted_twice(street: Street) -> None:
    async with street.serving(), street.reseller() as buyer:
        street.swallow = 1
        with pytest.raises(Unavailable):
            await buyer.step()
        before = await street.demands()
        assert before
        await buyer.step()
        assert await street.demands() == before
        assert buyer.placed.demands == len(before)


async def test_another_start_with_the_same_seed_uses_the_same_numbers(street: Street) -> None:
    numbers = []
    async with street.serving():
        for _ in range(2):
            async with street.reseller() as buyer:
                await buyer.step()
            numbers.append([(demand["number"], demand["amount_fen"]) for demand in await street.demands()])
            await street.desk.pool.execute("DELETE FROM open_demands")
    assert numbers[0] == numbers[1]


async def test_a_deposit_that_does_not_reach_bounds_what_is_wanted(street: Street) -> None:
    await street.desk.pool.execute("UPDATE accounts SET credits_posted = 150000 WHERE code LIKE 'deposit%'")
    async with street.serving(), street.reseller() as buyer:
        await buyer.step()
        assert sum((await street.open_fen()).values()) <= 150_000
        assert buyer.placed.refused == {}


async def test_it_waits_for_an_api_that_is_away_and_goes_on_when_it_is_back(street: Street) -> None:
    stop, ready = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(
        reseller.run(
            api_url=street.api_url,
            api_key=street.key,
            sandbox_url=street.sandbox_url,
            carriers=CARRIERS,
            seed=7,
            open_target_fen=TARGET_FEN,
            stop=stop,
            every_s=0.05,
            now=street.desk.now,
            ready=ready,
        )
    )
    street.listener.close()
    await asyncio.sleep(0.3)
    assert not running.done()
    assert not ready.is_set()
    street.listener = socket.create_server(("127.0.0.1", street.port))
    async with street.serving():
        await asyncio.wait_for(ready.wait(), 60)
        stop.set()
        placed = await asyncio.wait_for(running, 60)
    assert placed.demands > 0
    assert placed.amount_fen >= TARGET_FEN * len(CARRIERS)


async def test_a_wrong_key_is_no_end(street: Street) -> None:
    street.key = "wrong.key"
    async with street.serving(), street.reseller() as buyer:
        with pytest.raises(Unavailable, match="401"):
            await buyer.step()


async def test_notices_are_taken_when_genuine_and_counted_once(street: Street) -> None:
    buyer = street.reseller()
    buyer._to_register = True
    async with street.serving(), buyer:
        street.desk.settings = SandboxSettings()
        await buyer.step()
    async with street.desk.pool.acquire() as conn:
        hook = (await outlets.hooks(conn, book=street.desk.book))["north"]
    secret = street.desk.keys.unseal(
        purpose="webhook", sealed=hook.secret, where=hook_place("north")
    ).decode()
    assert hook.url == f"{street.sandbox_url}/outlet/hook"
    teller = WebhookOutlet(now=lambda: datetime.now(UTC), allow_loopback=True)
    body = '{"type": "fill.delivered", "data": {"fill": "fil_0AM863TE8WXD7", "delivered_fen": 10000, "pays_fen": 9800}}'
    one = Notice("a" * 26, hook.url, secret, body)
    forged = Notice("b" * 26, hook.url, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", body)
    assert [(await teller.tell(each)).result for each in (one, one, forged)] == [
        Result.SUCCEEDED, Result.SUCCEEDED, Result.UNKNOWN,
    ]  # fmt: skip
    async with HttpFarSide(name="sandbox", base_url=street.sandbox_url, timeout_s=5, concurrency=1) as http:
        odd = await http.call(
            "POST",
            "/outlet/hook",
            content=b"{}",
            headers={"webhook-id": "x", "webhook-timestamp": "1", "webhook-signature": "v1"},
        )
        account = (await http.call("GET", "/sandbox/outlet/notices")).json()
    assert odd.status == 401
    assert {key: account[key] for key in ("notices", "fills", "delivered_fen", "pays_fen")} == {
        "notices": 1, "fills": 1, "delivered_fen": 10_000, "pays_fen": 9_800,
    }  # fmt: skip
    now = datetime.now(UTC)
    asked = [
        StatementAsk(ref * 26, hook.url, secret, since, since + timedelta(hours=1))
        for ref, since in (("c", now - timedelta(minutes=30)), ("d", now - timedelta(hours=2)))
    ]
    lines = [await teller.statement(ask) for ask in asked]
    assert [[(line.ref, line.amount_fen) for line in each] for each in lines] == [
        [("fil_0AM863TE8WXD7", 9_800)],
        [],
    ]
