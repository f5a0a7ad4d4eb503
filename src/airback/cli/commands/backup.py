"""`airback backup`: the whole database in one file."""

import argparse
from pathlib import Path

from airback.app.backup import backup
from airback.app.settings import read
from airback.cli.show import print_json, say


async def run(arguments: argparse.Namespace) -> int:
    """`airback backup`."""
    settings = read(data=arguments.data)
    report = await backup(settings, out=Path(arguments.out))
    say(f"{report['bytes']:,} bytes in {report['file']}")
    say(
        f"The keys are not in it. Without {settings.keys_dir} it cannot be used: keep a copy of them elsewhere."
    )
    if arguments.json:
        print_json(report)
    return 0
