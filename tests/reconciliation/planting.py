"""Two frames that agree, and differences planted into them one by one, each with the name it must be given."""

import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from airback.reconciliation.rows import SCHEMA, Period

DAY = date(2026, 11, 20)
PERIOD = Period.of_day(DAY)
KINDS = (
    "missing_here",
    "missing_there",
    "amount",
    "fee_charged",
    "fee_deducted",
    "duplicate_theirs",
    "duplicate_ours",
    "reversed_flag",
    "reversed_contra",
    "timing_ours",
    "timing_theirs",
    "timing_shifted",
    "no_reference",
    "other_reference",
    "far_reference",
)
#: What each planted kind is called; None: no difference at all, the rows must find each other.
NAMES: dict[str, str | None] = {
    "missing_here": "missing_here",
    "missing_there": "missing_there",
    "amount": "amount",
    "fee_charged": "fee",
    "fee_deducted": "fee",
    "duplicate_theirs": "duplicate",
    "duplicate_ours": "duplicate",
    "reversed_flag": "reversed",
    "reversed_contra": "reversed",
    "timing_ours": "timing",
    "timing_theirs": "timing",
    "timing_shifted": "timing",
    "no_reference": None,
    "other_reference": None,
    "far_reference": None,
}


@dataclass
class Planted:
    """The two sides and what was planted: reference → expected explanation."""

    ours: pl.DataFrame
    theirs: pl.DataFrame
    expected: dict[str, str] = field(default_factory=dict)
    agreeing: int = 0


def row(random_: random.Random, number: int) -> dict[str, Any]:
    """A payment of the day's middle hours."""
    at = PERIOD.since + timedelta(hours=1, seconds=random_.randrange(22 * 3600))
    return {
        "reference": f"R{number:08d}",
        "far_reference": None,
        "kind": "pay",
        "amount_fen": random_.randrange(1, 500) * 100,
        "fee_fen": 0,
        "at": at,
        "party": f"138{number:08d}",
        "direction": "out",
        "reversed": False,
    }


def plant(kinds: list[str], *, agreeing: int, seed: int) -> Planted:
    """`agreeing` rows that agree, and one planted difference for each of `kinds`, both sides shuffled."""
    draw = random.Random(seed)
    ours: list[dict[str, Any]] = []
    theirs: list[dict[str, Any]] = []
    planted = Planted(pl.DataFrame(), pl.DataFrame(), agreeing=agreeing)
    for number in range(agreeing + len(kinds)):
        mine = row(draw, number)
        yours = {
            **mine,
            "at": mine["at"] + timedelta(seconds=draw.randrange(60)),
            "far_reference": f"F{number}",
        }
        if number < agreeing:
            ours.append(mine)
            theirs.append(yours)
            continue
        kind = kinds[number - agreeing]
        name = NAMES[kind]
        if name is not None:
            planted.expected[mine["reference"]] = name
        else:
            planted.agreeing += 1
        _twist(kind, mine, yours, ours, theirs)
    draw.shuffle(ours)
    draw.shuffle(theirs)
    planted.ours, planted.theirs = frame(ours), frame(theirs)
    return planted


def frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """A frame of rows as dictionaries."""
    return pl.DataFrame(rows, schema=SCHEMA).select(list(SCHEMA))


def _twist(
    kind: str,
    mine: dict[str, Any],
    yours: dict[str, Any],
    ours: list[dict[str, Any]],
    theirs: list[dict[str, Any]],
) -> None:
    late = PERIOD.until - timedelta(seconds=40)
    match kind:
        case "missing_here":
            theirs.append(yours)
            return
        case "missing_there":
            ours.append(mine)
            return
        case "amount":
            yours["amount_fen"] += 7
        case "fee_charged":
            yours["fee_fen"] = 25
        case "fee_deducted":
            mine["amount_fen"] += 1000
            yours["amount_fen"], yours["fee_fen"] = mine["amount_fen"] - 30, 30
        case "duplicate_theirs":
            theirs.append({**yours, "at": yours["at"] + timedelta(minutes=9), "far_reference": "again"})
        case "duplicate_ours":
            ours.append({**mine, "at": mine["at"] + timedelta(minutes=9)})
        case "reversed_flag":
            yours["reversed"] = True
        case "reversed_contra":
            theirs.append(
                {**yours, "direction": "in", "at": yours["at"] + timedelta(hours=1), "far_reference": None}
            )
        case "timing_ours":
            ours.append({**mine, "at": late})
            return
        case "timing_theirs":
            theirs.append({**yours, "at": PERIOD.since + timedelta(seconds=30)})
            return
        case "timing_shifted":
            mine["at"], yours["at"] = late, PERIOD.until + timedelta(seconds=20)
        case "no_reference":
            yours["reference"] = None
        case "other_reference":
            yours["reference"] = "BANK" + yours["reference"]
        case "far_reference":
            mine["far_reference"] = yours["far_reference"]
            yours["reference"] = None
            yours["party"] = None
            yours["at"] += timedelta(hours=1)
    ours.append(mine)
    theirs.append(yours)


def noon(offset_s: int = 0) -> datetime:
    """Noon in China of the day, and so many seconds."""
    return datetime(2026, 11, 20, 4, tzinfo=UTC) + timedelta(seconds=offset_s)
