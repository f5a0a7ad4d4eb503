"""The bench's generator and echo: small jobs, each figure one that can be counted by hand."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar.testing import AsyncTestClient

from airback.api.routes import V1
from airback.app.bench import echo, load
from airback.app.bench.http import _ask, _Rounds
from airback.app.bench.load import AnswerUnreadable, Job, Outcome


@pytest.fixture
async def answering() -> AsyncIterator[Callable[..., Any]]:
    """A server that notes each request and answers as it is told."""
    servers: list[asyncio.Server] = []
    conversations: list[asyncio.Task[None]] = []

    async def start(*answers: bytes) -> tuple[int, list[bytes]]:
        asked: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while head := await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b"":
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                asked.append(head + await reader.readexactly(length))
                for part in answers:
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(0.005)
                if b"close" in answers[0]:
                    break

        async def guarded(serving: Any, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await serving
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

        def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            conversations.append(asyncio.create_task(guarded(serve(reader, writer), writer)))

        server = await asyncio.start_server(begin, "127.0.0.1", 0)
        servers.append(server)
        return server.sockets[0].getsockname()[1], asked

    yield start
    for server in servers:
        server.close()
    await asyncio.wait_for(asyncio.gather(*conversations), 10)


def job(port: int, bodies: Path, **changes: Any) -> Job:
    values: dict[str, Any] = {
        "port": port,
        "path": "/v1/orders",
        "headers": {"authorization": "Bearer x"},
        "bodies": str(bodies),
        "seconds": 5,
        "connections": 3,
    }
    return Job(**(values | changes))


OK = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"


async def test_each_body_goes_out_once_under_a_key_of_its_own(
    answering: Callable[..., Any], tmp_path: Path
) -> None:
    port, asked = await answering(OK)
    bodies = tmp_path / "bodies"
    bodies.write_bytes(b"\n".join(b'{"n":%d}' % n for n in range(10)))
    outcome = await load.run(job(port, bodies, keys="k"))
    assert (outcome.requests, outcome.statuses, outcome.exhausted) == (10, {"201": 10}, True)
    assert outcome.seconds < 5
    assert sorted(json.loads(one.partition(b"\r\n\r\n")[2])["n"] for one in asked) == list(range(10))
    heads = [one.partition(b"\r\n\r\n")[0].decode().split("\r\n") for one in asked]
    assert all(
        lines[0] == "POST /v1/orders HTTP/1.1" and "authorization: Bearer x" in lines for lines in heads
    )
    assert {line for lines in heads for line in lines if "idempotency" in line} == {
        f"idempotency-key: k-{n}" for n in range(10)
    }


async def test_bodies_go_round_until_the_time_is_over_and_answers_may_come_in_pieces(
    answering: Callable[..., Any], tmp_path: Path
) -> None:
    port, asked = await answering(OK[:30], OK[30:45], OK[45:])
    bodies = tmp_path / "bodies"
    bodies.write_bytes(b"[1]\n[2]")
    outcome = await load.run(job(port, bodies, again=True, seconds=0.2))
    assert outcome.requests == len(asked) >= 3
    assert not outcome.exhausted
    assert 0.2 <= outcome.seconds < 5
    assert 10 <= outcome.p50_ms <= outcome.p99_ms
    assert not any(b"idempotency" in one for one in asked)
    assert outcome.per_s == outcome.requests / outcome.seconds


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"]
)
async def test_an_answer_that_cannot_be_read_ends_the_run(
    answering: Callable[..., Any], tmp_path: Path, answer: bytes
) -> None:
    port, _ = await answering(answer)
    bodies = tmp_path / "bodies"
    bodies.write_bytes(b"[1]")
    with pytest.raises(AnswerUnreadable):
        await load.run(job(port, bodies, again=True, seconds=0.1))


def test_the_generator_measures_the_responder_from_process_to_process(tmp_path: Path) -> None:
    bodies = tmp_path / "bodies"
    bodies.write_bytes(b'{"a": "\xe4\xb8\xad"}')
    module = [sys.executable, "-m", "airback.app.bench.load"]
    with subprocess.Popen([*module, "respond"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as responder:
        assert responder.stdout is not None
        asked = job(int(responder.stdout.readline()), bodies, again=True, seconds=0.3)
        done = subprocess.run(module, input=msgspec.json.encode(asked), capture_output=True, check=True)
        responder.communicate()
    outcome = msgspec.json.decode(done.stdout, type=Outcome)
    assert responder.returncode == 0
    assert outcome.statuses == {"200": outcome.requests}


async def test_the_echo_gives_back_what_was_sent_and_is_no_part_of_the_api() -> None:
    async with AsyncTestClient(echo.build()) as client:
        sent = _ask(1)
        answer = await client.post("/v1/echo", json=sent)
        assert (answer.status_code, answer.json()) == (200, sent)
    assert not any("echo" in route.path for route in V1.routes)


def test_a_ratio_is_taken_within_its_round_and_another_status_than_asked_for_is_no_figure() -> None:
    def outcome(per_s: int, status: str = "200") -> Outcome:
        return Outcome(per_s, 1.0, {status: per_s}, 1.0, 2.0, False)

    found = _Rounds()
    for echoed, done in ((1000, 500), (100, 90), (2000, 1400)):
        found.add("echo", outcome(echoed), status="200")
        found.add("order", outcome(done, "201"), status="201")
    assert found.ratio("order", "echo") == 0.7
    assert found.per_s("echo") == 1000
    with pytest.raises(Exception, match="answered with"):
        found.add("echo", outcome(5, "429"), status="200")
