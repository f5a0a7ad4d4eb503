"""The client against real servers on the loopback: what left, what was lost, what is kept."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from airback.adapters.http.client import AnswerLost, HttpFarSide, NotSent, encode_json
from airback.adapters.http.redaction import Redaction

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(
    handler: Handler, *, timeout_s: float = 2.0, concurrency: int = 4, redaction: Redaction | None = None
) -> AsyncIterator[HttpFarSide]:
    """A far side at a server that treats each connection as `handler` says."""
    tasks: set[asyncio.Task[None] | None] = set()

    async def tracked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client went away, or the test is over
        finally:
            writer.close()

    server = await asyncio.start_server(tracked, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with HttpFarSide(
        name="far",
        base_url=f"http://127.0.0.1:{port}/root",
        timeout_s=timeout_s,
        concurrency=concurrency,
        redaction=redaction,
    ) as far_side:
        yield far_side
    server.close()
    for task in tasks:
        if task is not None:
            task.cancel()
    await asyncio.sleep(0)
    await server.wait_closed()


async def read_request(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    """Head and body of one request."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = next(
        (int(line[15:]) for line in head.lower().split("\r\n") if line.startswith("content-length:")), 0
    )
    return head, await reader.readexactly(length)


def answering(answer: bytes, *, seen: list[tuple[str, bytes]] | None = None) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await read_request(reader)
            if seen is not None:
                seen.append(request)
            writer.write(answer)
            await writer.drain()

    return handler


def plain(body: bytes, *, status: str = "200 OK", kind: str = "application/json", more: str = "") -> bytes:
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_an_answer_comes_back_with_status_headers_and_exact_numbers() -> None:
    seen: list[tuple[str, bytes]] = []
    async with serving(
        answering(plain(b'{"amount": 12.30}', more="X-Kind: Good\r\n"), seen=seen)
    ) as far_side:
        answer = await far_side.call(
            "POST", "/path", query=[("a", "1 &2")], json={"amount": Decimal("99.90"), "字": None}
        )
    assert answer.status == 200
    assert answer.headers["x-kind"] == "Good"
    assert answer.json() == {"amount": Decimal("12.30")}
    head, body = seen[0]
    assert head.startswith("POST /root/path?a=1+%262 HTTP/1.1\r\n")
    assert body == '{"amount":99.90,"字":null}'.encode()


async def test_connections_are_pooled() -> None:
    connections = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await answering(plain(b"{}"))(reader, writer)

    async with serving(handler) as far_side:
        for _ in range(5):
            assert (await far_side.call("GET", "/x")).status == 200
    assert connections == 1


@pytest.mark.parametrize("status", ["204 No Content", "404 Not Found", "500 Oops", "503 Busy"])
async def test_any_status_is_an_answer(status: str) -> None:
    async with serving(answering(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())) as far_side:
        answer = await far_side.call("GET", "/x")
    assert answer.status == int(status[:3])
    assert answer.exchange.status == int(status[:3])


async def test_a_redirect_is_an_answer_and_not_followed() -> None:
    seen: list[tuple[str, bytes]] = []
    answer_bytes = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    async with serving(answering(answer_bytes, seen=seen)) as far_side:
        answer = await far_side.call("POST", "/x", json={})
    assert answer.status == 302
    assert len(seen) == 1


async def test_a_refused_connection_was_not_sent() -> None:
    async with HttpFarSide(
        name="far", base_url=f"http://127.0.0.1:{unused_port()}", timeout_s=2, concurrency=1
    ) as far_side:
        with pytest.raises(NotSent) as caught:
            await far_side.call("POST", "/x", json={"a": 1})
    assert caught.value.reason == "connect_failed"
    assert caught.value.exchange.request == '{"a":1}'
    assert caught.value.exchange.status is None


async def test_a_name_that_does_not_resolve_was_not_sent() -> None:
    async with HttpFarSide(
        name="far", base_url="http://nowhere.invalid", timeout_s=5, concurrency=1
    ) as far_side:
        with pytest.raises(NotSent):
            await far_side.call("POST", "/x", json={})


async def test_a_failed_tls_handshake_was_not_sent() -> None:
    async with serving(answering(b"this is no TLS\r\n\r\n")) as plain_side:
        port = plain_side._base_url.rsplit(":", 1)[1].split("/")[0]
        async with HttpFarSide(
            name="far", base_url=f"https://127.0.0.1:{port}", timeout_s=2, concurrency=1
        ) as far_side:
            with pytest.raises(NotSent):
                await far_side.call("POST", "/x", json={})


async def test_a_connection_that_never_comes_about_was_not_sent() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with HttpFarSide(name="far", base_url=url, timeout_s=2, concurrency=1) as far_side:
            with pytest.raises(NotSent):
                await far_side.call("POST", "/x", json={})
        for client in waiting:
            client.close()


async def test_a_connection_closed_before_anything_was_read_is_a_lost_answer() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with serving(handler) as far_side:
        with pytest.raises(AnswerLost):
            await far_side.call("POST", "/x", json={})


async def test_silence_after_the_request_is_a_lost_answer() -> None:
    arrived = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        arrived.set()
        await asyncio.sleep(30)

    async with serving(handler) as far_side:
        with pytest.raises(AnswerLost) as caught:
            await far_side.call("POST", "/x", json={}, timeout_s=0.2)
    assert arrived.is_set()
    assert caught.value.reason == "timeout"
    assert caught.value.exchange.milliseconds >= 190


async def test_an_answer_that_only_trickles_is_lost_within_the_limit() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with serving(handler) as far_side:
        started = asyncio.get_running_loop().time()
        with pytest.raises(AnswerLost):
            await far_side.call("GET", "/x", timeout_s=0.3)
        assert asyncio.get_running_loop().time() - started < 2


@pytest.mark.parametrize(
    "beginning",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"half": '],
    ids=["before the answer", "in its head", "in its body"],
)
async def test_a_connection_closed_early_is_a_lost_answer(beginning: bytes) -> None:
    requests = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await read_request(reader)
        requests += 1
        writer.write(beginning)
        await writer.drain()

    async with serving(handler) as far_side:
        with pytest.raises(AnswerLost) as caught:
            await far_side.call("POST", "/x", json={})
    assert caught.value.reason == "connection_broken"
    assert requests == 1  # nothing is tried again behind the engine's back


async def test_a_reset_on_a_pooled_connection_is_a_lost_answer_and_sent_once() -> None:
    requests = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await read_request(reader)
        requests += 1
        writer.write(plain(b"{}"))
        await writer.drain()
        await read_request(reader)
        requests += 1
        writer.transport.abort()

    async with serving(handler) as far_side:
        await far_side.call("POST", "/x", json={})
        with pytest.raises(AnswerLost):
            await far_side.call("POST", "/x", json={})
    assert requests == 2


@pytest.mark.parametrize(
    "answer", [b"\x00\x01\x02\x03\r\n\r\n", b"HTTP/1.1 abc Bad\r\n\r\n", b"220 smtp ready\r\n"]
)
async def test_an_answer_that_is_no_http_is_lost(answer: bytes) -> None:
    async with serving(answering(answer)) as far_side:
        with pytest.raises(AnswerLost):
            await far_side.call("POST", "/x", json={})


async def test_an_oversized_answer_is_lost_and_not_kept_whole() -> None:
    async with serving(answering(plain(b'"' + b"a" * 3_000_000 + b'"'))) as far_side:
        with pytest.raises(AnswerLost) as caught:
            await far_side.call("POST", "/x", json={})
    assert caught.value.reason == "answer_too_large"
    assert len(caught.value.exchange.response) < 10_000


async def test_a_call_that_gets_no_connection_was_not_sent() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await asyncio.sleep(30)

    async with serving(handler, concurrency=1, timeout_s=0.3) as far_side:
        first = asyncio.create_task(far_side.call("GET", "/first", timeout_s=5))
        await asyncio.sleep(0.05)
        with pytest.raises(NotSent) as caught:
            await far_side.call("GET", "/second")
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
    assert caught.value.reason == "no_free_connection"


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{unused_port()}")
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{unused_port()}")
    async with serving(answering(plain(b"{}"))) as far_side:
        assert (await far_side.call("GET", "/x")).status == 200


@pytest.mark.parametrize("body", [b"", b"{", b"NaN", b"[Infinity]", b"\xff\xfe", b"[" * 100_000, b"<html>"])
async def test_a_body_that_is_no_json_raises_value_error(body: bytes) -> None:
    async with serving(answering(plain(body))) as far_side:
        answer = await far_side.call("GET", "/x")
    try:
        document = answer.json()
    except ValueError:
        document = "refused"
    assert document == "refused"


async def test_the_exchange_keeps_no_secret_and_no_full_number() -> None:
    said = '{"voucher":"123456789012","deep":[{"Token":"t-1"}],"note":"code 900011112222 for 13800138000","msisdn":"+8613800138000"}'
    redaction = Redaction(hidden_keys=frozenset({"token"}), masked_keys=frozenset({"name"}))
    async with serving(answering(plain(said.encode())), redaction=redaction) as far_side:
        answer = await far_side.call(
            "POST",
            "/bucket/principal:13800138000",
            query=[("number", "13912345678"), ("token", "t-2"), ("name", "王小明先生女士们好")],
            json={"voucher": "123456789012", "name": "long name of a person", "n": 1.5},
            headers={"authorization": "Bearer t-3"},
            secrets=["900011112222"],
        )
    kept = repr(answer.exchange)
    for secret in (
        "123456789012",
        "900011112222",
        "13800138000",
        "13912345678",
        "t-1",
        "t-2",
        "t-3",
        "long name",
        "王小明先生",
    ):
        assert secret not in kept
    assert "138****8000" in kept
    assert answer.json()["voucher"] == "123456789012"


async def test_a_lost_call_says_nothing_secret_in_its_text() -> None:
    async with HttpFarSide(
        name="far", base_url=f"http://127.0.0.1:{unused_port()}", timeout_s=1, concurrency=1
    ) as far_side:
        with pytest.raises(NotSent) as caught:
            await far_side.call("GET", "/number/13800138000", query=[("code", "123456")])
    assert "13800138000" not in f"{caught.value} {caught.value.__cause__} {caught.value.exchange}"
    assert "123456" not in f"{caught.value} {caught.value.__cause__} {caught.value.exchange}"


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://user:pass@host", "http://host/?q=1", "host:1"])
def test_a_base_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base URL"):
        HttpFarSide(name="far", base_url=url, timeout_s=1, concurrency=1)


async def test_a_path_that_does_not_begin_with_a_slash_is_refused() -> None:
    async with HttpFarSide(name="far", base_url="http://127.0.0.1:1", timeout_s=1, concurrency=1) as far_side:
        with pytest.raises(ValueError, match="path"):
            await far_side.call("GET", "//evil.example".lstrip("/"))


def test_decimals_are_written_digit_by_digit() -> None:
    assert (
        encode_json([Decimal("0.10"), Decimal("1E+2"), Decimal("99999999.99"), 3])
        == b"[0.10,100,99999999.99,3]"
    )
    with pytest.raises(ValueError, match="number"):
        encode_json(Decimal("NaN"))
