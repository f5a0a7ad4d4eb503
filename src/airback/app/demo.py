"""`airback demo`: airtime becomes money before one's eyes, over real wires, with a share of sellers who should fail.

Two runs of one seed end in the same figures, also when the worker is killed on the way.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import asyncpg

from airback.app.api_client import ApiClient
from airback.app.opening import client_key, demo_people
from airback.app.platform import Platform, open_platform, verified
from airback.app.settings import Settings
from airback.app.street import Street, plan
from airback.app.together import Running, everything
from airback.domain.assets import CARRIERS
from airback.orders.states import FINAL
from airback.queries.demo import SQL
from airback.queries.verify import summary

DEFAULT_SEED: Final = 20260101
_AT_ONCE: Final = 16

Progress = Callable[[str, int, int], None]


async def run(
    settings: Settings,
    *,
    orders: int,
    seed: int,
    fault: str | None,
    progress: Progress,
    stay: Callable[[Running, dict[str, str], dict[str, Any]], Any] | None = None,
) -> dict[str, Any]:
    """Run the demonstration and return its figures. `stay` is awaited before everything is stopped."""
    began = time.monotonic()
    async with everything(settings) as running, open_platform(settings, url=running.database_url) as platform:
        since = platform.now()
        hiring = asyncio.create_task(_people(platform))
        async with ApiClient(url=running.sandbox_url, key=None, concurrency=_AT_ONCE * 2) as sandbox:
            async with ApiClient(url=running.api_url, key=client_key(settings, "seller")) as api:
                street = Street(api=api, sandbox=sandbox, attempts=plan(orders=orders, seed=seed))
                before = await street.desk("GET", "/sandbox/counts")
                await street.prepare()
                await _enough_demands(platform.pool, progress)
                people = await hiring
                kills = await _traffic(running, street, platform.pool, settings.book, orders, fault, progress)
                counts = await street.desk("GET", "/sandbox/counts")
            report = await _report(platform.pool, settings.book, street, orders, since)
            report["kills"] = kills
            figures = {name: counts[name] - before[name] for name in counts}
            report["http_calls"] = figures.pop("http_calls")
            report["far_side"] = figures
            report["seconds"] = round(time.monotonic() - began, 1)
            progress("verify", 0, 1)
            findings = await verified(platform, progress=progress)
            report["verify"] = summary(findings)
            if stay is not None:
                await stay(running, people, report)
    return report


async def _people(platform: Platform) -> dict[str, str]:
    async with platform.pool.acquire() as conn:
        return await demo_people(conn, platform.settings, now=platform.now())


async def _enough_demands(pool: asyncpg.Pool, progress: Progress) -> None:
    """Wait until the reseller wants airtime of every carrier."""
    for _ in range(600):
        have = await pool.fetchval(SQL.carriers_wanted)
        progress("demands", have, len(CARRIERS))
        if have >= len(CARRIERS):
            return
        await asyncio.sleep(0.1)
    raise RuntimeError("the sandbox's reseller placed no demands")


async def _traffic(
    running: Running,
    street: Street,
    pool: asyncpg.Pool,
    book: int,
    orders: int,
    fault: str | None,
    progress: Progress,
) -> int:
    kills = 0
    thresholds = [orders * share // 100 for share in (15, 45, 75)] if fault == "kill" else []
    queue = iter(street.attempts)

    async def seller() -> None:
        for attempt in queue:
            await street.sell(attempt)
            progress("selling", street.done, orders)

    async def reaper() -> int:
        killed = 0
        for threshold in thresholds:
            while street.done < threshold:
                await asyncio.sleep(0.02)
            await _kill_worker(running)
            killed += 1
        return killed

    killing = asyncio.create_task(reaper())
    await asyncio.gather(*(seller() for _ in range(_AT_ONCE)))
    kills = await killing
    while True:
        row = await pool.fetchrow(SQL.promised, book, street.orders, [str(state) for state in FINAL])
        progress("paying", len(street.orders) - row["waiting"], len(street.orders))
        if not row["waiting"]:
            return kills
        await asyncio.sleep(0.1)


async def _kill_worker(running: Running) -> None:
    child = running.children.get("work")
    if child is None:
        raise RuntimeError("the worker is not ours to kill")
    await asyncio.to_thread(child.kill)
    await asyncio.to_thread(running.start, "work")


async def _report(
    pool: asyncpg.Pool, book: int, street: Street, orders: int, since: datetime
) -> dict[str, Any]:
    refused = Counter(street.refused)
    closed = paid_fen = 0
    for row in await pool.fetch(SQL.outcomes, book, street.orders):
        if row["state"] == "closed" and row["receipted"]:
            closed += 1
            paid_fen += row["paid_fen"]
        else:
            refused[row["code"] or row["state"]] += 1
    effects: dict[str, dict[str, int]] = {}
    for row in await pool.fetch(SQL.effects_since, book, since):
        effects.setdefault(row["kind"], {})[row["result"]] = row["n"]
    return {
        "orders": orders,
        "closed": closed,
        "refused": dict(sorted(refused.items())),
        "effects": effects,
        "http_calls": 0,
        "paid_fen": paid_fen,
        "kills": 0,
        "far_side": {},
    }
