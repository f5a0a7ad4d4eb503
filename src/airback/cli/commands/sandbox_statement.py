"""`airback sandbox statement`: a day's statement from a sandbox far side's own books, for `airback reconcile`."""

import argparse
import asyncio
from datetime import UTC, datetime
from pathlib import Path

from airback.app.settings import read
from airback.cli.show import print_json, say
from airback.sandbox.alipay_books import CHINA
from airback.sandbox.statements import FAR_SIDES, statement


async def run(arguments: argparse.Namespace) -> int:
    """`airback sandbox statement`."""
    now = datetime.now(UTC)
    day = arguments.day or now.astimezone(CHINA).date()
    if arguments.far_side not in FAR_SIDES:
        say(f"airback sandbox statement: no far side of that name; there are: {', '.join(FAR_SIDES)}")
        return 2
    settings = read(data=arguments.data)
    content = await asyncio.to_thread(statement, settings.data_dir, arguments.far_side, day=day, now=now)
    await asyncio.to_thread(Path(arguments.out).write_bytes, content)
    say(f"{arguments.far_side}, {day.isoformat()}: {arguments.out}")
    if arguments.json:
        print_json(
            {
                "far_side": arguments.far_side,
                "day": day.isoformat(),
                "file": arguments.out,
                "bytes": len(content),
            }
        )
    return 0
