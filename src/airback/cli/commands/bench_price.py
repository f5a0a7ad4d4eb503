"""`airback bench price`: how fast prices are made."""

import argparse
import tempfile
from pathlib import Path
from typing import Final

from airback.app.bench import pricing
from airback.app.settings import Settings
from airback.cli.show import print_json, progress_bars, say

#: What the project wants to reach.
_GOALS: Final = {"quotes_per_s": 1_000_000, "quote_post_ratio": 0.6}
_ROUNDS: Final = 5
_SECONDS: Final = 3.0


async def run(arguments: argparse.Namespace) -> int:
    """`airback bench price`."""
    stages = {"many": "a million prices", "http": "over HTTP"}
    with (
        tempfile.TemporaryDirectory(prefix="airback-bench-") as directory,
        progress_bars(stages, quiet=arguments.json) as progress,
    ):
        found = await pricing.bench(
            Settings(data_dir=Path(directory) / "price", database_url=None),
            seconds=_SECONDS,
            rounds=_ROUNDS,
            progress=progress,
        )
    for name, goal in _GOALS.items():
        say(f"{'✓' if found[name] >= goal else '·'} {name:<18} {found[name]:>10}   goal {goal}")
    if arguments.json:
        print_json(found)
    return 0
