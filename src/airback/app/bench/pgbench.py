"""PostgreSQL's own bench beside ours: TPC-B-like transactions, and scripts of one statement, on the same server."""

import asyncio
import os
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from airback.app.bench.own_database import own_database
from airback.store.embedded import programs

SCALE: Final = 30
CLIENTS: Final = 8
_TPS: Final = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)


class PgbenchFailed(Exception):
    """pgbench did not run; the message is what it said."""


@asynccontextmanager
async def tpcb_database(server_url: str, *, scale: int = SCALE) -> AsyncIterator[str]:
    """A database with pgbench's tables in it, dropped afterwards. Yields its address."""
    async with own_database(server_url, "tpcb") as url:
        await _run(url, "-i", "-q", "-s", str(scale))
        yield url


async def tpcb(url: str, *, seconds: int) -> float:
    """TPC-B-like transactions a second: 8 clients, prepared statements, over TCP."""
    return await _tps(url, "-T", str(seconds))


async def script(url: str, statements: str, *, seconds: int) -> float:
    """Runs of a script a second, with as many clients."""
    with tempfile.TemporaryDirectory(prefix="airback-bench-") as directory:
        file = Path(directory) / "script.sql"
        file.write_text(statements)
        return await _tps(url, "-T", str(seconds), "-f", str(file))


async def _tps(url: str, *arguments: str) -> float:
    said = await _run(url, "-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "2", *arguments)
    found = _TPS.search(said)
    if found is None:
        raise PgbenchFailed(said[-600:])
    return float(found.group(1))


async def _run(url: str, *arguments: str) -> str:
    where = urlsplit(url)
    environment = {
        **os.environ,
        "PGHOST": where.hostname or "127.0.0.1",
        "PGPORT": str(where.port or 5432),
        "PGUSER": unquote(where.username or "postgres"),
        "PGPASSWORD": unquote(where.password or ""),
        "PGDATABASE": where.path.lstrip("/"),
    }
    process = await asyncio.create_subprocess_exec(
        str(programs.find().path("pgbench")),
        *arguments,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said = (await process.communicate())[0].decode(errors="replace")
    if process.returncode != 0:
        raise PgbenchFailed(said[-600:])
    return said
