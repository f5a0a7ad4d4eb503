"""Webhooks against a real server that checks each signature with the standard's own library."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from standardwebhooks import Webhook

from airback.adapters.outlet.webhook import PrivateAddress, WebhookOutlet, check_address, resolve_name
from airback.domain.effects import Result
from tests.adapters.outlet.conformance import SECRET, OutletConformance, notice

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Receiver:
    """An outlet's own server."""

    def __init__(self) -> None:
        self.outlet = WebhookOutlet(now=lambda: datetime.now(UTC), allow_loopback=True, timeout_s=2)
        self.url = ""
        self.taken: list[tuple[str, str]] = []
        self.next = ""
        self.paths: list[str] = []
        self.fills: list[dict[str, Any]] = []

    def received(self) -> list[tuple[str, str]]:
        return self.taken

    def received_fill(self, fill: str, pays_fen: int, at: datetime, *, reversed: bool = False) -> None:
        self.fills.append({"fill": fill, "pays_fen": pays_fen, "at": at.isoformat(), "reversed": reversed})

    def misbehave(self, what: str) -> None:
        self.next = what

    def account(self, ref: str, asked: dict[str, str], trick: str) -> bytes:
        since, until = (datetime.fromisoformat(asked[name]) for name in ("since", "until"))
        fills = [one for one in self.fills if since <= datetime.fromisoformat(one["at"]) < until]
        times = {"since": asked["until"]} if trick == "elsewhen" else {}
        body = "{}" if trick == "nonsense" else json.dumps({**asked, **times, "fills": fills})
        secret = "whsec_" + "A" * 32 if trick == "forged" else SECRET
        named = "z" * 26 if trick == "replayed" else ref
        at = datetime.now(UTC)
        head = (
            f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\nwebhook-id: {named}\r\n"
            f"webhook-timestamp: {int(at.timestamp())}\r\n"
            f"webhook-signature: {Webhook(secret).sign(named, at, body)}\r\n\r\n"
        )
        return (head + body).encode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {
            k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)
        }
        body = await reader.readexactly(int(headers["content-length"]))
        self.paths.append(head[0])
        Webhook(SECRET).verify(body, headers)  # raises unless it is genuine and fresh
        trick, self.next = self.next, ""
        said = json.loads(body)
        if said["type"] == "statement.asked" and trick not in ("lose_answer", "refuse", "gone", "silent"):
            writer.write(self.account(headers["webhook-id"], said["data"], trick))
            await writer.drain()
            writer.close()
            return
        if trick in ("", "lose_answer", "chat"):
            self.taken.append((headers["webhook-id"], body.decode()))
        if trick == "chat":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n" + b"x" * 100_000)
            await writer.drain()
        elif trick != "lose_answer":
            status = {
                "silent": "204 No Content",
                "": "204 No Content",
                "refuse": "500 No",
                "gone": "410 Gone",
                "away": "302 Found",
            }[trick]
            writer.write(f"HTTP/1.1 {status}\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n".encode())
            await writer.drain()
        writer.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook?of=north"
    async with server:
        yield made


@pytest.fixture
def stage(receiver: Receiver) -> Receiver:
    return receiver


class TestWebhook(OutletConformance):
    async def test_the_path_and_the_query_are_the_outlets_own(self, stage: Receiver) -> None:
        await stage.outlet.tell(notice(stage))
        assert stage.paths[-1] == "POST /hook?of=north HTTP/1.1"

    async def test_a_long_answer_is_an_answer(self, stage: Receiver) -> None:
        stage.misbehave("chat")
        outcome = await stage.outlet.tell(notice(stage))
        assert (outcome.result, outcome.detail) == (Result.SUCCEEDED, {"status": 200})

    async def test_a_redirect_is_not_followed(self, stage: Receiver) -> None:
        stage.misbehave("away")
        asked = len(stage.paths)
        outcome = await stage.outlet.tell(notice(stage))
        assert (outcome.result, outcome.detail) == (Result.UNKNOWN, {"status": 302})
        assert len(stage.paths) == asked + 1

    async def test_nobody_at_home_is_not_sent(self, stage: Receiver, unused_tcp_port: int) -> None:
        outcome = await stage.outlet.tell(notice(stage, url=f"http://127.0.0.1:{unused_tcp_port}/"))
        assert (outcome.result, outcome.code) == (Result.UNKNOWN, "not_sent")

    async def test_this_machine_is_out_of_reach_unless_the_operator_allows_it(self, stage: Receiver) -> None:
        strict = WebhookOutlet(now=lambda: datetime.now(UTC), allow_loopback=False)
        asked = len(stage.paths)
        outcome = await strict.tell(notice(stage))
        assert (outcome.result, outcome.code) == (Result.FAILED, "hook_private")
        assert len(stage.paths) == asked

    async def test_a_name_that_leads_inside_is_refused_though_another_of_its_addresses_is_public(
        self, stage: Receiver
    ) -> None:
        for found in (
            ["10.0.0.7"],
            ["93.184.215.14", "192.168.1.4"],
            ["169.254.169.254"],
            ["::ffff:127.0.0.1"],
        ):

            async def resolve(host: str, port: int, found: list[str] = found) -> Sequence[str]:
                assert (host, port) == ("shop.example", 443)
                return found

            outlet = WebhookOutlet(now=lambda: datetime.now(UTC), allow_loopback=False, resolve=resolve)
            outcome = await outlet.tell(notice(stage, url="https://shop.example/hook"))
            assert (outcome.result, outcome.code) == (Result.FAILED, "hook_private"), found

    async def test_the_connection_goes_to_the_address_that_was_looked_at(self, stage: Receiver) -> None:
        port = int(stage.url.rpartition(":")[2].partition("/")[0])

        async def resolve(host: str, port: int) -> Sequence[str]:
            return ["127.0.0.1"]

        outlet = WebhookOutlet(now=lambda: datetime.now(UTC), allow_loopback=True, resolve=resolve)
        # nobody else knows this name
        outcome = await outlet.tell(notice(stage, url=f"http://shop.invalid:{port}/hook"))
        assert outcome.result is Result.SUCCEEDED

    async def test_a_host_that_two_readers_read_in_two_ways_is_not_sent_to(self, stage: Receiver) -> None:
        port = int(stage.url.rpartition(":")[2].partition("/")[0])

        async def resolve(host: str, port: int) -> Sequence[str]:
            return ["93.184.215.14"]  # the sender of such an address answers for his own name

        outlet = WebhookOutlet(now=lambda: datetime.now(UTC), allow_loopback=False, resolve=resolve)
        for scheme in ("http", "https"):
            url = f"{scheme}://127.0.0.1:{port}\\x.shop.example/hook"
            outcome = await outlet.tell(notice(stage, url=url))
            assert (outcome.result, outcome.code) == (Result.FAILED, "hook_private")
        outcome = await outlet.tell(notice(stage, url="https://10.0.0.1\\x.shop.example/hook"))
        assert (outcome.result, outcome.code) == (Result.FAILED, "hook_private")

    async def test_a_name_server_that_never_answers_is_asked_once_at_a_time(self, stage: Receiver) -> None:
        asked: list[str] = []

        async def resolve(host: str, port: int) -> Sequence[str]:
            asked.append(host)
            await asyncio.sleep(0.4)
            raise OSError

        outlet = WebhookOutlet(
            now=lambda: datetime.now(UTC), allow_loopback=False, resolve=resolve, timeout_s=0.2
        )
        told = notice(stage, url="https://shop.example/hook")
        outcomes = await asyncio.gather(*(outlet.tell(told) for _ in range(5)))
        assert {(o.result, o.code) for o in outcomes} == {(Result.UNKNOWN, "not_sent")}
        assert asked == ["shop.example"]
        await asyncio.sleep(0.3)
        await outlet.tell(told)
        assert len(asked) == 2

    async def test_names_are_not_looked_up_in_the_loops_own_threads(self) -> None:
        loop, held = asyncio.new_event_loop(), threading.Event()

        async def look() -> Sequence[str]:
            loop.set_default_executor(ThreadPoolExecutor(1))
            waiting = loop.run_in_executor(None, held.wait)  # all of them are taken
            try:
                async with asyncio.timeout(5):
                    return await resolve_name("127.0.0.1", 443)
            finally:
                held.set()
                await waiting

        try:
            assert await asyncio.to_thread(loop.run_until_complete, look()) == ["127.0.0.1"]
        finally:
            loop.close()

    async def test_plain_http_goes_nowhere_but_to_this_machine(self, stage: Receiver) -> None:
        async def resolve(host: str, port: int) -> Sequence[str]:
            return ["93.184.215.14"]

        outlet = WebhookOutlet(now=lambda: datetime.now(UTC), allow_loopback=True, resolve=resolve)
        outcome = await outlet.tell(notice(stage, url="http://shop.example/hook"))
        assert (outcome.result, outcome.code) == (Result.FAILED, "hook_private")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "fec0::1", "::ffff:10.0.0.1", "2002:7f00:1::", "ff02::1",
    ],
)  # fmt: skip
async def test_an_address_inside_is_refused(address: str) -> None:
    with pytest.raises(PrivateAddress):
        check_address(address, allow_loopback=False)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
async def test_a_public_address_is_good(address: str) -> None:
    check_address(address, allow_loopback=False)
