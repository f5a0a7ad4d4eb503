"""`airback auction`: award a batch of lots to sealed bids, offline, and report what else it would have brought."""

import argparse
import asyncio
from pathlib import Path

from rich.table import Table

from airback.app import auctioning
from airback.cli.show import CONSOLE, plain, print_json, say
from airback.domain.money import percent, yuan
from airback.market.auction import Rule

_SHOWN = 20


async def run(arguments: argparse.Namespace) -> int:
    """`airback auction`: 0 when it was held, whatever was refused on the way."""
    report = await asyncio.to_thread(
        auctioning.hold,
        lots=Path(arguments.lots),
        bids=Path(arguments.bids),
        bidders=Path(arguments.bidders),
        sealed=None if arguments.sealed is None else Path(arguments.sealed),
        rule=Rule(arguments.rule),
    )
    if arguments.out is not None:
        await asyncio.to_thread(Path(arguments.out).write_text, auctioning.csv_of(report), encoding="utf-8")
    if arguments.json:
        print_json(report)
        return 0
    table = Table("lot", "face", "to", "bid %", "pays", "bids")
    for one in report["lots"][:_SHOWN]:
        won = one["bidder"] is not None
        table.add_row(
            plain(one["lot"]),
            yuan(one["face_fen"]),
            plain(one["bidder"]) if won else "–",
            percent(one["bid_ppm"]) if won else "–",
            yuan(one["pays_fen"]) if won else "–",
            str(one["bids"]),
        )
    CONSOLE.print(table)
    if len(report["lots"]) > _SHOWN:
        say(f"… and {len(report['lots']) - _SHOWN} more; --out FILE.csv writes all.")
    compared = report["best_execution"]
    say(
        f"{report['sold']} of {len(report['lots'])} lots bring {yuan(report['total_fen'])} yuan ({report['rule']})."
    )
    say(
        f"At the bids' prices: {yuan(compared['bid_fen'])} awarded so, {yuan(compared['in_turn_fen'])} in turn."
    )
    for alone in compared["alone"][:5]:
        say(f"  {alone['bidder']} alone: {yuan(alone['total_fen'])}")
    for bid in report["refused"][:_SHOWN]:
        say(f"  bid {bid['row']} of {bid['bidder']} for {bid['lot']}: {bid['code']}")
    return 0
