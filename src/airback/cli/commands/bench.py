"""`airback bench`: the platform's speed as ratios to this machine's own, measured in the same run."""

import argparse
import asyncio
import tempfile
from pathlib import Path

from airback.app.bench import page, runs
from airback.app.platform import database
from airback.app.settings import read
from airback.cli.show import print_json, progress_bars, say


async def run(arguments: argparse.Namespace) -> int:
    """`airback bench`."""
    with tempfile.TemporaryDirectory(prefix="airback-bench-") as directory:
        settings = read(data=directory)
        stages = {"tables": "making tables", "rounds": "engine and ledger", "http": "over HTTP"}
        with progress_bars(stages, quiet=arguments.json) as progress:
            async with database(settings) as url:
                report = await runs.run(
                    url,
                    Path(directory) / "work",
                    effort=runs.FULL if arguments.full else runs.QUICK,
                    progress=progress,
                )
    for name, ratio in report["ratios"].items():
        if ratio is None:
            say(f"  {name:<16} not measured")
            continue
        goal = report["goals"][name]
        say(f"{'✓' if ratio >= goal else '·'} {name:<16} {ratio:>8}   goal {goal}")
    say(f"verify: {report['verify']['violations']} violations over {report['verify']['orders']} orders")
    if arguments.out is not None:
        await asyncio.to_thread(Path(arguments.out).write_text, page.page(report), encoding="utf-8")
        say(f"the page: {arguments.out}")
    if arguments.json:
        print_json(report)
    return 1 if report["verify"]["violations"] else 0
