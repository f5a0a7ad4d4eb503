"""`airback sandbox issue-cards`: cards that the sandbox's carriers will honour."""

import argparse
import asyncio
from pathlib import Path

from airback.app import sandboxing
from airback.app.settings import read
from airback.cli.show import print_json, progress_bars, say


async def run(arguments: argparse.Namespace) -> int:
    """`airback sandbox issue-cards`."""
    with progress_bars(
        {"issuing": "issuing cards", "writing": "writing the file"}, quiet=arguments.json
    ) as progress:
        written = await asyncio.to_thread(
            sandboxing.issue_cards,
            read(data=arguments.data),
            count=arguments.count,
            out=Path(arguments.out),
            file_format=arguments.format,
            bad_ppm=arguments.bad,
            seed=arguments.seed,
            progress=progress,
        )
    say(f"{written} cards in {arguments.out}")
    if arguments.json:
        print_json({"cards": written, "file": arguments.out})
    return 0
