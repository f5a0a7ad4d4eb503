"""Import a far side's statement: match it with what the book holds to have been executed, keep what differs as work.

One transaction writes the statement, its rows that need a person, the breaks, and a letter to the book's writer, who
settles the clearing account. The same file again changes nothing; another file for a day that is in is refused.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

import asyncpg
import polars as pl

from airback.domain import ids
from airback.domain.refusals import Refused
from airback.engine.inbox import append_statement
from airback.reconciliation.breaks import OWNERS, Explanation, State, due_at
from airback.reconciliation.matching import Matching, match
from airback.reconciliation.rows import CHINA, SCHEMA, Period, Statement
from airback.store import statements
from airback.store.statements import SQL, Imported

#: How long before a statement's day an effect may have been journalled that it executes.
_REACH: Final = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Result:
    """What an import did. `matching` is None when the same file was in already and nothing changed."""

    statement: Imported
    matching: Matching | None
    already: bool


async def import_statement(
    conn: asyncpg.Connection,
    *,
    book: int,
    far_side: str,
    statement: Statement,
    sha256: bytes,
    by: str,
    now: datetime,
    entropy: Callable[[int], bytes],
) -> Result:
    """Import a statement that was read. Raises Refused `statement_day_taken` when another file of its day is in, and
    `field_missing` (`day`) when neither the file nor the caller says a day, `statement_wrong_day` when it covers more
    than one."""
    day = _day(statement)
    period = Period.of_day(day)
    found = await statements.find(conn, book=book, far_side=far_side, day=day)
    if found is not None:
        return _again(found, sha256)
    ours, pending = await _ours(conn, book=book, far_side=far_side, period=period, theirs=statement.rows)
    unread = {q.reference for q in statement.quarantined if q.reference is not None}
    matching = match(ours, statement.rows, period=period, pending=pending, quarantined=unread)
    async with conn.transaction():
        statement_id = ids.new_ids(now=now, entropy=entropy)[0]
        moved = _moved(statement)
        values = (
            statement_id, far_side, day, statement.layout, sha256, statement.rows.height, *moved, matching.matched,
            len(statement.quarantined), statement.totals_checked, by, now,
        )  # fmt: skip
        if not await statements.insert(conn, book=book, values=values):
            taken = await statements.find(conn, book=book, far_side=far_side, day=day)
            assert taken is not None
            return _again(taken, sha256)
        await statements.insert_rows(
            conn, book=book, rows=_rows_for_people(statement_id, statement, matching)
        )
        await _recheck(conn, book=book, far_side=far_side, day=day, theirs=statement.rows, ours=ours, now=now)
        breaks = await _new_breaks(
            conn, book=book, far_side=far_side, period=period, ours=ours, matching=matching
        )
        rows = _breaks(
            breaks, statement=statement, statement_id=statement_id, far_side=far_side, day=day, now=now
        )
        for row, identifier in zip(rows, _new_ids(len(rows), now=now, entropy=entropy), strict=True):
            row["id"] = identifier
        await statements.insert_breaks(conn, book=book, rows=rows)
        body = {
            "statement": statement_id,
            "far_side": far_side,
            "day": day.isoformat(),
            "sha256": sha256.hex(),
            "rows": statement.rows.height,
            "matched": matching.matched,
            **dict(zip(("out_fen", "in_fen", "fee_fen"), moved, strict=True)),
        }
        await append_statement(conn, book=book, body=body, at=now)
    kept = await statements.find(conn, book=book, far_side=far_side, day=day)
    assert kept is not None
    return Result(kept, matching, already=False)


def _again(found: Imported, sha256: bytes) -> Result:
    if found.sha256 != sha256:
        raise Refused("statement_day_taken", field="day")
    return Result(found, None, already=True)


def _day(statement: Statement) -> date:
    if statement.period is None:
        raise Refused("field_missing", field="day")
    if statement.period.until - statement.period.since > timedelta(days=1):
        raise Refused("statement_wrong_day", field="day")
    return statement.period.since.astimezone(CHINA).date()


async def _ours(
    conn: Any, *, book: int, far_side: str, period: Period, theirs: pl.DataFrame
) -> tuple[pl.DataFrame, list[str]]:
    """(what we hold to be executed in the period or under a reference of the statement, references still open)."""
    rows = await _since(conn, book=book, far_side=far_side, since=period.since - _REACH, until=period.until)
    known = {row["ref"] for row in rows}
    others = theirs["reference"].drop_nulls().unique()
    missing = others.filter(~others.is_in(list(known))).to_list() if known else others.to_list()
    listed = set(others.to_list())
    if missing:
        rows = [*rows, *await _named(conn, book=book, far_side=far_side, refs=missing)]
    executed = [
        row
        for row in rows
        if row["result"] in ("succeeded", "reversed")
        and (period.since <= row["at"] < period.until or row["ref"] in listed)
    ]
    pending = [row["ref"] for row in rows if row["result"] not in ("succeeded", "reversed", "failed")]
    frame = pl.DataFrame(
        {
            "reference": [row["ref"] for row in executed],
            "far_reference": [row["far_ref"] for row in executed],
            "kind": [row["kind"] for row in executed],
            "amount_fen": [row["amount_fen"] for row in executed],
            "fee_fen": [0] * len(executed),
            "at": [row["at"] for row in executed],
            "party": [None] * len(executed),
            "direction": ["in" if row["kind"] == "release" else "out" for row in executed],
            "reversed": [row["result"] == "reversed" for row in executed],
        },
        schema=SCHEMA,
    )
    return frame, pending


async def _since(
    conn: Any, *, book: int, far_side: str, since: datetime, until: datetime
) -> Sequence[Mapping[str, Any]]:
    """What a far side was asked for in a time and how it stands; of an outlet, its fills."""
    outlet = _outlet(far_side)
    if outlet is None:
        found: Sequence[Mapping[str, Any]] = await conn.fetch(
            SQL.executed_since, book, far_side, since, until
        )
        return found
    first, last = ids.lowest_id(since), ids.lowest_id(until)
    return [_fill(row) for row in await conn.fetch(SQL.filled_since, book, outlet, first, last)]


async def _named(conn: Any, *, book: int, far_side: str, refs: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    """The same of given references, whenever it was."""
    outlet = _outlet(far_side)
    if outlet is None:
        found: Sequence[Mapping[str, Any]] = await conn.fetch(SQL.executed_refs, book, far_side, refs)
        return found
    fills = [fill for ref in refs if (fill := ids.parse_public("fil", ref)) is not None]
    return [_fill(row) for row in await conn.fetch(SQL.fills_by_id, book, outlet, fills)]


def _outlet(far_side: str) -> str | None:
    port, _, name = far_side.partition(":")
    return name if port == "outlet" else None


def _fill(row: Mapping[str, Any]) -> dict[str, Any]:
    """A fill as a movement: what the outlet pays, when its delivery was learned of."""
    if row["state"] == "delivered":
        result = "reversed" if row["result"] == "reversed" else "succeeded"
    else:
        result = "open" if row["state"] in ("reserved", "delivering") else "failed"
    return {
        "ref": ids.public("fil", row["id"]),
        "kind": "transfer",
        "amount_fen": row["pays_fen"],
        "far_ref": None,
        "result": result,
        "at": row["at"] or row["created_at"],
    }


def _moved(statement: Statement) -> tuple[int, int, int]:
    """(out, in, fees) that really moved, in fen. Where a file marks a movement as taken back, nothing moved; where it
    lists the return as an entry of its own, both count."""
    rows = statement.rows
    if statement.layout != "camt053":
        rows = rows.filter(~pl.col("reversed"))
    sums = rows.select(
        pl.col("amount_fen").filter(pl.col("direction") == "out").sum().alias("out"),
        pl.col("amount_fen").filter(pl.col("direction") == "in").sum().alias("in"),
    ).row(0)
    return int(sums[0]), int(sums[1]), int(statement.rows["fee_fen"].sum())


async def _new_breaks(
    conn: Any, *, book: int, far_side: str, period: Period, ours: pl.DataFrame, matching: Matching
) -> pl.DataFrame:
    """The breaks without those that an earlier statement has named. A movement of ours from a day whose statement had
    it, listed again on this one, was executed twice."""
    breaks = matching.breaks
    references = breaks["reference"].drop_nulls().unique().to_list()
    found = await conn.fetch(SQL.known_references, book, far_side, references)
    known = pl.col("reference").is_in(
        pl.Series([row["reference"] for row in found], dtype=pl.String).implode()
    )
    days = await conn.fetch(
        SQL.statement_days, book, far_side, period.since - timedelta(days=400), period.since
    )
    stated = pl.Series([row["day"] for row in days], dtype=pl.Date)
    booked = ours["at"].gather(breaks["ours"]).dt.convert_time_zone("Asia/Shanghai").dt.date()
    once_more = breaks["theirs"].is_not_null() & booked.is_in(stated.implode()) & (booked < period.day)
    breaks = breaks.with_columns(again=once_more.fill_null(False)).with_columns(
        again=pl.col("again") & ~known.fill_null(False)
    )
    one_sided = pl.col("ours").is_null() | pl.col("theirs").is_null()
    return breaks.filter(~(one_sided & known).fill_null(False)).with_columns(
        explanation=pl.when("again").then(pl.lit(str(Explanation.DUPLICATE))).otherwise("explanation"),
        our_amount_fen=pl.when("again").then(None).otherwise("our_amount_fen"),
        ours=pl.when("again").then(None).otherwise("ours"),
    )


async def _recheck(
    conn: Any,
    *,
    book: int,
    far_side: str,
    day: date,
    theirs: pl.DataFrame,
    ours: pl.DataFrame,
    now: datetime,
) -> None:
    """Timing breaks of earlier days: the other half is in, or it was no matter of timing."""
    waiting = await conn.fetch(SQL.open_timing, book, far_side, day)
    if not waiting:
        return
    listed = set(theirs["reference"].drop_nulls().to_list())
    late = [row["reference"] for row in waiting if not row["ours"] and row["reference"] is not None]
    executed = {
        row["ref"]
        for row in await _named(conn, book=book, far_side=far_side, refs=late)
        if row["result"] in ("succeeded", "reversed")
    } | set(ours["reference"].drop_nulls().to_list())
    came = [row["id"] for row in waiting if row["reference"] in (listed if row["ours"] else executed)]
    await conn.execute(SQL.close_matched, book, now, came)
    stay = [(r["id"], Explanation.MISSING_THERE if r["ours"] else Explanation.MISSING_HERE)
            for r in waiting if r["id"] not in set(came)]  # fmt: skip
    if stay:
        await conn.execute(
            SQL.rename_breaks,
            book,
            [identifier for identifier, _ in stay],
            [str(explanation) for _, explanation in stay],
            [OWNERS[explanation] for _, explanation in stay],
            [due_at(explanation, opened_at=now) for _, explanation in stay],
        )


def _rows_for_people(statement_id: int, statement: Statement, matching: Matching) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    seen: set[int] = set()
    for q in statement.quarantined:
        if q.row not in seen:
            seen.add(q.row)
            rows.append((statement_id, q.row, q.refused.code, q.field, q.reference, *(None,) * 7))
    alone = matching.breaks.filter(pl.col("ours").is_null())["theirs"]
    numbers = statement.source_rows.gather(alone)
    chosen = statement.rows[alone].with_columns(n=numbers, direction=pl.col("direction").cast(pl.String))
    names = ("reference", "far_reference", "kind", "direction", "amount_fen", "fee_fen", "party", "at")
    for r in chosen.iter_rows(named=True):
        rows.append((statement_id, r["n"], None, None, *(r[name] for name in names)))
    return rows


def _breaks(
    breaks: pl.DataFrame, *, statement: Statement, statement_id: int, far_side: str, day: date, now: datetime
) -> list[dict[str, Any]]:
    contra = statement.layout == "camt053"
    rows = []
    for row in breaks.iter_rows(named=True):
        explanation = Explanation(row["explanation"])
        # Both sides have it, on two days: nothing is left to do, and the other day's statement must know.
        shifted = explanation is Explanation.TIMING and row["ours"] is not None and row["theirs"] is not None
        rows.append(
            {
                "id": 0,
                "statement": statement_id,
                "far_side": far_side,
                "day": day,
                "explanation": str(explanation),
                "state": str(State.MATCHED if shifted else State.OPEN),
                "owner": OWNERS[explanation],
                "due_at": due_at(explanation, opened_at=now),
                "confidence_ppm": row["confidence_ppm"],
                "reference": row["reference"],
                "far_reference": row["far_reference"],
                "kind": row["kind"],
                "direction": row["direction"],
                "our_amount_fen": row["our_amount_fen"],
                "their_amount_fen": row["their_amount_fen"],
                "our_fee_fen": row["our_fee_fen"],
                "their_fee_fen": row["their_fee_fen"],
                "left_fen": left_fen(row, contra=contra),
                "at": row["at"],
                "opened_at": now,
                "closed_at": now if shifted else None,
            }
        )
    return rows


def left_fen(row: dict[str, Any], *, contra: bool) -> int:
    """What a break leaves on the clearing account in fen, credit positive: what we booked as gone out less what moved,
    charges included. A reversed movement that both sides know came back whole; one that only they know left nothing
    behind, save a contra entry (`contra`) of a payment on another day."""
    sign = -1 if row["direction"] == "in" else 1
    ours = sign * (row["our_amount_fen"] or 0)
    theirs = sign * (row["their_amount_fen"] or 0)
    if row["explanation"] == Explanation.REVERSED and not (contra and row["our_amount_fen"] is None):
        theirs = 0
    return ours - theirs - (row["their_fee_fen"] or 0)


def _new_ids(count: int, *, now: datetime, entropy: Callable[[int], bytes]) -> Iterable[int]:
    return ids.new_ids(now=now, entropy=entropy, count=count) if count else []
