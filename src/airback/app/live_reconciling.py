"""`airback reconcile --live`: a statement against the book itself; what differs is kept, and becomes work."""

import asyncio
import hashlib
import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import polars as pl

from airback.adapters.keys.files import FileKeys
from airback.adapters.outlet.webhook import WebhookOutlet
from airback.app.opening import open_installation
from airback.app.platform import database
from airback.app.reconciling import Report, answer, listed_break
from airback.app.settings import Settings, read
from airback.domain.ids import new_reference
from airback.domain.ports.carrier import FarSideUnreachable
from airback.domain.ports.outlet import StatementAsk
from airback.domain.refusals import Refused
from airback.engine.import_statement import import_statement
from airback.engine.tell import hook_place
from airback.queries.daily_close import clearing
from airback.reconciliation.breaks import Explanation
from airback.reconciliation.reading import read_statement
from airback.reconciliation.rows import Period, Statement, from_lines
from airback.store import outlets, statements
from airback.store.pool import connect_once


async def reconcile_live(
    *, data: str | None, statement: Path | None, far_side: str, day: date | None, progress: Report
) -> dict[str, Any]:
    """Import the statement (None: what the outlet `far_side` answers of that day when it is asked) and tell what came of it: as for two files, with `already` (the file was in before, nothing
    changed), `open` (every open break of the far side) and `clearing` (the daily close). Raises Refused, OSError."""
    port, _, name = far_side.partition(":")
    if port not in ("rail", "carrier", "outlet") or not name:
        raise Refused("field_invalid", field="far_side")
    settings = read(data=data)
    progress("reading", 0, 1)
    async with database(settings) as url:
        await open_installation(settings, url=url, now=datetime.now(UTC))
        conn = await connect_once(url)
        try:
            if statement is not None:
                content = await asyncio.to_thread(statement.read_bytes)
                theirs = await asyncio.to_thread(read_statement, content, day=day)
            else:
                content, theirs = await _asked(conn, settings, outlet=name, day=day)
            progress("reading", 1, 1)
            progress("storing", 0, 1)
            result = await import_statement(
                conn,
                book=settings.book,
                far_side=far_side,
                statement=theirs,
                sha256=hashlib.sha256(content).digest(),
                by="setup",
                now=datetime.now(UTC),
                entropy=os.urandom,
            )
            progress("storing", 1, 1)
            standing = await statements.list_breaks(conn, book=settings.book, far_side=far_side)
            accounts = await clearing(conn, book=settings.book)
        finally:
            await conn.close()
    if result.matching is not None:
        report = answer(result.matching, theirs=theirs, ours=None)
    else:
        report = {
            "matched": result.statement.matched,
            "breaks": dict.fromkeys(map(str, Explanation), 0),
            "quarantined": result.statement.quarantined,
            "held": 0,
            "listed": [],
            "listed_rows": [],
            "statement": {"layout": theirs.layout, "since": None, "until": None},
        }
    return {
        **report,
        "already": result.already,
        "open": [listed_break(each) for each in standing],
        "clearing": [account.as_json() for account in accounts],
    }


async def _asked(
    conn: asyncpg.Connection, settings: Settings, *, outlet: str, day: date | None
) -> tuple[bytes, Statement]:
    """What an outlet answers when it is asked for a day, as bytes that are the same whenever it says the same, and read.
    Raises Refused `field_missing`, `statement_day_open`, `statement_not_given`."""
    if day is None:
        raise Refused("field_missing", field="day")
    period, now = Period.of_day(day), datetime.now(UTC)
    if now < period.until:
        raise Refused("statement_day_open", field="day")
    hook = (await outlets.hooks(conn, book=settings.book)).get(outlet)
    if hook is None:
        raise Refused("statement_not_given", field="far_side")
    keys = FileKeys(settings.keys_dir)
    secret = keys.unseal(purpose="webhook", sealed=hook.secret, where=hook_place(outlet)).decode()
    adapter = WebhookOutlet(now=lambda: datetime.now(UTC), allow_loopback=settings.sandbox, timeout_s=60)
    ask = StatementAsk(new_reference(entropy=os.urandom), hook.url, secret, period.since, period.until)
    try:
        lines = await adapter.statement(ask)
    except FarSideUnreachable:
        raise Refused("statement_not_given", field="far_side") from None
    lines = sorted(lines, key=lambda line: (line.at, line.ref, line.far_ref, line.reversed, line.amount_fen))
    content = msgspec.json.encode([day, lines])
    numbers = pl.Series(range(1, len(lines) + 1), dtype=pl.Int64)
    return content, Statement("outlet", from_lines(lines), numbers, period=period)
