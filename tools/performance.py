"""Write what a bench measured into docs/performance.md, between the page's two markers.

airback bench --json | python tools/performance.py
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
BEGIN = "<!-- figures:begin -->"
END = "<!-- figures:end -->"


def figures(report: Mapping[str, Any]) -> str:
    """The tables that stand between the markers."""
    machine = report["machine"]
    server = ", ".join(f"{name} {value}" for name, value in machine["postgresql"].items())
    lines = [
        BEGIN,
        "",
        f"{machine['processor']}, {machine['cores']} cores; Python {machine['python']}, Airback {machine['airback']}; {server}.",
        "",
        "| ratio | measured | goal | reached |",
        "|---|---|---|---|",
    ]
    for name, ratio in report["ratios"].items():
        goal = report["goals"].get(name, "–")
        reached = "not measured" if ratio is None else ("yes" if ratio >= goal else "no")
        lines.append(f"| `{name}` | {'–' if ratio is None else ratio} | {goal} | {reached} |")
    lines += ["", "| a second | median | rounds |", "|---|---|---|"]
    for name, samples in report["rounds"].items():
        told = ", ".join(f"{one:g}" for one in samples)
        lines.append(f"| `{name}` | {sorted(samples)[len(samples) // 2]:g} | {told} |")
    checked = report["verify"]
    lines += [
        "",
        f"`airback verify` found {checked['violations']} violations over {checked['orders']} orders of these runs.",
        "",
        END,
    ]
    return "\n".join(lines)


def page_with(page: str, report: Mapping[str, Any]) -> str:
    """The page with its figures replaced. Raises ValueError when a marker is missing."""
    before, found, rest = page.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise ValueError("docs/performance.md has lost its markers")
    return before + figures(report) + after


def main() -> None:
    """Read the last line of standard input as the bench's report."""
    report = json.loads(sys.stdin.read().strip().splitlines()[-1])
    PAGE.write_text(page_with(PAGE.read_text(encoding="utf-8"), report), encoding="utf-8")


if __name__ == "__main__":
    main()
