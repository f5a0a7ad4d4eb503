"""What every test may ask for: a database of its own, a pool on it, and no way out to the network.

`database_url`  a database with the product's schema and nothing in it; emptied and lent again afterwards, unless a
                test changed its schema
`pool`          an asyncpg pool on it, as `airback.store.pool.connect` makes them
`empty_database_url`  a fresh database without the schema

The server is the embedded one, in a temporary directory, shared by the workers of `pytest -n`; or any server
whose address stands in AIRBACK_TEST_DATABASE_URL (or AIRBACK_DATABASE_URL), with the right to create databases.
"""

import asyncio
import concurrent.futures
import contextlib
import ipaddress
import os
import secrets
import socket
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import hypothesis
import pytest
from argon2 import PasswordHasher

from airback.staff import passwords
from airback.store.embedded import ensure_running
from airback.store.migrate import migrate
from airback.store.pool import connect, connect_once

Result = TypeVar("Result")

EXTERNAL_URL = os.environ.get("AIRBACK_TEST_DATABASE_URL") or os.environ.get("AIRBACK_DATABASE_URL") or ""

# What a test runs must not find the developer's own database by accident; xdist's workers must find the server.
os.environ.pop("AIRBACK_DATABASE_URL", None)
os.environ["AIRBACK_TEST_DATABASE_URL"] = EXTERNAL_URL
os.environ.pop("AIRBACK_DATA", None)


# A busy machine is no fault of what is tested.
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")


@pytest.fixture(autouse=True, scope="session")
def _one_log() -> Iterator[None]:
    """A command that runs in a test's own process does not tie the log to that test's output, which is closed with it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("airback.cli.main._logs", lambda: None)
        yield


class OutsideNetwork(AssertionError):
    """A test tried to reach something that is not this machine."""


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell xdist's workers which server they are to use."""
    node.workerinput["server"] = EXTERNAL_URL


def pytest_report_header() -> str:
    """Which server this is."""
    parts = urlsplit(EXTERNAL_URL)
    return f"PostgreSQL: {parts.hostname}:{parts.port or 5432}" if EXTERNAL_URL else "PostgreSQL: embedded"


def pytest_collection_finish(session: pytest.Session) -> None:
    """Workers use the server that was asked for, or nothing runs. And tests of one group share what is dear to make: a
    pair of libraries that drops groups runs it in every worker."""
    workerinput = getattr(session.config, "workerinput", None)
    if workerinput is not None and workerinput["server"] != EXTERNAL_URL:
        raise pytest.UsageError("a worker of xdist did not get the address of the server")
    if session.config.getoption("loadgroup", False):  # set in xdist's workers
        for item in session.items:
            if item.get_closest_marker("xdist_group") and "@" not in item.nodeid:
                raise pytest.UsageError(f"xdist did not put {item.nodeid} into its group")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A whole group that could not run must not pass for one that did, also where xdist's workers ran it."""
    reasons = {str(report.longrepr[2]) for report in terminalreporter.getreports("skipped")}
    for reason in sorted(reasons):
        if "DID NOT RUN" in reason:
            terminalreporter.write_sep("!", reason.removeprefix("Skipped: "), red=True, bold=True)


def _is_allowed(address: object) -> bool:
    if not isinstance(address, tuple):  # a socket file
        return True
    host = str(address[0])
    if host in ("", "localhost", urlsplit(EXTERNAL_URL).hostname):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _stay_inside(session: pytest.MonkeyPatch) -> None:
    """Refuse sockets to other machines; point clients that bring their own sockets at a proxy that is not there."""
    connect_to, connect_ex_to, look_up = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def refuse(address: object) -> None:
        if not _is_allowed(address):
            raise OutsideNetwork(f"a test tried to reach {address!r}")

    def guarded_connect(self: socket.socket, address: Any) -> None:
        refuse(address)
        connect_to(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        refuse(address)
        return connect_ex_to(self, address)

    def guarded_look_up(host: Any, *arguments: Any, **options: Any) -> Any:
        if host is not None:
            refuse((host.decode() if isinstance(host, bytes) else host,))
        return look_up(host, *arguments, **options)

    session.setattr(socket.socket, "connect", guarded_connect)
    session.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    session.setattr(socket, "getaddrinfo", guarded_look_up)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        session.setenv(name, "http://127.0.0.1:9")
        session.setenv(name.upper(), "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        session.setenv(name, "127.0.0.1,localhost,::1")


@pytest.fixture(scope="session", autouse=True)
def _no_outside_network() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as session:
        _stay_inside(session)
        yield


#: Whoever a test left connected.
_END_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
#: Tables, columns, indexes, constraints, functions and triggers, in one hash.
_SHAPE = """
SELECT md5(string_agg(part, '|' ORDER BY part)) FROM (
    SELECT 'r' || c.oid::regclass::text || c.relkind::text || coalesce(array_to_string(c.reloptions, ','), '') AS part FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'a' || attrelid::regclass::text || attname || atttypid::text || attnotnull::text || attisdropped::text
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace = 'public'::regnamespace AND attnum > 0
    UNION ALL
    SELECT 'c' || conrelid::regclass::text || conname || pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'f' || proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT 't' || tgname FROM pg_trigger WHERE NOT tgisinternal
) parts
"""
_EMPTY = """
DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
                WHERE schemaname = 'public' AND tablename <> 'schema_migrations' LOOP
        EXECUTE 'DELETE FROM ' || name;
    END LOOP;
    FOR name IN SELECT format('%I.%I', schemaname, sequencename) FROM pg_sequences WHERE schemaname = 'public' LOOP
        PERFORM setval(name::regclass, 1, false);
    END LOOP;
END $$
"""


@pytest.fixture(autouse=True)
def _light_passwords(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password's check is slow on purpose; only the tests of that purpose wait for it."""
    if request.path.name == "test_passwords.py":
        return
    quick = PasswordHasher(
        time_cost=1, memory_cost=64, parallelism=1, hash_len=32, salt_len=passwords.SALT_BYTES
    )
    monkeypatch.setattr(passwords, "_HASHER", quick)
    monkeypatch.setattr(passwords, "NOBODY", passwords.NOBODY.replace("m=65536,t=3", "m=64,t=1"))


class TestServer:
    """A server on which databases come and go; its own thread and event loop, so that any test may use it."""

    __test__ = False

    def __init__(self, url: str, *, quick: bool) -> None:
        self._url = url
        self._quick = quick
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="test-server", daemon=True)
        self._admin: asyncpg.Connection | None = None
        self._prefix = f"airback_test_{secrets.token_hex(5)}"
        self._count = 0
        self._template: str | None = None
        self._shape: str | None = None
        self._in_stock: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        self._admin = self._do(connect_once(self._url, application_name="airback tests"))
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for database in self._in_stock:
                self.drop(database)
            if self._template is not None:
                self.drop(self._template)
        finally:
            if self._admin is not None:
                with contextlib.suppress(OSError, TimeoutError, asyncpg.InterfaceError):
                    self._do(self._admin.close(timeout=5))
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=10)
            self._loop.close()

    def url(self, database: str) -> str:
        """The address of one of its databases."""
        return urlunsplit(urlsplit(self._url)._replace(path=f"/{database}"))

    def create(self, *, migrated: bool) -> str:
        """A new database, with the product's schema or empty; returns its name."""
        name = self._new_name()
        template = self._migrated_template() if migrated else "template0"
        self._create(name, template=template)
        return name

    def lend(self) -> str:
        """An empty database with the product's schema: one that was given back, or a new one."""
        return self._in_stock.pop() if self._in_stock else self.create(migrated=True)

    def give_back(self, database: str) -> None:
        """Empty a database for the next test; one whose schema was changed is dropped."""
        if self._do(self._emptied(self.url(database))):
            self._in_stock.append(database)
        else:
            self.drop(database)

    async def _emptied(self, url: str) -> bool:
        connection = await connect_once(url, application_name="airback tests")
        try:
            await connection.execute(_END_OTHERS)
            shape = await connection.fetchval(_SHAPE)
            if self._shape is None or shape != self._shape:
                return False
            await connection.execute(_EMPTY)
            return True
        finally:
            with contextlib.suppress(TimeoutError):  # it was cut off then, which is as good
                await connection.close(timeout=5)

    async def _shape_of(self, url: str) -> str:
        connection = await connect_once(url, application_name="airback tests")
        try:
            return str(await connection.fetchval(_SHAPE))
        finally:
            await connection.close(timeout=5)

    def drop(self, database: str) -> None:
        """Drop a database, whoever is still connected to it."""
        self._execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def _create(self, name: str, *, template: str) -> None:
        # Copying files is many times faster than logging pages where nothing is forced to disk; elsewhere not.
        how = "file_copy" if self._quick else "wal_log"
        encoding = " ENCODING 'UTF8'" if template == "template0" else ""
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"{encoding} STRATEGY {how}')

    def _migrated_template(self) -> str:
        if self._template is None:
            name = self._new_name()
            self._create(name, template="template0")
            self._template = name
            self._do(migrate(self.url(name)))
            self._shape = self._do(self._shape_of(self.url(name)))
        return self._template

    def _new_name(self) -> str:
        self._count += 1
        return f"{self._prefix}_{self._count}"

    def _execute(self, sql: str) -> None:
        assert self._admin is not None
        self._do(self._admin.execute(sql))

    def _do(self, work: Coroutine[Any, Any, Result]) -> Result:
        running: concurrent.futures.Future[Result] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return running.result(timeout=120)


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory, _no_outside_network: None) -> Iterator[str]:
    """The address of the server under test: embedded, or the one from the environment."""
    if EXTERNAL_URL:
        yield EXTERNAL_URL
        return
    own = tmp_path_factory.getbasetemp()
    # Under xdist each worker's directory lies in the run's: the workers are users of one server.
    shared = own.parent if os.environ.get("PYTEST_XDIST_WORKER") else own
    with ensure_running(Path(shared) / "database", durable=False) as database:
        yield database.url


@pytest.fixture(scope="session")
def test_server(server_url: str) -> Iterator[TestServer]:
    with TestServer(server_url, quick=not EXTERNAL_URL) as server:
        yield server


@pytest.fixture
def database_url(test_server: TestServer) -> Iterator[str]:
    """An empty database with the product's schema."""
    name = test_server.lend()
    yield test_server.url(name)
    test_server.give_back(name)


@pytest.fixture
def empty_database_url(test_server: TestServer) -> Iterator[str]:
    """A fresh database without any table."""
    name = test_server.create(migrated=False)
    yield test_server.url(name)
    test_server.drop(name)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    """A pool on a fresh database with the product's schema."""
    opened = await connect(database_url, max_size=10, application_name="airback tests")
    try:
        yield opened
    finally:
        try:
            await asyncio.wait_for(opened.close(), timeout=10)
        except TimeoutError:
            opened.terminate()
            raise AssertionError("a test left a connection of its pool in use") from None
