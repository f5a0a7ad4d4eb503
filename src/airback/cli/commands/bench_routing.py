"""`airback bench routing`: orders to outlets, one after another and as a whole batch."""

import argparse
import asyncio

from airback.app.bench import routing
from airback.cli.show import print_json, progress_bars, say


async def run(arguments: argparse.Namespace) -> int:
    """`airback bench routing`."""
    stages = {"online": "one after another", "allocation": "whole batch", "bound": "bound (untimed)"}
    with progress_bars(stages, quiet=arguments.json) as progress:
        report = await asyncio.to_thread(routing.bench, seed=arguments.seed, progress=progress)
    say(f"{report['online_per_s']} decisions a second, in batches of {report['online']['batch']}.")
    say(
        f"{report['orders']} orders × {report['outlets']} outlets allocated in {report['allocation_s']} s, "
        f"{report['allocation_gap_ppm']} ppm below the bound; one after another: {report['online_gap_ppm']} ppm."
    )
    if arguments.json:
        print_json(report)
    return 0
