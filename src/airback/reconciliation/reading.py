"""A statement file: recognised, read by its format, put in order of time, held against the day it should be of."""

from datetime import date, timedelta
from typing import Final

import polars as pl

from airback.domain.refusals import Refused
from airback.reconciliation import alipay_bill, camt053, own_csv
from airback.reconciliation.rows import SCHEMA, Period, Quarantined, Statement, infer_period
from airback.reconciliation.tables import decode

#: A row may lie so far outside the day: far sides' clocks, and payments that end after midnight.
_TOLERANCE: Final = timedelta(hours=1)
_HEAD: Final = 65_536


def read_statement(content: bytes, *, day: date | None = None, any_day: bool = False) -> Statement:
    """Read a file of any known format. `day` is the day in China it should be of; `any_day` (a file of our own rows,
    which may reach further) leaves rows of other days in.

    Raises Refused for the file as a whole: what its format's `read` raises, `statement_format_unknown`, or
    `statement_wrong_day` when it says another day or most of its rows lie on one. A single row of another day is put
    into quarantine (`row_wrong_day`).
    """
    if camt053.looks_like(content):
        statement = camt053.read(content)
    else:
        text = decode(_head(content))
        if alipay_bill.looks_like(text):
            statement = alipay_bill.read(content)
        elif own_csv.looks_like(text):
            statement = own_csv.read(content)
        else:
            raise Refused("statement_format_unknown")
    if not any_day:
        _place(statement, day=day)
    at = statement.rows["at"]
    statement.out_of_order = not (at.is_sorted() or at.is_sorted(descending=True))
    ordered = statement.rows.sort("at", "row")
    statement.source_rows = ordered["row"]
    statement.rows = ordered.select(list(SCHEMA))
    statement.quarantined.sort(key=lambda q: q.row)
    return statement


def _place(statement: Statement, *, day: date | None) -> None:
    wanted = None if day is None else Period.of_day(day)
    if wanted is not None and statement.period is not None and not _overlap(wanted, statement.period):
        raise Refused("statement_wrong_day", field="day")
    period = wanted or statement.period or infer_period(statement.rows)
    statement.period = period
    if period is None:
        return
    astray = (pl.col("at") < period.since - _TOLERANCE) | (pl.col("at") >= period.until + _TOLERANCE)
    wrong = statement.rows.filter(astray)
    if wrong.height * 2 > statement.rows.height:
        raise Refused("statement_wrong_day", field="day")
    if not wrong.is_empty():
        statement.quarantined += [
            Quarantined(row, "at", Refused("row_wrong_day", field="at", row=row), reference)
            for row, reference in wrong.select("row", "reference").iter_rows()
        ]
        statement.rows = statement.rows.filter(~astray)


def _overlap(one: Period, other: Period) -> bool:
    return one.since < other.until and other.since < one.until


def _head(content: bytes) -> bytes:
    """The first lines, whole: enough to tell a format by."""
    if len(content) <= _HEAD:
        return content
    end = content.rfind(b"\n", 0, _HEAD)
    return content[: end + 1] if end > 0 else content
