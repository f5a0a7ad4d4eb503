"""`airback allocate`: place a batch of orders with outlets, offline, and say why each goes where it goes."""

import argparse
import asyncio
from pathlib import Path

from airback.app import allocating
from airback.cli.show import print_json, say
from airback.domain.money import yuan


async def run(arguments: argparse.Namespace) -> int:
    """`airback allocate`."""
    report = await asyncio.to_thread(
        allocating.plan, orders=Path(arguments.orders), outlets=Path(arguments.outlets)
    )
    if arguments.out is not None:
        await asyncio.to_thread(Path(arguments.out).write_text, allocating.csv_of(report), encoding="utf-8")
    say(
        f"{report['placed']} of {len(report['orders'])} orders placed, worth {yuan(report['worth_fen'])} yuan net; "
        f"in turn: {yuan(report['in_turn_fen'])}."
    )
    for limit in report["limits"][:10]:
        say(f"  {limit['outlet']}: another yuan of its limit is worth {limit['face_ppm']} ppm")
    if arguments.json:
        print_json(report)
    return 0
