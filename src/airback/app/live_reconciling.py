"""`airback reconcile --live`: a statement against the book itself; what differs is kept, and becomes work."""

import asyncio
import hashlib
import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from airback.app.opening import open_installation
from airback.app.platform import database
from airback.app.reconciling import Report, answer, listed_break
from airback.app.settings import read
from airback.domain.refusals import Refused
from airback.engine.import_statement import import_statement
from airback.queries.daily_close import clearing
from airback.reconciliation.breaks import Explanation
from airback.reconciliation.reading import read_statement
from airback.store import statements
from airback.store.pool import connect_once


async def reconcile_live(
    *, data: str | None, statement: Path, far_side: str, day: date | None, progress: Report
) -> dict[str, Any]:
    """Import the statement and tell what came of it: as for two files, with `already` (the file was in before, nothing
    changed), `open` (every open break of the far side) and `clearing` (the daily close). Raises Refused, OSError."""
    port, _, name = far_side.partition(":")
    if port not in ("rail", "carrier") or not name:
        raise Refused("field_invalid", field="far_side")
    settings = read(data=data)
    progress("reading", 0, 1)
    content = await asyncio.to_thread(statement.read_bytes)
    theirs = await asyncio.to_thread(read_statement, content, day=day)
    progress("reading", 1, 1)
    async with database(settings) as url:
        await open_installation(settings, url=url, now=datetime.now(UTC))
        conn = await connect_once(url)
        try:
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
