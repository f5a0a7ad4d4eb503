"""The one form of a row, whichever side it comes from, and of a statement read from a file.

A frame has the columns of `SCHEMA`, one row per movement. Amounts are positive integer fen and `direction` says which
way the money or airtime went as *we* see it (`out`: from us); `fee_fen` is what the far side charged for the movement,
0 when it says nothing. `reference` is the client reference under which we asked, `far_reference` the far side's own
name; either may be null. `reversed` marks a movement that was taken back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final

import polars as pl

from airback.domain.ports.carrier import StatementLine
from airback.domain.refusals import Refused

DIRECTION: Final = pl.Enum(["out", "in"])
TIME: Final = pl.Datetime("us", "UTC")

SCHEMA: Final[dict[str, pl.DataType]] = {
    "reference": pl.String(),
    "far_reference": pl.String(),
    "kind": pl.String(),
    "amount_fen": pl.Int64(),
    "fee_fen": pl.Int64(),
    "at": TIME,
    "party": pl.String(),
    "direction": DIRECTION,
    "reversed": pl.Boolean(),
}

#: Far sides write times without an offset in China time, and their days begin at its midnight.
CHINA: Final = timezone(timedelta(hours=8))

#: What is read of one file at most. A day of a national operator is a tenth of it.
MOST_ROWS: Final = 5_000_000
MOST_BYTES: Final = 1 << 30
MOST_CELL: Final = 200

#: The share of rows, in ppm, that must lie on one day for a file without a stated period to be that day's.
_DOMINANT_PPM: Final = 900_000


@dataclass(frozen=True, slots=True)
class Period:
    """The time a statement covers: `since` ≤ time < `until`, both aware, in UTC."""

    since: datetime
    until: datetime

    @classmethod
    def of_day(cls, day: date) -> "Period":
        """One day in China."""
        start = datetime(day.year, day.month, day.day, tzinfo=CHINA).astimezone(UTC)
        return cls(start, start + timedelta(days=1))

    @property
    def day(self) -> date:
        """The day in China on which it begins."""
        return self.since.astimezone(CHINA).date()


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One row that could not be read and waits for a person. `row` counts data rows from 1; `refused` names why;
    `reference` is what is left of its reference, so that its other half is not called missing meanwhile."""

    row: int
    field: str | None
    refused: Refused
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """What a statement says of itself, to be checked against its rows; None where it says nothing."""

    rows: int | None = None
    out_rows: int | None = None
    in_rows: int | None = None
    out_fen: int | None = None
    in_fen: int | None = None

    @property
    def stated(self) -> bool:
        """Whether anything can be checked."""
        return any(
            value is not None for value in (self.rows, self.out_rows, self.in_rows, self.out_fen, self.in_fen)
        )


@dataclass(slots=True)
class Statement:
    """A statement as it was read: good rows in order of time, quarantined ones, what it covers.

    `source_rows` holds for each good row its number in the file. `totals_checked` is False when the file states no
    totals or when a quarantined row's amount is among them, so that they prove nothing.
    """

    layout: str
    rows: pl.DataFrame
    source_rows: pl.Series
    quarantined: list[Quarantined] = field(default_factory=list)
    period: Period | None = None
    totals_checked: bool = False
    out_of_order: bool = False


def empty() -> pl.DataFrame:
    """A frame of no rows."""
    return pl.DataFrame(schema=SCHEMA)


def from_lines(lines: Sequence[StatementLine]) -> pl.DataFrame:
    """The frame of lines that a far side's own interface gave, in order of time. What it lists went out from us,
    save a release, which came back."""
    frame = pl.DataFrame(
        {
            "reference": [line.ref for line in lines],
            "far_reference": [line.far_ref for line in lines],
            "kind": [str(line.kind) for line in lines],
            "amount_fen": [line.amount_fen for line in lines],
            "fee_fen": [0] * len(lines),
            "at": [line.at.astimezone(UTC) for line in lines],
            "party": [None] * len(lines),
            "direction": ["in" if line.kind == "release" else "out" for line in lines],
            "reversed": [line.reversed for line in lines],
        },
        schema=SCHEMA,
    )
    return frame.sort("at", maintain_order=True)


def day_number(column: str) -> pl.Expr:
    """The day in China of a time column, as days since 1970."""
    offset_us = 8 * 3_600_000_000
    return (pl.col(column).to_physical() + offset_us) // 86_400_000_000


def infer_period(rows: pl.DataFrame) -> Period | None:
    """What a file without a stated period covers: the day on which nine tenths of its rows lie, else its first to its
    last day; None for a file without rows."""
    if rows.is_empty():
        return None
    days = (
        rows.select(day=day_number("at")).group_by("day").len().sort("len", "day", descending=[True, False])
    )
    top, count = days.row(0)
    if count * 1_000_000 >= rows.height * _DOMINANT_PPM:
        return Period.of_day(_date(top))
    first, last = days["day"].min(), days["day"].max()
    assert isinstance(first, int) and isinstance(last, int)
    return Period(Period.of_day(_date(first)).since, Period.of_day(_date(last)).until)


def _date(days: int) -> date:
    return date(1970, 1, 1) + timedelta(days=days)


def check_totals(totals: Totals, *, rows: pl.DataFrame, quarantined: Sequence[Quarantined]) -> bool:
    """Whether the totals prove the rows. Raises Refused `statement_truncated` when rows are missing,
    `statement_totals_wrong` when counts or sums differ. With rows in quarantine only the number of rows is held
    against the file: what those rows are worth is not known."""
    if not totals.stated:
        return False
    count = rows.height + len({q.row for q in quarantined})
    stated = totals.rows
    if stated is None and totals.out_rows is not None and totals.in_rows is not None:
        stated = totals.out_rows + totals.in_rows
    if stated is not None and count != stated:
        raise Refused("statement_truncated" if count < stated else "statement_totals_wrong", field="rows")
    if quarantined:
        return False
    outgoing = pl.col("direction") == "out"
    found = rows.select(
        out_rows=outgoing.sum(),
        in_rows=(~outgoing).sum(),
        out_fen=pl.col("amount_fen").filter(outgoing).sum(),
        in_fen=pl.col("amount_fen").filter(~outgoing).sum(),
    ).row(0, named=True)
    for name in ("out_rows", "in_rows", "out_fen", "in_fen"):
        value = getattr(totals, name)
        if value is not None and value != found[name]:
            raise Refused("statement_totals_wrong", field=name)
    return True


def bare_reference(cell: str | None) -> str | None:
    """A reference out of a cell that was refused, without what a spreadsheet or a person put around it."""
    text = (cell or "").strip().lstrip("=+-@").strip("\"' ")[:MOST_CELL]
    return text or None
