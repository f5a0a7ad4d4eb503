"""Migrations: order, checksums, halves of an upgrade, and many at once."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from airback.store.migrate import (
    DatabaseIsNewer,
    MigrationChanged,
    MigrationFailed,
    MigrationFilesMalformed,
    MigrationOutOfOrder,
    MigrationsPending,
    migrate,
    read_migrations,
    require_current,
    status,
)
from airback.store.pool import connect_once


def write(folder: Path, **files: str) -> Path:
    """Migration files by name: `a0001_first=...` becomes `0001_first.sql`, `__` in a name a dot."""
    folder.mkdir(exist_ok=True)
    for name, sql in files.items():
        (folder / f"{name[1:].replace('__', '.')}.sql").write_text(sql, "utf-8")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(
        tmp_path / "migrations",
        a0001_first="CREATE TABLE first (id integer PRIMARY KEY); INSERT INTO first VALUES (1);",
        a0002_second="ALTER TABLE first ADD COLUMN word text",
    )


async def tables(url: str) -> set[str]:
    connection = await connect_once(url)
    try:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    finally:
        await connection.close()
    return {row["tablename"] for row in rows}


async def test_pending_migrations_are_applied_in_order_and_once(
    empty_database_url: str, folder: Path
) -> None:
    done = await migrate(empty_database_url, directory=folder)
    assert [step.migration.file_name for step in done] == ["0001_first.sql", "0002_second.sql"]
    assert all(step.applied_at is not None and step.duration_ms is not None for step in done)
    assert await migrate(empty_database_url, directory=folder) == []
    assert await status(empty_database_url, directory=folder) == done


async def test_status_reads_only(empty_database_url: str, folder: Path) -> None:
    assert [step.applied_at for step in await status(empty_database_url, directory=folder)] == [None, None]
    assert await tables(empty_database_url) == set()


async def test_a_connection_serves_as_well_as_a_url(empty_database_url: str, folder: Path) -> None:
    connection = await connect_once(empty_database_url)
    try:
        assert len(await migrate(connection, directory=folder)) == 2
        assert await connection.fetchval("SELECT id FROM first") == 1
        async with connection.transaction():
            with pytest.raises(ValueError, match="not inside a transaction"):
                await migrate(connection, directory=folder)
    finally:
        await connection.close()


async def test_a_failed_migration_leaves_nothing_and_keeps_earlier_ones(
    empty_database_url: str, folder: Path
) -> None:
    write(folder, a0003_third="CREATE TABLE third (); INSERT INTO nowhere VALUES (1);")
    with pytest.raises(MigrationFailed) as caught:
        await migrate(empty_database_url, directory=folder)
    assert caught.value.where == "0003_third.sql"
    assert "nowhere" in caught.value.reason
    assert await tables(empty_database_url) == {"first", "schema_migrations"}
    write(folder, a0003_third="CREATE TABLE third ()")
    assert [step.migration.number for step in await migrate(empty_database_url, directory=folder)] == [3]


async def test_a_changed_file_of_an_applied_migration_is_refused(
    empty_database_url: str, folder: Path
) -> None:
    await migrate(empty_database_url, directory=folder)
    write(folder, a0001_first="CREATE TABLE first (id bigint PRIMARY KEY)")
    for check in (migrate, status):
        with pytest.raises(MigrationChanged) as caught:
            await check(empty_database_url, directory=folder)
        assert caught.value.where == "0001_first.sql"


async def test_a_number_that_was_jumped_cannot_be_filled_later(
    empty_database_url: str, tmp_path: Path
) -> None:
    folder = write(tmp_path / "gap", a0001_first="SELECT 1", a0003_third="SELECT 3")
    await migrate(empty_database_url, directory=folder)
    write(folder, a0002_second="SELECT 2")
    with pytest.raises(MigrationOutOfOrder) as caught:
        await migrate(empty_database_url, directory=folder)
    assert caught.value.where == "0002_second.sql"


async def test_a_database_ahead_of_the_code_is_refused(empty_database_url: str, folder: Path) -> None:
    await migrate(empty_database_url, directory=folder)
    (folder / "0002_second.sql").unlink()
    with pytest.raises(DatabaseIsNewer) as caught:
        await migrate(empty_database_url, directory=folder)
    assert caught.value.where == "0002_second"


async def test_many_processes_may_migrate_at_once_and_one_does_the_work(
    empty_database_url: str, tmp_path: Path
) -> None:
    folder = write(
        tmp_path / "slow",
        a0001_first="CREATE TABLE first (); SELECT pg_sleep(0.05)",
        a0002_second="CREATE TABLE second (); SELECT pg_sleep(0.05)",
    )
    done = await asyncio.gather(*(migrate(empty_database_url, directory=folder) for _ in range(6)))
    assert sorted(step.migration.number for steps in done for step in steps) == [1, 2]


async def test_an_upgrade_can_stop_half_way_and_go_on(empty_database_url: str, folder: Path) -> None:
    write(
        folder,
        a0003_rename__pre="ALTER TABLE first ADD COLUMN words text",
        a0003_rename__post="ALTER TABLE first DROP COLUMN word",
    )
    before = await migrate(empty_database_url, directory=folder, halves="pre")
    assert [step.migration.file_name for step in before][-1] == "0003_rename.pre.sql"
    await require_current(empty_database_url, directory=folder, halves="pre")
    connection = await connect_once(empty_database_url)
    try:
        await connection.execute("INSERT INTO first (id, word, words) VALUES (2, 'old', 'new')")
    finally:
        await connection.close()
    with pytest.raises(MigrationsPending, match="airback migrate"):
        await require_current(empty_database_url, directory=folder)
    after = await migrate(empty_database_url, directory=folder)
    assert [step.migration.file_name for step in after] == ["0003_rename.post.sql"]
    await require_current(empty_database_url, directory=folder)


async def test_a_table_in_use_fails_a_migration_instead_of_stalling_everybody(
    empty_database_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airback.store.migrate.DDL_LOCK_TIMEOUT_S", 1)
    write(folder, a0003_third="ALTER TABLE first ADD COLUMN third text")
    await migrate(
        empty_database_url,
        directory=write(
            folder.parent / "two",
            a0001_first=(folder / "0001_first.sql").read_text("utf-8"),
            a0002_second=(folder / "0002_second.sql").read_text("utf-8"),
        ),
    )
    reader = await connect_once(empty_database_url)
    try:
        async with reader.transaction():
            await reader.execute("SELECT * FROM first")
            with pytest.raises(MigrationFailed, match="LockNotAvailable"):
                await migrate(empty_database_url, directory=folder)
    finally:
        await reader.close()
    assert len(await migrate(empty_database_url, directory=folder)) == 1


@pytest.mark.parametrize(
    "names",
    [
        ["1_first"],
        ["0000_first"],
        ["0001-first"],
        ["0001_First"],
        ["0001_first", "0001_second"],
        ["0001_first.pre", "0001_first"],
        ["0001_first.pre", "0001_second.post"],
        ["0001_first.during"],
    ],
)
def test_malformed_names_are_refused(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / f"{name}.sql").write_text("SELECT 1", "utf-8")
    with pytest.raises(MigrationFilesMalformed) as caught:
        read_migrations(tmp_path)
    assert caught.value.where == f"{names[-1]}.sql"


async def test_the_products_own_migrations_apply_to_an_empty_database(empty_database_url: str) -> None:
    done = await migrate(empty_database_url)
    assert [step.migration.number for step in done] == [found.number for found in read_migrations()]
    await require_current(empty_database_url)


async def test_a_test_database_comes_migrated(pool: asyncpg.Pool, database_url: str) -> None:
    await require_current(database_url)
    assert await pool.fetchval("SELECT count(*) > 0 FROM schema_migrations")
