"""`airback restore`: a backup into an empty database, beside what far sides say was done since."""

import argparse
from pathlib import Path

from airback.app import sandboxing
from airback.app.backup import restore
from airback.app.settings import read
from airback.cli.show import print_json, say


async def run(arguments: argparse.Namespace) -> int:
    """`airback restore`: 0 when restored, whatever far sides did since."""
    settings = read(data=arguments.data)
    async with sandboxing.beside(settings):
        report = await restore(settings, file=Path(arguments.file))
    say(f"{report['orders']} orders are back. Buying is paused and nothing is sent.")
    if report["unchecked"]:
        say(f"Not compared with its statement: {report['unchecked']}")
    say(f"Differences from the far sides' statements: {report['differences']}")
    for reference, difference in report["found"]:
        say(f"  {reference}: {difference}")
    say("Next: docs/backup.md, from step 3.")
    if arguments.json:
        print_json(report)
    return 0 if not report["violations"] else 1
