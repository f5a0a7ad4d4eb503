"""The sandbox's one HTTP server: far sides to practise with, each with its own honest accounts.

`build` makes the ASGI application, `serve` runs it on uvicorn. Far sides are plugs (`airback.sandbox.wire`); every
call to one is counted, and may be made to fail on purpose (`airback.sandbox.faults`). The files lie below
`DATA/sandbox/` and survive a kill. Dropping a connection needs the server's help: `serve` gives it, any other
ASGI server answers half and closes.
"""

import asyncio
import contextlib
import os
import re
import secrets
import socket
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from airback.sandbox import alipay, camara, desk, faults, messages, notices, sms, tmf654, tokens
from airback.sandbox.accounts import Accounts
from airback.sandbox.faults import Faults
from airback.sandbox.messages import MessageBook
from airback.sandbox.wire import (
    MOST_BODY_BYTES,
    Caller,
    Counts,
    Dropped,
    Frame,
    Plug,
    Reply,
    Request,
    Route,
    Unreadable,
)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_CARRIER_ADDRESS: Final = re.compile(r"/carriers/(cmcc|ctcc|cucc|cbn)(/.*)", re.ASCII)
_DROP: Final = "airback.drop"


def build(
    data_dir: Path,
    *,
    auth: bool = True,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    entropy: Callable[[int], bytes] = secrets.token_bytes,
) -> "Sandbox":
    """The sandbox as an ASGI application over the books below `data_dir`; `auth=False` accepts every caller."""
    folder = tokens.sandbox_folder(data_dir)
    frame = Frame(
        folder=folder, now=now, entropy=entropy, faults=Faults(), messages=MessageBook(folder), auth=auth
    )
    return Sandbox(
        frame=frame, plugs=[faults.plug(frame.faults), messages.plug(frame.messages), *far_sides(frame)]
    )


def far_sides(frame: Frame) -> list[Plug]:
    """Every far side of the sandbox. A new one is added here."""
    accounts = Accounts(frame.folder, now=frame.now)
    if not accounts.subscribers(carrier=None, offset=0, limit=1):
        accounts.add_subscribers(desk.first_lines(frame.now()))
    return [
        tmf654.plug(frame, accounts),
        camara.plug(frame, accounts),
        desk.plug(frame, accounts),
        alipay.plug(frame),
        sms.plug(frame),
        notices.plug(frame),
    ]


class Sandbox:
    """The ASGI application."""

    def __init__(self, *, frame: Frame, plugs: Sequence[Plug]) -> None:
        self._frame = frame
        self._tokens = tokens.Tokens(frame.folder)
        self._plugs = [
            *plugs,
            tokens.plug(self._tokens, now=frame.now),
            Plug(
                name="counts",
                routes=[
                    Route("GET", "/sandbox/counts", self._show_counts, counted=False),
                ],
            ),
        ]
        self._fixed: dict[tuple[str, str], Route] = {}
        self._patterned: list[tuple[re.Pattern[str], Route]] = []
        for plug in self._plugs:
            for route in plug.routes:
                if "{" in route.path:
                    self._patterned.append((route.pattern(), route))
                else:
                    self._fixed[route.method, route.path] = route
        self._http_calls = _CallCount(frame.folder / "http_calls")
        self._tasks: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    def counts(self) -> dict[str, int]:
        """Calls to far sides, and what these did, over all of them."""
        told = [plug.counts() for plug in self._plugs if plug.counts is not None]
        total = {name: sum(getattr(count, name) for count in told) for name in Counts.__slots__}
        return {"http_calls": self._http_calls.value, **total}

    def close(self) -> None:
        """Close every far side's files."""
        self._http_calls.keep()
        for plug in self._plugs:
            if plug.close is not None:
                plug.close()

    async def _show_counts(self, _: Request) -> Reply:
        self._http_calls.keep()
        return Reply.json(200, self.counts())

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._tasks = [
                    asyncio.ensure_future(plug.run()) for plug in self._plugs if plug.run is not None
                ]
                await send({"type": "lifespan.startup.complete"})
            else:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)
                self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            reply, request = await self._handle(scope, receive)
            fault = request.fault if request is not None else None
            if fault is not None and fault.kind == "answer_lost":
                raise Dropped
            if fault is not None and fault.kind == "late":
                await asyncio.sleep(fault.delay_ms / 1000)
        except Dropped:
            await _drop(scope, send)
            return
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
        headers.append((b"content-length", str(len(reply.body)).encode()))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})

    async def _handle(self, scope: Scope, receive: Receive) -> tuple[Reply, Request | None]:
        path = scope.get("raw_path", b"").partition(b"?")[0].decode("latin-1") or scope["path"]
        carrier = None
        if (found := _CARRIER_ADDRESS.fullmatch(path)) is not None:
            carrier, path = found[1], found[2]
        request = Request(
            method=scope["method"],
            path=path,
            query=tuple(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
            headers={
                name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
            },
            body=b"",
            now=self._frame.now(),
            faults=self._frame.faults,
            carrier=carrier,
        )
        route, params, others = self._find(request.method, path)
        if not path.startswith("/sandbox/"):
            self._http_calls.add()
        body = await _read(receive)
        if route is None:
            if others:
                refuse = others[0].refuse or _refuse
                return refuse(request, 405, "METHOD_NOT_ALLOWED", "this address knows other methods"), None
            return self._nearest(path)(request, 404, "NOT_FOUND", "nothing is served at this address"), None
        refuse = route.refuse or _refuse
        request.params = params
        if body is None:
            return refuse(request, 413, "PAYLOAD_TOO_LARGE", "the body is too large"), None
        request.body = body
        if route.bearer:
            caller = self._tokens.caller(request.headers.get("authorization"), now=request.now)
            if caller is None and self._frame.auth:
                return refuse(request, 401, "UNAUTHENTICATED", "a valid access token is required"), None
            request.caller = caller or Caller()
        try:
            return await route.handler(request), request
        except Unreadable as error:
            return refuse(request, 400, "INVALID_ARGUMENT", str(error)), None

    def _find(self, method: str, path: str) -> tuple[Route | None, dict[str, str], list[Route]]:
        route = self._fixed.get((method, path))
        if route is not None:
            return route, {}, []
        others = [other for (_, fixed), other in self._fixed.items() if fixed == path]
        for pattern, patterned in self._patterned:
            found = pattern.fullmatch(path)
            if found is not None:
                if patterned.method == method:
                    return patterned, {name: unquote(text) for name, text in found.groupdict().items()}, []
                others.append(patterned)
        return None, {}, others

    def _nearest(self, path: str) -> Callable[[Request, int, str, str], Reply]:
        """The manner of the far side whose addresses begin like this one."""
        head = path.split("/")[1] if "/" in path else ""
        for plug in self._plugs:
            for route in plug.routes:
                if route.refuse is not None and route.path.split("/")[1] == head:
                    return route.refuse
        return _refuse


class _CallCount:
    """Calls to far sides, kept in a file now and then: a kill may forget the last few hundred."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self.value = int(path.read_text())
        except (OSError, ValueError):
            self.value = 0

    def add(self) -> None:
        self.value += 1
        if self.value % 500 == 0:
            self.keep()

    def keep(self) -> None:
        beside = self._path.with_suffix(f".{os.getpid()}")
        beside.write_text(str(self.value))
        beside.replace(self._path)


class _DroppingProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with a way to close the connection without an answer."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope.setdefault("extensions", {})[_DROP] = {"abort": self.transport.abort}


class _Server(uvicorn.Server):
    """uvicorn's server, saying when it accepts connections, and leaving signals alone when the caller stops it."""

    def __init__(self, config: uvicorn.Config, *, signals: bool) -> None:
        super().__init__(config)
        self.accepting = asyncio.Event()
        self._signals = signals

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.accepting.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        with super().capture_signals() if self._signals else contextlib.nullcontext():
            yield


async def serve(
    listen: str,
    data_dir: Path,
    *,
    auth: bool = True,
    ready: Callable[[str], None] | None = None,
    stop: asyncio.Event | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Serve until cancelled, `stop` is set, or (in a main thread) SIGINT or SIGTERM comes.

    `listen` is `host:port`; port 0 takes a free one. `ready` is told the base URL once connections are accepted.
    Raises OSError when the address is taken.
    """
    host, _, port = listen.rpartition(":")
    bound = socket.create_server((host.strip("[]") or "127.0.0.1", int(port)), backlog=1024)
    bound.setblocking(False)
    config = uvicorn.Config(
        build(data_dir, auth=auth, now=now),
        http=_DroppingProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=120,
        timeout_graceful_shutdown=2,
    )
    server = _Server(config, signals=stop is None)
    running = asyncio.ensure_future(server.serve(sockets=[bound]))
    waiting = [asyncio.ensure_future(server.accepting.wait())]
    if stop is not None:
        waiting.append(asyncio.ensure_future(stop.wait()))
    try:
        await asyncio.wait({running, waiting[0]}, return_when=asyncio.FIRST_COMPLETED)
        if ready is not None and server.accepting.is_set():
            address, taken = bound.getsockname()[:2]
            ready(f"http://{f'[{address}]' if ':' in address else address}:{taken}")
        await asyncio.wait({running, *waiting[1:]}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        server.should_exit = True
        for other in waiting:
            other.cancel()
        await running
        bound.close()


async def _read(receive: Receive) -> bytes | None:
    """The whole body, or None when it is too large."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Dropped
        size += len(message.get("body", b""))
        if size <= MOST_BODY_BYTES:
            parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts) if size <= MOST_BODY_BYTES else None


async def _drop(scope: Scope, send: Send) -> None:
    drop = scope.get("extensions", {}).get(_DROP)
    if not drop:
        await send({"type": "http.response.start", "status": 500, "headers": [(b"content-length", b"2")]})
        return
    drop["abort"]()
    await asyncio.sleep(0)  # lets the server notice, so that it does not complain of a missing answer


def _refuse(request: Request, status: int, code: str, message: str) -> Reply:
    del request
    return Reply.json(status, {"code": code, "message": message})
