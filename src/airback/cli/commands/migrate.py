"""`airback migrate`: the schema of this version."""

import argparse
from datetime import UTC, datetime

from airback.app.opening import open_installation
from airback.app.platform import database
from airback.app.settings import read
from airback.cli.show import print_json, say
from airback.store.migrate import Halves


async def run(arguments: argparse.Namespace) -> int:
    """`airback migrate`."""
    settings = read(data=arguments.data)
    async with database(settings) as url:
        halves: Halves = "pre" if arguments.pre else "all"
        await open_installation(settings, url=url, now=datetime.now(UTC), halves=halves)
    say(
        "the schema is ready for this version's processes; when none of the old ones is left: airback migrate"
        if arguments.pre
        else "the schema is up to date"
    )
    if arguments.json:
        print_json({"migrated": True})
    return 0
