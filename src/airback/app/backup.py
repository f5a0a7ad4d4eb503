"""`airback backup` and `airback restore`: one file with the whole database, and back into an empty one.

PostgreSQL's own programs do both, in one snapshot and one transaction. A restored book knows nothing of what far sides
carried out after the backup, so it comes back with buying paused and sending off, and stays so until two people say
otherwise; the keys are no part of the file.
"""

import asyncio
import os
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from airback.app.platform import database, open_platform, verified
from airback.app.settings import Settings
from airback.store import books
from airback.store.embedded import programs
from airback.store.migrate import migrate
from airback.store.pool import connect_once, place
from airback.store.problems import DatabaseProblem

#: What a restored book says of itself on every page of the console.
RESTORED: Final = "restored from a backup: see what far sides did since, then resume"


class BackupFailed(DatabaseProblem):
    """A program of PostgreSQL could not do its work."""

    code = "backup_failed"


class DatabaseNotEmpty(DatabaseProblem):
    """A backup is restored only into a database that holds nothing."""

    code = "database_not_empty"


async def backup(settings: Settings, *, out: Path) -> dict[str, Any]:
    """Write the database to `out` (whole or absent, its owner's alone): `{"file", "bytes"}`. Raises BackupFailed."""
    partial = out.with_name(f".{out.name}.{secrets.token_hex(6)}")
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        async with database(settings) as url:
            await _run("pg_dump", ["--format=custom", "--no-owner", "--no-acl", f"--file={partial}"], url=url)
        # A file that cannot be listed cannot be restored either.
        await _run("pg_restore", ["--list", str(partial)], url=None)
        size = partial.stat().st_size  # a local file, once
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return {"file": str(out), "bytes": size}


async def restore(settings: Settings, *, file: Path) -> dict[str, Any]:
    """Restore `file` into the empty database, and lay the book beside the far sides' own statements.

    `{"orders", "differences", "found": [(far side's or our reference, what differs)], "unchecked"}`. Raises
    DatabaseNotEmpty, BackupFailed, OSError.
    """
    file.open("rb").close()  # told before anything starts
    async with database(settings) as url:
        conn = await connect_once(url)
        try:
            if await conn.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"):
                raise DatabaseNotEmpty(
                    where=place(url),
                    reason="The database holds something already.",
                    remedy="Restore into a new data directory or a new database.",
                )
        finally:
            await conn.close()
        arguments = ["--single-transaction", "--exit-on-error", "--no-owner", "--no-acl", "--dbname="]
        await _run("pg_restore", [*arguments, str(file)], url=url)
        conn = await connect_once(url)
        try:
            await books.pause_all(conn, reason=RESTORED)  # whatever becomes of the migration
        finally:
            await conn.close()
        await migrate(url)
        conn = await connect_once(url)
        try:
            orders = await books.restored(conn, reason=RESTORED, now=datetime.now(UTC))
            # A restored table has no statistics, and every plan would be a guess.
            await conn.execute("ANALYZE")
        finally:
            await conn.close()
        async with open_platform(settings, url=url, connections=2) as platform:
            findings = await verified(platform)
    beside = findings["ledger_equals_statements"]
    return {
        "orders": orders,
        "differences": beside.violations,
        "found": beside.found,
        "unchecked": beside.unchecked,
        "violations": sum(f.violations for f in findings.values()) - beside.violations,
    }


async def _run(program: str, arguments: Sequence[str], *, url: str | None) -> None:
    """Run one of PostgreSQL's programs. The password is in its environment, not among its arguments."""
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"} | ({} if url is None else _reach(url))
    process = await asyncio.create_subprocess_exec(
        str(programs.find().path(program)),
        *arguments,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    if process.returncode != 0:
        lines = said.decode("utf-8", "replace").strip().splitlines() or ["It said nothing."]
        raise BackupFailed(
            where=place(url) if url is not None else program,
            reason=f"{program}: {lines[0][:300]}",
            remedy="Nothing was changed. Mend what it names, and run the command again.",
        )


def _reach(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    return {
        "PGHOST": parts.hostname or "localhost",
        "PGPORT": str(parts.port or 5432),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": unquote(parts.path.lstrip("/")),
    }
