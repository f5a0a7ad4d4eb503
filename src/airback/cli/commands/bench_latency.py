"""`airback bench latency`: how long one person waits, alone and beside a company's file."""

import argparse
import tempfile
from pathlib import Path

from airback.app.bench import latency
from airback.app.platform import database
from airback.app.settings import read
from airback.cli.show import print_json, progress_bars, say


async def run(arguments: argparse.Namespace) -> int:
    """`airback bench latency`."""
    with tempfile.TemporaryDirectory(prefix="airback-bench-") as directory:
        stages = {"idle": "persons alone", "file": "persons beside a file"}
        with progress_bars(stages, quiet=arguments.json) as progress:
            async with database(read(data=directory)) as url:
                report = await latency.bench(
                    url,
                    Path(directory) / "work",
                    persons=arguments.persons,
                    per_s=arguments.per_s,
                    file_orders=arguments.file,
                    progress=progress,
                )
    for name, words in (("idle", "alone"), ("beside_file", "beside a file")):
        paid = report[name]["paid_ms"]
        say(
            f"  {words}: paid after {paid['p50']} ms (p50), {paid['p99']} ms (p99), {report[name]['persons']} persons"
        )
    say(f"  p99 beside a file is {report['p99_ratio']} times that alone; goal: at most {report['goal']}")
    if arguments.json:
        print_json(report)
    return 1 if report["violations"] else 0
