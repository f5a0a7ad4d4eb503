"""The pool: codecs, settings and named problems."""

import asyncio
import datetime
import struct

import asyncpg
import pytest

from airback.store.pool import (
    DatabaseUnreachable,
    ServerTooOld,
    connect,
    connect_once,
    place,
    refuse_unsuitable,
    session_settings,
)

#: What pgbouncer 1.18 takes at a session's start; any other setting it refuses, or drops when it is told to.
POOLER_KNOWS = {
    "user", "database", "client_encoding", "datestyle", "timezone", "standard_conforming_strings",
    "application_name",
}  # fmt: skip


async def test_json_goes_in_and_out_as_python_values(pool: asyncpg.Pool) -> None:
    document = {"fen": 12345678901234567, "name": "卡", "list": [1, None, True], "nested": {"a": "\\u0000"}}
    row = await pool.fetchrow(
        "SELECT $1::jsonb AS b, $2::json AS j, $1::jsonb ->> 'name' AS name", document, [1]
    )
    assert (row["b"], row["j"], row["name"]) == (document, [1], "卡")


async def test_json_null_and_sql_null_stay_apart(pool: asyncpg.Pool) -> None:
    row = await pool.fetchrow("SELECT $1::jsonb IS NULL AS sql_null, 'null'::jsonb AS json_null", None)
    assert (row["sql_null"], row["json_null"]) == (True, None)


async def test_arrays_of_json_unnest_in_order(pool: asyncpg.Pool) -> None:
    documents = [{"n": 1}, {"n": 2, "s": 'q"uo,te{}\\', "l": [3]}, "four", None]
    rows = await pool.fetch(
        "SELECT d FROM unnest($1::jsonb[]) WITH ORDINALITY AS u(d, i) ORDER BY i", documents
    )
    assert [row["d"] for row in rows] == documents


async def test_times_are_in_utc(pool: asyncpg.Pool) -> None:
    assert await pool.fetchval("SHOW timezone") == "UTC"
    at = await pool.fetchval("SELECT timestamptz '2026-11-21 08:00:00+08'")
    assert at == datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)


async def test_a_statement_that_takes_too_long_is_ended(database_url: str) -> None:
    pool = await connect(database_url, max_size=1, statement_timeout_s=0.05)
    try:
        with pytest.raises(asyncpg.QueryCanceledError):
            await pool.execute("SELECT pg_sleep(5)")
    finally:
        await pool.close()


async def test_every_setting_of_a_session_is_in_force(database_url: str) -> None:
    limits = {"statement_timeout_s": 7.0, "lock_timeout_s": 3.0}
    settings = session_settings(**limits, idle_in_transaction_timeout_s=0, application_name="airback once")
    connection = await connect_once(database_url, **limits, application_name="airback once")
    try:
        for name, value in settings.items():
            same = "SELECT current_setting($1) = $2 OR current_setting($1)::interval = $2::interval"
            assert await connection.fetchval(same, name, value), name
    finally:
        await connection.close()


async def test_a_session_starts_with_nothing_that_a_pooler_refuses() -> None:
    said: set[str] = set()

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            length, code = struct.unpack("!ii", await reader.readexactly(8))
            rest = await reader.readexactly(length - 8)
            if code != 80877103:  # the number that asks for TLS; the other one is the protocol's version
                said.update(part.decode().lower() for part in rest.split(b"\0")[:-2:2])
                writer.close()
                return
            writer.write(b"N")

    async with await asyncio.start_server(server, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(DatabaseUnreachable):
            await connect(f"postgresql://airback:secret@127.0.0.1:{port}/airback?sslmode=prefer")
    assert {"user", "application_name"} <= said <= POOLER_KNOWS


async def test_a_server_that_is_not_there_is_named_without_the_password() -> None:
    with pytest.raises(DatabaseUnreachable) as caught:
        await connect("postgresql://airback:hush-hush@127.0.0.1:9/airback")
    assert caught.value.where == "127.0.0.1:9/airback"
    assert caught.value.code == "database_unreachable"
    assert "hush" not in str(caught.value)


async def test_a_database_that_does_not_exist_is_named(database_url: str) -> None:
    with pytest.raises(DatabaseUnreachable, match="no such database"):
        await connect(database_url + "_not")


async def test_a_wrong_password_is_named(server_url: str) -> None:
    before, _, after = server_url.rpartition("@")
    scheme, _, user_and_password = before.partition("://")
    user = user_and_password.partition(":")[0]
    with pytest.raises(DatabaseUnreachable, match="refused the user or password"):
        await connect(f"{scheme}://{user}:wrong@{after}")


class _OldServer:
    def get_server_version(self) -> asyncpg.types.ServerVersion:
        return asyncpg.types.ServerVersion(14, 9, 0, "final", 0)


def test_a_server_older_than_15_is_refused() -> None:
    with pytest.raises(ServerTooOld, match="PostgreSQL 14; at least 15"):
        refuse_unsuitable(_OldServer(), where="db:5432/airback")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://u:p@db.example:6000/a", "db.example:6000/a"),
        ("postgresql:///a", "localhost:5432/a"),
        ("postgresql://[::1]/a", "::1:5432/a"),
        ("postgresql://u:p@h:notaport/a", "the database URL"),
    ],
)
def test_a_place_shows_neither_user_nor_password(url: str, said: str) -> None:
    assert place(url) == said
