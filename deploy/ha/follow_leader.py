"""Point pgbouncer at the PostgreSQL that leads, and keep it there.

Every second each Patroni is asked whether its node leads (`GET /primary`). When the answer changes, pgbouncer's
list of databases is written anew, whole or not at all, and pgbouncer is told to read it again (SIGHUP). While
nobody leads nothing changes: pgbouncer goes on trying where the leader was last. Of two that both say they lead,
as a cut-off one may for a moment, the one with the younger timeline is believed.

Needs nothing but Python's standard library, so that any machine with pgbouncer can run it.
"""

import argparse
import contextlib
import http.client
import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

EVERY_S = 1.0
ANSWER_S = 2.0


@dataclass(frozen=True)
class Node:
    """One PostgreSQL: where its Patroni answers and where it does itself, both `host:port`."""

    api: str
    postgres: str


def split(address: str) -> tuple[str, int]:
    """Host and port; an IPv6 address stands in brackets."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def timeline_led(node: Node) -> "int | None":
    """The timeline on which this node leads; None when it does not, or does not answer."""
    connection = http.client.HTTPConnection(*split(node.api), timeout=ANSWER_S)
    try:
        connection.request("GET", "/primary")
        answer = connection.getresponse()
        return int(json.loads(answer.read()).get("timeline", 0)) if answer.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def leader(led: "Iterable[tuple[Node, int | None]]") -> "Node | None":
    """Who leads, of nodes with the timeline each of them leads on."""
    claims = [(timeline, node) for node, timeline in led if timeline is not None]
    return max(claims, key=lambda claim: claim[0])[1] if claims else None


def databases(name: str, node: Node) -> str:
    """pgbouncer's section with one database, at that node."""
    host, port = split(node.postgres)
    return f"[databases]\n{name} = host={host} port={port} dbname={name}\n"


def write_whole(path: Path, text: str) -> None:
    """Replace a file: a reader sees the old text or the new."""
    draft = path.with_name(f"{path.name}.new")
    draft.write_text(text)
    draft.replace(path)


def running(pid_file: Path) -> "int | None":
    """pgbouncer's process; None when none runs, also when a stale file names somebody else's by now."""
    try:
        pid = int(pid_file.read_text())
        return pid if Path(f"/proc/{pid}/comm").read_text().strip() == "pgbouncer" else None
    except (OSError, ValueError):
        return None


def follow(nodes: Sequence[Node], *, database: str, target: Path, pid_file: Path) -> None:
    """Follow the leader for ever."""
    told: tuple[str, int | None] | None = None
    with ThreadPoolExecutor(len(nodes)) as asking:
        while True:
            leads = leader(zip(nodes, asking.map(timeline_led, nodes), strict=True))
            if leads is not None:
                text = databases(database, leads)
                if told is None or told[0] != text:
                    write_whole(target, text)
                    sys.stderr.write(f"{database} is at {leads.postgres}\n")
                    sys.stderr.flush()
                pid = running(pid_file)
                # A pgbouncer that was just started may have read the file before it was written.
                if pid is not None and told != (text, pid):
                    with contextlib.suppress(ProcessLookupError):  # it may just have ended
                        os.kill(pid, signal.SIGHUP)
                told = (text, pid)
            time.sleep(EVERY_S)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Point pgbouncer at the PostgreSQL that leads.")
    parser.add_argument(
        "--node",
        nargs=2,
        action="append",
        required=True,
        metavar=("PATRONI", "POSTGRES"),
        help="host:port of each",
    )
    parser.add_argument("--database", required=True, help="its name, for clients and at the server")
    parser.add_argument("--write", type=Path, required=True, help="the file that pgbouncer.ini includes")
    parser.add_argument("--pid-file", type=Path, required=True, help="pgbouncer's")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    nodes = [Node(*pair) for pair in arguments.node]
    follow(nodes, database=arguments.database, target=arguments.write, pid_file=arguments.pid_file)


if __name__ == "__main__":
    main()
