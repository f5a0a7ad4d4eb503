"""`airback sandbox`: far sides to practise with."""

import argparse

from airback.app import processes, sandboxing
from airback.app.settings import read
from airback.cli.show import say


async def run(arguments: argparse.Namespace) -> int:
    """`airback sandbox`."""
    await sandboxing.serve(
        read(data=arguments.data),
        listen=arguments.listen,
        auth=not arguments.no_auth,
        notices=arguments.notices,
        stop=processes.stop_event(),
        ready=lambda url: say(f"sandbox at {url}"),
    )
    return 0
