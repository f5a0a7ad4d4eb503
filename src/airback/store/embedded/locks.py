"""Advisory file locks (`flock`): the kernel lets go of them when the last holder is gone, however it ended.

A lock belongs to the *open file*, so a child that inherits the descriptor holds it too. That is how the server's
lock tells, without trusting any process id, whether a single process of an earlier server is still alive.
"""

import fcntl
import os
import signal
from pathlib import Path


def open_lock(path: Path) -> int:
    """A descriptor of the lock file at `path`, made when it is missing; not inherited by programs we start."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def try_exclusive(descriptor: int) -> bool:
    """Take the lock alone, without waiting. True when we have it."""
    return _try(descriptor, fcntl.LOCK_EX)


def try_shared(descriptor: int) -> bool:
    """Take the lock together with others who share it, without waiting. True when we have it."""
    return _try(descriptor, fcntl.LOCK_SH)


def wait_exclusive(descriptor: int) -> None:
    """Take the lock alone, however long that takes. Others may go on sharing it meanwhile."""
    fcntl.flock(descriptor, fcntl.LOCK_EX)


def is_free(path: Path) -> bool:
    """Whether nobody holds the lock at `path` alone (or there is no such file)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        return try_shared(descriptor)
    finally:
        os.close(descriptor)


def same_file(descriptor: int, path: Path) -> bool:
    """Whether `path` still names the file that is open as `descriptor`."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def holders(path: Path) -> list[int]:
    """Ids of the processes (not ourselves) that have the file at `path` open, as far as /proc lets us see."""
    try:
        wanted = path.stat()
    except FileNotFoundError:
        return []
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        if int(process.name) != os.getpid() and _has_open(process, wanted):
            found.append(int(process.name))
    return sorted(found)


def end_holders(path: Path, *, with_signal: signal.Signals) -> list[int]:
    """Signal every process that has the file at `path` open; returns their ids."""
    signalled = []
    for process in holders(path):
        try:
            os.kill(process, with_signal)
        except (ProcessLookupError, PermissionError):
            continue
        signalled.append(process)
    return signalled


def _has_open(process: Path, wanted: os.stat_result) -> bool:
    try:
        descriptors = list((process / "fd").iterdir())
    except OSError:  # ended meanwhile, or somebody else's
        return False
    for descriptor in descriptors:
        try:
            if os.path.samestat(descriptor.stat(), wanted):
                return True
        except OSError:
            continue
    return False


def _try(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
