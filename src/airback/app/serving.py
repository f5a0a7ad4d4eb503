"""`airback serve`: the API and the pages in one process."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from litestar import Litestar
from litestar.datastructures import State
from litestar.exceptions import HTTPException

from airback.api.crowd import Crowd
from airback.api.problems import on_http as api_on_http
from airback.api.routes import ROUTERS, under_v1
from airback.app import presence
from airback.app.platform import Platform, database, open_platform, wait_for_sandbox
from airback.app.settings import DEFAULT_PORT, Settings
from airback.web.console.routes import CONSOLE_ROUTERS
from airback.web.routes import SELLER_ROUTERS
from airback.web.seller.problems import on_http as page_on_http


def build(platform: Platform) -> Litestar:
    """The application: `/v1`, the seller's pages, the console."""
    return Litestar(
        route_handlers=[*ROUTERS, *CONSOLE_ROUTERS, *SELLER_ROUTERS],
        state=State({"platform": platform}),
        exception_handlers={HTTPException: _elsewhere},
        openapi_config=None,
        logging_config=None,
        debug=False,
    )


def http_server(application: Litestar) -> uvicorn.Server:
    """The server of an application, the count of requests under way in front."""
    config = uvicorn.Config(
        Crowd(application),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=3,
        ws="none",
    )
    return uvicorn.Server(config)


def _elsewhere(request: Any, error: HTTPException) -> Any:
    """An address that matches nothing is answered in the manner of its reader."""
    return api_on_http(request, error) if under_v1(request) else page_on_http(request, error)


async def serve(
    settings: Settings,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    stop: asyncio.Event,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until `stop`. `port` None prefers the usual one and takes a free one when that is taken; 0 takes a free one."""
    listening = _listen(host, port)
    bound_host, bound_port = listening.getsockname()[:2]
    url = f"http://{bound_host}:{bound_port}"
    async with database(settings) as database_url:
        await wait_for_sandbox(settings)
        async with open_platform(settings, url=database_url) as platform:
            server = http_server(build(platform))
            with presence.announce(settings.run_dir, "serve", url=url):
                running = asyncio.create_task(_run(server, listening))
                if ready is not None:
                    ready(url)
                waiting = asyncio.create_task(stop.wait())
                await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
                server.should_exit = True
                waiting.cancel()
                await running
    listening.close()


async def _run(server: uvicorn.Server, listening: socket.socket) -> None:
    config = server.config
    if not config.loaded:
        config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listening])
    if not server.should_exit:
        await server.main_loop()
    await server.shutdown(sockets=[listening])


def _listen(host: str, port: int | None) -> socket.socket:
    try:
        bound = socket.create_server((host, DEFAULT_PORT if port is None else port), backlog=1024)
    except OSError:
        if port is not None:
            raise
        bound = socket.create_server((host, 0), backlog=1024)
    bound.setblocking(False)
    return bound
