"""The user's side: find the server of a data directory or have it started, and count as its user until closed."""

import atexit
import contextlib
import json
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import airback
from airback.store.embedded import locks
from airback.store.embedded.layout import DatabaseAddress, Layout
from airback.store.embedded.problems import EmbeddedDatabaseProblem, from_os_error

POLL_S: Final = 0.03
WATCH_S: Final = 1.0
CLOSE_LIMIT_S: Final = 120.0
"""The last user waits at most this long for the server to be gone; it goes on ending by itself."""
ATTEMPTS: Final = 3

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a start is. `phase`: waiting, preparing, initialising, starting, recovering, stopping or ready."""

    phase: str
    detail: str
    elapsed_s: float


Listener = Callable[[Progress], None]


class EmbeddedDatabase:
    """A running server and our claim on it. Close it, or use it as a context manager; exit of the process closes it.

    A thread looks once a second whether the supervisor lives and has it started again if it was killed.
    """

    def __init__(self, *, layout: Layout, options: "_Options", users_lock: int, port: int) -> None:
        self._layout = layout
        self._options = options
        self._users_lock = users_lock
        self._owner = os.getpid()
        self._address = layout.address(port)
        self._closed = threading.Event()
        self._closing = threading.Lock()
        _open_databases.add(self)
        threading.Thread(
            target=_watch, args=(weakref.ref(self),), name="airback-database", daemon=True
        ).start()

    @property
    def address(self) -> DatabaseAddress:
        """Where the server listens. The port stays the same over restarts unless somebody else took it."""
        return self._address

    @property
    def url(self) -> str:
        """`postgresql://…`, with the password."""
        return self._address.url

    @property
    def log_file(self) -> Path:
        """PostgreSQL's messages."""
        return self._layout.server_log

    def close(self) -> None:
        """Stop using the server. When we were the last user, returns when no process of it is left."""
        with self._closing:
            if self._closed.is_set():
                return
            self._closed.set()
        if self._owner != os.getpid():  # a forked child: the claim is our parent's
            return
        _open_databases.discard(self)
        os.close(self._users_lock)
        until = time.monotonic() + CLOSE_LIMIT_S
        while time.monotonic() < until and not locks.is_free(self._layout.supervisor_lock):
            if _has_other_users(self._layout):
                return
            time.sleep(POLL_S)
        _reap()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _look_after(self) -> None:
        """Have the server started again if its supervisor is gone."""
        if not locks.is_free(self._layout.supervisor_lock):
            port = self._layout.state().get("port")
            if isinstance(port, int) and port != self._address.port:
                self._address = self._layout.address(port)
            return
        if self._closed.is_set() or not locks.same_file(self._users_lock, self._layout.users_lock):
            return
        _logger.warning("the database's supervisor is gone; starting it again")
        _reap()
        self._address = self._layout.address(_find_or_start(self._layout, self._options, None))


@dataclass(frozen=True, slots=True)
class _Options:
    durable: bool
    programs: Path | None


_open_databases: "weakref.WeakSet[EmbeddedDatabase]" = weakref.WeakSet()
_supervisors: set[int] = set()
"""Supervisors that are our children, to be reaped when they end."""


def ensure_running(
    data_directory: Path | str,
    *,
    progress: Listener | None = None,
    durable: bool = True,
    programs: Path | None = None,
) -> EmbeddedDatabase:
    """The database of `data_directory`, started if it does not run; created if there is none.

    Blocks until the server accepts connections, however long a crash recovery takes while it progresses
    (`progress` hears of it). `durable=False` is for tests. `programs` names a `bin` directory of PostgreSQL to use
    instead of the wheel's. The caller is a user of the server until `close()`; when the last user ends, in
    whatever way, the server stops. Raises `EmbeddedDatabaseProblem`.
    """
    layout = Layout(Path(data_directory).expanduser().absolute())
    options = _Options(durable=durable, programs=programs)
    try:
        layout.make()
        users_lock = locks.open_lock(layout.users_lock)
    except OSError as error:
        raise from_os_error(error, where=str(error.filename or layout.data_directory)) from error
    try:
        started = time.monotonic()
        while not locks.try_shared(users_lock):  # a supervisor that found no users is shutting down
            _tell(progress, layout.state().get("phase") or "stopping", "", started)
            time.sleep(POLL_S)
        port = _find_or_start(layout, options, progress)
    except OSError as error:
        os.close(users_lock)
        raise from_os_error(error, where=str(error.filename or layout.root)) from error
    except BaseException:
        os.close(users_lock)
        raise
    return EmbeddedDatabase(layout=layout, options=options, users_lock=users_lock, port=port)


def _find_or_start(layout: Layout, options: _Options, progress: Listener | None) -> int:
    """The port of the running server, after starting it if need be. The caller holds `users.lock`."""
    started = time.monotonic()
    start_lock = locks.open_lock(layout.start_lock)
    try:
        while not locks.try_exclusive(start_lock):  # somebody else is starting it: let us hear how it goes
            state = layout.state()
            _tell(progress, state.get("phase") or "waiting", state.get("detail") or "", started)
            time.sleep(POLL_S)
        last: EmbeddedDatabaseProblem | None = None
        for _ in range(ATTEMPTS):
            if locks.is_free(layout.supervisor_lock):
                # Whatever it says, it was written by a supervisor that is no more.
                layout.state_file.unlink(missing_ok=True)
                reports = _start_supervisor(layout, options)
                try:
                    _follow(reports, layout, progress, started)
                finally:
                    os.close(reports)
            port = _port_when_ready(layout, progress, started)
            if port is not None:
                return port
            last = EmbeddedDatabaseProblem(
                code="supervisor_died",
                where=str(layout.supervisor_log),
                reason="The server's supervisor ended before the server was ready.",
            )
        assert last is not None
        raise last
    finally:
        os.close(start_lock)


def _start_supervisor(layout: Layout, options: _Options) -> int:
    """Start a supervisor that outlives us; returns the descriptor its reports are read from."""
    arguments = [sys.executable, "-P", "-m", "airback.store.embedded.supervisor"]
    arguments += ["--data", str(layout.data_directory)]
    if not options.durable:
        arguments.append("--relaxed")
    if options.programs is not None:
        arguments += ["--programs", str(options.programs.absolute())]
    here = str(Path(airback.__file__).absolute().parent.parent)
    environment = {
        name: value
        for name, value in os.environ.items()
        if name in ("PATH", "LANG", "LC_ALL", "TMPDIR", "HOME")
    }
    environment["PYTHONPATH"] = os.pathsep.join([here, *(path for path in sys.path if path and path != here)])
    if layout.supervisor_log.exists() and layout.supervisor_log.stat().st_size > 1024 * 1024:
        layout.supervisor_log.unlink()
    readable, writable = os.pipe()
    try:
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        child = os.posix_spawn(
            sys.executable,
            arguments,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, writable, 1),
                (os.POSIX_SPAWN_OPEN, 2, str(layout.supervisor_log), append, 0o600),
            ],
            setsid=True,
        )
    except BaseException:
        os.close(readable)
        raise
    finally:
        os.close(writable)
    _supervisors.add(child)
    return readable


def _follow(reports: int, layout: Layout, progress: Listener | None, started: float) -> None:
    """Listen to a supervisor we started until it is ready or ends. Raises what it reports."""
    rest = b""
    while True:
        data = os.read(reports, 65536)
        if not data:
            _reap()
            return
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            report = json.loads(line)
            if report["phase"] == "failed":
                _reap()
                raise EmbeddedDatabaseProblem(
                    code=report["code"], where=report["where"], reason=report["reason"]
                )
            _tell(progress, report["phase"], report["detail"], started)
            if report["phase"] == "ready":
                return


def _port_when_ready(layout: Layout, progress: Listener | None, started: float) -> int | None:
    """The port once the supervisor is ready; None when there is no supervisor (any more)."""
    while not locks.is_free(layout.supervisor_lock):
        state = layout.state()
        if state.get("phase") == "ready":
            return int(state["port"])
        _tell(progress, state.get("phase") or "waiting", state.get("detail") or "", started)
        time.sleep(POLL_S)
    return None


def _has_other_users(layout: Layout) -> bool:
    """Whether somebody else uses the server, as opposed to nobody or a supervisor that is shutting it down."""
    try:
        probe = locks.open_lock(layout.users_lock)
    except OSError:
        return False
    try:
        return not locks.try_exclusive(probe) and locks.try_shared(probe)
    finally:
        os.close(probe)


def _watch(reference: "weakref.ref[EmbeddedDatabase]") -> None:
    while True:
        database = reference()
        if database is None or database._closed.wait(WATCH_S):
            return
        try:
            database._look_after()
        except (EmbeddedDatabaseProblem, OSError):
            _logger.exception("the database could not be started again")
        del database


def _reap() -> None:
    """Collect supervisors of ours that have ended."""
    for child in list(_supervisors):
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(child, os.WNOHANG)[0] == 0:
                continue
        _supervisors.discard(child)


def _tell(progress: Listener | None, phase: str, detail: str, started: float) -> None:
    if progress is not None:
        progress(Progress(phase=phase, detail=detail, elapsed_s=time.monotonic() - started))


@atexit.register
def _close_all() -> None:
    for database in list(_open_databases):
        database.close()
