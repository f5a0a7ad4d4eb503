"""`airback simulate`: years of faults from one seed, and planted bugs that must be found."""

import argparse
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airback.cli.show import print_json, progress_bars, say
from airback.simulator.plants import PLANTS
from airback.simulator.run import find_plant, simulate
from airback.store.embedded import ensure_running


async def run(arguments: argparse.Namespace) -> int:
    """`airback simulate`: 0 when nothing was found, or when the plant was."""
    if arguments.plant == "list":
        print("\n".join(PLANTS))
        return 0
    if arguments.plant is not None and arguments.plant not in PLANTS:
        say(f"airback simulate: no plant of that name; there are: {', '.join(PLANTS)}")
        return 2
    seed = secrets.randbelow(1_000_000) if arguments.seed is None else arguments.seed
    with _server() as url, progress_bars({"orders": f"seed {seed}"}, quiet=arguments.json) as progress:
        if arguments.plant is None:
            report = await simulate(url, seed=seed, orders=arguments.orders, progress=progress)
        else:
            report = await find_plant(url, name=arguments.plant, seed=seed, progress=progress)
    _tell(report)
    if arguments.json:
        print_json(report)
    if arguments.plant is not None:
        return 0 if report["caught"] else 1
    return 1 if report["violations"] else 0


def _tell(report: dict[str, Any]) -> None:
    if "plant" in report:
        found = "was found" if report["caught"] else "was NOT found"
        say(f"{report['plant']} {found} among {report['orders']} sales in {report['seconds']} s")
    else:
        say(
            f"seed {report['seed']}: {report['orders']} sales, {sum(report['faults'].values())} faults, "
            f"{report['crashes']} crashes, {report['violations']} violations, {report['seconds']} s"
        )
    for line in report.get("story", []):
        say(f"  {line}")


@contextmanager
def _server() -> Iterator[str]:
    """The server of AIRBACK_DATABASE_URL (a database of its own is made there), or one for the occasion."""
    url = os.environ.get("AIRBACK_DATABASE_URL")
    if url:
        yield url
        return
    # What is simulated is lost anyway when the machine stops, so nothing waits for the disk.
    memory = Path("/dev/shm")
    directory = tempfile.mkdtemp(prefix="airback-simulation-", dir=memory if memory.is_dir() else None)
    try:
        with ensure_running(Path(directory), durable=False) as database:
            yield database.url
    finally:
        shutil.rmtree(directory, ignore_errors=True)
