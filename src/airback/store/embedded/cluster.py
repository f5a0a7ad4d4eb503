"""The cluster: reached whoever runs it, started with our settings, tidied after a server that died.

The directory is always reached through an open descriptor when the server runs as somebody else
(`/proc/self/fd/N`): so it may lie below directories that only root can enter, and nothing above it is touched.
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from airback.store.embedded.account import Account, give
from airback.store.embedded.layout import HOST, Layout
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

_PR_SET_PDEATHSIG: Final = 1


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
    with Reach(layout.cluster, account) as reach:
        arguments: list[str | Path] = [programs.path("postgres"), "-D", reach.path, "-p", str(port)]
        for name, value in settings.items():
            arguments += ["-c", f"{name}={value}"]
        return subprocess.Popen(
            arguments,
            **run_as(account),
            cwd="/",
            env=environment(),
            umask=0o077,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(*reach.descriptors, server_lock),
            start_new_session=True,
            preexec_fn=dies_with(os.getpid()),
        )


def status(layout: Layout) -> Status | None:
    """What `postmaster.pid` says at the moment; None when it is absent or half written."""
    try:
        lines = (layout.cluster / "postmaster.pid").read_text("utf-8").splitlines()
        return Status(process=int(lines[0]), phase=lines[7].strip())
    except (FileNotFoundError, ValueError, IndexError):
        return None


def server_process(data_directory: Path) -> int | None:
    """The id of the server's first process in a data directory; None while it does not accept connections."""
    found = status(Layout(data_directory))
    return found.process if found is not None and found.phase == "ready" else None


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


class Reach:
    """A path by which `account` reaches `directory`, and the descriptors it must inherit for that."""

    def __init__(self, directory: Path, account: Account | None) -> None:
        self._directory = directory
        self._account = account
        self.descriptors: tuple[int, ...] = ()
        self.path = str(directory)

    def __enter__(self) -> "Reach":
        if self._account is not None and sys.platform == "linux":
            descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self.descriptors = (descriptor,)
            self.path = f"/proc/self/fd/{descriptor}"
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)


def run_as(account: Account | None) -> dict[str, Any]:
    return account.for_subprocess() if account is not None else {}


def environment() -> dict[str, str]:
    """Nothing of ours: PG* variables, keys and proxies are none of the server's business."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def dies_with(parent: int) -> Callable[[], None]:
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
