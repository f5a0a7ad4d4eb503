"""`airback chaos`: real processes under load, killed again and again."""

import argparse

from airback.app import chaos
from airback.app.settings import read
from airback.cli.show import print_json, progress_bars, say


async def run(arguments: argparse.Namespace) -> int:
    """`airback chaos`: 0 when nothing was lost, done twice or violated."""
    settings = read(data=arguments.data)
    seed = chaos.DEFAULT_SEED if arguments.seed is None else arguments.seed
    stages = {
        "chaos": f"selling and killing, {arguments.minutes} min",
        "converging": "orders come to their end",
        "*": "checking every invariant",
    }
    with progress_bars(stages, quiet=arguments.json) as progress:
        try:
            report = await chaos.run(settings, minutes=arguments.minutes, seed=seed, progress=progress)
        except chaos.NotOurs as error:
            say(f"airback chaos: {error}")
            return 2
    if arguments.json:
        print_json(report)
    else:
        kills = ", ".join(f"{part} {count}" for part, count in report["kills"].items())
        say(f"Killed: {kills}.")
        say(
            f"{report['orders']} orders were acknowledged; {report['lost']} lost, {report['double']} delivered or paid "
            f"twice, {report['violations']} violations."
        )
    return 1 if report["lost"] or report["double"] or report["violations"] else 0
