"""The schema and the named statements keep to what Citus 13 allows of tables that are distributed by `book`.

Nothing here needs Citus. What a cluster rejects is read from the catalogue and from plans: its planner sends
a statement to one node when each distributed table in it has a condition `book = <value>` of its own, and
that is where PostgreSQL's planner shows one. A row of the same book that is found through another table's
`book` in an inner query is not enough.
"""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import asyncpg
import pytest

from airback.store.pool import connect_once
from tests.conftest import TestServer
from tests.store.distribution import Distribution, read_distribution
from tests.store.plans import generic_plan, sql_files, statements

DISTRIBUTION: Final = read_distribution()

#: What $1 and $2 say: tables, and where each goes.
_PLACES: Final = """
WITH place AS (SELECT name::regclass AS oid, goes FROM unnest($1::text[], $2::text[]) AS given (name, goes)),
     book AS (SELECT place.oid, attnum, atttypid, attnotnull FROM place
              JOIN pg_attribute ON attrelid = place.oid AND attname = 'book' AND goes = 'by book')
"""

#: Each finds what breaks it, as text that begins with the table.
RULES: Final = {
    "tables by book have a book of one type": """
        SELECT place.oid::regclass::text FROM place LEFT JOIN book ON book.oid = place.oid
        WHERE goes = 'by book' AND (NOT coalesce(attnotnull, false) OR atttypid <> 'integer'::regtype)""",
    "no triggers and no rules": """
        SELECT tgrelid::regclass || ' ' || tgname FROM pg_trigger JOIN place ON place.oid = tgrelid WHERE NOT tgisinternal
        UNION ALL
        SELECT ev_class::regclass || ' ' || rulename FROM pg_rewrite JOIN place ON place.oid = ev_class""",
    "no exclusion constraints": """
        SELECT conrelid::regclass || ' ' || conname FROM pg_constraint JOIN place ON place.oid = conrelid
        WHERE contype = 'x'""",
    "unique keys contain the book": """
        SELECT indrelid::regclass || ' ' || indexrelid::regclass FROM pg_index JOIN place ON place.oid = indrelid
        WHERE indisunique AND goes = 'by book' AND NOT EXISTS (
            SELECT FROM book WHERE book.oid = indrelid AND attnum = ANY((indkey::smallint[])[0:indnkeyatts - 1]))""",
    "foreign keys stay within a book": """
        SELECT conrelid::regclass || ' ' || conname FROM pg_constraint
        JOIN place ours ON ours.oid = conrelid JOIN place theirs ON theirs.oid = confrelid
        WHERE contype = 'f' AND ours.goes = 'by book' AND theirs.goes = 'by book' AND NOT EXISTS (
            SELECT FROM unnest(conkey, confkey) AS pair (our_column, their_column)
            JOIN book b ON b.oid = conrelid AND b.attnum = our_column
            JOIN book c ON c.oid = confrelid AND c.attnum = their_column)""",
    "foreign keys lead to what is at hand": """
        SELECT conrelid::regclass || ' ' || conname FROM pg_constraint
        JOIN place ours ON ours.oid = conrelid JOIN place theirs ON theirs.oid = confrelid
        WHERE contype = 'f' AND ours.goes <> theirs.goes AND (ours.goes, theirs.goes) <> ('by book', 'everywhere')""",
}

#: Statements that are meant for all books at once; they lock nothing, and run on every node.
ACROSS_BOOKS: Final = {
    "store/books.sql": {"candidates", "pause_all", "await_statements", "forget_writers", "count_orders"},
    "queries/demo.sql": {"carriers_wanted"},
}


async def broken(conn: asyncpg.Connection, rule: str, distribution: Distribution) -> list[str]:
    """What breaks one of the catalogue's rules."""
    places = {
        **dict.fromkeys(distribution.by_book, "by book"),
        **dict.fromkeys(distribution.everywhere, "everywhere"),
        **dict.fromkeys(distribution.local, "local"),
    }
    rows = await conn.fetch(_PLACES + RULES[rule], list(places), list(places.values()))
    return sorted(row[0] for row in rows)


async def unbound(conn: asyncpg.Connection, sql: str) -> list[str]:
    """Where a statement looks into a distributed table without `book = $1`."""
    return [
        str(node)
        for node in await generic_plan(conn, sql)
        if node.relation in DISTRIBUTION.by_book
        and node.kind != "ModifyTable"
        and not node.asks("book", "$1")
    ]


async def volatile_calls(conn: asyncpg.Connection, sql: str) -> set[str]:
    """Functions in a change of rows whose value differs from call to call: Citus refuses them, but in INSERT's values."""
    change = re.search(r"\bUPDATE\b(?! OF)|\bDELETE\b", re.sub(r"--[^\n]*|\bFOR UPDATE\b", "", sql))
    if change is None:
        return set()
    called = set(re.findall(r"\b([a-z_]+)\s*\(", change.string[change.start() :]))
    rows = await conn.fetch(
        "SELECT proname::text FROM pg_proc WHERE proname = ANY($1) GROUP BY 1 HAVING bool_and(provolatile = 'v')",
        list(called),
    )
    return {row[0] for row in rows}


@pytest.fixture(scope="module")
def migrated(test_server: TestServer) -> Iterator[str]:
    """One migrated database for all of it."""
    name = test_server.create(migrated=True)
    yield test_server.url(name)
    test_server.drop(name)


@pytest.fixture
async def conn(migrated: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection inside a transaction that is rolled back, so that a test may plant what it likes."""
    opened = await connect_once(migrated, application_name="airback tests")
    planting = opened.transaction()
    await planting.start()
    try:
        yield opened
    finally:
        await planting.rollback()
        await opened.close()


async def test_every_table_has_its_place(conn: asyncpg.Connection) -> None:
    rows = await conn.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert DISTRIBUTION.problems({row[0] for row in rows}) == []


def test_a_table_without_a_place_with_two_or_gone_is_found() -> None:
    distribution = read_distribution(
        "SELECT create_distributed_table('orders', 'book', colocate_with => 'none');\n"
        "-- SELECT create_distributed_table('commented', 'book');\n"
        "SELECT create_reference_table('regions'); SELECT create_reference_table('orders');\n"
        "DO $$ … tablename NOT IN ('schema_migrations', 'notes') … $$;"
    )
    assert distribution.problems({"orders", "regions", "schema_migrations", "new"}) == [
        "new: nothing says where it goes",
        "notes: there is no such table",
        "orders: goes to two places",
    ]


@pytest.mark.parametrize("rule", RULES)
async def test_the_schema_keeps_to(conn: asyncpg.Connection, rule: str) -> None:
    assert await broken(conn, rule, DISTRIBUTION) == []


@pytest.mark.parametrize(
    ("rule", "plant", "found"),
    [
        (
            "tables by book have a book of one type",
            "CREATE TABLE planted (book bigint NOT NULL); CREATE TABLE other (id integer); CREATE TABLE shared (book integer)",
            ["other", "planted"],
        ),
        (
            "no triggers and no rules",
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
            "CREATE TRIGGER planted BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION f();"
            "CREATE RULE planted AS ON DELETE TO work DO INSTEAD NOTHING",
            ["orders planted", "work planted"],
        ),
        (
            "no exclusion constraints",
            "ALTER TABLE orders ADD CONSTRAINT planted EXCLUDE USING btree (book WITH =, number WITH =)",
            ["orders planted"],
        ),
        (
            "unique keys contain the book",
            "CREATE UNIQUE INDEX planted ON orders (id) INCLUDE (book);"
            "CREATE TABLE planted_too (book integer NOT NULL, id bigint CONSTRAINT key PRIMARY KEY);"
            "CREATE UNIQUE INDEX allowed ON orders (id, book)",
            ["orders planted", "planted_too key"],
        ),
        (
            "foreign keys stay within a book",
            "CREATE UNIQUE INDEX key ON orders (id); ALTER TABLE fills"
            " ADD CONSTRAINT planted FOREIGN KEY (order_id) REFERENCES orders (id),"
            " ADD CONSTRAINT crossed FOREIGN KEY (id, book) REFERENCES orders (book, id),"
            " ADD CONSTRAINT allowed FOREIGN KEY (order_id, book) REFERENCES orders (id, book)",
            ["fills crossed", "fills planted"],
        ),
        (
            "foreign keys lead to what is at hand",
            "CREATE TABLE shared (id bigint PRIMARY KEY);"
            "ALTER TABLE fills ADD CONSTRAINT allowed FOREIGN KEY (id) REFERENCES shared;"
            "ALTER TABLE schema_migrations ADD CONSTRAINT planted FOREIGN KEY (number) REFERENCES shared NOT VALID;"
            "ALTER TABLE fills ADD CONSTRAINT planted FOREIGN KEY (face_fen, state) REFERENCES schema_migrations (number, half)",
            ["fills planted", "schema_migrations planted"],
        ),
    ],
)
async def test_what_breaks_a_rule_is_found(
    conn: asyncpg.Connection, rule: str, plant: str, found: list[str]
) -> None:
    await conn.execute(plant)
    rows = await conn.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    new = {row[0] for row in rows} - DISTRIBUTION.by_book - DISTRIBUTION.local
    planted = Distribution(
        DISTRIBUTION.by_book | new - {"shared"}, frozenset(new & {"shared"}), DISTRIBUTION.local
    )
    assert await broken(conn, rule, planted) == found


@pytest.mark.parametrize("path", sql_files(), ids=str)
async def test_statements_look_into_one_book(conn: asyncpg.Connection, path: Path) -> None:
    found = {query.name: places for query in statements(path) if (places := await unbound(conn, query.text))}
    meant = ACROSS_BOOKS.get(str(path), set())
    assert {name: places for name, places in found.items() if name not in meant} == {}
    assert meant <= set(found), "these are of one book by now"


async def test_statements_for_all_books_lock_nothing(conn: asyncpg.Connection) -> None:
    for path, names in ACROSS_BOOKS.items():
        queries = statements(Path(path))
        for name in names:
            plan = await generic_plan(conn, queries[name])
            assert "LockRows" not in {node.kind for node in plan}, f"{path}: {name}"


@pytest.mark.parametrize("path", sql_files(), ids=str)
async def test_changes_of_rows_ask_no_clock_and_no_chance(conn: asyncpg.Connection, path: Path) -> None:
    found = {
        query.name: calls for query in statements(path) if (calls := await volatile_calls(conn, query.text))
    }
    assert found == {}


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE orders SET code = $2 WHERE id = $1",
        "UPDATE orders SET code = $2 WHERE book = $1 OR id = $3",
        "DELETE FROM work USING unnest($1::integer[], $2::bigint[]) AS v (book, id) WHERE order_id = v.id AND work.book = v.book",
        "UPDATE work w SET due_at = $2 FROM (SELECT ctid FROM work WHERE book = $1 OFFSET 0) AS at WHERE w.ctid = at.ctid",
        "SELECT order_id FROM work WHERE due_at <= $1 LIMIT 10 FOR UPDATE SKIP LOCKED",
        "SELECT seq FROM events WHERE order_id = $1 FOR SHARE",
        "SELECT o.id FROM orders o JOIN fills f ON f.order_id = o.id WHERE o.book = $1",
        "SELECT o.id FROM orders o CROSS JOIN LATERAL (SELECT FROM work w WHERE w.book = o.book OFFSET 0) x WHERE o.book = $1",
    ],
)
async def test_a_statement_of_no_one_book_is_found(conn: asyncpg.Connection, sql: str) -> None:
    assert await unbound(conn, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE work w SET due_at = $2 FROM (SELECT ctid FROM work WHERE book = $1 OFFSET 0) AS at"
        " WHERE w.ctid = at.ctid AND w.book = $1",
        "SELECT o.id FROM orders o LEFT JOIN work w ON w.book = o.book AND w.order_id = o.id WHERE o.book = $1",
        "SELECT order_id FROM work WHERE book = $1 AND due_at <= $2 LIMIT 10 FOR UPDATE SKIP LOCKED",
        "SELECT number FROM schema_migrations",
    ],
)
async def test_a_statement_of_one_book_is_left_alone(conn: asyncpg.Connection, sql: str) -> None:
    assert await unbound(conn, sql) == []


async def test_the_hour_in_a_change_of_rows_is_found(conn: asyncpg.Connection) -> None:
    change = "UPDATE writers SET seen_at = coalesce($2, clock_timestamp()) WHERE book = $1"
    insert = "INSERT INTO writers (book, worker, seen_at) VALUES ($1, $2, clock_timestamp())"
    upsert = f"{insert} ON CONFLICT (book) DO UPDATE SET seen_at = "
    assert await volatile_calls(conn, change) == {"clock_timestamp"}
    assert await volatile_calls(conn, f"{upsert} clock_timestamp()") == {"clock_timestamp"}
    assert await volatile_calls(conn, f"{upsert} excluded.seen_at") == set()
