"""`airback verify`: every invariant, on the live database."""

import argparse
from collections.abc import Callable
from typing import Any

from airback.app import sandboxing
from airback.app.platform import database, open_platform, verified
from airback.app.settings import Settings, read
from airback.cli.show import print_json, progress_bars, say
from airback.queries.verify import INVARIANTS, summary


async def run(arguments: argparse.Namespace) -> int:
    """`airback verify`."""
    settings = read(data=arguments.data)
    report: dict[str, Any]
    with progress_bars({"*": "checking"}, quiet=arguments.json) as progress:
        report = await _verified(settings, progress)
    for name, check in report["checks"].items():
        mark = "✗" if check["violations"] else ("–" if check.get("unchecked") else "✓")
        say(
            f"{mark} {check['invariant']} {name.replace('_', ' ')}"
            + (f" · not checked: {check['unchecked']}" if check.get("unchecked") else "")
        )
        for found in check["found"]:
            say(f"      {found['subject']}: {found['detail']}")
    if arguments.json:
        print_json(report)
    return 1 if report["violations"] else 0


async def _verified(settings: Settings, progress: Callable[[str, int, int], None]) -> dict[str, Any]:
    async with (
        sandboxing.beside(settings),
        database(settings) as url,
        open_platform(settings, url=url) as platform,
    ):
        findings = await verified(platform, progress=progress)
    return {**summary(findings), "invariants": INVARIANTS}
