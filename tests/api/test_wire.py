"""The API over a real socket: uvicorn on loopback, and what only a wire shows."""

import asyncio
import socket
from collections.abc import AsyncIterator

import httpx
import pytest
import uvicorn

from tests.api.desk import Api, Desk, code_of


@pytest.fixture
async def address(desk: Desk) -> AsyncIterator[tuple[str, int]]:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(desk.app(), log_config=None, access_log=False, lifespan="off", ws="none")
    )
    running = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:
        await asyncio.sleep(0.01)
    yield listening.getsockname()
    server.should_exit = True
    await running
    listening.close()


async def test_an_order_goes_over_the_wire(desk: Desk, api: Api, address: tuple[str, int]) -> None:
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{address[1]}", trust_env=False, timeout=60
    ) as wire:
        headers = {"authorization": f"Bearer {api.key}", "idempotency-key": "k", "accept-language": "en"}
        placed = await wire.post("/v1/orders", json=desk.order(), headers=headers)
        assert placed.status_code == 201, placed.text
        read = await wire.get(f"/v1/orders/{placed.json()['id']}", headers=headers)
        assert read.json()["state"] == "submitted"
        wrong = await wire.put("/v1/orders", headers=headers)
        assert code_of(wrong) == "method_not_allowed"
        assert code_of(await wire.get("/v1/orders", headers={})) == "credentials_missing"


async def test_ten_megabytes_are_refused_before_they_are_read(
    desk: Desk, api: Api, address: tuple[str, int]
) -> None:
    """The answer comes although almost nothing of the announced body was sent."""
    for announced in (b"content-length: 10000000\r\n", b"transfer-encoding: chunked\r\n"):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(
            b"POST /v1/orders HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json\r\n"
            b"idempotency-key: k\r\nauthorization: Bearer "
            + str(api.key).encode()
            + b"\r\n"
            + announced
            + b"\r\n"
        )
        if b"chunked" in announced:
            megabyte = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
            for _ in range(5):  # of ten; the limit is four
                writer.write(megabyte)
                await writer.drain()
        answer = await asyncio.wait_for(reader.read(4096), timeout=60)
        assert answer.startswith(b"HTTP/1.1 413"), answer
        assert b"body_too_large" in answer
        writer.close()
    assert await desk.pool.fetchval("SELECT count(*) FROM orders") == 0
