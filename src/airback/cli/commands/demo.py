"""`airback demo`: everything at once, with traffic, to the end of every order."""

import argparse
from typing import Any

from airback.app import demo as demonstration
from airback.app import processes
from airback.app.settings import read
from airback.app.together import Running
from airback.cli.show import print_json, progress_bars, say
from airback.domain.money import yuan


async def run(arguments: argparse.Namespace) -> int:
    """`airback demo`."""
    settings = read(data=arguments.data)
    stages = {
        "demands": "outlets place demands",
        "selling": "sellers sell",
        "paying": "orders come to their end",
        "*": "checking every invariant",
    }
    seed = demonstration.DEFAULT_SEED if arguments.seed is None else arguments.seed
    if not arguments.json:
        say(f"Airback demonstration in {settings.data_dir}: {arguments.orders} attempts, seed {seed}")
    with progress_bars(stages, quiet=arguments.json) as progress:
        report = await demonstration.run(
            settings,
            orders=arguments.orders,
            seed=seed,
            fault=arguments.fault,
            progress=progress,
            stay=None if arguments.once else _stay,
        )
    if arguments.once and not arguments.json:
        _tell(report)
    if arguments.json:
        print_json(report)
    return 1 if report["verify"]["violations"] else 0


def _tell(report: dict[str, Any]) -> None:
    far = report["far_side"]
    say()
    say(
        f"{report['closed']} of {report['orders']} attempts were closed: delivered, paid and receipted; {yuan(report['paid_fen'])} yuan paid."
    )
    for code, count in report["refused"].items():
        say(f"  {count:>4}  {code}")
    say(
        f"The far sides counted {report['http_calls']} requests, {far['executions']} deliveries of "
        f"{yuan(far['delivered_fen'])} yuan, {far['payments']} payments of {yuan(far['paid_fen'])} yuan, "
        f"{far['duplicates']} duplicates."
    )
    say(f"verify: {report['verify']['violations']} violations. {report['seconds']} s.")


async def _stay(running: Running, people: dict[str, str], report: dict[str, Any]) -> None:
    _tell(report)
    stop = processes.stop_event()
    say()
    say(f"Seller's page  {running.api_url}/")
    say(f"Console        {running.api_url}/console")
    for name, password in people.items():
        say(f"               {name} / {password}")
    say(f"API            {running.api_url}/v1/openapi.json")
    say(f"SMS sent       {running.sandbox_url}/sandbox/sms?number=13800138000")
    say(
        "Numbers to try: 13800138000 (China Mobile), 13300133000 (Telecom), 13000130000 (Unicom), 19200192000 (Broadnet)."
    )
    say("Ctrl-C stops everything.")
    await stop.wait()
