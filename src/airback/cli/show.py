"""How commands show things: progress bars on a terminal, one JSON object as the last line for machines."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

CONSOLE = Console(stderr=True)

Report = Callable[[str, int, int], None]


@contextmanager
def progress_bars(names: dict[str, str], *, quiet: bool) -> Iterator[Report]:
    """A bar per stage named in `names` (what it is called → what is shown); nothing is drawn when `quiet` or piped."""
    if quiet or not CONSOLE.is_terminal:
        yield lambda name, done, of: None
        return
    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=CONSOLE) as progress:
        tasks: dict[str, Any] = {}

        def report(name: str, done: int, of: int) -> None:
            shown = names.get(name)
            if shown is None:
                name, shown = next(((n, s) for n, s in names.items() if n.endswith("*")), ("", ""))
                if not shown:
                    return
            if name not in tasks:
                tasks[name] = progress.add_task(shown, total=of or None)
            progress.update(tasks[name], completed=done, total=of or None)

        yield report


def print_json(value: Any) -> None:
    """One object on one line, the last of standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def say(text: str = "") -> None:
    """Lines for people, on standard error so that standard output stays a machine's."""
    CONSOLE.print("\n".join(map(plain, text.split("\n"))), highlight=False, markup=False)


def plain(text: str) -> str:
    """One line in which nothing tells a terminal to do anything: other letters stand as their escapes."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
