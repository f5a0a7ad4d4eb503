"""The HTTP client alone: the calls a sale of balance makes, without an engine around them.

`python -m airback.app.bench.bare --far-side URL --seconds S` sends them to `airback.app.bench.far_side` with the library the
adapters use, as many at once as a worker has, and writes how many sales' calls were answered a second.
"""

import argparse
import asyncio
import itertools
import sys
import time
from typing import Final

import msgspec
from pyreqwest.client import Client, ClientBuilder

from airback.adapters.carrier.tmf654 import BASE_PATH
from airback.app.bench.instant import CONCURRENCY
from airback.app.running import run

_NUMBER: Final = "13900000001"
_AMOUNT: Final = {"amount": 100, "units": "CNY"}
_REF: Final = "A" * 26


def _bodies() -> list[tuple[str, bytes]]:
    """Path and body of each call that has one, as large as the adapters'."""
    bucket = {"id": f"{_NUMBER}.principal"}
    hold = {
        "amount": _AMOUNT,
        "usageType": "monetary",
        "bucket": bucket,
        "partyAccount": {"id": _NUMBER},
        "logicalResource": [{"id": _NUMBER}],
        "channel": {"id": "airback"},
        "reason": "hold",
        "validFor": {"endDateTime": "2026-01-01T00:00:00Z"},
        "clientReference": _REF,
    }
    transfer = {
        "amount": _AMOUNT,
        "reason": "delivery",
        "channel": {"id": "airback"},
        "logicalResource": [{"id": _NUMBER}],
        "bucket": bucket,
        "usageType": "monetary",
        "receiverLogicalResource": {"id": _NUMBER},
        "receiverBucket": bucket,
        "receiverBucketUsageType": "monetary",
        "clientReference": _REF,
        "purpose": "fil_0000000000000",
        "reservation": {"id": "task-1"},
    }
    return [
        ("/sim-swap/v2/check", msgspec.json.encode({"phoneNumber": f"+86{_NUMBER}", "maxAge": 72})),
        (f"{BASE_PATH}/reserveBalance", msgspec.json.encode(hold)),
        (f"{BASE_PATH}/transferBalance", msgspec.json.encode(transfer)),
    ]


async def _sale(client: Client, url: str) -> None:
    asked = client.get(f"{url}{BASE_PATH}/bucket?logicalResource.id={_NUMBER}").build()
    await (await asked.send()).bytes()
    for path, body in _bodies():
        sent = client.post(url + path).header("content-type", "application/json").body_bytes(body).build()
        await (await sent.send()).bytes()


async def _measure(url: str, seconds: float) -> float:
    done = itertools.count()
    async with ClientBuilder().no_proxy().http1_only().pool_max_idle_per_host(CONCURRENCY).build() as client:
        begun = time.perf_counter()
        until = begun + seconds

        async def line() -> None:
            while time.perf_counter() < until:
                await _sale(client, url)
                next(done)

        await asyncio.gather(*(line() for _ in range(CONCURRENCY)))
        return next(done) / (time.perf_counter() - begun)


def main() -> None:
    """Measure and write the rate."""
    parser = argparse.ArgumentParser(prog="python -m airback.app.bench.bare")
    parser.add_argument("--far-side", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    arguments = parser.parse_args()

    async def measured() -> int:
        sys.stdout.write(f"{await _measure(arguments.far_side, arguments.seconds):.1f}\n")
        return 0

    run(measured())


if __name__ == "__main__":
    main()
