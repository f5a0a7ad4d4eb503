"""`airback migrate`: the schema of this version."""

import argparse
from datetime import UTC, datetime

from airback.app.opening import open_installation
from airback.app.platform import database
from airback.app.settings import read
from airback.cli.show import print_json, say


async def run(arguments: argparse.Namespace) -> int:
    """`airback migrate`."""
    settings = read(data=arguments.data)
    async with database(settings) as url:
        await open_installation(settings, url=url, now=datetime.now(UTC))
    say("the schema is up to date")
    if arguments.json:
        print_json({"migrated": True})
    return 0
