"""`airback reconcile`: a far side's statement beside our own rows."""

import argparse
import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from airback.app import live_reconciling, reconciling
from airback.cli.show import CONSOLE, print_json, progress_bars, say
from airback.domain.money import yuan
from airback.domain.refusals import Refused

_SHOWN: Final = 20
_STAGES: Final = {"reading": "reading", "matching": "matching", "storing": "storing"}


async def run(arguments: argparse.Namespace) -> int:
    """`airback reconcile`: 0 when the files could be laid side by side, whatever differs; 1 when one was refused."""
    language = "zh" if os.environ.get("LANG", "").startswith("zh") else "en"
    if arguments.live and not arguments.far_side:
        say("airback reconcile: --live needs --far-side, such as rail:alipay or carrier:cmcc")
        return 2
    if arguments.statement is None and not (
        arguments.live and arguments.far_side.startswith("outlet:") and arguments.day
    ):
        say("airback reconcile: --statement is needed, save with --live --far-side outlet:NAME --day DAY")
        return 2
    try:
        with progress_bars(_STAGES, quiet=arguments.json) as progress:
            out = None if arguments.out is None else Path(arguments.out)
            if arguments.live:
                report = await live_reconciling.reconcile_live(
                    data=arguments.data,
                    statement=None if arguments.statement is None else Path(arguments.statement),
                    far_side=arguments.far_side,
                    day=arguments.day,
                    progress=progress,
                )
            else:
                report = await asyncio.to_thread(
                    reconciling.reconcile_files,
                    statement=Path(arguments.statement),
                    ours=Path(arguments.ours),
                    day=arguments.day,
                    out=out,
                    progress=progress,
                )
    except Refused as refused:
        where = ", ".join(
            [*([refused.field] if refused.field else []), *([f"row {refused.row}"] if refused.row else [])]
        )
        say(
            f"airback reconcile: {refused.refusal.sentence(language)}{f' ({where})' if where else ''} "
            f"{refused.refusal.remedy(language)}"
        )
        if arguments.json:
            print_json(reconciling.refused_answer(refused))
        return 1
    if arguments.json:
        print_json(report)
    else:
        _tell(report)
    return 0


def _tell(report: Mapping[str, Any]) -> None:
    statement = report["statement"]
    say(f"{statement['layout']}  {statement['since']} – {statement['until']}")
    counts = Table(show_header=True, header_style="bold")
    counts.add_column("")
    counts.add_column("rows", justify="right")
    counts.add_row("matched", str(report["matched"]))
    for name, count in report["breaks"].items():
        if count:
            counts.add_row(name, str(count), style="yellow")
    if report["quarantined"]:
        counts.add_row("quarantined", str(report["quarantined"]), style="red")
    if report["held"]:
        counts.add_row("held for quarantined rows", str(report["held"]))
    CONSOLE.print(counts)
    if report["listed"]:
        CONSOLE.print(_differences(report["listed"][:_SHOWN]))
        if len(report["listed"]) > _SHOWN:
            say("Further differences: --out FILE.csv writes all of them.")
    for row in report["listed_rows"][:_SHOWN]:
        field = f" {row['field']}" if row["field"] else ""
        say(f"{row['file']} row {row['row']}{field}: {row['reason']} {row['remedy']}")
    for account in report.get("clearing", ()):
        say(
            f"{account['account']}: {yuan(account['balance_fen'])} yuan, unexplained {yuan(account['unexplained_fen'])}"
        )


def _differences(listed: list[dict[str, Any]]) -> Table:
    table = Table(show_header=True, header_style="bold")
    for name, justify in (
        ("explanation", "left"),
        ("reference", "left"),
        ("ours", "right"),
        ("theirs", "right"),
    ):
        table.add_column(name, justify="right" if justify == "right" else "left")
    for row in listed:
        mine, yours = row["our_amount_fen"], row["their_amount_fen"]
        table.add_row(
            row["explanation"],
            row["reference"] or row["far_reference"] or "–",
            "–" if mine is None else yuan(mine),
            "–" if yours is None else yuan(yours),
        )
    return table
