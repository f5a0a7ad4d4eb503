"""Processes of one installation: started by a parent, and gone when it goes, however it goes.

A child holds the reading end of a pipe as its standard input. When the parent ends, even by SIGKILL, the pipe
closes, and the child stops as if it had been asked to.
"""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from airback.app import presence

CHILD_MARK = "AIRBACK_CHILD"


class ProcessFailed(Exception):
    """A process did not come up. `log` is where it wrote why."""

    def __init__(self, *, name: str, log: Path) -> None:
        tail = log.read_text(errors="replace")[-600:] if log.exists() else ""
        super().__init__(f"airback {name} did not start; see {log}\n{tail}")
        self.log = log


@dataclass(slots=True)
class Child:
    """One started process. `where` is what it announced."""

    name: str
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    where: dict[str, Any]

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        self.process.kill()
        self.process.wait()
        self._close()

    def stop(self, *, timeout_s: float = 10) -> None:
        """Ask it to stop and wait; a process that does not listen is killed."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._close()

    def _close(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.log.close()


def start(
    name: str,
    arguments: Sequence[str],
    *,
    data_dir: Path,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = 180,
) -> Child:
    """Start `airback ARGUMENTS` and wait until it has announced itself as `name`. Raises ProcessFailed.

    A worker announces itself as `work-PID`, since several may run on one database.
    """
    run_dir = data_dir / "run"
    run_dir.mkdir(parents=True, exist_ok=True)
    log_path = run_dir / f"{name}.log"
    log = log_path.open("ab")
    process = subprocess.Popen(
        [sys.executable, "-m", "airback", *arguments, "--data", str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        env={**os.environ, **(environment or {}), CHILD_MARK: "1"},
        start_new_session=True,
    )
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = presence.find(run_dir, f"work-{process.pid}" if name == "work" else name)
        if found is not None and found.get("pid") == process.pid:
            return Child(name, process, log, found)
        if process.poll() is not None:
            break
        time.sleep(0.03)
    process.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()
    log.close()
    raise ProcessFailed(name=name, log=log_path)


def stop_event() -> asyncio.Event:
    """An event that is set when this process should stop: SIGTERM, SIGINT, or its parent is gone."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, event.set)
    if os.environ.get(CHILD_MARK):
        threading.Thread(target=_watch_parent, args=(loop, event), daemon=True).start()
    return event


def _watch_parent(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    while os.read(0, 4096):
        pass
    try:
        loop.call_soon_threadsafe(event.set)
    except RuntimeError:
        return  # the loop ended by itself
    time.sleep(15)
    os._exit(70)  # it was asked and did not; nothing may outlive its parent
