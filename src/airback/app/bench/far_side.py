"""Carriers as a process of their own that answer at once: `python -m airback.app.bench.far_side --books-file FILE`.

The four calls a sale of balance makes are answered: a line's buckets, whether its SIM was swapped, the hold, the transfer. Nothing is refused
and nothing waits, so that what is measured is the engine with its client, and the least that an answer costs. What was executed
is kept and written to the file when standard input closes, for `airback verify` to lay beside our own books. It writes its port
first.
"""

import argparse
import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import parse_qs

import httptools
import msgspec

from airback.adapters.carrier.tmf654 import BASE_PATH
from airback.app.bench.instant import FarBooks
from airback.app.far_sides import HOUSE_NUMBERS
from airback.app.running import run
from airback.domain.assets import CARRIERS
from airback.domain.effects import Kind
from airback.domain.ports.carrier import StatementLine

_CARRIER_OF: Final = {number[:3]: carrier for carrier, number in HOUSE_NUMBERS.items()}
_PLENTY: Final = {"amount": 10_000, "units": "CNY"}
_NOTHING: Final = {"amount": 0, "units": "CNY"}
_KINDS: Final = {"hold": Kind.HOLD, "delivery": Kind.TRANSFER, "release": Kind.RELEASE}
_DECODER: Final = msgspec.json.Decoder(dict[str, Any])


class _Carriers:
    """All carriers and what they executed."""

    def __init__(self) -> None:
        self.lines: FarBooks = {carrier: [] for carrier in CARRIERS}
        self._done = 0

    def answer(self, method: str, path: str, query: str, body: bytes) -> tuple[int, bytes]:
        """Status and document of one call."""
        resource = path.removeprefix(f"{BASE_PATH}/")
        if method == "GET" and resource == "bucket":
            return 200, msgspec.json.encode([_bucket(parse_qs(query)["logicalResource.id"][0])])
        if path == "/sim-swap/v2/check":
            return 200, b'{"swapped":false}'
        if method == "POST" and resource in ("reserveBalance", "transferBalance"):
            return 201, msgspec.json.encode(self._execute(resource, _DECODER.decode(body)))
        return 404, b'{"code":"request.refused","reason":"no such call"}'

    def _execute(self, resource: str, task: dict[str, Any]) -> dict[str, Any]:
        self._done += 1
        at, far_ref = datetime.now(UTC), f"task-{self._done}"
        if resource == "transferBalance":
            kind = _KINDS[task["reason"]]
            owner = task["receiverLogicalResource"] if kind is Kind.RELEASE else task["logicalResource"][0]
            number = task["receiverLogicalResource"]["id"] if kind is Kind.TRANSFER else owner["id"]
            amount_fen = round(task["amount"]["amount"] * 100)
            line = StatementLine(task["clientReference"], kind, amount_fen, far_ref, at)
            self.lines[_CARRIER_OF[number[:3]]].append(line)
        return {**task, "id": far_ref, "status": "completed", "confirmationDate": at.isoformat()}


def _bucket(number: str) -> dict[str, Any]:
    return {
        "id": f"{number}.principal",
        "name": "principal",
        "status": "active",
        "lineStatus": "active",
        "remainingValue": _PLENTY,
        "reservedValue": _NOTHING,
        "relatedParty": [{"id": _CARRIER_OF[number[:3]], "role": "carrier"}],
    }


class _Connection(asyncio.Protocol):
    """One connection, kept as long as the caller keeps it."""

    def __init__(self, carriers: _Carriers) -> None:
        self._carriers = carriers
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._url = url

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        parsed = httptools.parse_url(self._url)
        method = self._parser.get_method().decode()
        query = (parsed.query or b"").decode()
        status, document = self._carriers.answer(method, parsed.path.decode(), query, b"".join(self._body))
        self._body.clear()
        self._transport.write(
            b"HTTP/1.1 %d OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
            % (status, len(document), document)
        )


async def _serve(books_file: Path) -> None:
    carriers = _Carriers()
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(carriers), "127.0.0.1", 0, backlog=1024
    )
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.buffer.read)
    server.close()
    await asyncio.to_thread(books_file.write_bytes, msgspec.json.encode(carriers.lines))


def main() -> None:
    """Serve until standard input closes."""
    parser = argparse.ArgumentParser(prog="python -m airback.app.bench.far_side")
    parser.add_argument("--books-file", required=True)
    run(_serve(Path(parser.parse_args().books_file)))


if __name__ == "__main__":
    main()
