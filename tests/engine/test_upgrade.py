"""An upgrade without a stop: this version's processes on a database that the next version has begun to change."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from shutil import copyfile

from airback.queries.verify import verify
from airback.store import migrate as migrations
from airback.store.migrate import migrate, status
from tests.engine.street import BOOK, Street


async def test_this_version_sells_and_verifies_while_the_next_ones_first_half_is_in(
    street: Street, tmp_path: Path
) -> None:
    """The next version adds a column and an index to every table, as a first half may; its second half is not in yet."""
    tables = [
        row["tablename"]
        for row in await street.pool.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
        )
        if row["tablename"] != "schema_migrations"
    ]
    own = Path(migrations.__file__).parent / "migrations"
    for file in own.glob("*.sql"):
        copyfile(file, tmp_path / file.name)
    add = "".join(
        f"ALTER TABLE {table} ADD COLUMN of_the_next_version text DEFAULT 'new';"
        f"CREATE INDEX ON {table} (of_the_next_version);"
        for table in tables
    )
    need = "".join(f"ALTER TABLE {table} ALTER COLUMN of_the_next_version SET NOT NULL;" for table in tables)
    (tmp_path / "9000_next.pre.sql").write_text(add)
    (tmp_path / "9000_next.post.sql").write_text(need)

    # Orders from before, from half-way, and from after: all of them by this version.
    street.line("13800000001", "cmcc", 100_000)
    await street.sell(street.ask_balance("13800000001", 20_000))
    await migrate(street.url, directory=tmp_path, halves="pre")
    assert [
        s.migration.half for s in await status(street.url, directory=tmp_path) if s.applied_at is None
    ] == ["post"]
    try:
        await street.sell(street.ask_card(street.card("cucc", 10_000)))
        assert await street.settle() == Counter({"closed": 2})
        await migrate(street.url, directory=tmp_path)
        await street.sell(street.ask_card(street.card("ctcc", 10_000)))
        assert await street.settle() == Counter({"closed": 3})
        found = await verify(
            street.pool,
            book=BOOK,
            now=datetime.now(UTC),
            keys=street.keys,
            carriers=street.carriers,
            rails=street.rails,
        )
        assert {name: each.found for name, each in found.items() if each.violations} == {}
    finally:
        drop = "".join(f"ALTER TABLE {table} DROP COLUMN of_the_next_version;" for table in tables)
        await street.pool.execute(drop + "DELETE FROM schema_migrations WHERE number = 9000")
