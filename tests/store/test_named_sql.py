"""Named SQL: the form of the files and what is refused."""

import copy
from pathlib import Path

import pytest

import airback.store
from airback.store.named_sql import MalformedSql, UnknownQuery, load, parse

ORDERS = """\
-- Orders.

-- name: get_order
-- One order of a book,
-- by its id.
SELECT id  -- the key
FROM orders
-- not this line's business
WHERE book = $1 AND id = $2;

-- name: count_orders
SELECT count(*) FROM orders WHERE book = $1
"""


def test_a_query_is_had_by_attribute_and_by_name() -> None:
    queries = parse(ORDERS, source="orders.sql")
    assert queries.count_orders == queries["count_orders"] == "SELECT count(*) FROM orders WHERE book = $1"


def test_a_statement_keeps_its_lines_and_loses_its_semicolon() -> None:
    assert parse(ORDERS, source="orders.sql").get_order == (
        "SELECT id  -- the key\nFROM orders\n-- not this line's business\nWHERE book = $1 AND id = $2"
    )


def test_the_comment_below_the_name_describes_the_query() -> None:
    queries = parse(ORDERS, source="orders.sql")
    assert queries.query("get_order").description == "One order of a book, by its id."
    assert queries.query("count_orders").description == ""


def test_queries_are_listed_in_the_order_of_the_file() -> None:
    queries = parse(ORDERS, source="orders.sql")
    assert ([query.name for query in queries], len(queries)) == (["get_order", "count_orders"], 2)
    assert "get_order" in queries and "put_order" not in queries
    assert repr(queries) == "<Queries orders.sql: get_order, count_orders>"


def test_an_unknown_name_is_refused_by_name() -> None:
    queries = parse(ORDERS, source="orders.sql")
    with pytest.raises(UnknownQuery, match=r"orders\.sql has no query named 'put_order'"):
        _ = queries.put_order
    with pytest.raises(UnknownQuery):
        _ = queries["put_order"]


def test_queries_can_be_copied() -> None:
    assert copy.copy(parse(ORDERS, source="orders.sql")).count_orders.startswith("SELECT")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("-- name: a\nSELECT 1\n-- name: a\nSELECT 2", "o.sql:3: 'a' is defined twice"),
        ("-- name: a\n-- only words\n", "o.sql:1: 'a' has no statement"),
        ("-- name: a\n-- name: b\nSELECT 1", "o.sql:1: 'a' has no statement"),
        ("-- name: a\n;\n", "o.sql:1: 'a' has no statement"),
        ("SELECT 1\n-- name: a\nSELECT 1", "o.sql:1: a statement stands before"),
        ("-- name: GetOrder\nSELECT 1", "o.sql:1: 'GetOrder' is not a name"),
        ("-- name:\nSELECT 1", "o.sql:1: '' is not a name"),
    ],
)
def test_a_malformed_file_is_refused_with_its_line(text: str, complaint: str) -> None:
    with pytest.raises(MalformedSql) as caught:
        parse(text, source="o.sql")
    assert str(caught.value).startswith(complaint)


def test_a_file_is_found_beside_the_code_and_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "package_with_sql"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "orders.sql").write_text(ORDERS, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    queries = load("orders.sql", package="package_with_sql")
    assert queries.count_orders.startswith("SELECT")
    assert load("orders.sql", package="package_with_sql") is queries
    with pytest.raises(FileNotFoundError):
        load("missing.sql", package="package_with_sql")


def test_every_sql_file_of_the_store_can_be_loaded() -> None:
    folder = Path(airback.store.__path__[0])
    for file in folder.glob("*.sql"):
        assert len(load(file.name)) > 0, file.name
