"""A new cluster: made with `initdb` as a whole or not at all, and handed to the account that will run it."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airback.store.embedded.account import Account, give, named
from airback.store.embedded.cluster import Reach, dies_with, environment, run_as
from airback.store.embedded.layout import DATABASE, USER, Layout, sync_directory
from airback.store.embedded.problems import EmbeddedDatabaseProblem
from airback.store.embedded.programs import Programs

ROOM_NEEDED_BYTES: Final = 200 * 1024 * 1024
POLL_S: Final = 0.1

_COMPLAINT: Final = re.compile(r"\b(ERROR|FATAL|PANIC|initdb: error):")


class Abandoned(Exception):
    """Nobody waits for the cluster any more; what there was of it is no use."""


@dataclass(frozen=True, slots=True)
class Creation:
    """How a cluster is to be made.

    `server_lock` is inherited by the programs that build it, as it is by the server. `is_abandoned` is asked ten
    times a second; when it says yes, the programs are ended and `Abandoned` is raised. `log` takes their output.
    """

    layout: Layout
    programs: Programs
    account: Account | None
    server_lock: int
    durable: bool
    is_abandoned: Callable[[], bool]
    log: Callable[[str], None]

    def run(self) -> None:
        """Make the cluster with its database user and database.

        Built as `cluster.new`, brought to disk once at the end (unless not `durable`), then renamed. Raises
        `EmbeddedDatabaseProblem`, `Abandoned`, OSError.
        """
        room = shutil.disk_usage(self.layout.root).free
        if room < ROOM_NEEDED_BYTES:
            raise EmbeddedDatabaseProblem(
                code="disk_full",
                where=str(self.layout.root),
                reason=f"A new database needs {ROOM_NEEDED_BYTES >> 20} MB; {room >> 20} MB are free.",
            )
        new = self.layout.new_cluster
        if new.exists():
            shutil.rmtree(new)
        new.mkdir(mode=0o700)
        # initdb insists on a user that has a name; the cluster changes hands below.
        builder = named(gid=self.account.gid) if self.account is not None else None
        if builder is not None:
            os.chown(new, builder.uid, builder.gid)
        self._initdb(builder, self.layout.password() or self.layout.new_password())
        self._create_database(builder)
        if self.account is not None:
            give(new, self.account)
        if self.durable:
            _sync_all(new)
        new.rename(self.layout.cluster)
        sync_directory(self.layout.root)

    def _initdb(self, builder: Account | None, password: str) -> None:
        readable, writable = os.pipe()
        try:
            if builder is not None:
                os.fchown(readable, builder.uid, builder.gid)
            os.write(writable, password.encode() + b"\n")
        finally:
            os.close(writable)
        try:
            arguments = ["--username", USER, "--auth", "scram-sha-256", f"--pwfile=/dev/fd/{readable}"]
            arguments += ["--encoding", "UTF8", "--locale", "C", "--data-checksums", "--no-sync"]
            if self.programs.major >= 17:
                # Code points in order, but upper and lower case beyond ASCII; the same on every machine.
                arguments += ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]
            self._build("initdb", [], arguments, builder=builder, descriptors=(readable,))
        finally:
            os.close(readable)

    def _create_database(self, builder: Account | None) -> None:
        text = f"CREATE DATABASE {DATABASE}\n"
        self._build("postgres", ["--single"], ["-F", "postgres"], builder=builder, text=text)

    def _build(
        self,
        program: str,
        before: list[str],
        after: list[str],
        *,
        builder: Account | None,
        text: str = "",
        descriptors: tuple[int, ...] = (),
    ) -> None:
        """Run `program before -D the-new-cluster after` with `text` as its input, and refuse its failure."""
        with Reach(self.layout.new_cluster, builder) as reach:
            process = subprocess.Popen(
                [self.programs.path(program), *before, "-D", reach.path, *after],
                **run_as(builder),
                cwd="/",
                env=environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(*reach.descriptors, *descriptors, self.server_lock),
                start_new_session=True,
                preexec_fn=dies_with(os.getpid()),
            )
        output = self._output(process, text.encode()).decode("utf-8", "replace").strip()
        self.log(f"{program} ended with {process.returncode}\n{output}")
        complaints = [line for line in output.splitlines() if _COMPLAINT.search(line)]
        if process.returncode != 0 or complaints:
            last = (complaints or output.splitlines() or ["no message"])[-1]
            raise EmbeddedDatabaseProblem(
                code="disk_full" if "No space left" in output else "cluster_not_created",
                where=str(self.layout.new_cluster),
                reason=f"{program} ended with {process.returncode}: {last}",
            )

    def _output(self, process: "subprocess.Popen[bytes]", text: bytes) -> bytes:
        unsent: bytes | None = text
        while True:
            try:
                output: bytes = process.communicate(unsent, timeout=POLL_S)[0]
            except subprocess.TimeoutExpired:
                unsent = None  # the first call sends it, however often it is asked again
                if not self.is_abandoned():
                    continue
                os.killpg(process.pid, signal.SIGKILL)  # initdb and the servers it runs
                process.communicate()
                raise Abandoned from None
            return output


def _sync_all(top: Path) -> None:
    for directory, _, files in os.walk(top):
        for name in files:
            descriptor = os.open(Path(directory) / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_directory(Path(directory))
