"""Numbered SQL migrations: applied once, in order, each in a transaction of its own, recorded by checksum.

Names are `NNNN_name.sql`, or in two halves around an upgrade without a stop:

    0007_masks.pre.sql    what the running version of Airback tolerates (applied before its processes restart)
    0007_masks.post.sql   what only the new version tolerates (applied when no old process is left)

`NNNN_name.sql` counts as a first half. `migrate(..., halves="pre")` stops before the first pending `.post`.

What was applied is kept in `schema_migrations`. The file of an applied migration must never change. Each
migration takes a transaction-scoped advisory lock and looks again before it runs, so any number of processes
may migrate one database at the same time (also through a transaction-pooling proxy); one does the work.
"""

import re
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from importlib import resources
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Final, Literal

import asyncpg

from airback.store.pool import connect_once
from airback.store.problems import DatabaseProblem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Half = Literal["", "pre", "post"]
Halves = Literal["all", "pre"]

LOCK_KEY: Final = 0x61697262_61636B01  # "airback" and a one: nothing else takes this advisory lock
DDL_LOCK_TIMEOUT_S: Final = 30
"""How long a migration waits for a table that others use: while it waits, they queue up behind it."""

_FILE_NAME: Final = re.compile(
    r"(?P<number>\d{4})_(?P<name>[a-z0-9]+(?:_[a-z0-9]+)*)(?:\.(?P<half>pre|post))?\.sql"
)
_ORDER_OF_HALVES: Final[dict[Half, int]] = {"pre": 0, "": 1, "post": 2}

_CREATE_RECORD: Final = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    number      integer     NOT NULL CHECK (number > 0),
    half        text        NOT NULL CHECK (half IN ('', 'pre', 'post')),
    name        text        NOT NULL,
    sha256      text        NOT NULL CHECK (length(sha256) = 64),
    applied_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    duration_ms integer     NOT NULL CHECK (duration_ms >= 0),
    PRIMARY KEY (number, half)
)
"""
_RECORD: Final = """
INSERT INTO schema_migrations (number, half, name, sha256, duration_ms) VALUES ($1, $2, $3, $4, $5)
RETURNING applied_at
"""
_HAS_RECORD: Final = "SELECT to_regclass('schema_migrations') IS NOT NULL"
_APPLIED: Final = "SELECT number, half, name, sha256, applied_at, duration_ms FROM schema_migrations"


class MigrationFilesMalformed(DatabaseProblem):
    """The folder of migrations itself is wrong (a name, a repeated number)."""

    code = "migration_files_malformed"


class MigrationChanged(DatabaseProblem):
    """The file of an applied migration is not the one that was applied."""

    code = "migration_changed"


class MigrationOutOfOrder(DatabaseProblem):
    """A pending migration stands before one that was already applied."""

    code = "migration_out_of_order"


class DatabaseIsNewer(DatabaseProblem):
    """The database has a migration that this version of Airback does not know."""

    code = "database_is_newer"


class MigrationFailed(DatabaseProblem):
    """A migration raised an error; its transaction was rolled back, earlier ones stand."""

    code = "migration_failed"


class MigrationsPending(DatabaseProblem):
    """The database lacks migrations that this version of Airback needs."""

    code = "migrations_pending"


@dataclass(frozen=True, slots=True)
class Migration:
    """One file. `sha256` is the hexadecimal digest of its bytes."""

    number: int
    name: str
    half: Half
    sha256: str
    sql: str

    @property
    def key(self) -> tuple[int, int]:
        """What migrations are sorted by."""
        return self.number, _ORDER_OF_HALVES[self.half]

    @property
    def file_name(self) -> str:
        """The name of its file."""
        return f"{self.number:04d}_{self.name}{'.' if self.half else ''}{self.half}.sql"


@dataclass(frozen=True, slots=True)
class Step:
    """One migration and what became of it: `applied_at` is None while it is pending."""

    migration: Migration
    applied_at: datetime | None
    duration_ms: int | None


def read_migrations(directory: Path | None = None) -> list[Migration]:
    """The migrations in `directory` (default: the product's own), in order. Raises `MigrationFilesMalformed`."""
    folder = resources.files("airback.store.migrations") if directory is None else directory
    found: dict[tuple[int, int], Migration] = {}
    names: dict[int, Migration] = {}
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not entry.name.endswith(".sql"):
            continue
        parts = _FILE_NAME.fullmatch(entry.name)
        if parts is None or parts["number"] == "0000":
            raise _malformed(entry.name, "The name does not have the form NNNN_name[.pre|.post].sql.")
        half: Half = "pre" if parts["half"] == "pre" else "post" if parts["half"] == "post" else ""
        body = entry.read_bytes()
        migration = Migration(
            number=int(parts["number"]),
            name=parts["name"],
            half=half,
            sha256=sha256(body).hexdigest(),
            sql=body.decode("utf-8"),
        )
        sibling = names.setdefault(migration.number, migration)
        if sibling is not migration and (sibling.name != migration.name or "" in (half, sibling.half)):
            raise _malformed(entry.name, f"The number is already taken by {sibling.file_name}.")
        found[migration.key] = migration
    return [found[key] for key in sorted(found)]


async def status(database: str | asyncpg.Connection, *, directory: Path | None = None) -> list[Step]:
    """Every known migration in order, applied or pending. Reads only.

    Raises `MigrationChanged`, `MigrationOutOfOrder`, `DatabaseIsNewer`, `MigrationFilesMalformed`.
    """
    migrations = read_migrations(directory)
    async with _connection(database) as connection:
        return await _steps(connection, migrations)


async def require_current(
    database: str | asyncpg.Connection, *, directory: Path | None = None, halves: Halves = "all"
) -> None:
    """Raise `MigrationsPending` unless nothing is pending (`halves="pre"`: `.post` files may be), else as `status`."""
    pending = [
        step.migration for step in await status(database, directory=directory) if step.applied_at is None
    ]
    if halves == "pre":
        pending = [migration for migration in pending if migration.half != "post"]
    if pending:
        raise MigrationsPending(
            where=pending[0].file_name,
            reason=f"{len(pending)} migration(s) have not been applied to the database.",
            remedy="Run: airback migrate",
        )


async def migrate(
    database: str | asyncpg.Connection, *, directory: Path | None = None, halves: Halves = "all"
) -> list[Step]:
    """Apply what is pending, in order; returns the steps that *this* call applied (none when up to date).

    `database` is a URL or a connection outside a transaction. Raises as `status`, and `MigrationFailed`.
    """
    migrations = read_migrations(directory)
    done: list[Step] = []
    async with _connection(database) as connection:
        if connection.is_in_transaction():
            raise ValueError("migrate needs a connection that is not inside a transaction")
        while True:
            step = await _apply_next(connection, migrations, halves=halves)
            if step is None:
                return done
            done.append(step)


async def _apply_next(
    connection: asyncpg.Connection, migrations: Sequence[Migration], *, halves: Halves
) -> Step | None:
    """Apply the first pending migration; None when there is none left to apply."""
    async with connection.transaction():
        # Waiting for another process that migrates may take as long as it takes …
        await connection.execute("SET LOCAL statement_timeout = 0")
        await connection.execute("SET LOCAL lock_timeout = 0")
        await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK_KEY)
        await connection.execute(_CREATE_RECORD)
        steps = await _steps(connection, migrations)
        migration = next((step.migration for step in steps if step.applied_at is None), None)
        if migration is None or (halves == "pre" and migration.half == "post"):
            return None
        # … but waiting for a table would make every reader of it wait too.
        await connection.execute(f"SET LOCAL lock_timeout = '{DDL_LOCK_TIMEOUT_S}s'")
        started = perf_counter()
        try:
            async with connection.transaction():
                await connection.execute(migration.sql)
        except asyncpg.PostgresError as error:
            raise MigrationFailed(
                where=migration.file_name,
                reason=f"{type(error).__name__}: {error}.",
                remedy="Nothing of this migration was kept. Remove the cause, then run: airback migrate",
            ) from error
        duration_ms = round((perf_counter() - started) * 1000)
        applied_at = await connection.fetchval(
            _RECORD, migration.number, migration.half, migration.name, migration.sha256, duration_ms
        )
        return Step(migration=migration, applied_at=applied_at, duration_ms=duration_ms)


async def _steps(connection: asyncpg.Connection, migrations: Sequence[Migration]) -> list[Step]:
    """Match the files with the database's record, and refuse what does not fit together."""
    rows = await connection.fetch(_APPLIED) if await connection.fetchval(_HAS_RECORD) else []
    record = {(row["number"], _ORDER_OF_HALVES[row["half"]]): row for row in rows}
    known = {migration.key for migration in migrations}
    for key in sorted(record.keys() - known):
        raise DatabaseIsNewer(
            where=f"{record[key]['number']:04d}_{record[key]['name']}",
            reason="The database has this migration, and this version of Airback does not know it.",
            remedy="Use the version of Airback that made it, or a newer one.",
        )
    steps: list[Step] = []
    first_pending: Migration | None = None
    for migration in migrations:
        row = record.get(migration.key)
        if row is None:
            first_pending = first_pending or migration
            steps.append(Step(migration=migration, applied_at=None, duration_ms=None))
            continue
        if row["sha256"] != migration.sha256:
            raise MigrationChanged(
                where=migration.file_name,
                reason="The file is not the one that was applied to this database.",
                remedy="Restore the file as it was, and put the change into a new migration.",
            )
        if first_pending is not None:
            raise MigrationOutOfOrder(
                where=first_pending.file_name,
                reason=f"It was never applied, but the later {migration.file_name} was.",
                remedy="Give the new migration a number above every applied one.",
            )
        steps.append(Step(migration=migration, applied_at=row["applied_at"], duration_ms=row["duration_ms"]))
    return steps


def _connection(database: str | asyncpg.Connection) -> AbstractAsyncContextManager[asyncpg.Connection]:
    return _opened(database) if isinstance(database, str) else _lent(database)


@asynccontextmanager
async def _opened(url: str) -> "AsyncIterator[asyncpg.Connection]":
    connection = await connect_once(url, application_name="airback migrate")
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def _lent(connection: asyncpg.Connection) -> "AsyncIterator[asyncpg.Connection]":
    yield connection


def _malformed(file_name: str, reason: str) -> MigrationFilesMalformed:
    return MigrationFilesMalformed(where=file_name, reason=reason, remedy="Rename or remove the file.")
