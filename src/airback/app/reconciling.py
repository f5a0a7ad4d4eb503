"""`airback reconcile` on two files: read, match, tell. Nothing is kept."""

from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, Final

from airback.domain import ids
from airback.domain.refusals import Refused
from airback.reconciliation.breaks import Explanation
from airback.reconciliation.matching import Matching, match
from airback.reconciliation.reading import read_statement
from airback.reconciliation.rows import CHINA, Quarantined, Statement
from airback.store.statements import Break

#: How many breaks and quarantined rows are listed in an answer; all of them are counted, and written to `out`.
LISTED: Final = 1000

Report = Callable[[str, int, int], None]


def reconcile_files(
    *, statement: Path, ours: Path, day: date | None, out: Path | None, progress: Report
) -> dict[str, Any]:
    """Lay the statement beside a file of our own rows; the answer of `answer`. Raises Refused for a file as a whole,
    `field` then beginning with `statement` or `ours`, and OSError."""
    progress("reading", 0, 2)
    theirs = _read(statement, side="statement", day=day)
    progress("reading", 1, 2)
    mine = _read(ours, side="ours", day=None)
    progress("reading", 2, 2)
    progress("matching", 0, 1)
    unread = {q.reference for q in (*theirs.quarantined, *mine.quarantined) if q.reference is not None}
    matching = match(mine.rows, theirs.rows, period=theirs.period, quarantined=unread)
    progress("matching", 1, 1)
    if out is not None:
        matching.breaks.write_csv(out)
    return answer(matching, theirs=theirs, ours=mine)


def _read(path: Path, *, side: str, day: date | None) -> Statement:
    try:
        return read_statement(path.read_bytes(), day=day, any_day=side == "ours")
    except Refused as refused:
        where = f"{side}.{refused.field}" if refused.field else side
        raise Refused(refused.code, field=where, row=refused.row) from None


def answer(matching: Matching, *, theirs: Statement, ours: Statement | None) -> dict[str, Any]:
    """The JSON value of a matching: counts, the first breaks and quarantined rows, what the statement said of itself."""
    mine = [] if ours is None else ours.quarantined
    period = theirs.period
    return {
        "matched": matching.matched,
        "breaks": matching.counts(),
        "quarantined": len(theirs.quarantined) + len(mine),
        "matched_by": matching.matched_by,
        "held": matching.held,
        "outside": matching.outside,
        "rows": {"statement": theirs.rows.height, "ours": None if ours is None else ours.rows.height},
        "statement": {
            "layout": theirs.layout,
            "since": None if period is None else period.since.astimezone(CHINA).isoformat(),
            "until": None if period is None else period.until.astimezone(CHINA).isoformat(),
            "totals_checked": theirs.totals_checked,
            "out_of_order": theirs.out_of_order,
        },
        "quarantine": {
            "statement": dict(Counter(q.refused.code for q in theirs.quarantined)),
            "ours": dict(Counter(q.refused.code for q in mine)),
        },
        "listed": [_listed(row) for row in matching.breaks.head(LISTED).iter_rows(named=True)],
        "listed_rows": [
            *(_row(q, side="statement") for q in theirs.quarantined[:LISTED]),
            *(_row(q, side="ours") for q in mine[:LISTED]),
        ],
    }


def refused_answer(refused: Refused) -> dict[str, Any]:
    """The JSON value when a file was refused as a whole."""
    return {
        "matched": 0,
        "breaks": {str(each): 0 for each in Explanation},
        "quarantined": 0,
        "refused": refused.code,
        "field": refused.field,
        "row": refused.row,
    }


def _listed(row: dict[str, Any]) -> dict[str, Any]:
    names = (
        "explanation",
        "reference",
        "far_reference",
        "kind",
        "direction",
        "our_amount_fen",
        "their_amount_fen",
    )
    return {
        **{name: row[name] for name in names},
        "their_fee_fen": row["their_fee_fen"],
        "at": row["at"].isoformat(),
        "confidence_ppm": row["confidence_ppm"],
    }


def _row(quarantined: Quarantined, *, side: str) -> dict[str, Any]:
    refused = quarantined.refused
    return {
        "file": side,
        "row": quarantined.row,
        "field": quarantined.field,
        "code": refused.code,
        "reason": refused.refusal.en,
        "remedy": refused.refusal.remedy_en,
    }


def listed_break(each: Break) -> dict[str, Any]:
    """A kept break as an answer lists it."""
    return {
        "break": ids.public("brk", each.id),
        "day": each.day.isoformat(),
        "explanation": each.explanation,
        "reference": each.reference,
        "far_reference": each.far_reference,
        "our_amount_fen": each.our_amount_fen,
        "their_amount_fen": each.their_amount_fen,
        "left_fen": each.left_fen,
        "owner": each.owner,
        "due_at": each.due_at.isoformat(),
    }
