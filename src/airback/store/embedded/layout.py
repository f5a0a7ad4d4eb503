"""Where everything of the embedded server lies, below `DATA/postgresql/`, and the small files kept there.

cluster/         PostgreSQL's own data directory; the only part that belongs to the unprivileged user
cluster.new/     one being made; renamed to `cluster` when it is whole
programs/        copies of PostgreSQL's programs, when the unprivileged user cannot reach the originals
password         of the database user, mode 0600
port             the TCP port used last, tried first next time, so that addresses stay
state.json       written by the supervisor for those who ask where the server is
users.lock       shared by every process that uses the server
start.lock       held by the process that looks for a supervisor or starts one
supervisor.lock  held by the supervisor
server.lock      held by every process of the server
server.log       PostgreSQL's messages (and server.log.1); supervisor.log: the supervisor's
"""

import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

USER: Final = "airback"
DATABASE: Final = "airback"
HOST: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """Where the server listens. `url` holds the password and so stays out of reprs and logs."""

    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        """`postgresql://user:password@host:port/database`."""
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{self.database}"


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths below one data directory (`DATA`)."""

    data_directory: Path

    @property
    def root(self) -> Path:
        return self.data_directory / "postgresql"

    @property
    def cluster(self) -> Path:
        return self.root / "cluster"

    @property
    def new_cluster(self) -> Path:
        return self.root / "cluster.new"

    @property
    def programs(self) -> Path:
        return self.root / "programs"

    @property
    def programs_elsewhere(self) -> Path:
        return self.root / "programs.path"

    @property
    def password_file(self) -> Path:
        return self.root / "password"

    @property
    def port_file(self) -> Path:
        return self.root / "port"

    @property
    def state_file(self) -> Path:
        return self.root / "state.json"

    @property
    def users_lock(self) -> Path:
        return self.root / "users.lock"

    @property
    def start_lock(self) -> Path:
        return self.root / "start.lock"

    @property
    def supervisor_lock(self) -> Path:
        return self.root / "supervisor.lock"

    @property
    def server_lock(self) -> Path:
        return self.root / "server.lock"

    @property
    def server_log(self) -> Path:
        return self.root / "server.log"

    @property
    def supervisor_log(self) -> Path:
        return self.root / "supervisor.log"

    def make(self) -> None:
        """Create the directories, closed to others. Raises OSError."""
        self.data_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root.mkdir(mode=0o700, exist_ok=True)

    def password(self) -> str | None:
        """The database user's password; None before the cluster was made."""
        try:
            return self.password_file.read_text("ascii").strip() or None
        except FileNotFoundError:
            return None

    def new_password(self) -> str:
        """Draw a password and keep it, on disk before this returns."""
        password = secrets.token_urlsafe(32)
        write_whole(self.password_file, password + "\n", durable=True)
        return password

    def last_port(self) -> int | None:
        """The TCP port used last, if one was."""
        try:
            return int(self.port_file.read_text("ascii"))
        except (FileNotFoundError, ValueError):
            return None

    def state(self) -> dict[str, Any]:
        """What the supervisor wrote last; empty when it wrote nothing readable."""
        try:
            state = json.loads(self.state_file.read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}

    def address(self, port: int) -> DatabaseAddress:
        """The server's address at `port`."""
        return DatabaseAddress(
            host=HOST, port=port, database=DATABASE, user=USER, password=self.password() or ""
        )


def write_whole(path: Path, text: str, *, durable: bool = False) -> None:
    """Replace the file at `path` by `text` (mode 0600) so that readers see the old or the new, never a part."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    new.replace(path)
    if durable:
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Bring the names inside the directory `path` to disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
