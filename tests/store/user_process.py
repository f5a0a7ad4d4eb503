"""A process that uses the embedded server, for tests that kill it; and what can be seen of a server from outside.

Run as a program it starts the database of a directory, prints one JSON line, and ends when its input does.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from airback.store.embedded import locks
from airback.store.embedded.layout import Layout

_SOURCES = str(Path(__file__).parents[2] / "src")
ANSWER_LIMIT_S = 240.0
"""Below the limit of a whole test, so that a failure says what was waited for."""

_SUPERVISOR = b"airback.store.embedded.supervisor"


class UserProcess:
    """A child that runs `ensure_running` on `data` and stays until closed or killed."""

    def __init__(
        self, data: Path, *, programs: Path | None = None, uid: int | None = None, durable: bool = False
    ) -> None:
        python = sys.executable if uid is None else _interpreter_for(uid)
        arguments = [python, "-P", __file__, str(data), "durable" if durable else "relaxed"]
        arguments += [str(programs)] if programs else []
        self._layout = Layout(data)
        self._process = subprocess.Popen(
            arguments,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([_SOURCES, *sys.path])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            user=uid,
            group=uid,
            extra_groups=None if uid is None else [],
            cwd="/",
        )

    def answer(self) -> dict[str, Any]:
        """Wait until it uses the server: `{"url", "port", "phases"}`, or `{"code", "where", "reason", "remedy"}`."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], ANSWER_LIMIT_S)[0]:
            raise AssertionError(f"no answer within {ANSWER_LIMIT_S} s\n{self._what_happens()}")
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def _what_happens(self) -> str:
        """Where the supervisor stands, what it wrote, and every process that has to do with the server."""
        for supervisor in supervisors(self._layout):
            os.kill(supervisor, signal.SIGUSR1)
        time.sleep(1)
        logs = [self._layout.supervisor_log, self._layout.server_log, self._layout.state_file]
        told = [f"{log.name}:\n{log.read_text('utf-8', 'replace')}" for log in logs if log.exists()]
        for process in [self._process.pid, *processes(self._layout)]:
            told.append(f"{process}: {_command(process)!r} waits in {_waits_in(process)}")
        return "\n".join(told)

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._end()

    def close(self) -> None:
        """Let it end by itself, and wait for that."""
        self._end()

    def _end(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


def _interpreter_for(uid: int) -> str:
    """A Python that user `uid` can run: ours may lie in root's own directory."""
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            subprocess.run(
                [python, "-c", "import tomllib"], user=uid, cwd="/", capture_output=True, check=True
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        return python
    raise AssertionError(f"no Python on this machine that user {uid} can run")


def supervisors(layout: Layout) -> list[int]:
    """The supervisors of a data directory (users have their lock open for moments, too)."""
    return [process for process in locks.holders(layout.supervisor_lock) if _SUPERVISOR in _command(process)]


def processes(layout: Layout) -> list[int]:
    """Every process of the server and its supervisor, found by the lock files they have open."""
    return sorted({*locks.holders(layout.server_lock), *supervisors(layout)} - {os.getpid()})


def is_alive(process: int) -> bool:
    """Whether a process still does anything: in a container its last trace may never be collected."""
    try:
        return (
            Path(f"/proc/{process}/stat").read_text("ascii", "replace").rpartition(")")[2].split()[0] != "Z"
        )
    except OSError:
        return False


def _command(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def _waits_in(process: int) -> str:
    try:
        return Path(f"/proc/{process}/wchan").read_text("ascii", "replace")
    except OSError:
        return "nothing any more"


def eventually(condition: Callable[[], bool], *, within_s: float = 60.0) -> bool:
    """Whether `condition` becomes true in time."""
    until = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def _main() -> None:
    # The import is part of what a process pays for using the server.
    from airback.store.embedded import EmbeddedDatabaseProblem, Progress, ensure_running

    phases: list[str] = []

    def listen(progress: Progress) -> None:
        if not phases or phases[-1] != progress.phase:
            phases.append(progress.phase)

    try:
        database = ensure_running(
            sys.argv[1],
            durable=sys.argv[2] == "durable",
            programs=Path(sys.argv[3]) if len(sys.argv) > 3 else None,
            progress=listen,
        )
    except EmbeddedDatabaseProblem as problem:
        answer = {name: getattr(problem, name) for name in ("code", "where", "reason", "remedy")}
    else:
        answer = {"url": database.url, "port": database.address.port, "phases": phases}
    print(json.dumps(answer), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    _main()
