"""`airback bench reconcile`: a million rows against a million, one in a hundred differing, beside a bare join.

Both sides are made from a seed, in memory; what was planted is known, and the result is held against it. Rounds of the
bare join and of the matching alternate, so that a busy machine slows both. `ratio_to_join` compares with a full join of the
whole frames on the text reference; `ratio_to_narrow_join` with one of the two reference columns alone.
"""

import gc
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date
from typing import Any, Final, TypeVar

import polars as pl

from airback import __version__
from airback.reconciliation import own_csv
from airback.reconciliation.matching import match
from airback.reconciliation.reading import read_statement
from airback.reconciliation.rows import SCHEMA, Period

_PERIOD: Final = Period.of_day(date(2026, 11, 20))

#: Of every thousand rows, which one is what: ten that differ, one whose reference the statement lost.
_PLANTED: Final = {
    11: "missing_here",
    111: "missing_there",
    211: "amount",
    311: "fee",
    411: "duplicate",
    511: "reversed",
    611: "timing",
    711: "missing_there",
    811: "amount",
    911: "missing_here",
}
_NO_REFERENCE: Final = 999

Report = Callable[[str, int, int], None]
_Result = TypeVar("_Result")


def bench(*, rows: int, rounds: int, seed: int, progress: Report) -> dict[str, Any]:
    """Measure. `rows`: of each side; `rounds`: of join and matching each, of which the medians count."""
    progress("making", 0, 1)
    ours, theirs = frames(rows, seed=seed)
    planted = expected(rows)
    progress("making", 1, 1)
    joins: list[float] = []
    narrow: list[float] = []
    matches: list[float] = []
    as_planted = True
    for done in range(rounds):
        progress("rounds", done, rounds)
        joins.append(_timed(lambda: ours.join(theirs, on="reference", how="full"))[0])
        narrow.append(
            _timed(
                lambda: ours.select("reference").join(theirs.select("reference"), on="reference", how="full")
            )[0]
        )
        seconds, found = _timed(lambda: match(ours, theirs, period=_PERIOD))
        matches.append(seconds)
        as_planted = as_planted and found.counts() == planted
    progress("rounds", rounds, rounds)
    peak = _peak_mib()
    progress("reading", 0, 1)
    content = own_csv.write(theirs, period=_PERIOD)
    reading, read = _timed(lambda: read_statement(content))
    progress("reading", 1, 1)
    join, seconds = statistics.median(joins), statistics.median(matches)
    return {
        "ratio_to_join": round(seconds / join, 3),
        "seconds": round(seconds, 3),
        "peak_mib": peak,
        "ratio_to_narrow_join": round(seconds / statistics.median(narrow), 3),
        "join_seconds": round(join, 3),
        "narrow_join_seconds": round(statistics.median(narrow), 3),
        "rounds": {
            "join": [round(s, 3) for s in joins],
            "narrow_join": [round(s, 3) for s in narrow],
            "match": [round(s, 3) for s in matches],
        },
        "rows": {"ours": ours.height, "statement": theirs.height, "differing": sum(planted.values())},
        "as_planted": as_planted,
        "reading": {
            "rows": read.rows.height,
            "seconds": round(reading, 3),
            "mib": len(content) >> 20,
            "peak_mib": _peak_mib(),
        },
        "seed": seed,
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "threads": pl.thread_pool_size(),
            "system": platform.platform(),
        },
        "versions": {"airback": __version__, "python": platform.python_version(), "polars": pl.__version__},
    }


def frames(rows: int, *, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Our side and the statement's, each shuffled, with the differences of `_PLANTED` in them."""
    n = pl.col("n")
    place = n % 1000
    late = (n.hash(seed + 3) % (10 * 60)).cast(pl.Int64)
    # Payments of the day's middle 23 hours; those planted as timing in the last ten minutes.
    second = (
        pl.when(place == _at("timing")[0])
        .then(86_399 - late)
        .otherwise(1800 + (n.hash(seed + 2) % (23 * 3600)).cast(pl.Int64))
    )
    ours = (
        pl.select(n=pl.int_range(rows))
        .with_columns(
            reference=pl.concat_str(
                n.hash(seed).cast(pl.String).str.zfill(20), n.hash(seed + 1).cast(pl.String).str.zfill(20)
            ).str.slice(14, 26),
            far_reference=pl.lit(None, pl.String),
            kind=pl.lit("pay"),
            amount_fen=(n.hash(seed + 4) % 50_000).cast(pl.Int64) + 100,
            fee_fen=pl.lit(0, pl.Int64),
            at=pl.lit(_PERIOD.since) + pl.duration(seconds=second),
            party=pl.concat_str(
                pl.lit("13"), (n.hash(seed + 5) % 1_000_000_000).cast(pl.String).str.zfill(9)
            ),
            direction=pl.lit("out"),
            reversed=pl.lit(False),
        )
        .with_columns(far_reference=pl.concat_str(pl.lit("2026112022001"), n.cast(pl.String).str.zfill(15)))
    )
    theirs = ours.with_columns(
        reference=pl.when(place == _NO_REFERENCE).then(None).otherwise("reference"),
        amount_fen=pl.when(place.is_in(_at("amount"))).then(pl.col("amount_fen") + 3).otherwise("amount_fen"),
        fee_fen=pl.when(place.is_in(_at("fee"))).then(pl.lit(25, pl.Int64)).otherwise("fee_fen"),
        reversed=place.is_in(_at("reversed")),
    )
    twice = theirs.filter(place.is_in(_at("duplicate")))
    theirs = pl.concat([theirs.filter(~place.is_in([*_at("missing_there"), *_at("timing")])), twice])
    ours = ours.filter(~place.is_in(_at("missing_here"))).with_columns(far_reference=pl.lit(None, pl.String))
    shuffled = [
        side.select(list(SCHEMA)).cast(pl.Schema(SCHEMA)).sample(fraction=1, shuffle=True, seed=seed + n)
        for n, side in enumerate((ours, theirs))
    ]
    return shuffled[0], shuffled[1]


def expected(rows: int) -> dict[str, int]:
    """How many breaks of each explanation `frames` plants."""
    counts = dict.fromkeys(
        ("duplicate", "reversed", "fee", "amount", "timing", "missing_here", "missing_there"), 0
    )
    for place, name in _PLANTED.items():
        counts[name] += (rows - place + 999) // 1000 if rows > place else 0
    return counts


def _at(name: str) -> list[int]:
    return [place for place, planted in _PLANTED.items() if planted == name]


def _timed(work: Callable[[], _Result]) -> tuple[float, _Result]:
    gc.collect()
    begun = time.perf_counter()
    result = work()
    return time.perf_counter() - begun, result


def _peak_mib() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak >> (20 if sys.platform == "darwin" else 10)
