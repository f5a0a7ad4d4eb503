"""A directory with processes in it, both of which end with whoever made them, however it ends.

A guard holds the reading end of a pipe. When the maker closes it or dies, even by SIGKILL, the guard ends every
process that works in the directory or was given a path in it, and removes the directory. Run as a program, this
is the guard.
"""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Self

import psutil  # type: ignore[import-untyped]

_GUARD_S: Final = 60.0
_QUIT_S: Final = 10.0
#: PostgreSQL, and pgbouncer as well, refuse to run as root.
_ACCOUNT: Final = "postgres"
_PREFIX: Final = "airback-ha-"
_MEMORY: Final = Path("/dev/shm")


class Yard:
    """`directory` and what runs in it; `memory` is a second directory, where writing waits for no disk if possible."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix=_PREFIX))
        in_memory = _MEMORY if os.access(_MEMORY, os.W_OK) else None
        self.memory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=in_memory))
        self._guard = subprocess.Popen(
            [sys.executable, "-P", __file__, str(self.directory), str(self.memory)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            account = pwd.getpwnam(_ACCOUNT)
            self._as = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        self.own(self.directory)
        self.own(self.memory)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._guard.wait(_GUARD_S)

    def folder(self, name: str) -> Path:
        """A directory in the yard, made when it is not there."""
        path = self.directory / name
        if not path.exists():
            path.mkdir(mode=0o700)
            self.own(path)
        return path

    def write(self, path: Path, text: str) -> Path:
        """A file that only the processes of the yard read."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        self.own(path)
        return path

    def own(self, path: Path) -> None:
        """Give a path to the account under which the processes run."""
        if self._as:
            os.chown(path, self._as["user"], self._as["group"])

    def start(self, name: str, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a program in a folder of its own; what it writes is added to its log."""
        with self.log(name).open("ab") as log:
            return subprocess.Popen(
                arguments,
                cwd=self.folder(name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={
                    "PATH": os.environ.get("PATH", os.defpath),
                    "HOME": str(self.folder(name)),
                    "LANG": "C.UTF-8",
                },
                **self._as,
            )

    def log(self, name: str) -> Path:
        """Where a program writes."""
        return self.folder("logs") / f"{name}.log"

    def ends_of_logs(self, lines: int = 12) -> str:
        """The last lines of every log, for whoever has to find out why something failed."""
        ends = []
        for log in sorted(self.folder("logs").glob("*.log")):
            last = log.read_text(errors="replace").splitlines()[-lines:]
            ends.append("\n".join([f"--- {log.stem}", *last]))
        return "\n".join(ends)


def working_in(directory: Path) -> Iterator[psutil.Process]:
    """Every process but our own that works in the directory or was given a path in it."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            places = [process.cwd(), *process.cmdline()]
            if process.pid != os.getpid() and any(Path(p).is_relative_to(directory) for p in places if p):
                yield process


def clear(directory: Path) -> None:
    """End what works in the directory and remove it.

    SIGQUIT comes first: PostgreSQL then gives up its shared memory, which lies outside the directory.
    """
    began = time.monotonic()
    asked = set[int]()
    while (left := list(working_in(directory))) and (for_s := time.monotonic() - began) < _GUARD_S / 2:
        for process in left:
            with contextlib.suppress(psutil.Error):
                if for_s > _QUIT_S:
                    process.kill()
                elif process.pid not in asked:
                    asked.add(process.pid)
                    process.send_signal(signal.SIGQUIT)
        time.sleep(0.1)
    shutil.rmtree(directory, ignore_errors=True)


def main() -> None:
    """The guard."""
    while os.read(0, 4096):
        pass
    for directory in sys.argv[1:]:
        clear(Path(directory))


if __name__ == "__main__":
    main()
