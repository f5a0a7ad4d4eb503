"""`airback bench`: the platform's figures as ratios to this machine's own, measured in the same run.

What is compared is measured in turns, round after round, so that a busy machine slows both sides; each ratio is taken
within its round, and the median of the rounds counts. Everything happens in databases of its own on one server with production's settings.
"""

import asyncio
import contextlib
import os
import platform
import statistics
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import rsa

from airback import __version__
from airback.adapters.rail import rsa2
from airback.app.bench import http, lifecycle, pgbench, posting
from airback.app.bench.own_database import own_database
from airback.app.settings import Settings
from airback.store import pool as pools

#: What the project wants to reach: ratio → at least this.
GOALS: Final = {
    "lifecycle": 1.5,
    "lifecycle_book": 0.9,
    "lifecycle_one": 0.10,
    "lifecycle_http": 0.5,
    "lifecycle_http_of_parts": 0.8,
    "posting_hot": 20.0,
    "order_post": 0.75,
    "quote_post": 0.6,
    "grown": 0.8,
}

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure: rounds, seconds of each baseline, seconds a lifecycle run is aimed to take (never fewer
    orders than a full batch a book, nor than are sold while a worker begins)."""

    rounds: int
    baseline_s: int
    lifecycle_s: float
    http_rounds: int
    http_s: float
    scale: int = pgbench.SCALE


QUICK: Final = Effort(rounds=3, baseline_s=5, lifecycle_s=8, http_rounds=3, http_s=2)
FULL: Final = Effort(rounds=5, baseline_s=20, lifecycle_s=20, http_rounds=5, http_s=10)
_BATCH: Final = 500
_BOOKS: Final = 2
_RSA2_S: Final = 0.5
#: The fewest orders a book's worker is measured by: it takes its book and makes its plans in the same time.
_LEAST: Final = 40


@dataclass(slots=True)
class _Figures:
    """Samples by name, the last rate of each kind of lifecycles, and what `verify` found."""

    samples: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    rates: dict[str, float] = field(default_factory=dict)
    violations: int = 0
    closed: int = 0

    def median(self, name: str) -> float:
        return statistics.median(self.samples[name])

    def ratio(self, name: str, base: str) -> float:
        """The median of the rounds' ratios; a base that was measured several times a round counts as their mean."""
        samples, bases = self.samples[name], self.samples[base]
        times = len(bases) // len(samples)
        pairs = zip(samples, (bases[n : n + times] for n in range(0, len(bases), times)), strict=True)
        return round(statistics.median(one / statistics.fmean(base) for one, base in pairs), 3)

    def of_parts(self) -> float:
        """Sales over HTTP ÷ what engine and bare client would do one after the other: 1 ÷ (1/engine + 1/client)."""
        https, engines, bares = (self.samples[n] for n in ("lifecycle_http", "lifecycle", "bare_http"))
        rounds = zip(https, engines, bares, strict=True)
        return round(statistics.median(h * (1 / e + 1 / b) for h, e, b in rounds), 3)


def signatures_per_s(*, seconds: float) -> float:
    """RSA2 signatures a second on one core, by what signs for Alipay: each payment on that rail costs one."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    signed, begun = 0, time.perf_counter()
    while (now := time.perf_counter()) < begun + seconds:
        rsa2.sign(b"x" * 600, key=key)
        signed += 1
    return signed / (now - begun)


async def run(server_url: str, directory: Path, *, effort: Effort, progress: Progress) -> dict[str, Any]:
    """Measure everything. `server_url`: a database of the server, in which others may be created."""
    figures = _Figures()
    async with contextlib.AsyncExitStack() as closing:
        progress("tables", 0, 1)
        tpcb_url = await closing.enter_async_context(pgbench.tpcb_database(server_url, scale=effort.scale))
        rival_url = await closing.enter_async_context(own_database(server_url, "rival"))
        ours_url = await closing.enter_async_context(own_database(server_url, "posting"))
        await posting.make_rival(rival_url)
        books = Settings(data_dir=directory / "posting", database_url=ours_url, sandbox=False)
        await posting.make_ours(ours_url, books)
        progress("tables", 1, 1)

        async def sell(
            name: str, *, on_books: int, seconds: float, batch: int | None = None, over_http: bool = False
        ) -> None:
            size = _BATCH if batch is None else batch
            measure = partial(
                lifecycle.lifecycles,
                server_url,
                directory,
                on_books=on_books,
                batch=batch,
                over_http=over_http,
            )
            least = max(size, _LEAST) * on_books
            if name not in figures.rates:
                # How many are sold in the time is not known yet: a few tell it, and count for nothing else.
                few = await measure(orders=least)
                figures.rates[name] = few.per_s
                figures.violations += few.violations
            orders = max(least, int(seconds * figures.rates[name]))
            done = await measure(orders=orders)
            figures.rates[name] = done.per_s
            figures.samples[name].append(done.per_s)
            figures.violations += done.violations
            figures.closed += done.closed

        async def note(name: str, measured: Awaitable[float]) -> None:
            figures.samples[name].append(await measured)

        for done in range(effort.rounds):
            progress("rounds", done, effort.rounds)
            await note("tpcb", pgbench.tpcb(tpcb_url, seconds=effort.baseline_s))
            await sell("lifecycle", on_books=_BOOKS, seconds=effort.lifecycle_s)
            await note("tpcb", pgbench.tpcb(tpcb_url, seconds=effort.baseline_s))
            await sell("lifecycle_book", on_books=1, seconds=effort.lifecycle_s)
            await sell("lifecycle_one", on_books=_BOOKS, seconds=effort.lifecycle_s, batch=1)
            await sell("lifecycle_http", on_books=_BOOKS, seconds=effort.lifecycle_s, over_http=True)
            bare = lifecycle.bare_calls(directory / "bare", seconds=effort.baseline_s, processes=_BOOKS)
            await note("bare_http", bare)
            await note("rsa2", asyncio.to_thread(signatures_per_s, seconds=_RSA2_S))
            await note("tpcb", pgbench.tpcb(tpcb_url, seconds=effort.baseline_s))
            await note("rival", posting.one_by_one(rival_url, seconds=effort.baseline_s))
            await note("posting", posting.in_batches(ours_url, books, seconds=effort.baseline_s))
        progress("rounds", effort.rounds, effort.rounds)
        standing = await posted_right(ours_url)
        machine = await machine_of(server_url)
    over_http = await http.bench(
        Settings(data_dir=directory / "http", database_url=None),
        seconds=effort.http_s,
        rounds=effort.http_rounds,
        progress=progress,
    )
    return {
        "machine": machine,
        "ratios": {
            "lifecycle": figures.ratio("lifecycle", "tpcb"),
            "lifecycle_book": figures.ratio("lifecycle_book", "tpcb"),
            "lifecycle_one": figures.ratio("lifecycle_one", "tpcb"),
            "lifecycle_http": figures.ratio("lifecycle_http", "tpcb"),
            "lifecycle_http_of_parts": figures.of_parts(),
            "posting_hot": figures.ratio("posting", "rival"),
            "order_post": over_http["order_post"],
            "quote_post": over_http["quote_post"],
            "grown": None,
            "memory_mib": None,
        },
        "goals": GOALS,
        "absolute": {
            "tpcb_tps": round(figures.median("tpcb"), 1),
            "lifecycles_per_s": round(figures.median("lifecycle"), 1),
            "lifecycles_one_book_per_s": round(figures.median("lifecycle_book"), 1),
            "lifecycles_one_by_one_per_s": round(figures.median("lifecycle_one"), 1),
            "lifecycles_over_http_per_s": round(figures.median("lifecycle_http"), 1),
            "bare_http_sales_per_s": round(figures.median("bare_http"), 1),
            "rsa2_signatures_per_s": round(figures.median("rsa2"), 1),
            "postings_per_s": round(figures.median("posting")),
            "rival_postings_per_s": round(figures.median("rival")),
            "echo_per_s": over_http["echo_per_s"]["order"],
            "order_post_per_s": over_http["order_post_per_s"],
            "quote_post_per_s": over_http["quote_post_per_s"],
            "load_ceiling_to_echo": over_http["load_ceiling_to_echo"],
            "order_post_p99_ms": over_http["latency_ms"]["order_post"]["p99"],
            "quote_post_p99_ms": over_http["latency_ms"]["quote_post"]["p99"],
        },
        "rounds": {name: [round(one, 1) for one in samples] for name, samples in figures.samples.items()}
        | over_http["rounds"],
        "verify": {
            "violations": figures.violations + (0 if standing else 1),
            "orders": figures.closed,
        },
    }


async def posted_right(url: str) -> bool:
    """Whether debits and credits of the posting bench agree."""
    return bool((await posting.posted(url))["balanced"])


async def machine_of(server_url: str) -> dict[str, Any]:
    """What it was measured on: processor, cores, system, versions, and the server's settings that cost or save time."""
    conn = await pools.connect_once(server_url)
    try:
        names = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers")
        server = {name: await conn.fetchval("SELECT current_setting($1)", name) for name in names}
    finally:
        await conn.close()
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "airback": __version__,
        "postgresql": server,
    }


def processor() -> str:
    """The processor's name, as far as the system tells."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
