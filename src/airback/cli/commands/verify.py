"""`airback verify`: every invariant, on the live database, of what came since the last clean run or of everything."""

import argparse
from collections.abc import Callable
from typing import Any

from airback.app import sandboxing
from airback.app.platform import database, open_platform, verified_since_mark
from airback.app.settings import Settings, read
from airback.cli.show import print_json, progress_bars, say
from airback.queries.verify import INVARIANTS


async def run(arguments: argparse.Namespace) -> int:
    """`airback verify`."""
    settings = read(data=arguments.data)
    report: dict[str, Any]
    with progress_bars({"*": "checking"}, quiet=arguments.json) as progress:
        report = await _verified(settings, progress, full=arguments.full)
    if report["mistrusted"]:
        say(f"everything was checked, because {report['mistrusted']}")
    for name, check in report["checks"].items():
        mark = "✗" if check["violations"] else ("–" if check.get("unchecked") else "✓")
        say(
            f"{mark} {check['invariant']} {name.replace('_', ' ')}"
            + (f" · not checked: {check['unchecked']}" if check.get("unchecked") else "")
        )
        for found in check["found"]:
            say(f"      {found['subject']}: {found['detail']}")
    since = report["since"]
    looked = "everything" if since is None else f"what came since {since['at']} (event {since['seq']})"
    say(f"checked {looked}: {report['rows_read']} rows read, {report['violations']} violations")
    if arguments.json:
        print_json(report)
    return 1 if report["violations"] else 0


async def _verified(
    settings: Settings, progress: Callable[[str, int, int], None], *, full: bool
) -> dict[str, Any]:
    async with (
        sandboxing.beside(settings),
        database(settings) as url,
        open_platform(settings, url=url) as platform,
    ):
        found = await verified_since_mark(platform, full=full, progress=progress)
    return {**found.as_json(), "invariants": INVARIANTS}
