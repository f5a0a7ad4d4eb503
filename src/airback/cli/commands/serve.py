"""`airback serve`: the API and the pages."""

import argparse

from airback.app import processes
from airback.app.serving import serve as serve_pages
from airback.app.settings import read
from airback.cli.show import say


async def run(arguments: argparse.Namespace) -> int:
    """`airback serve`."""
    settings = read(data=arguments.data)
    await serve_pages(
        settings,
        host=arguments.host,
        port=arguments.port,
        stop=processes.stop_event(),
        ready=lambda url: say(f"serving at {url}"),
    )
    return 0
