"""A sandbox that runs in a thread of its own, with a clock that tests may push forward."""

import asyncio
import http.client
import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from airback.sandbox.server import serve
from airback.sandbox.tokens import access_token


class Clock:
    """The real time, plus what a test added to it."""

    def __init__(self) -> None:
        self._ahead = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def push(self, seconds: float) -> None:
        """Let time pass."""
        self._ahead += timedelta(seconds=seconds)


class RunningSandbox:
    """`airback.sandbox.server.serve` on a free port. Use as a context manager; it may be started again."""

    def __init__(self, data_dir: Path, *, auth: bool = True) -> None:
        self.data_dir = data_dir
        self.auth = auth
        self.clock = Clock()
        self.url = ""

    @property
    def token(self) -> str:
        """The bearer token of this sandbox."""
        return access_token(self.data_dir)

    def __enter__(self) -> Self:
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        if not self._ready.wait(30) or self._failure is not None:
            raise RuntimeError("the sandbox did not start") from self._failure
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        if self._thread.is_alive():
            raise RuntimeError("the sandbox did not stop")

    def call(
        self, method: str, path: str, document: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, dict[str, str]]:
        """(status, JSON or None, headers) of one request, made without the product's own client."""
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
        try:
            body = (
                document if document is None or isinstance(document, bytes) else json.dumps(document).encode()
            )
            sent = {"content-type": "application/json"} if body is not None else {}
            connection.request(method, path, body=body, headers={**sent, **(headers or {})})
            answer = connection.getresponse()
            text = answer.read()
            told = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, json.loads(text) if text else None, told
        finally:
            connection.close()

    def _run(self) -> None:
        async def serving() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            await serve(
                "127.0.0.1:0",
                self.data_dir,
                auth=self.auth,
                ready=self._is_ready,
                stop=self._stop,
                now=self.clock,
            )

        try:
            asyncio.run(serving())
        except BaseException as error:
            self._failure = error
            self._ready.set()

    def _is_ready(self, url: str) -> None:
        self.url = url
        self._ready.set()


def counts_of(document: Any) -> dict[str, int]:
    """The answer of `GET /sandbox/counts`, checked for its shape."""
    assert set(document) == {
        "http_calls",
        "executions",
        "payments",
        "duplicates",
        "delivered_fen",
        "paid_fen",
    }
    return dict(document)
