"""Draw the state diagrams of docs/architecture.md from the transition tables.

    python tools/draw_states.py          write them between the page's two markers
    python tools/draw_states.py --check  change nothing; 1 when the page does not show the tables

The tables are the truth and the pictures follow, so a picture cannot promise a transition that the engine
refuses. A table's first state is where a life begins; a state that nothing follows is an end.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "architecture.md"
BEGIN = "<!-- states:begin -->"
END = "<!-- states:end -->"

DRAWN = (
    ("An order", "airback.orders.states", "TRANSITIONS"),
    ("A fill: the part of an order that goes to one demand", "airback.orders.states", "FILL_TRANSITIONS"),
    ("An effect: what is asked of a far side", "airback.domain.effects", "TRANSITIONS"),
    ("A payout", "airback.payouts.states", "TRANSITIONS"),
    ("A demand", "airback.market.states", "TRANSITIONS"),
    ("An offer: a price that a seller named", "airback.market.offers", "TRANSITIONS"),
    ("An outlet's health", "airback.market.health", "TRANSITIONS"),
    ("A break: a difference from a far side's statement", "airback.reconciliation.breaks", "TRANSITIONS"),
    (
        "A correction: what came back after it was final",
        "airback.orders.corrections",
        "TRANSITIONS",
    ),
    ("A proposal: what one person asks and another decides", "airback.staff.proposals", "TRANSITIONS"),
)


def diagram(table: Mapping[StrEnum, frozenset[StrEnum]]) -> str:
    """One table as a mermaid state diagram; the lines follow the order in which the states are declared."""
    order = list(type(next(iter(table))))
    lines = ["stateDiagram-v2", f"    [*] --> {next(iter(table))}"]
    for state in order:
        following = [other for other in order if other in table[state]]
        lines.extend(f"    {state} --> {other}" for other in following)
        if not following:
            lines.append(f"    {state} --> [*]")
    return "\n".join(lines)


def drawing() -> str:
    """All diagrams, as they stand between the markers."""
    parts = []
    for title, module, name in DRAWN:
        table = getattr(importlib.import_module(module), name)
        parts.append(f"### {title}\n\nDrawn from `{module}.{name}`.\n\n```mermaid\n{diagram(table)}\n```\n")
    return f"{BEGIN}\n\n" + "\n".join(parts) + f"\n{END}"


def drawn_page(page: str) -> str:
    """The page with its diagrams as the tables have them; ValueError when a marker is missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the markers {BEGIN} and {END} must both stand in {PAGE.name}, in this order")
    return before + drawing() + after


def main() -> int:
    """Entry point; 0 when the page shows the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; 1 when the page is out of date")
    options = parser.parse_args()
    page = PAGE.read_text(encoding="utf-8")
    wanted = drawn_page(page)
    if page == wanted:
        print(f"{PAGE.name} shows the tables")
        return 0
    if options.check:
        print(f"{PAGE.name} does not show the tables: run `make docs`", file=sys.stderr)
        return 1
    PAGE.write_text(wanted, encoding="utf-8")
    print(f"{PAGE.name} was drawn anew")
    return 0


if __name__ == "__main__":
    sys.exit(main())
