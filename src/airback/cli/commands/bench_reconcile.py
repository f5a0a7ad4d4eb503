"""`airback bench reconcile`: a million rows against a million, beside a bare join."""

import argparse
import asyncio

from airback.app.bench import reconcile
from airback.cli.show import print_json, progress_bars, say


async def run(arguments: argparse.Namespace) -> int:
    """`airback bench reconcile`."""
    stages = {"making": "making both sides", "rounds": "rounds", "reading": "reading a file"}
    with progress_bars(stages, quiet=arguments.json) as progress:
        report = await asyncio.to_thread(
            reconcile.bench,
            rows=arguments.rows,
            rounds=arguments.rounds,
            seed=arguments.seed,
            progress=progress,
        )
    say(
        f"{report['rows']['ours']} × {report['rows']['statement']} rows, {report['rows']['differing']} differences "
        f"{'found as planted' if report['as_planted'] else 'NOT found as planted'} in {report['seconds']} s: "
        f"{report['ratio_to_join']} × a bare full join; at most {report['peak_mib']} MiB."
    )
    say(f"Reading {report['reading']['rows']} rows of CSV took {report['reading']['seconds']} s.")
    if arguments.json:
        print_json(report)
    return 0 if report["as_planted"] else 1
