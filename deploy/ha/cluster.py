"""The cluster of a rehearsal: etcd, three nodes of Patroni with PostgreSQL, pgbouncer and its follower.

All of it on loopback ports, from the same templates as on real machines.
"""

import asyncio
import contextlib
import http.client
import json
import secrets
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any, Final, TypeVar

import asyncpg
import psutil  # type: ignore[import-untyped]
from deploy.ha.yard import Yard

HERE: Final = Path(__file__).parent
NODES: Final = 3
HOST: Final = "127.0.0.1"
#: What each Debian package brings that is needed here.
_BRINGS: Final = {
    "patroni": "/usr/bin/patroni",
    "python3-etcd": "/usr/lib/python3/dist-packages/etcd/__init__.py",
    "etcd-server": "/usr/bin/etcd",
    "pgbouncer": "/usr/sbin/pgbouncer",
    "postgresql-15": "/usr/lib/postgresql/15/bin/postgres",
}
_PYTHON: Final = "/usr/bin/python3"
#: Patroni's times for all nodes: each looks oftener than on real machines (README.md).
_PACE: Final = {"ttl_s": 30, "loop_wait_s": 2, "retry_timeout_s": 14}
_BUILD_S: Final = 240.0
_SUCCESSION_S: Final = 180.0
_RETURN_S: Final = 300.0
Found = TypeVar("Found")
_REWOUND: Final = "pg_rewind exit code=0"


class TookTooLong(Exception):
    """Something that was waited for did not happen in time."""

    def __init__(self, what: str, limit_s: float) -> None:
        super().__init__(f"{what} did not happen within {limit_s:.0f} s")


def missing_packages() -> list[str]:
    """Debian packages that a rehearsal needs and this machine lacks."""
    return [package for package, path in _BRINGS.items() if not Path(path).exists()]


def rendered(template: str, values: Mapping[str, object]) -> str:
    """A template with its values; a value that is missing raises KeyError."""
    return Template((HERE / "templates" / template).read_text(encoding="utf-8")).substitute(values)


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        bound = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in bound]


@dataclass(slots=True)
class Node:
    """One database machine: its Patroni, and the PostgreSQL which that one runs."""

    name: str
    port: int
    api_port: int
    data: Path
    settings: Path
    patroni: subprocess.Popen[bytes] | None = None

    def postmaster(self) -> psutil.Process | None:
        """PostgreSQL's first process."""
        try:
            return psutil.Process(int((self.data / "postmaster.pid").read_text().split("\n", 1)[0]))
        except (OSError, ValueError, psutil.Error):
            return None

    def kill(self) -> None:
        """What the loss of the machine does to its processes: SIGKILL, Patroni first so that it revives nothing."""
        assert self.patroni is not None
        self.patroni.kill()
        self.patroni.wait()
        postmaster = self.postmaster()
        if postmaster is None:
            return
        with contextlib.suppress(psutil.Error):
            family = [postmaster, *postmaster.children(recursive=True)]
            for process in family:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(family, timeout=10)


class Cluster:
    """Builds the cluster in a yard, and knows who leads."""

    def __init__(self, yard: Yard) -> None:
        self._yard = yard
        self._passwords = {
            user: secrets.token_urlsafe(18) for user in ("postgres", "replicator", "rewinder", "airback")
        }
        self._etcd_port, self._peer_port, self._pooler_port, *ports = free_ports(3 + 2 * NODES)
        self.nodes = [self._node(f"db{n + 1}", ports[2 * n], ports[2 * n + 1]) for n in range(NODES)]

    @property
    def url(self) -> str:
        """The database's address for Airback: the pooler's."""
        return f"postgresql://airback:{self._passwords['airback']}@{HOST}:{self._pooler_port}/airback"

    def _url_of(self, node: Node) -> str:
        """The same database at one node, past the pooler."""
        return f"postgresql://airback:{self._passwords['airback']}@{HOST}:{node.port}/airback"

    async def build(self) -> None:
        """Start everything, and wait until the pooler serves an empty database. Raises TookTooLong."""
        self._start_etcd()
        first, *others = self.nodes
        self.start(first)
        await eventually("the first node leads", lambda: self._leads(first), limit_s=_BUILD_S)
        for node in others:
            self.start(node)
        await self.complete(limit_s=_BUILD_S)
        await self._create_database(first)
        await self._start_pooler()

    def start(self, node: Node) -> None:
        """Start a node's Patroni, which does the rest."""
        node.patroni = self._yard.start(node.name, [_BRINGS["patroni"], str(node.settings)])

    async def leader(self) -> Node | None:
        """Who says that it leads."""
        for node in self.nodes:
            if await self._leads(node):
                return node
        return None

    async def succeeded(self, dead: Node) -> Node:
        """Wait for another leader than the dead one. Raises TookTooLong."""

        async def another() -> Node | None:
            leader = await self.leader()
            return leader if leader is not dead else None

        return await eventually(f"a leader after {dead.name}", another, limit_s=_SUCCESSION_S)

    async def complete(self, *, limit_s: float = _RETURN_S) -> Node:
        """Wait until every node runs on the leader's timeline and one of them confirms; returns the leader."""
        return await eventually("every node is back", self._complete, limit_s=limit_s)

    async def _complete(self) -> Node | None:
        leader = await self.leader()
        if leader is None:
            return None
        members = (await _get(leader.api_port, "/cluster") or {}).get("members", [])
        return leader if in_step(members) else None

    async def missing(self, node: Node, orders: list[int]) -> int:
        """How many of these orders are not in a node's copy once it has all that the leader has."""
        leader = await self.complete()
        written = (
            await self._value(leader, "SELECT pg_current_wal_lsn()::text") if leader is not node else None
        )

        async def replayed() -> bool:
            reached = "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn"
            return written is None or bool(await self._value(node, reached, written))

        await eventually(f"{node.name} has what the leader has", replayed, limit_s=_RETURN_S)
        there = await self._value(node, "SELECT count(*) FROM orders WHERE id = ANY($1::bigint[])", orders)
        return len(set(orders)) - int(there)

    async def _value(self, node: Node, query: str, *arguments: object) -> Any:
        connection = await asyncpg.connect(self._url_of(node), timeout=30)
        try:
            return await connection.fetchval(query, *arguments)
        finally:
            await connection.close()

    def rewinds(self) -> int:
        """How often a former leader was wound back, as the nodes' logs tell."""
        return sum(
            self._yard.log(node.name).read_text(errors="replace").count(_REWOUND) for node in self.nodes
        )

    async def _leads(self, node: Node) -> bool:
        return await _get(node.api_port, "/primary") is not None

    def _node(self, name: str, port: int, api_port: int) -> Node:
        folder = self._yard.folder(name)
        values = {
            **_PACE,
            "name": name,
            "address": HOST,
            "port": port,
            "api_port": api_port,
            "etcd_hosts": f"{HOST}:{self._etcd_port}",
            "network": f"{HOST}/32",
            "data_dir": folder / "data",
            "socket_dir": folder,
            "pgpass": folder / "pgpass",
            "superuser_password": self._passwords["postgres"],
            "replication_password": self._passwords["replicator"],
            "rewind_password": self._passwords["rewinder"],
            "watchdog": "off",
        }
        settings = self._yard.write(folder / "patroni.yml", rendered("patroni.yml", values))
        return Node(name, port, api_port, folder / "data", settings)

    def _start_etcd(self) -> None:
        folder = self._yard.folder("etcd")
        values = {
            "name": "etcd1",
            "address": HOST,
            "client_port": self._etcd_port,
            "peer_port": self._peer_port,
            # A disk that three databases keep busy would let its leases run out; a real one has a disk of its own.
            "data_dir": self._yard.memory / "etcd",
            "members": f"etcd1=http://{HOST}:{self._peer_port}",
        }
        settings = self._yard.write(folder / "etcd.yml", rendered("etcd.yml", values))
        self._yard.start("etcd", [_BRINGS["etcd-server"], f"--config-file={settings}"])

    async def _create_database(self, leader: Node) -> None:
        """What an administrator does once: a user that owns a database."""
        connection = await asyncpg.connect(
            host=HOST, port=leader.port, user="postgres", password=self._passwords["postgres"], timeout=30
        )
        try:
            await connection.execute(f"CREATE ROLE airback LOGIN PASSWORD '{self._passwords['airback']}'")
            await connection.execute(
                "CREATE DATABASE airback OWNER airback ENCODING 'UTF8' TEMPLATE template0"
            )
        finally:
            await connection.close()

    async def _start_pooler(self) -> None:
        folder = self._yard.folder("pgbouncer")
        databases, pid_file = folder / "databases.ini", folder / "pgbouncer.pid"
        # The yard's account need not be able to read a checkout.
        program = self._yard.folder("follow_leader") / "follow_leader.py"
        shutil.copy(HERE / program.name, program)
        self._yard.own(program)
        nodes = [
            argument
            for node in self.nodes
            for argument in ("--node", f"{HOST}:{node.api_port}", f"{HOST}:{node.port}")
        ]
        options = ["--database", "airback", "--write", str(databases), "--pid-file", str(pid_file)]
        self._yard.start("follow_leader", [_PYTHON, str(program), *nodes, *options])

        async def written() -> bool:
            return databases.exists()

        await eventually("the leader is written down for pgbouncer", written, limit_s=60)
        values = {
            "address": HOST,
            "port": self._pooler_port,
            "socket_dir": folder,
            "pid_file": pid_file,
            "databases_file": databases,
            "user_file": self._yard.write(
                folder / "users.txt", f'"airback" "{self._passwords["airback"]}"\n'
            ),
        }
        settings = self._yard.write(folder / "pgbouncer.ini", rendered("pgbouncer.ini", values))
        self._yard.start("pgbouncer", [_BRINGS["pgbouncer"], str(settings)])
        await eventually("pgbouncer serves", self._served, limit_s=60)

    async def _served(self) -> bool:
        try:
            connection = await asyncpg.connect(self.url, timeout=10)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        await connection.close()
        return True


def in_step(members: list[dict[str, Any]]) -> bool:
    """Whether, by Patroni's list of members, all nodes run on one timeline, one leads and one confirms."""
    roles = sorted(str(member.get("role")) for member in members)
    return (
        roles == ["leader", *["replica"] * (NODES - 2), "sync_standby"]
        and all(member.get("state") in ("running", "streaming") for member in members)
        and len({member.get("timeline") for member in members}) == 1
    )


async def eventually(
    what: str, look: Callable[[], Awaitable[Found | None]], *, limit_s: float, every_s: float = 0.25
) -> Found:
    """Look until something is there. Raises TookTooLong."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        if found := await look():
            return found
        await asyncio.sleep(every_s)
    raise TookTooLong(what, limit_s)


async def _get(port: int, path: str) -> dict[str, Any] | None:
    """A Patroni's answer; None unless it is 200."""
    return await asyncio.to_thread(_ask, f"http://{HOST}:{port}{path}")


def _ask(address: str) -> dict[str, Any] | None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=3) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except (OSError, ValueError, http.client.HTTPException):
        return None


__all__ = [
    "Cluster",
    "Node",
    "TookTooLong",
    "eventually",
    "free_ports",
    "in_step",
    "missing_packages",
    "rendered",
]
