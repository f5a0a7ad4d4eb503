"""The cluster itself: made with `initdb`, handed to its account, started with our settings.

The directory is always reached through an open descriptor when the server runs as somebody else
(`/proc/self/fd/N`): so it may lie below directories that only root can enter, and nothing above it is touched.
"""

import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from airback.store.embedded.account import Account, give, named
from airback.store.embedded.layout import DATABASE, HOST, USER, Layout, sync_directory
from airback.store.embedded.problems import EmbeddedDatabaseProblem
from airback.store.embedded.programs import Programs

SETTINGS: Final[dict[str, str]] = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",  # TCP only: no socket files to go stale, no path too long for one
    "max_connections": "100",
    "shared_buffers": "192MB",
    "max_wal_size": "2GB",
    "min_wal_size": "160MB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "random_page_cost": "1.1",
    "max_parallel_workers_per_gather": "0",  # containers often have 64 MB of /dev/shm, which these workers use up
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
    "password_encryption": "scram-sha-256",
    "cluster_name": "airback",
    "logging_collector": "off",  # the supervisor reads the log from a pipe and keeps it short
    "log_destination": "stderr",
    "log_line_prefix": "%m [%p] ",
    "log_error_verbosity": "terse",  # DETAIL would put the values of a refused row into the log
    "log_startup_progress_interval": "1s",
    "lc_messages": "C",
}
DURABLE: Final[dict[str, str]] = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
RELAXED: Final[dict[str, str]] = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""For tests, whose data nobody misses after a power cut."""

ROOM_FOR_NEW_CLUSTER: Final = 200 * 1024 * 1024
_PR_SET_PDEATHSIG: Final = 1
_COMPLAINT: Final = re.compile(r"\b(ERROR|FATAL|PANIC|initdb: error):")


@dataclass(frozen=True, slots=True)
class Status:
    """What `postmaster.pid` says: whose it is and how far it has come (`starting`, `ready`, `stopping`)."""

    process: int
    phase: str


def major_version(layout: Layout) -> int | None:
    """The major version of PostgreSQL that made the cluster; None when there is no cluster yet.

    Raises `EmbeddedDatabaseProblem` for a directory that holds something else.
    """
    if not layout.cluster.is_dir():
        return None
    try:
        return int((layout.cluster / "PG_VERSION").read_text("ascii").strip())
    except (FileNotFoundError, ValueError):
        if not any(layout.cluster.iterdir()):
            layout.cluster.rmdir()
            return None
        raise EmbeddedDatabaseProblem(
            code="cluster_damaged", where=str(layout.cluster), reason="It holds no PostgreSQL database."
        ) from None


def create(
    layout: Layout,
    *,
    programs: Programs,
    account: Account | None,
    server_lock: int,
    durable: bool,
    log: Callable[[str], None],
) -> None:
    """Make the cluster with its database user and database, whole or not at all.

    Built as `cluster.new`, brought to disk once at the end (unless not `durable`) and renamed. The programs that build it inherit
    `server_lock`, as the server does. Raises `EmbeddedDatabaseProblem`, OSError.
    """
    room = shutil.disk_usage(layout.root).free
    if room < ROOM_FOR_NEW_CLUSTER:
        raise EmbeddedDatabaseProblem(
            code="disk_full",
            where=str(layout.root),
            reason=f"A new database needs {ROOM_FOR_NEW_CLUSTER >> 20} MB; {room >> 20} MB are free.",
        )
    new = layout.new_cluster
    if new.exists():
        shutil.rmtree(new)
    new.mkdir(mode=0o700)
    # initdb insists on a user that has a name; the cluster changes hands below.
    builder = named() if account is not None else None
    if builder is not None:
        os.chown(new, builder.uid, builder.gid)
    password = layout.password() or layout.new_password()
    build = _Build(directory=new, programs=programs, builder=builder, server_lock=server_lock, log=log)
    build.initdb(password)
    build.create_database()
    if account is not None:
        give(new, account)
    if durable:
        _sync_all(new)
    new.rename(layout.cluster)
    sync_directory(layout.root)


def take_over(layout: Layout, account: Account | None) -> None:
    """Make an existing cluster usable by `account`: its files after a copy by root, and its mode."""
    if account is not None and layout.cluster.stat().st_uid != account.uid:
        give(layout.cluster, account)
    if layout.cluster.stat().st_mode & 0o7777 not in (0o700, 0o750):
        layout.cluster.chmod(0o700)


def forget_dead_server(layout: Layout) -> None:
    """Remove what a server that did not end orderly left behind. Only while holding the server's lock, alone."""
    for name in ("postmaster.pid", "postmaster.opts"):
        (layout.cluster / name).unlink(missing_ok=True)


def start(
    layout: Layout, *, programs: Programs, account: Account | None, port: int, durable: bool, server_lock: int
) -> "subprocess.Popen[bytes]":
    """Start the server as our child; its messages come through `.stdout`.

    It inherits `server_lock`, so that the lock is held while any of its processes lives, and is told to shut down
    when we die. Raises OSError.
    """
    settings = SETTINGS | (DURABLE if durable else RELAXED)
    with _Reach(layout.cluster, account) as reach:
        arguments: list[str | Path] = [programs.path("postgres"), "-D", reach.path, "-p", str(port)]
        for name, value in settings.items():
            arguments += ["-c", f"{name}={value}"]
        return subprocess.Popen(
            arguments,
            **_run_as(account),
            cwd="/",
            env=_environment(),
            umask=0o077,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(*reach.descriptors, server_lock),
            start_new_session=True,
            preexec_fn=_dies_with(os.getpid()),
        )


def status(layout: Layout) -> Status | None:
    """What `postmaster.pid` says at the moment; None when it is absent or half written."""
    try:
        lines = (layout.cluster / "postmaster.pid").read_text("utf-8").splitlines()
        return Status(process=int(lines[0]), phase=lines[7].strip())
    except (FileNotFoundError, ValueError, IndexError):
        return None


def port_is_free(port: int) -> bool:
    """Whether a server could listen at `port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class _Reach:
    """A path by which `account` reaches `directory`, and the descriptors it must inherit for that."""

    def __init__(self, directory: Path, account: Account | None) -> None:
        self._directory = directory
        self._account = account
        self.descriptors: tuple[int, ...] = ()
        self.path = str(directory)

    def __enter__(self) -> "_Reach":
        if self._account is not None and sys.platform == "linux":
            descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self.descriptors = (descriptor,)
            self.path = f"/proc/self/fd/{descriptor}"
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class _Build:
    """A new cluster in the making, as user `builder`."""

    directory: Path
    programs: Programs
    builder: Account | None
    server_lock: int
    log: Callable[[str], None]

    def initdb(self, password: str) -> None:
        readable, writable = os.pipe()
        try:
            if self.builder is not None:
                os.fchown(readable, self.builder.uid, self.builder.gid)
            os.write(writable, password.encode() + b"\n")
        finally:
            os.close(writable)
        try:
            arguments = ["--username", USER, "--auth", "scram-sha-256", f"--pwfile=/dev/fd/{readable}"]
            arguments += ["--encoding", "UTF8", "--locale", "C", "--data-checksums", "--no-sync"]
            if self.programs.major >= 17:
                # Code points in order, but upper and lower case beyond ASCII; the same on every machine.
                arguments += ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]
            self._run("initdb", arguments, descriptors=(readable,))
        finally:
            os.close(readable)

    def create_database(self) -> None:
        self._run("postgres", ["-F", "postgres"], first="--single", text=f"CREATE DATABASE {DATABASE}\n")

    def _run(
        self,
        program: str,
        arguments: list[str],
        *,
        first: str | None = None,
        text: str = "",
        descriptors: tuple[int, ...] = (),
    ) -> None:
        with _Reach(self.directory, self.builder) as reach:
            run = subprocess.run(
                [self.programs.path(program), *([first] if first else []), "-D", reach.path, *arguments],
                **_run_as(self.builder),
                cwd="/",
                env=_environment(),
                input=text.encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(*reach.descriptors, *descriptors, self.server_lock),
                preexec_fn=_dies_with(os.getpid()),
                check=False,
            )
        output = run.stdout.decode("utf-8", "replace").strip()
        self.log(f"{program} ended with {run.returncode}\n{output}")
        complaints = [line for line in output.splitlines() if _COMPLAINT.search(line)]
        if run.returncode != 0 or complaints:
            last = (complaints or output.splitlines() or ["no message"])[-1]
            raise EmbeddedDatabaseProblem(
                code="disk_full" if "No space left" in output else "cluster_not_created",
                where=str(self.directory),
                reason=f"{program} ended with {run.returncode}: {last}",
            )


def _sync_all(top: Path) -> None:
    for directory, _, files in os.walk(top):
        for name in files:
            descriptor = os.open(Path(directory) / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_directory(Path(directory))


def _run_as(account: Account | None) -> dict[str, Any]:
    return account.for_subprocess() if account is not None else {}


def _environment() -> dict[str, str]:
    """Nothing of ours: PG* variables, keys and proxies are none of the server's business."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def _dies_with(parent: int) -> Callable[[], None]:
    """For a child: ask the kernel for a fast shutdown when `parent` dies (Linux; elsewhere nothing)."""
    if sys.platform != "linux":
        return lambda: None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def ask() -> None:
        # After the change of user, which would clear it.
        prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return ask
