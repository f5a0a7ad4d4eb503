"""`airback work`: the writers of books and their senders."""

import argparse

from airback.app import processes
from airback.app.settings import read
from airback.app.working import work as work_books
from airback.cli.show import say


async def run(arguments: argparse.Namespace) -> int:
    """`airback work`."""
    settings = read(data=arguments.data)
    await work_books(
        settings, stop=processes.stop_event(), ready=lambda: say("working"), most=arguments.books
    )
    return 0
