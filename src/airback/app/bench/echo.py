"""A server that decodes JSON and encodes it again, and does nothing else: what HTTP itself costs here.

`python -m airback.app.bench.echo` serves `POST /v1/echo` with what `airback serve` is made of: Litestar on uvicorn, one
process, the same settings, the count of requests under way in front. It is an application of the bench alone; nothing that
is shipped as the API has such a route. It writes its port and serves until standard input closes.
"""

import asyncio
import socket
import sys
from typing import Any

import msgspec
from litestar import Litestar, Request, Response, Router, post

from airback.app.running import run
from airback.app.serving import http_server


@post("/echo", status_code=200)
async def echo(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The JSON value that was sent."""
    value = msgspec.json.decode(await request.body())
    return Response(content=msgspec.json.encode(value), media_type="application/json")


def build() -> Litestar:
    """The application: one route."""
    return Litestar(
        [Router(path="/v1", route_handlers=[echo])], openapi_config=None, logging_config=None, debug=False
    )


async def serve() -> None:
    """Serve as `airback.app.serving` does."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listening.setblocking(False)
    server = http_server(build())
    running = asyncio.create_task(server.serve(sockets=[listening]))
    sys.stdout.write(f"{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.buffer.read)
    server.should_exit = True
    await running


def main() -> None:
    """Serve until standard input closes."""
    run(serve())


if __name__ == "__main__":
    main()
