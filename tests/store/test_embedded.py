"""The embedded server's life: started once however many ask, alive while used, gone when the last user is."""

import asyncio
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from airback.store.embedded import EmbeddedDatabaseProblem, Progress, ensure_running
from airback.store.embedded import programs as postgresql
from airback.store.embedded.layout import Layout
from tests.store.user_process import UserProcess, eventually, is_alive, processes, supervisors

pytestmark = pytest.mark.xdist_group("embedded")  # they copy one data directory

IS_ROOT = os.geteuid() == 0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory whose database was made, and holds a table `kept` with the number 7; not running."""
    data = tmp_path_factory.mktemp("made") / "data"
    with ensure_running(data, durable=False) as database:
        query(database.url, "CREATE TABLE kept AS SELECT 7 AS number")
    return data


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of `made`; what runs in it after the test is a failure."""
    copy = tmp_path / "data"
    shutil.copytree(made, copy)
    yield copy
    assert eventually(lambda: processes(Layout(copy)) == []), "the test left processes behind"


@pytest.fixture
def users() -> Iterator[Callable[..., UserProcess]]:
    """Makes user processes, and kills those that a failing test left."""
    started: list[UserProcess] = []

    def start(data: Path, **options: Any) -> UserProcess:
        started.append(UserProcess(data, **options))
        return started[-1]

    yield start
    for user in started:
        user.kill()


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every user can enter (pytest's own are closed)."""
    with tempfile.TemporaryDirectory(prefix="airback-test-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory


def query(url: str, sql: str) -> Any:
    """Run one statement on a connection of its own; returns the first value."""

    async def run() -> Any:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return asyncio.run(run())


def answers(url: str) -> bool:
    """Whether the database can be used at the moment, with its data."""
    try:
        return bool(query(url, "SELECT number FROM kept") == 7)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False


def test_a_new_directory_gets_a_database_and_nothing_is_left_running(tmp_path: Path) -> None:
    data = tmp_path / "new" / "data"
    phases: list[str] = []
    with ensure_running(
        data, durable=False, progress=lambda progress: phases.append(progress.phase)
    ) as database:
        assert query(database.url, "SELECT current_user || ' ' || current_database()") == "airback airback"
        assert processes(Layout(data)) != []
    assert processes(Layout(data)) == []
    assert [phase for phase in dict.fromkeys(phases) if phase != "waiting"] == [
        "preparing",
        "initialising",
        "starting",
        "ready",
    ]
    assert stat.S_IMODE(data.stat().st_mode) == 0o700


def test_the_server_is_set_up_for_money(tmp_path: Path) -> None:
    wanted = {
        "server_encoding": "UTF8",
        "data_checksums": "on",
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "TimeZone": "UTC",
        "jit": "off",
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "password_encryption": "scram-sha-256",
        "log_error_verbosity": "terse",
        "max_connections": "100",
    }
    with ensure_running(tmp_path / "data") as database:
        found = {name: query(database.url, f"SHOW {name}") for name in wanted}
        assert query(database.url, "SELECT upper('é') || lower('Ω')") == "Éω"
        assert query(
            database.url, "SELECT rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid WHERE rolcanlogin"
        )
    assert found == wanted


def test_the_password_is_kept_for_the_owner_and_shown_nowhere(made: Path) -> None:
    layout = Layout(made)
    password = layout.password()
    assert password is not None and len(password) >= 32
    assert stat.S_IMODE(layout.password_file.stat().st_mode) == 0o600
    with ensure_running(made, durable=False) as database:
        assert password not in repr(database.address) + repr(database)
        assert password in database.url
        commands = subprocess.run(
            ["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True
        ).stdout
        assert password not in commands
        with pytest.raises(asyncpg.InvalidPasswordError):
            query(database.url.replace(password, "wrong"), "SELECT 1")
    for log in (layout.server_log, layout.supervisor_log):
        assert password not in log.read_text("utf-8")


def test_a_second_start_finds_the_data_at_the_same_port(data: Path) -> None:
    with ensure_running(data, durable=False) as database:
        port = database.address.port
        assert answers(database.url)
    with ensure_running(data, durable=False) as database:
        assert database.address.port == port
        assert answers(database.url)


def test_a_port_that_was_taken_meanwhile_is_replaced(data: Path) -> None:
    with ensure_running(data, durable=False) as database:
        port = database.address.port
    with socket.create_server(("127.0.0.1", port)), ensure_running(data, durable=False) as database:
        assert database.address.port != port
        assert answers(database.url)


def test_two_users_in_one_process_share_the_server(data: Path) -> None:
    first = ensure_running(data, durable=False)
    second = ensure_running(data, durable=False)
    assert first.url == second.url
    running = supervisors(Layout(data)), postmaster(data)
    first.close()
    first.close()
    assert answers(second.url)
    assert (supervisors(Layout(data)), postmaster(data)) == running
    second.close()
    assert processes(Layout(data)) == []


def test_processes_that_start_it_at_once_share_one_server(
    tmp_path: Path, users: Callable[..., UserProcess]
) -> None:
    data = tmp_path / "data"
    started = [users(data) for _ in range(4)]
    assert len({user.answer()["url"] for user in started}) == 1
    assert len(supervisors(Layout(data))) == 1
    for user in started[:-1]:
        user.kill()
    assert supervisors(Layout(data)) != []
    started[-1].close()
    assert processes(Layout(data)) == []


def test_a_process_that_ends_without_closing_leaves_nothing(
    data: Path, users: Callable[..., UserProcess]
) -> None:
    user = users(data)
    assert "url" in user.answer()
    user.close()
    assert processes(Layout(data)) == []


def test_a_killed_user_leaves_nothing(data: Path, users: Callable[..., UserProcess]) -> None:
    user = users(data)
    assert "url" in user.answer()
    assert len(processes(Layout(data))) > 2
    user.kill()
    assert eventually(lambda: processes(Layout(data)) == [])


def test_a_user_killed_while_the_database_is_made_leaves_nothing(
    tmp_path: Path, users: Callable[..., UserProcess]
) -> None:
    data = tmp_path / "data"
    user = users(data)
    assert eventually(lambda: Layout(data).new_cluster.exists())
    user.kill()
    assert eventually(lambda: processes(Layout(data)) == [])
    with ensure_running(data, durable=False) as database:
        assert query(database.url, "SELECT 1") == 1


def test_a_supervisor_killed_while_the_database_is_made_leaves_no_half(
    tmp_path: Path, users: Callable[..., UserProcess]
) -> None:
    data = tmp_path / "data"
    layout = Layout(data)
    user = users(data)
    assert eventually(lambda: (layout.new_cluster / "base").exists())
    for supervisor in supervisors(layout):
        os.kill(supervisor, signal.SIGKILL)
    assert "url" in user.answer()  # it started another supervisor
    assert not layout.new_cluster.exists()
    user.close()
    assert processes(layout) == []


def test_a_killed_supervisor_is_replaced_while_somebody_uses_the_server(data: Path) -> None:
    with ensure_running(data, durable=False) as database:
        layout = Layout(data)
        before = supervisors(layout)
        for supervisor in before:
            os.kill(supervisor, signal.SIGKILL)
        assert eventually(lambda: supervisors(layout) not in ([], before))
        assert eventually(lambda: answers(database.url))
    assert processes(Layout(data)) == []


def test_a_killed_supervisor_and_user_leave_nothing(data: Path, users: Callable[..., UserProcess]) -> None:
    user = users(data)
    assert "url" in user.answer()
    for supervisor in supervisors(Layout(data)):
        os.kill(supervisor, signal.SIGKILL)
    user.kill()
    assert eventually(lambda: processes(Layout(data)) == [])


def postmaster(data: Path) -> int:
    """The process id of the running server."""
    return int((Layout(data).cluster / "postmaster.pid").read_text("utf-8").splitlines()[0])


def test_a_killed_server_is_started_again_at_the_same_port(data: Path) -> None:
    with ensure_running(data, durable=False) as database:
        killed = postmaster(data)
        os.kill(killed, signal.SIGKILL)
        assert eventually(lambda: answers(database.url) and postmaster(data) != killed)
    assert processes(Layout(data)) == []


def test_a_killed_server_whose_query_goes_on_is_started_again(data: Path) -> None:
    """An orphan that computes does not see its server's death; it holds the shared memory until it is ended."""
    with ensure_running(data, durable=False) as database:
        busy = subprocess.Popen(
            [sys.executable, "-c", _BUSY.format(url=database.url)],
            stderr=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert busy.stdout is not None and busy.stdout.readline() == b"busy\n"
        busy.stdout.close()
        killed = postmaster(data)
        os.kill(killed, signal.SIGKILL)
        assert eventually(lambda: answers(database.url) and postmaster(data) != killed, within_s=60)
        busy.wait(30)


_BUSY = """
import asyncio, asyncpg
async def run():
    connection = await asyncpg.connect({url!r})
    work = asyncio.ensure_future(connection.execute(
        "DO $$ BEGIN FOR i IN 1..2000000000 LOOP END LOOP; END $$"))
    await asyncio.sleep(0.2)
    print("busy", flush=True)
    await work
asyncio.run(run())
"""


def kill_everything(data: Path) -> None:
    """What a power cut does: no process of the server or its supervisor gets a last word."""
    for process in processes(Layout(data)):
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue
    assert eventually(lambda: processes(Layout(data)) == [])


def test_a_power_cut_is_survived(data: Path, users: Callable[..., UserProcess]) -> None:
    user = users(data, durable=True)
    url = user.answer()["url"]
    query(url, "CREATE TABLE written AS SELECT generate_series(1, 1000) AS n")
    user.kill()
    kill_everything(data)
    with ensure_running(data, durable=False) as database:
        assert answers(database.url)
        assert query(database.url, "SELECT count(*) FROM written") == 1000


def test_a_stale_pid_that_another_process_has_now_is_not_believed(
    data: Path, users: Callable[..., UserProcess]
) -> None:
    user = users(data)
    user.answer()
    user.kill()
    kill_everything(data)
    owner = Layout(data).cluster.stat().st_uid
    # PostgreSQL itself would refuse: a living process of its own user has the number it remembers.
    stranger = subprocess.Popen(["sleep", "600"], user=owner if IS_ROOT else None)
    try:
        pid_file = Layout(data).cluster / "postmaster.pid"
        left_behind = "\n".join(
            [str(stranger.pid), "/proc/self/fd/3", "1", "5432", "", "127.0.0.1", "", "ready   "]
        )
        pid_file.write_text(left_behind + "\n", "utf-8")
        os.chown(pid_file, owner, -1)
        Layout(data).state_file.write_text('{"phase": "ready", "port": 5432}', "utf-8")
        with ensure_running(data, durable=False) as database:
            assert database.address.port != 5432
            assert answers(database.url)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def slow_programs(directory: Path, *, seconds: float) -> Path:
    """PostgreSQL's programs, whose server says for `seconds` that it recovers before it starts."""
    real = postgresql.find()
    directory.mkdir(parents=True)
    for name in ("initdb", "postgres"):
        script = directory / name
        script.write_text(f'#!/bin/sh\nexec {real.path(name)} "$@"\n', "ascii")
    (directory / "postgres").write_text(
        "#!/bin/sh\n"
        f'if [ "$1" = -D ]; then for i in $(seq {round(seconds * 10)}); do\n'
        '  echo "2026-11-21 00:00:00 UTC [1] LOG:  redo in progress, elapsed time: $i s, current LSN: 0/$i"\n'
        "  sleep 0.1; done; fi\n"
        f'exec {real.path("postgres")} "$@"\n',
        "ascii",
    )
    for script in directory.iterdir():
        script.chmod(0o755)
    return directory


def test_a_long_recovery_is_waited_for_and_reported(data: Path, open_directory: Path) -> None:
    heard: list[Progress] = []
    programs = slow_programs(open_directory / "bin", seconds=2)
    with ensure_running(data, durable=False, programs=programs, progress=heard.append) as database:
        assert answers(database.url)
    recovering = [progress for progress in heard if progress.phase == "recovering"]
    assert len(recovering) > 5
    assert "current LSN" in recovering[-1].detail
    assert recovering[-1].elapsed_s > 1


def test_a_user_killed_during_recovery_leaves_nothing(
    data: Path, open_directory: Path, users: Callable[..., UserProcess]
) -> None:
    programs = slow_programs(open_directory / "bin", seconds=30)
    user = users(data, programs=programs)
    assert eventually(lambda: Layout(data).state().get("phase") == "recovering")
    user.kill()
    assert eventually(lambda: processes(Layout(data)) == [])


def test_a_directory_removed_while_in_use_ends_the_server(
    data: Path, users: Callable[..., UserProcess]
) -> None:
    user = users(data)
    user.answer()
    running = processes(Layout(data))
    while data.exists():  # the server is still making files
        shutil.rmtree(data, ignore_errors=True)
    assert eventually(lambda: not any(map(is_alive, running)))


def test_a_server_that_cannot_start_is_named_with_its_log(data: Path) -> None:
    configuration = Layout(data).cluster / "postgresql.conf"
    with configuration.open("a", encoding="utf-8") as file:
        file.write("no_such_setting = 1\n")
    with pytest.raises(EmbeddedDatabaseProblem) as caught:
        ensure_running(data, durable=False)
    assert caught.value.code == "server_not_started"
    assert caught.value.where == str(Layout(data).server_log)
    assert "no_such_setting" in Layout(data).server_log.read_text("utf-8")


@pytest.mark.parametrize("version", ["9.6", "rubbish"])
def test_a_cluster_that_no_program_here_can_run_is_named(data: Path, version: str) -> None:
    (Layout(data).cluster / "PG_VERSION").write_text(f"{version.split('.')[0]}\n", "ascii")
    with pytest.raises(EmbeddedDatabaseProblem) as caught:
        ensure_running(data, durable=False)
    assert caught.value.code == ("programs_version" if version == "9.6" else "cluster_damaged")
    assert caught.value.remedy


def test_a_file_where_the_directory_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file", "ascii")
    with pytest.raises(EmbeddedDatabaseProblem) as caught:
        ensure_running(tmp_path / "data")
    assert (caught.value.code, caught.value.where) == ("data_directory_unusable", str(tmp_path / "data"))


def test_a_leftover_of_a_broken_start_is_replaced(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "data")
    layout.make()
    layout.new_cluster.mkdir()
    (layout.new_cluster / "PG_VERSION").write_text("18\n", "ascii")
    layout.cluster.mkdir()
    with ensure_running(layout.data_directory, durable=False) as database:
        assert query(database.url, "SELECT 1") == 1
    assert not layout.new_cluster.exists()
