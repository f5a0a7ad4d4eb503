"""A pool of PostgreSQL connections, set up the one way the whole product expects.

`json` and `jsonb` are Python values, times are UTC, every statement has a time limit, and a server that is too
old or not UTF-8 is refused by name before anything runs on it.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
import msgspec

from airback.store.problems import TROUBLE, DatabaseProblem

OLDEST_SERVER: Final = 15
"""The oldest major version of PostgreSQL that is supported."""

#: What a session may say of itself as it starts: a pooler between refuses any other setting (pgbouncer 1.18 knows
#: these and few more), so the rest is set by the session's first statement.
_AT_START: Final = frozenset({"application_name", "timezone"})
_SET: Final = "SELECT set_config(name, value, false) FROM unnest($1::text[], $2::text[]) AS s (name, value)"


class DatabaseUnreachable(DatabaseProblem):
    """No connection could be made."""

    code = "database_unreachable"


class ServerTooOld(DatabaseProblem):
    """The server is older than `OLDEST_SERVER`."""

    code = "database_server_too_old"


class EncodingNotUtf8(DatabaseProblem):
    """The database does not store UTF-8."""

    code = "database_encoding_not_utf8"


def _encode_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


async def prepare_connection(
    connection: asyncpg.Connection, *, settings: Mapping[str, str] | None = None
) -> None:
    """Set what of `settings` could not go with the start, and the codecs: `json` and `jsonb` go in and out as
    Python values (dict, list, str, int, bool, None).

    In an array (`jsonb[]`) an element may be anything but a list, which the driver would take for a dimension.
    """
    later = {name: value for name, value in (settings or {}).items() if name not in _AT_START}
    if later:
        await connection.execute(_SET, [*later], [*later.values()])
    for type_name in ("json", "jsonb"):
        await connection.set_type_codec(
            type_name, schema="pg_catalog", encoder=_encode_json, decoder=msgspec.json.decode, format="text"
        )


class _Connection(asyncpg.Connection):  # type: ignore[misc]  # the driver has no types
    """A pool's connection. Nothing of ours changes a session, so none is put back to how it began at each return."""

    def get_reset_query(self) -> str:
        return ""


async def connect(
    url: str,
    *,
    min_size: int = 1,
    max_size: int = 10,
    statement_timeout_s: float = 30.0,
    lock_timeout_s: float = 10.0,
    idle_in_transaction_timeout_s: float = 60.0,
    connect_timeout_s: float = 10.0,
    application_name: str = "airback",
) -> asyncpg.Pool:
    """Open a pool on `url` (`postgresql://user:password@host:port/database`).

    A limit of 0 seconds means none. Raises `DatabaseUnreachable`, `ServerTooOld` or `EncodingNotUtf8`.
    Close the pool with `await pool.close()`.
    """
    where = place(url)
    settings = session_settings(
        statement_timeout_s=statement_timeout_s,
        lock_timeout_s=lock_timeout_s,
        idle_in_transaction_timeout_s=idle_in_transaction_timeout_s,
        application_name=application_name,
    )
    try:
        pool = await asyncpg.create_pool(
            url,
            min_size=min_size,
            max_size=max_size,
            timeout=connect_timeout_s,
            init=partial(prepare_connection, settings=settings),
            connection_class=_Connection,
            server_settings=at_start(settings),
        )
    except TROUBLE as error:
        raise unreachable(where, error) from error
    try:
        async with pool.acquire() as connection:
            refuse_unsuitable(connection, where=where)
    except BaseException:
        pool.terminate()
        raise
    return pool


async def connect_once(
    url: str,
    *,
    statement_timeout_s: float = 0.0,
    lock_timeout_s: float = 0.0,
    connect_timeout_s: float = 10.0,
    application_name: str = "airback",
) -> asyncpg.Connection:
    """One connection outside any pool, by default without limits on time (migrations, maintenance).

    Raises as `connect` does. Close it with `await connection.close()`.
    """
    where = place(url)
    settings = session_settings(
        statement_timeout_s=statement_timeout_s,
        lock_timeout_s=lock_timeout_s,
        idle_in_transaction_timeout_s=0.0,
        application_name=application_name,
    )
    try:
        connection = await asyncpg.connect(url, timeout=connect_timeout_s, server_settings=at_start(settings))
    except TROUBLE as error:
        raise unreachable(where, error) from error
    try:
        refuse_unsuitable(connection, where=where)
        await prepare_connection(connection, settings=settings)
    except BaseException:
        connection.terminate()
        raise
    return connection


def session_settings(
    *,
    statement_timeout_s: float,
    lock_timeout_s: float,
    idle_in_transaction_timeout_s: float,
    application_name: str,
) -> dict[str, str]:
    """The settings of each session, as PostgreSQL names them; for `at_start` and `prepare_connection`."""
    return {
        "application_name": application_name,
        "timezone": "UTC",
        "jit": "off",  # compiling costs more than our short statements take
        "statement_timeout": f"{round(statement_timeout_s * 1000)}ms",
        "lock_timeout": f"{round(lock_timeout_s * 1000)}ms",
        "idle_in_transaction_session_timeout": f"{round(idle_in_transaction_timeout_s * 1000)}ms",
    }


def at_start(settings: Mapping[str, str]) -> dict[str, str]:
    """Those of `settings` that go with the start of a session; `prepare_connection` sets the others."""
    return {name: value for name, value in settings.items() if name in _AT_START}


def refuse_unsuitable(connection: asyncpg.Connection, *, where: str) -> None:
    """Raise `ServerTooOld` or `EncodingNotUtf8` when the server behind `connection` will not do."""
    version = connection.get_server_version()
    if version.major < OLDEST_SERVER:
        raise ServerTooOld(
            where=where,
            reason=f"The server is PostgreSQL {version.major}; at least {OLDEST_SERVER} is needed.",
            remedy="Upgrade the server, or unset AIRBACK_DATABASE_URL to use the built-in one.",
        )
    encoding = connection.get_settings().server_encoding
    if encoding.upper().replace("-", "") != "UTF8":
        raise EncodingNotUtf8(
            where=where,
            reason=f"The database's encoding is {encoding}, not UTF8.",
            remedy="Create the database with ENCODING 'UTF8' TEMPLATE template0.",
        )


def place(url: str) -> str:
    """`host:port/database` of a database URL: fit for messages, without user and password."""
    try:
        parts = urlsplit(url)
        return f"{parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path or '/'}"
    except ValueError:
        return "the database URL"


def unreachable(where: str, error: BaseException) -> DatabaseProblem:
    """The driver's `error` as a named problem. Its own text names users and hosts, never a password."""
    if isinstance(error, (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError)):
        reason, remedy = "The server refused the user or password.", "Correct AIRBACK_DATABASE_URL."
    elif isinstance(error, asyncpg.InvalidCatalogNameError):
        reason, remedy = "The server has no such database.", "Create it, or correct AIRBACK_DATABASE_URL."
    elif isinstance(error, asyncpg.TooManyConnectionsError):
        reason, remedy = "The server has no connection left.", "Raise max_connections or run fewer processes."
    elif isinstance(error, TimeoutError):
        reason, remedy = "The server did not answer in time.", "Check that it runs and can be reached."
    else:
        reason, remedy = f"No connection ({error}).", "Check that the server runs and the address is right."
    return DatabaseUnreachable(where=where, reason=reason, remedy=remedy)
