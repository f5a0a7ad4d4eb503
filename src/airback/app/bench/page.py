"""The bench's page: each ratio beside its goal, every round's figures, and the machine. One file without scripts."""

from collections.abc import Mapping
from html import escape
from typing import Any, Final

_NAMES: Final = {
    "lifecycle": "whole buy-backs, two books ÷ TPC-B transactions",
    "lifecycle_book": "whole buy-backs, one book ÷ TPC-B transactions",
    "lifecycle_one": "whole buy-backs one at a time, two books ÷ TPC-B transactions",
    "lifecycle_http": "whole buy-backs over real HTTP ÷ TPC-B transactions",
    "lifecycle_http_of_parts": "the same ÷ what engine and HTTP client would do one after the other",
    "posting_hot": "postings on hot accounts ÷ one function call each",
    "order_post": "orders accepted over HTTP ÷ an echo",
    "quote_post": "quotes signed over HTTP ÷ an echo",
    "grown": "whole buy-backs with ten million orders in the database ÷ empty",
    "memory_mib": "worker's memory at ten million orders, MiB",
}

_STYLE: Final = """
body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1b2733;background:#fff}
h1{font-size:1.6rem;margin:0 0 .25rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}p{margin:.25rem 0;color:#51606f}
table{border-collapse:collapse;width:100%}td,th{padding:.35rem .6rem;border-bottom:1px solid #e4e9ee;text-align:left}
td.n{text-align:right;font-variant-numeric:tabular-nums}svg{display:block;width:100%;height:auto}
.bar{fill:#2f6f9f}.reached{fill:#2c8a5b}.goal{stroke:#b4530a;stroke-width:2}text{font:13px system-ui,sans-serif;fill:#1b2733}
"""


def page(report: Mapping[str, Any]) -> str:
    """The whole page as HTML. `report`: what `runs.run` returns."""
    rows = [(name, ratio) for name, ratio in report["ratios"].items() if ratio is not None]
    goals = report["goals"]
    machine = report["machine"]
    server = ", ".join(f"{name} {value}" for name, value in machine["postgresql"].items())
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width,initial-scale=1'>",
        f"<title>Airback bench</title><style>{_STYLE}</style></head><body>",
        "<h1>Airback bench</h1>",
        f"<p>{escape(str(machine['processor']))}, {machine['cores']} cores, {escape(str(machine['system']))}</p>",
        f"<p>Python {escape(machine['python'])}, Airback {escape(machine['airback'])}, {escape(server)}</p>",
        "<h2>Ratios to this machine's own speed, and their goals</h2>",
        _bars([(name, ratio, goals.get(name)) for name, ratio in rows]),
        "<h2>Rounds</h2>",
        _rounds(report["rounds"]),
        "<h2>A second</h2><table>",
        *(
            f"<tr><td>{escape(name)}</td><td class='n'>{value}</td></tr>"
            for name, value in report["absolute"].items()
        ),
        "</table>",
        f"<p>verify: {report['verify']['violations']} violations over {report['verify']['orders']} orders</p>",
        "</body></html>",
    ]
    return "\n".join(parts)


def _bars(rows: list[tuple[str, float, float | None]]) -> str:
    """A bar for each ratio, as a share of its goal; the line is the goal."""
    height = 56
    drawn = [f"<svg viewBox='0 0 900 {height * len(rows)}' role='img' aria-label='ratios and goals'>"]
    for place, (name, ratio, goal) in enumerate(rows):
        top = place * height
        share = min(ratio / goal, 1.25) if goal else 1.0
        reached = goal is not None and ratio >= goal
        drawn.append(f"<text x='0' y='{top + 16}'>{escape(_NAMES.get(name, name))}</text>")
        drawn.append(
            f"<rect class='{'reached' if reached else 'bar'}' x='0' y='{top + 24}' width='{share * 640:.0f}' height='18'/>"
        )
        if goal:
            drawn.append(f"<line class='goal' x1='640' x2='640' y1='{top + 20}' y2='{top + 46}'/>")
        drawn.append(f"<text x='820' y='{top + 38}'>{ratio:g}{f' of {goal:g}' if goal else ''}</text>")
    return "".join([*drawn, "</svg>"])


def _rounds(samples: Mapping[str, list[float]]) -> str:
    """Every sample of every figure, drawn against the largest of its kind."""
    cells = []
    for name, values in samples.items():
        most = max(values)
        width, bars = 28, []
        for place, value in enumerate(values):
            tall = round(36 * value / most) if most else 0
            bars.append(
                f"<rect class='bar' x='{place * width}' y='{40 - tall}' width='{width - 6}' height='{tall}'/>"
            )
        picture = f"<svg viewBox='0 0 {width * len(values)} 40' style='width:{width * len(values)}px'>{''.join(bars)}</svg>"
        told = ", ".join(f"{value:g}" for value in values)
        cells.append(f"<tr><td>{escape(name)}</td><td>{picture}</td><td class='n'>{told}</td></tr>")
    return f"<table>{''.join(cells)}</table>"
