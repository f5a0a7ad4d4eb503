"""The embedded server when Airback runs as root: unprivileged, whatever directories only root may enter.

These run where the suite runs as root, as it does in most containers; elsewhere they say that they did not.
"""

import asyncio
import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from airback.store.embedded import EmbeddedDatabaseProblem, ensure_running, programs
from airback.store.embedded.account import NUMBERS
from airback.store.embedded.layout import Layout
from tests.store.user_process import UserProcess, processes

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it is about what root must not do")


@pytest.fixture
def street() -> Iterator[Path]:
    """A directory that everybody can enter."""
    with tempfile.TemporaryDirectory(prefix="airback-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def closed(street: Path) -> Path:
    """A directory that only root can enter."""
    directory = street / "closed"
    directory.mkdir(mode=0o700)
    return directory


@pytest.fixture
def closed_programs(closed: Path) -> Path:
    """The wheel, as in a virtual environment below a directory that only root can enter; its `bin`."""
    found = programs.find()
    package = found.directory.parent.parent
    target = closed / "site-packages" / package.name / found.directory.parent.name
    shutil.copytree(found.directory.parent, target, ignore=shutil.ignore_patterns("include", "*.a"))
    shutil.copytree(
        package.parent / f"{package.name}.libs", closed / "site-packages" / f"{package.name}.libs"
    )
    return target / "bin"


def facts(url: str) -> tuple[int, str]:
    """1, and where the server thinks its data is."""

    async def run() -> tuple[int, str]:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute("CREATE TABLE IF NOT EXISTS proof (n integer)")
            return await connection.fetchval("SELECT 1"), await connection.fetchval("SHOW data_directory")
        finally:
            await connection.close()

    return asyncio.run(run())


def look(path: Path) -> tuple[int, int, int]:
    """Owner, group and mode."""
    found = path.stat()
    return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)


def users_of(layout: Layout) -> set[int]:
    """The users the server's processes run as (all but the supervisor)."""
    found = set()
    for process in processes(layout):
        if b"supervisor" not in Path(f"/proc/{process}/cmdline").read_bytes():
            status = Path(f"/proc/{process}/status").read_text("ascii").splitlines()
            ids = next(line for line in status if line.startswith("Uid:")).split()[1:]
            groups = next(line for line in status if line.startswith("Groups:")).split()[1:]
            assert groups == []
            found |= {int(each) for each in ids}
    return found


def test_a_fresh_closed_directory_below_a_closed_one_works_and_nothing_above_changes(
    street: Path, closed: Path
) -> None:
    data = closed / "data"
    data.mkdir(mode=0o700)
    before = [look(path) for path in (street, closed, data)]
    with ensure_running(data, durable=False) as database:
        assert facts(database.url) == (1, facts(database.url)[1])
        (user,) = users_of(Layout(data))
        assert user in NUMBERS
        with pytest.raises(KeyError):
            pwd.getpwuid(user)
        assert look(Layout(data).cluster) == (user, user, 0o700)
    assert [look(path) for path in (street, closed, data)] == before
    with ensure_running(data, durable=False) as database:
        assert users_of(Layout(data)) == {user}


def test_programs_that_only_root_can_reach_are_copied_into_the_data_directory(
    street: Path, closed: Path, closed_programs: Path
) -> None:
    data = street / "data"
    data.mkdir(mode=0o700)
    before = [look(path) for path in (street, closed)]
    with ensure_running(data, durable=False, programs=closed_programs) as database:
        assert facts(database.url)[0] == 1
        (user,) = users_of(Layout(data))
        assert list(Layout(data).programs.glob("postgresql-*"))
        assert look(data) == (0, user, 0o710)
    assert [look(path) for path in (street, closed)] == before
    with ensure_running(data, durable=False, programs=closed_programs) as database:
        assert facts(database.url)[0] == 1


def test_programs_and_data_that_only_root_can_reach_work_and_leave_nothing_behind(
    street: Path, closed: Path, closed_programs: Path
) -> None:
    data = closed / "data"
    before = [look(path) for path in (street, closed)]
    layout = Layout(data)
    with ensure_running(data, durable=False, programs=closed_programs) as database:
        assert facts(database.url)[0] == 1
        elsewhere = Path(layout.programs_elsewhere.read_text("utf-8").strip())
        assert elsewhere.is_dir()
        assert users_of(layout) == {layout.cluster.stat().st_uid}
        assert look(data) == (0, 0, 0o700)
        assert not layout.programs.exists()
    assert not elsewhere.exists()
    assert not layout.programs_elsewhere.exists()
    assert [look(path) for path in (street, closed)] == before


def test_a_data_directory_copied_by_root_is_given_to_the_server_again(closed: Path) -> None:
    with ensure_running(closed / "data", durable=False) as database:
        facts(database.url)
    shutil.copytree(closed / "data", closed / "copy")  # everything in it belongs to root now
    with ensure_running(closed / "copy", durable=False) as database:
        assert facts(database.url)[0] == 1
        assert users_of(Layout(closed / "copy")) == {Layout(closed / "copy").cluster.stat().st_uid} - {0}


def unprivileged() -> int:
    """A user that is not root."""
    return pwd.getpwnam("nobody").pw_uid


def test_an_ordinary_user_needs_none_of_this(street: Path) -> None:
    data = street / "data"
    data.mkdir()
    os.chown(data, unprivileged(), unprivileged())
    user = UserProcess(data, uid=unprivileged())
    answer = user.answer()
    assert "url" in answer, answer
    assert facts(answer["url"]) == (1, str(Layout(data).cluster))
    assert users_of(Layout(data)) == {unprivileged()}
    user.close()
    assert processes(Layout(data)) == []


def test_a_directory_the_user_may_not_write_is_named(closed: Path) -> None:
    user = UserProcess(closed / "data", uid=unprivileged())
    answer = user.answer()
    user.close()
    assert (answer["code"], answer["where"]) == ("data_directory_unusable", str(closed / "data"))
    assert "Permission denied" in answer["reason"]
    assert "AIRBACK_DATA" in answer["remedy"]


def test_a_cluster_of_somebody_else_is_named(street: Path) -> None:
    data = street / "data"
    with ensure_running(data, durable=False):
        pass
    os.chown(data, unprivileged(), unprivileged())
    for path in (Layout(data).root, *Layout(data).root.iterdir()):
        if path != Layout(data).cluster:
            os.chown(path, unprivileged(), unprivileged())
    user = UserProcess(data, uid=unprivileged())
    answer = user.answer()
    user.close()
    assert (answer["code"], answer["where"]) == ("data_directory_owner", str(Layout(data).cluster))


def test_programs_of_the_machine_that_nobody_else_can_run_are_named(closed: Path) -> None:
    found = programs.find()
    scripts = closed / "bin"
    scripts.mkdir()
    for name in ("initdb", "postgres"):
        (scripts / name).write_text(f'#!/bin/sh\nexec {found.path(name)} "$@"\n', "ascii")
        (scripts / name).chmod(0o755)
    with pytest.raises(EmbeddedDatabaseProblem) as caught:
        ensure_running(closed / "data", durable=False, programs=scripts)
    assert (caught.value.code, caught.value.where) == ("programs_unreachable", str(scripts))
