"""A load generator of its own process: so many connections, each sending its next request when the last is answered.

`python -m airback.app.bench.load` reads a `Job` as JSON from standard input, runs it and writes an `Outcome`. Requests are
sent over raw connections and answers are read no further than their status and length, so that the generator is not
what is measured; what it could do at most is measured against `respond`, which answers each request with the same bytes.
With `respond` as its argument the module is that responder: it writes its port and serves until its input closes.
"""

import asyncio
import gc
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count, repeat
from pathlib import Path
from typing import Final, cast

import msgspec
import uvloop

#: After the time is over, answers that are still out are waited for so long.
_PATIENCE_S: Final = 30.0
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_END: Final = b"\r\n\r\n"
_ANSWER: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


class Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to send. `bodies` is a file with one JSON text a line; `again` sends them over and over, otherwise each goes
    out once and the job ends early when there are no more. `keys` makes an Idempotency-Key for each request from it."""

    port: int
    path: str
    headers: dict[str, str]
    bodies: str
    seconds: float
    connections: int
    again: bool = False
    keys: str | None = None


class Outcome(msgspec.Struct, frozen=True):
    """What came of it. `seconds` is until the last answer; `exhausted`: there were too few bodies for the time."""

    requests: int
    seconds: float
    statuses: dict[str, int]
    p50_ms: float
    p99_ms: float
    exhausted: bool

    @property
    def per_s(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds


class AnswerUnreadable(Exception):
    """The server closed a connection, or answered in a way the generator does not read."""


class _Load:
    """What the connections share."""

    def __init__(self, job: Job) -> None:
        lines = Path(job.bodies).read_bytes().splitlines()
        self._head = _head(job)
        self._bodies: Iterator[bytes] = (
            (body for lot in repeat(lines) for body in lot) if job.again else iter(lines)
        )
        self._keys = None if job.keys is None else (f"{job.keys}-{n}" for n in count())
        self.latencies_s: list[float] = []
        self.statuses: Counter[bytes] = Counter()
        self.until = time.perf_counter() + job.seconds
        self.last = 0.0
        self.exhausted = False

    def next(self) -> bytes | None:
        """The next request, or None when there is none or the time is over."""
        if time.perf_counter() >= self.until:
            return None
        body = next(self._bodies, None)
        if body is None:
            self.exhausted = True
            return None
        key = "" if self._keys is None else f"idempotency-key: {next(self._keys)}\r\n"
        return b"%scontent-length: %d\r\n%s\r\n%s" % (self._head, len(body), key.encode(), body)

    def answered(self, status: bytes, begun: float) -> None:
        """Count one answer."""
        self.last = time.perf_counter()
        self.latencies_s.append(self.last - begun)
        self.statuses[status] += 1


class _Connection(asyncio.Protocol):
    """One connection: a request, its answer, the next request."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._begun = 0.0
        self._read = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._send()

    def data_received(self, data: bytes) -> None:
        if self._read:
            data = self._read + data
        head = data.find(_END)
        length = _LENGTH.search(data, 0, head + 2) if head >= 0 else None
        if length is None:
            if head >= 0:
                self._fail("an answer without a length")
            self._read = data
        elif len(data) < head + 4 + int(length[1]):
            self._read = data
        else:
            self._read = b""
            self._load.answered(data[9:12], self._begun)
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail("the connection was closed")

    def end(self) -> None:
        """Close at once, whatever is under way."""
        self.done.cancel()
        if self._transport is not None:
            self._transport.abort()

    def _send(self) -> None:
        assert self._transport is not None
        request = self._load.next()
        if request is None:
            if not self.done.done():
                self.done.set_result(None)
            return
        self._begun = time.perf_counter()
        self._transport.write(request)

    def _fail(self, why: str) -> None:
        if not self.done.done():
            self.done.set_exception(AnswerUnreadable(why))


async def run(job: Job) -> Outcome:
    """Do the job. Raises `AnswerUnreadable`, and `TimeoutError` when answers stay out."""
    loop = asyncio.get_running_loop()
    load = _Load(job)
    begun = time.perf_counter()
    opened: list[_Connection] = []
    try:
        for _ in range(job.connections):
            _, connection = await loop.create_connection(lambda: _Connection(load), "127.0.0.1", job.port)
            opened.append(connection)
        async with asyncio.timeout(job.seconds + _PATIENCE_S):
            await asyncio.gather(*(connection.done for connection in opened))
    finally:
        for connection in opened:
            connection.end()
    latencies = sorted(load.latencies_s)
    return Outcome(
        requests=len(latencies),
        seconds=load.last - begun,
        statuses={status.decode(): count for status, count in sorted(load.statuses.items())},
        p50_ms=round(statistics.median(latencies) * 1000, 3),
        p99_ms=round(latencies[len(latencies) * 99 // 100] * 1000, 3),
        exhausted=load.exhausted,
    )


class _Responder(asyncio.Protocol):
    """Answers each whole request with the same bytes: the least a server can do."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        self._read += data
        head = self._read.find(_END)
        length = _LENGTH.search(self._read, 0, head + 2) if head >= 0 else None
        if (
            length is not None
            and len(self._read) >= head + 4 + int(length[1])
            and self._transport is not None
        ):
            self._read = b""
            self._transport.write(_ANSWER)


async def respond() -> None:
    """Serve on a free port of this machine, write the port, end when standard input closes."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Responder, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.buffer.read)
    server.close()


def _head(job: Job) -> bytes:
    """The part of a request's head that is the same for all."""
    lines = [f"POST {job.path} HTTP/1.1", f"host: 127.0.0.1:{job.port}", "content-type: application/json"]
    lines += [f"{name}: {value}" for name, value in job.headers.items()]
    return ("\r\n".join(lines) + "\r\n").encode()


def main() -> None:
    """Run what standard input asks for, or respond."""
    if sys.argv[1:] == ["respond"]:
        uvloop.run(respond())
        return
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    gc.disable()
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(run(job))) + b"\n")


if __name__ == "__main__":
    main()
