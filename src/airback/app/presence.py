"""Who is running: each long-lived process holds a lock on a file that says where it is to be found.

The kernel drops the lock when the process dies, however it dies, so a stale file is recognised as such.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class AlreadyRunning(Exception):
    """Another process of this name runs on this data directory."""

    def __init__(self, *, name: str, where: dict[str, Any]) -> None:
        super().__init__(f"{name} is already running here (process {where.get('pid', '?')})")
        self.name = name
        self.where = where


@contextlib.contextmanager
def announce(run_dir: Path, name: str, **where: Any) -> Iterator[None]:
    """Say that this process is `name` until the block ends. Raises AlreadyRunning."""
    run_dir.mkdir(parents=True, exist_ok=True)
    path = run_dir / f"{name}.json"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(name=name, where=_read(descriptor)) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), **where}).encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def any_of(run_dir: Path, prefix: str) -> bool:
    """Whether some process runs whose name begins with `prefix`."""
    return any(find(run_dir, path.stem) is not None for path in run_dir.glob(f"{prefix}*.json"))


def find(run_dir: Path, name: str) -> dict[str, Any] | None:
    """What the running process of that name said of itself (`pid`, and for servers `url`), or None."""
    path = run_dir / f"{name}.json"
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(descriptor) or None
    finally:
        os.close(descriptor)
    return None


def _read(descriptor: int) -> dict[str, Any]:
    try:
        found = json.loads(os.pread(descriptor, 1 << 16, 0) or b"{}")
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
