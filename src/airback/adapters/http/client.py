"""`HttpFarSide`: one far side spoken to over HTTP, pooled, bounded, and honest about what may have arrived.

Two failures only, since the engine treats nothing else apart: `NotSent`, when the request surely did not leave
(connection refused, name not found, TLS handshake failed, no free connection in time), and `AnswerLost`, when
it may have arrived (timeout, reset, broken or oversized answer). Any HTTP status at all is an answer. Both carry
the redacted `Exchange`. Nothing is retried, no redirect is followed, no proxy is taken from the environment.
"""

import asyncio
import json as json_module
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final, NoReturn, Self
from urllib.parse import urlencode, urlsplit

from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import (
    BuilderError,
    PyreqwestError,
    RequestTimeoutError,
)

from airback.adapters.http.redaction import Redaction
from airback.domain.effects import Exchange

#: Largest answer that is read, in bytes. A far side that says more is not understood.
MOST_ANSWER_BYTES: Final = 1 << 20

#: Connecting takes no longer than this, in seconds, and no longer than half of a far side's own limit: a
#: connection that never came about is then known as one, before the whole call's time is up.
MOST_CONNECT_S: Final = 5.0

#: How the library says that the connection was never established (refused, no such name, TLS, no answer to SYN).
_CONNECTING_FAILED: Final = "client error (Connect)"


class CallFailed(Exception):
    """No answer. `reason` is a short name, safe to log; `exchange` is what may be kept."""

    def __init__(self, *, far_side: str, reason: str, exchange: Exchange) -> None:
        super().__init__(f"{far_side}: {reason}")
        self.far_side = far_side
        self.reason = reason
        self.exchange = exchange


class NotSent(CallFailed):
    """The request surely did not leave this machine, so nothing happened at the far side."""


class AnswerLost(CallFailed):
    """The request may have arrived and been executed; only asking will tell."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer as it came. Header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    record: Callable[[], Exchange]

    @property
    def exchange(self) -> Exchange:
        """What may be kept of the call. Made when it is asked for: pages of a statement are read and not kept."""
        return self.record()

    def json(self) -> Any:
        """The body as JSON, numbers with a point as `Decimal`. Raises ValueError when it is none."""
        try:
            return json_module.loads(self.body, parse_float=Decimal, parse_constant=_refuse_constant)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


class HttpFarSide:
    """One far side at one base URL.

    `timeout_s` bounds a whole call from connecting to the last byte, `concurrency` the calls in flight; a call
    that gets no place within `timeout_s` is `NotSent`. `address` (name, address, port): where that name leads, without
    asking for it. `now` dates the exchanges.
    """

    def __init__(
        self,
        *,
        name: str,
        base_url: str,
        timeout_s: float,
        concurrency: int,
        headers: Mapping[str, str] | None = None,
        redaction: Redaction | None = None,
        most_answer_bytes: int = MOST_ANSWER_BYTES,
        address: tuple[str, str, int] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        parts = urlsplit(base_url)
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.username
            or parts.query
            or parts.fragment
        ):
            raise ValueError(
                "a far side's base URL is http(s)://host[:port][/path], without user, query or fragment"
            )
        if timeout_s <= 0 or concurrency < 1:
            raise ValueError("timeout_s and concurrency must be positive")
        self.name = name
        self._base_url = base_url.rstrip("/")
        self._base_path = parts.path.rstrip("/")
        self._timeout_s = timeout_s
        self._redaction = redaction or Redaction()
        self._most_answer_bytes = most_answer_bytes
        self._now = now
        # Our own queue rather than the library's: its clock would run while a call waits for its turn, and call
        # lost what never left.
        self._places = asyncio.Semaphore(concurrency)
        builder = (
            ClientBuilder()
            .default_headers({"accept": "application/json", **(headers or {})})
            .user_agent("airback")
            .follow_redirects(False)
            .referer(False)
            .no_proxy()
            .gzip(False)
            .brotli(False)
            .zstd(False)
            .deflate(False)
            .http1_only()
            .connect_timeout(timedelta(seconds=min(MOST_CONNECT_S, timeout_s / 2)))
            .pool_max_idle_per_host(concurrency)
            .pool_idle_timeout(timedelta(seconds=30))
        )
        self._client = (builder if address is None else builder.resolve(*address)).build()

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] | None = None,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        secrets: Iterable[str] = (),
    ) -> HttpAnswer:
        """One request, one answer of whatever status.

        `path` begins with `/` and is appended to the base URL. Give `json` (a JSON value) or `content` (bytes,
        with a content-type header), or neither. `secrets` are covered wherever they stand in the kept texts.
        Raises `NotSent`, `AnswerLost`; ValueError for a request that cannot be written.
        """
        if not path.startswith("/"):
            raise ValueError("path must begin with /")
        sent_headers = {name.lower(): value for name, value in (headers or {}).items()}
        body = content
        if json is not None:
            body = encode_json(json)
            sent_headers.setdefault("content-type", "application/json")
        record = _Record(
            redaction=self._redaction,
            secrets=tuple(secrets),
            method=method,
            path=self._base_path + path,
            query=tuple(query or ()),
            body=body or b"",
            content_type=sent_headers.get("content-type", ""),
            started_at=self._now(),
            started=time.perf_counter(),
        )
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        try:
            if self._places.locked():
                async with asyncio.timeout(limit_s):
                    await self._places.acquire()
            else:
                await self._places.acquire()
        except TimeoutError:
            raise NotSent(
                far_side=self.name, reason="no_free_connection", exchange=record.exchange()
            ) from None
        try:
            return await self._exchange(record, path, query, body, sent_headers, limit_s)
        finally:
            self._places.release()

    async def _exchange(
        self,
        record: "_Record",
        path: str,
        query: Sequence[tuple[str, str]] | None,
        body: bytes | None,
        headers: Mapping[str, str],
        limit_s: float,
    ) -> HttpAnswer:
        try:
            builder = self._client.request(record.method, self._url(path, query))
            if headers:
                builder = builder.headers(headers)
            if body is not None:
                builder = builder.body_bytes(body)
            request = builder.timeout(timedelta(seconds=limit_s)).build_streamed()
        except BuilderError as error:
            raise ValueError("the request cannot be written") from error
        try:
            async with request as response:
                answer_headers = {name.lower(): value for name, value in response.headers.items()}
                collected = bytearray()
                reader = response.body_reader
                while (chunk := await reader.read_chunk()) is not None:
                    collected += bytes(chunk)
                    if len(collected) > self._most_answer_bytes:
                        break
                status = response.status
        except BuilderError as error:
            raise ValueError("the request cannot be written") from error
        except PyreqwestError as error:
            self._fail(record, error)
        answer = bytes(collected)
        kept = partial(
            record.exchange,
            status=status,
            answer=answer[: self._most_answer_bytes],
            content_type=answer_headers.get("content-type", ""),
            milliseconds=record.milliseconds(),
        )
        if len(answer) > self._most_answer_bytes:
            raise AnswerLost(far_side=self.name, reason="answer_too_large", exchange=kept())
        return HttpAnswer(status=status, headers=answer_headers, body=answer, record=kept)

    def _url(self, path: str, query: Sequence[tuple[str, str]] | None) -> str:
        return f"{self._base_url}{path}?{urlencode(query)}" if query else self._base_url + path

    def _fail(self, record: "_Record", error: PyreqwestError) -> NoReturn:
        # The library's names mislead: a connection closed after the request was written is its `ConnectError`,
        # and a silent far side its `ConnectTimeoutError`. Only the cause says that connecting itself failed.
        nameless = RuntimeError(type(error).__name__)  # the error's own text holds the URL
        details = getattr(error, "details", {})
        causes = [cause["message"] for cause in details.get("causes") or ()]
        if _CONNECTING_FAILED in causes:
            raise NotSent(
                far_side=self.name, reason="connect_failed", exchange=record.exchange()
            ) from nameless
        reason = "timeout" if isinstance(error, RequestTimeoutError) else "connection_broken"
        raise AnswerLost(far_side=self.name, reason=reason, exchange=record.exchange()) from nameless

    async def close(self) -> None:
        """Close every connection; calls in flight lose their answers."""
        await self._client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


@dataclass(frozen=True, slots=True)
class _Record:
    """What is known of a call before its answer."""

    redaction: Redaction
    secrets: tuple[str, ...]
    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    body: bytes
    content_type: str
    started_at: datetime
    started: float

    def milliseconds(self) -> int:
        return int((time.perf_counter() - self.started) * 1000)

    def exchange(
        self,
        *,
        status: int | None = None,
        answer: bytes = b"",
        content_type: str = "",
        milliseconds: int | None = None,
    ) -> Exchange:
        path = self.redaction.text(self.path, secrets=self.secrets)
        if self.query:
            path = f"{path}?{self.redaction.query(self.query, secrets=self.secrets)}"
        return Exchange(
            method=self.method,
            path=path,
            request=self.redaction.body(self.body, content_type=self.content_type, secrets=self.secrets),
            status=status,
            response=self.redaction.body(answer, content_type=content_type, secrets=self.secrets),
            started_at=self.started_at,
            milliseconds=self.milliseconds() if milliseconds is None else milliseconds,
        )


def encode_json(value: Any) -> bytes:
    """UTF-8 JSON; a `Decimal` becomes a JSON number with exactly its digits. Raises TypeError, ValueError."""
    return _Encoder().text(value).encode()


class _Encoder:
    """JSON with exact decimals: the standard library would round them through a float."""

    def text(self, value: Any) -> str:
        if isinstance(value, Decimal):
            if not value.is_finite():
                raise ValueError("no JSON number")
            return format(value, "f")
        if isinstance(value, Mapping):
            return (
                "{"
                + ",".join(
                    f"{json_module.dumps(str(key), ensure_ascii=False)}:{self.text(item)}"
                    for key, item in value.items()
                )
                + "}"
            )
        if isinstance(value, list | tuple):
            return "[" + ",".join(map(self.text, value)) + "]"
        return json_module.dumps(value, ensure_ascii=False, allow_nan=False)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
