"""The embedded server's parts, each for itself."""

import errno
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from airback.store.embedded import EmbeddedDatabaseProblem, account, cluster, creation, locks, programs, users
from airback.store.embedded.layout import DatabaseAddress, Layout, write_whole
from airback.store.embedded.problems import REMEDIES, from_os_error
from airback.store.embedded.supervisor import LOG_LIMIT_BYTES, ServerLog


def test_a_lock_is_shared_by_users_and_alone_for_the_supervisor(tmp_path: Path) -> None:
    first, second, alone = (locks.open_lock(tmp_path / "lock") for _ in range(3))
    assert locks.try_shared(first) and locks.try_shared(second)
    assert not locks.try_exclusive(alone)
    os.close(first)
    assert not locks.try_exclusive(alone)
    os.close(second)
    assert locks.try_exclusive(alone)
    assert not locks.is_free(tmp_path / "lock")
    os.close(alone)
    assert locks.is_free(tmp_path / "lock")


def test_a_missing_lock_file_is_a_free_lock(tmp_path: Path) -> None:
    assert locks.is_free(tmp_path / "none")
    assert locks.holders(tmp_path / "none") == []


def test_an_inherited_lock_is_held_until_the_heir_ends(tmp_path: Path) -> None:
    descriptor = locks.open_lock(tmp_path / "lock")
    assert locks.try_exclusive(descriptor)
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"],
        pass_fds=(descriptor,),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as heir:
        assert heir.stdout is not None and heir.stdout.readline() == b"\n"
        os.close(descriptor)
        assert not locks.is_free(tmp_path / "lock")
        assert locks.holders(tmp_path / "lock") == [heir.pid]
        heir.kill()
    assert locks.is_free(tmp_path / "lock")


def test_a_lock_file_is_never_followed_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "target").touch()
    (tmp_path / "lock").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic links"):
        locks.open_lock(tmp_path / "lock")


def test_a_removed_lock_file_is_noticed(tmp_path: Path) -> None:
    descriptor = locks.open_lock(tmp_path / "lock")
    assert locks.same_file(descriptor, tmp_path / "lock")
    (tmp_path / "lock").unlink()
    assert not locks.same_file(descriptor, tmp_path / "lock")
    (tmp_path / "lock").touch()
    assert not locks.same_file(descriptor, tmp_path / "lock")
    os.close(descriptor)


def test_a_file_is_written_whole_and_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.with_name("file.new").symlink_to(tmp_path / "elsewhere")
    write_whole(path, "one")
    write_whole(path, "two", durable=True)
    assert path.read_text("utf-8") == "two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_password_is_drawn_once_and_kept(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.make()
    assert layout.password() is None
    drawn = layout.new_password()
    assert layout.password() == drawn
    assert len(drawn) == 43


def test_an_address_shows_its_password_only_in_its_url() -> None:
    address = DatabaseAddress(
        host="127.0.0.1", port=5433, database="airback", user="airback", password="hush"
    )
    assert address.url == "postgresql://airback:hush@127.0.0.1:5433/airback"
    assert "hush" not in repr(address)


@pytest.mark.parametrize("written", ["", "[1]", '{"phase": '])
def test_a_broken_state_is_no_state(tmp_path: Path, written: str) -> None:
    layout = Layout(tmp_path)
    layout.make()
    layout.state_file.write_text(written, "utf-8")
    assert layout.state() == {}
    layout.port_file.write_text("x", "ascii")
    assert layout.last_port() is None


def test_the_log_is_kept_in_two_files_of_limited_size(tmp_path: Path) -> None:
    log = ServerLog(tmp_path / "server.log")
    line = b"x" * 1023 + b"\n"
    for _ in range(3 * LOG_LIMIT_BYTES // 65536):
        assert log.take(line * 64) == ["x" * 1023] * 64
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert set(sizes) == {"server.log", "server.log.1"}
    assert max(sizes.values()) <= LOG_LIMIT_BYTES + 65536


def test_the_log_puts_split_lines_together(tmp_path: Path) -> None:
    log = ServerLog(tmp_path / "server.log")
    assert log.take(b"one\ntw") == ["one"]
    assert log.take(b"o\n") == ["two"]


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    assert ServerLog(tmp_path / "gone" / "server.log").take(b"one\n") == ["one"]


def test_a_port_that_is_taken_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert not cluster.port_is_free(taken.getsockname()[1])
    assert cluster.port_is_free(cluster.free_port())


def test_a_full_disk_is_named_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout(tmp_path)
    layout.make()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=5 << 20))
    making = creation.Creation(
        layout=layout,
        programs=programs.Programs(directory=tmp_path, major=18),
        account=None,
        server_lock=-1,
        durable=True,
        is_abandoned=lambda: False,
        log=lambda text: None,
    )
    with pytest.raises(EmbeddedDatabaseProblem) as caught:
        making.run()
    assert (caught.value.code, caught.value.where) == ("disk_full", str(layout.root))
    assert "200 MB; 5 MB are free" in caught.value.reason
    assert not layout.new_cluster.exists()


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "disk_full"),
        (errno.EDQUOT, "disk_full"),
        (errno.EACCES, "data_directory_unusable"),
        (errno.EROFS, "data_directory_unusable"),
        (errno.ENOLCK, "data_directory_unusable"),
    ],
)
def test_a_refusal_of_the_system_gets_a_name_a_place_and_a_remedy(number: int, code: str) -> None:
    problem = from_os_error(OSError(number, os.strerror(number)), where="/data")
    assert (problem.code, problem.where, problem.reason) == (code, "/data", f"{os.strerror(number)}.")
    assert problem.remedy == REMEDIES[code]
    assert str(problem).startswith("/data: ")


def test_a_directory_of_rubbish_is_not_taken_for_a_cluster(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.make()
    assert cluster.major_version(layout) is None
    layout.cluster.mkdir()
    (layout.cluster / "notes").touch()
    with pytest.raises(EmbeddedDatabaseProblem) as caught:
        cluster.major_version(layout)
    assert caught.value.code == "cluster_damaged"


def test_the_programs_come_from_the_wheel_and_have_the_clients() -> None:
    found = programs.find()
    assert (found.major, found.from_wheel) == (18, True)
    assert all(found.path(name).is_file() for name in ("postgres", "initdb", "psql", "pgbench", "pg_dump"))


def test_programs_of_another_version_are_named(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedDatabaseProblem) as caught:
        programs.find(major=9)
    assert caught.value.code == "programs_version"
    with pytest.raises(EmbeddedDatabaseProblem) as caught:
        programs.find(directory=tmp_path)
    assert caught.value.code == "programs_missing"


def test_copied_programs_are_used_again_and_made_again_when_content_was_lost(tmp_path: Path) -> None:
    found = programs.find()
    copy = programs._copied(found, into=tmp_path)
    assert copy.from_wheel and tmp_path in copy.directory.parents
    made = [(path, path.stat().st_ino) for path in copy.directory.iterdir()]
    assert programs._copied(found, into=tmp_path) == copy
    assert [(path, path.stat().st_ino) for path in copy.directory.iterdir()] == made
    lost = copy.directory.parent / "share" / "postgresql" / "postgres.bki"
    lost.write_bytes(b"")
    (tmp_path / "copying-half").mkdir()
    assert programs._copied(found, into=tmp_path) == copy
    assert lost.stat().st_size > 0
    assert len(list(tmp_path.iterdir())) == 1


def test_a_number_without_name_or_processes_is_chosen_for_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(account, "_uids_with_processes", lambda: set(account.NUMBERS) - {60999})
    monkeypatch.setattr(account, "_is_mapped", lambda uid: True)
    assert account.choose(tmp_path / "cluster") == account.Account(uid=60999, gid=60999)


def test_without_a_free_number_a_named_user_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(account, "_is_mapped", lambda uid: uid not in account.NUMBERS)
    chosen = account.choose(tmp_path / "cluster")
    assert chosen is not None and chosen.uid not in {0, *account.NUMBERS}


def test_a_user_namespace_with_root_alone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(account, "_is_mapped", lambda uid: uid == 0)
    with pytest.raises(EmbeddedDatabaseProblem) as caught:
        account.choose(tmp_path / "cluster")
    assert caught.value.code == "no_unprivileged_user"


def test_a_map_of_user_ids_is_read_as_the_kernel_writes_it(tmp_path: Path) -> None:
    table = tmp_path / "uid_map"
    table.write_text("         0       1000          1\n         1     100000      65536\n", "ascii")
    assert [account._maps(uid, table) for uid in (0, 1, 65536, 65537)] == [True, True, True, False]


def test_a_fork_does_not_end_its_parents_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(tmp_path)
    layout.make()
    descriptor = locks.open_lock(layout.users_lock)
    database = users.EmbeddedDatabase(
        layout=layout, options=users._Options(durable=True, programs=None), users_lock=descriptor, port=1
    )
    monkeypatch.setattr(database, "_owner", os.getpid() + 1)
    database.close()
    os.fstat(descriptor)  # still open
    os.close(descriptor)


def test_a_problem_of_the_supervisor_reaches_the_one_who_started_it(tmp_path: Path) -> None:
    readable, writable = os.pipe()
    report = {"phase": "failed", "code": "disk_full", "where": "/data", "reason": "No room."}
    os.write(writable, json.dumps({"phase": "preparing", "detail": ""}).encode() + b"\n")
    os.write(writable, json.dumps(report).encode() + b"\n")
    os.close(writable)
    heard: list[str] = []
    try:
        with pytest.raises(EmbeddedDatabaseProblem, match=r"/data: No room\. Free some space") as caught:
            users._follow(readable, Layout(tmp_path), lambda progress: heard.append(progress.phase), 0.0)
    finally:
        os.close(readable)
    assert caught.value.code == "disk_full"
    assert heard == ["preparing"]
