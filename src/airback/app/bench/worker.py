"""A worker as `airback work` runs it, whose far sides answer at once: `python -m airback.app.bench.worker`.

They are in its own process, or carriers at the address that is given.

It says `ready` when it could begin, begins at the first line of its standard input, and ends at the next one or when
that closes.
"""

import argparse
import asyncio
import sys
from pathlib import Path

import structlog

from airback.adapters.keys.files import FileKeys
from airback.app.bench.instant import InstantFarSides
from airback.app.platform import Platform
from airback.app.running import run
from airback.app.settings import Settings
from airback.app.working import hold_books
from airback.engine.tenure import Pace
from airback.store import pool as pools


async def _work(arguments: argparse.Namespace) -> None:
    settings = Settings(data_dir=Path(arguments.data), database_url=arguments.url, sandbox=False)
    sides = InstantFarSides()
    pool = await pools.connect(arguments.url, max_size=2)
    platform = Platform(
        settings,
        arguments.url,
        pool,
        FileKeys(settings.keys_dir),
        sides.connected(operator=settings.operator)
        if arguments.far_side is None
        else sides.connected_over_http(arguments.far_side, operator=settings.operator),
    )
    await platform.refresh()
    stop = asyncio.Event()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if await asyncio.to_thread(sys.stdin.readline):
        ending = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
        ending.add_done_callback(lambda _: stop.set())
        pace = Pace() if arguments.batch is None else Pace(batch=arguments.batch)
        await hold_books(platform, stop=stop, pace=pace, most=arguments.books)
    await pool.close()
    sides.write(Path(arguments.books_file))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m airback.app.bench.worker")
    parser.add_argument("--data", required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--books", type=int, required=True)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--books-file", required=True)
    parser.add_argument("--far-side")
    return parser.parse_args()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    run(_work(_arguments()))
