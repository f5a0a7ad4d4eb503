"""The supervisor: a detached process that runs the server while anybody uses it, and not a moment longer.

    python -m airback.store.embedded.supervisor --data DIR [--relaxed] [--programs DIR]

It holds `supervisor.lock`, makes the cluster if there is none, starts the server as its child, starts it again
when it dies, and stops it as soon as `users.lock` can be taken alone, that is when no user is left. It keeps that
lock until it is gone, so that a new user waits and then starts afresh. Reports go to standard output, one JSON
object a line, for the process that started us; its death harms nothing. SIGUSR1 writes where it stands to its log.
"""

import argparse
import contextlib
import faulthandler
import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import Any, Final

from airback.store.embedded import cluster, locks, programs
from airback.store.embedded.account import Account, choose
from airback.store.embedded.creation import Abandoned, Creation
from airback.store.embedded.layout import Layout, write_whole
from airback.store.embedded.problems import EmbeddedDatabaseProblem, from_os_error

POLL_S: Final = 1.0
"""How often we look whether the directory is still there; everything else wakes us."""
START_POLL_S: Final = 0.03
SUPERVISOR_LOCK_WAIT_S: Final = 2.0
"""Others look at the lock for a moment to see whether we live; only one who keeps it is another supervisor."""
ORPHANS_WAIT_S: Final = 5.0
"""How long processes of a dead server may take to notice, before they are ended."""
OLD_SERVER_WAIT_S: Final = 120.0
"""How long an earlier server may take to shut down, before its processes are ended."""
STALL_LIMIT_S: Final = 900.0
"""A start is given up when the server showed no progress for this long."""
START_LIMIT_S: Final = 6 * 3600.0
"""A start is given up after this long even while it progresses."""
STOP_LIMIT_S: Final = 300.0
"""A fast shutdown becomes an immediate one after this long (the next start then recovers)."""
DEATHS_LIMIT: Final = 5
DEATHS_WITHIN_S: Final = 60.0
LOG_LIMIT_BYTES: Final = 8 * 1024 * 1024

_SERIOUS: Final = re.compile(r"(FATAL|PANIC|ERROR):\s+(?P<what>.*)")
_PROGRESS: Final = re.compile(
    r"LOG:\s+(?P<what>(redo|syncing|resetting|database system was|checkpoint (starting|complete)|end-of-recovery).*)"
)
_PORT_TAKEN: Final = "could not bind IPv4 address"


class ServerLog:
    """The server's messages, kept in at most two files of `LOG_LIMIT_BYTES`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rest = b""

    def take(self, data: bytes) -> list[str]:
        """Keep `data`; returns the whole lines it completed. A full disk loses messages and nothing else."""
        try:
            if self._path.exists() and self._path.stat().st_size > LOG_LIMIT_BYTES:
                self._path.replace(self._path.with_name(self._path.name + ".1"))
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, data)
            finally:
                os.close(descriptor)
        except OSError:
            pass
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[-65536:]
        return [line.decode("utf-8", "replace") for line in lines]


class Supervisor:
    """One run of the supervisor."""

    def __init__(self, *, layout: Layout, durable: bool, programs_directory: Path | None) -> None:
        self._layout = layout
        self._durable = durable
        self._programs_directory = programs_directory
        self._users = locks.open_lock(layout.users_lock)
        self._no_users = threading.Event()
        self._woken, self._waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._log = ServerLog(layout.server_log)
        self._server: subprocess.Popen[bytes] | None = None
        self._last_serious = ""
        self._port_taken = False
        self._last_progress = 0.0
        self._told_to_stop = False
        self._deaths: list[float] = []
        self._last_report: dict[str, Any] = {}

    def run(self) -> None:
        """Serve until no user is left. Raises `EmbeddedDatabaseProblem`, OSError."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda _signal, _frame: None)
        faulthandler.register(signal.SIGUSR1)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        threading.Thread(target=self._wait_for_users_end, name="users", daemon=True).start()
        self._layout.state_file.unlink(missing_ok=True)
        account = choose(self._layout.cluster)
        self._report("preparing")
        found = programs.find(major=cluster.major_version(self._layout), directory=self._programs_directory)
        reachable = programs.within_reach(found, account=account, layout=self._layout)
        try:
            while not self._unused():
                self._serve(reachable, account)
        finally:
            self._stop()
            self._layout.state_file.unlink(missing_ok=True)
            programs.forget_copies_elsewhere(self._layout)

    def _serve(self, found: programs.Programs, account: Account | None) -> None:
        """Start the server, and watch it until it dies or no user is left."""
        server_lock = self._lock_server()
        try:
            if cluster.major_version(self._layout) is None:
                self._report("initialising")
                Creation(
                    layout=self._layout,
                    programs=found,
                    account=account,
                    server_lock=server_lock,
                    durable=self._durable,
                    is_abandoned=self._unused,
                    log=self._note,
                ).run()
            cluster.take_over(self._layout, account)
            cluster.forget_dead_server(self._layout)
            port = self._start(found, account, server_lock)
        except Abandoned:
            return
        finally:
            os.close(server_lock)  # from here on only the server's processes hold it
        if port is None:
            return
        self._report("ready", port=port)
        while not self._unused():
            self._listen(POLL_S)
            if self._server is None or self._server.poll() is not None:
                self._died()
                return

    def _start(self, found: programs.Programs, account: Account | None, server_lock: int) -> int | None:
        """Start the server at the port it had, or at a free one; None when no user is left meanwhile."""
        port = self._layout.last_port() or cluster.free_port()
        for _ in range(20):
            if not cluster.port_is_free(port):
                port = cluster.free_port()
                continue
            self._last_serious, self._port_taken = "", False
            self._report("starting")
            self._server = cluster.start(
                self._layout,
                programs=found,
                account=account,
                port=port,
                durable=self._durable,
                server_lock=server_lock,
            )
            if self._wait_until_ready():
                write_whole(self._layout.port_file, f"{port}\n")
                return port
            if not self._port_taken:
                return None
            port = cluster.free_port()
        raise EmbeddedDatabaseProblem(
            code="server_not_started", where=str(self._layout.server_log), reason="No TCP port could be had."
        )

    def _wait_until_ready(self) -> bool:
        """True when the server accepts connections; False when its port is taken or no user is left."""
        assert self._server is not None
        started = self._last_progress = time.monotonic()
        while True:
            self._listen(START_POLL_S)
            status = cluster.status(self._layout)
            if status is not None and status.process == self._server.pid and status.phase == "ready":
                return True
            if self._server.poll() is not None:
                self._drain()
                if self._port_taken:
                    return False
                raise self._not_started(f"It ended with {self._server.returncode} while starting.")
            if self._unused():
                self._stop()
                return False
            now = time.monotonic()
            if now - self._last_progress > STALL_LIMIT_S or now - started > START_LIMIT_S:
                self._stop()
                raise EmbeddedDatabaseProblem(
                    code="start_timed_out",
                    where=str(self._layout.server_log),
                    reason=f"The server was not ready after {round(now - started)} s, without progress for "
                    f"{round(now - self._last_progress)} s.",
                )

    def _not_started(self, otherwise: str) -> EmbeddedDatabaseProblem:
        reason = self._last_serious or otherwise
        code, where = "server_not_started", self._layout.server_log
        if "No space left on device" in reason:
            code, where = "disk_full", self._layout.cluster
        elif "Permission denied" in reason:
            code, where = "data_directory_unusable", self._layout.cluster
        return EmbeddedDatabaseProblem(
            code=code, where=str(where), reason=f"The server did not start: {reason}."
        )

    def _lock_server(self) -> int:
        """The server's lock, alone: proof that no process of an earlier server lives. Waits, then ends them."""
        descriptor = locks.open_lock(self._layout.server_lock)
        # After a death we saw, only orphans are left, which need no time to shut down.
        steps = [(ORPHANS_WAIT_S, signal.SIGQUIT), (ORPHANS_WAIT_S, signal.SIGKILL)]
        if not self._deaths:
            # The kernel told a server whose supervisor was killed to shut down; only Linux can.
            steps.insert(0, (OLD_SERVER_WAIT_S if sys.platform == "linux" else POLL_S, signal.SIGINT))
        started = last_step = time.monotonic()
        while not locks.try_exclusive(descriptor):
            now = time.monotonic()
            if now - started > 0.5:
                self._report("waiting", detail=f"for an earlier server to end, {round(now - started)} s")
            if now - last_step > (steps[0][0] if steps else ORPHANS_WAIT_S):
                held = locks.holders(self._layout.server_lock)
                if not steps or not held:
                    os.close(descriptor)
                    raise EmbeddedDatabaseProblem(
                        code="server_still_running",
                        where=str(self._layout.cluster),
                        reason=f"Processes of an earlier server are still alive: {held or 'not visible from here'}.",
                    )
                _, order = steps.pop(0)
                self._note(f"ending what is left of an earlier server with {order.name}: {held}")
                locks.end_holders(self._layout.server_lock, with_signal=order)
                last_step = now
            time.sleep(0.02)
        return descriptor

    def _died(self) -> None:
        """The server ended by itself. Raises when it does so again and again."""
        self._drain()
        now = time.monotonic()
        code = self._server.returncode if self._server is not None else None
        self._server = None
        self._note(f"the server died ({code}): {self._last_serious}")
        self._deaths = [at for at in self._deaths if now - at < DEATHS_WITHIN_S] + [now]
        if len(self._deaths) > DEATHS_LIMIT:
            raise EmbeddedDatabaseProblem(
                code="server_keeps_dying",
                where=str(self._layout.server_log),
                reason=f"The server died {len(self._deaths)} times within {round(DEATHS_WITHIN_S)} s "
                f"({self._last_serious or code}).",
            )

    def _unused(self) -> bool:
        """Whether no user is left (or we were told to stop, or the directory is gone). Final: the lock is kept."""
        return (
            self._told_to_stop
            or not locks.same_file(self._users, self._layout.users_lock)
            or self._no_users.is_set()
        )

    def _wait_for_users_end(self) -> None:
        """Sleep until the users' lock can be had alone, and keep it."""
        locks.wait_exclusive(self._users)
        self._no_users.set()
        os.write(self._waker, b"u")

    def _stop(self) -> None:
        """A fast shutdown, and a harsher one when it takes too long or there is nothing left to write to."""
        if self._server is None:
            return
        self._report("stopping")
        steps = [(signal.SIGINT, STOP_LIMIT_S), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0)]
        if not self._layout.cluster.exists():
            del steps[0]
        for order, limit_s in steps:
            if self._server.poll() is not None:
                break
            self._server.send_signal(order)
            until = time.monotonic() + limit_s
            while self._server.poll() is None and time.monotonic() < until:
                self._listen(START_POLL_S)
        self._drain()
        self._server = None

    def _listen(self, timeout_s: float) -> None:
        """Take the server's messages for at most `timeout_s`."""
        pipe = self._server.stdout if self._server is not None else None
        watched = [self._woken]
        if pipe is not None and not pipe.closed:
            watched.append(pipe.fileno())
        readable = select.select(watched, [], [], timeout_s)[0]
        if self._woken in readable:
            os.read(self._woken, 4096)
        if pipe is not None and len(watched) > 1 and watched[1] in readable:
            data = os.read(pipe.fileno(), 65536)
            if data:
                self._read(data)
            else:
                pipe.close()

    def _drain(self) -> None:
        """Take what a dead server still had to say. Orphans may hold the pipe open, so never wait for its end."""
        pipe = self._server.stdout if self._server is not None else None
        while pipe is not None and not pipe.closed and select.select([pipe], [], [], 0)[0]:
            self._listen(0)
        if pipe is not None and not pipe.closed:
            pipe.close()

    def _read(self, data: bytes) -> None:
        for line in self._log.take(data):
            serious = _SERIOUS.search(line)
            if serious is not None:
                self._last_serious = serious["what"].strip().rstrip(".")
            if _PORT_TAKEN in line:
                self._port_taken = True
            progress = _PROGRESS.search(line)
            if progress is not None:
                self._last_progress = time.monotonic()
                if progress["what"].startswith(("redo", "syncing", "resetting")):
                    self._report("recovering", detail=progress["what"])

    def _report(self, phase: str, *, detail: str = "", **more: Any) -> None:
        """Tell the process that started us, and leave word for others."""
        state = {"phase": phase, "detail": detail, "supervisor": os.getpid(), **more}
        if state == self._last_report:
            return
        self._last_report = state
        try:
            write_whole(self._layout.state_file, json.dumps(state))
        except OSError:
            if phase == "ready":  # without it nobody else finds the server
                raise
        tell(state)

    def _note(self, text: str) -> None:
        print(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}", file=sys.stderr, flush=True)  # noqa: T201

    def _on_signal(self, _signal: int, _frame: FrameType | None) -> None:
        self._told_to_stop = True


def tell(report: dict[str, Any]) -> None:
    """One line to whoever started us; nobody need be there any more."""
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(report).encode() + b"\n")


def _failed(problem: EmbeddedDatabaseProblem) -> int:
    tell({"phase": "failed", "code": problem.code, "where": problem.where, "reason": problem.reason})
    return 1


def main() -> int:
    """0: served to the end; 1: a problem, which was reported; 3: another supervisor is at work."""
    parser = argparse.ArgumentParser(prog="python -m airback.store.embedded.supervisor")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--relaxed", action="store_true")
    parser.add_argument("--programs", type=Path)
    options = parser.parse_args()
    layout = Layout(options.data)
    # Whatever else the caller had open is not ours to keep open.
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.umask(0o077)
    os.chdir("/")
    try:
        lock = locks.open_lock(layout.supervisor_lock)
        until = time.monotonic() + SUPERVISOR_LOCK_WAIT_S
        while not locks.try_exclusive(lock):
            if time.monotonic() > until:
                return 3
            time.sleep(0.01)
        Supervisor(layout=layout, durable=not options.relaxed, programs_directory=options.programs).run()
    except EmbeddedDatabaseProblem as problem:
        return _failed(problem)
    except OSError as error:
        return _failed(from_os_error(error, where=str(error.filename or layout.root)))
    except Exception as error:
        traceback.print_exc()
        return _failed(
            EmbeddedDatabaseProblem(
                code="supervisor_died",
                where=str(layout.supervisor_log),
                reason=f"The server's supervisor failed: {type(error).__name__}.",
            )
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
