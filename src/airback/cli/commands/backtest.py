"""`airback backtest`: what another rate card would have made of past orders."""

import argparse
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from airback.app import backtest
from airback.app.settings import read
from airback.cli.show import CONSOLE, print_json, progress_bars, say
from airback.domain.money import percent, yuan

_STAGES: Final = {"orders": "orders priced again"}
_ROWS: Final = (
    ("orders", "orders sold"),
    ("refusals", "orders refused"),
    ("face_fen", "face value"),
    ("sellers_fen", "paid to sellers"),
    ("sellers_rate_ppm", "sellers' mean rate"),
    ("proceeds_fen", "paid by outlets"),
    ("rail_cost_fen", "cost of payment"),
    ("fee_fen", "fee"),
    ("spread_fen", "spread"),
    ("profit_fen", "profit"),
)


async def run(arguments: argparse.Namespace) -> int:
    """`airback backtest`."""
    with progress_bars(_STAGES, quiet=arguments.json) as progress:
        told = await backtest.backtest(
            read(data=arguments.data),
            card=Path(arguments.card),
            days=arguments.days,
            margin_ppm=arguments.margin_ppm,
            now=datetime.now(UTC),
            progress=lambda done: progress("orders", done, 0),
        )
    if arguments.json:
        print_json(told)
    else:
        _tell(told)
    return 0


def _tell(told: Mapping[str, Any]) -> None:
    say(f"{told['orders']} orders sold from {told['since']} to {told['until']}")
    sums = Table(show_header=True, header_style="bold")
    for name in ("", "happened", "would be", "difference"):
        sums.add_column(name, justify="right" if name else "left")
    for key, name in _ROWS:
        sums.add_row(
            name, *(_figure(key, told[side][key]) for side in ("happened", "would_be", "difference"))
        )
    CONSOLE.print(sums)
    parts = Table(show_header=True, header_style="bold")
    for name in (
        "segment",
        "orders",
        "sellers then",
        "sellers would be",
        "profit then",
        "profit would be",
        "worse",
    ):
        parts.add_column(name, justify="left" if name == "segment" else "right")
    for segment in told["segments"]:
        then, would_be = segment["happened"], segment["would_be"]
        parts.add_row(
            f"{segment['by']} {segment['key']}",
            str(then["orders"]),
            *(_figure("sellers_rate_ppm", side["sellers_rate_ppm"]) for side in (then, would_be)),
            *(_figure("profit_fen", side["profit_fen"]) for side in (then, would_be)),
            str(segment["sellers_worse"]),
        )
    CONSOLE.print(parts)
    for code, count in told["would_be"]["refused"].items():
        say(f"refused {code}: {told['happened']['refused'].get(code, 0)} then, {count} would be")
    for name, count in told["left_out"].items():
        if count:
            say(f"left out, {name.replace('_', ' ')}: {count}")
    say(
        f"sellers: {told['sellers_worse']} would get less, {told['sellers_better']} more, {told['sellers_same']} the same"
    )
    for sentence in told["assumptions"].values():
        say(f"- {sentence}")


def _figure(key: str, value: int) -> str:
    if key.endswith("_ppm"):
        return f"{percent(value)} %"
    return yuan(value) if key.endswith("_fen") else str(value)
