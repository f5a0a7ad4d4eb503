"""Lose the database's leader again and again while sellers sell, and count what they lost by it.

The sellers, their record of what the API acknowledged, and the count of what is missing are those of
`airback chaos`; here the processes of Airback stay, and PostgreSQL with its Patroni is what is killed.
"""

import argparse
import asyncio
import json
import math
import os
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import uvloop
from deploy.ha.cluster import Cluster, TookTooLong, eventually, missing_packages
from deploy.ha.yard import Yard

from airback.app import chaos
from airback.app.api_client import ApiClient
from airback.app.platform import open_platform
from airback.app.settings import Settings, read
from airback.app.together import Running, everything
from airback.cli.show import print_json, say

_FAILOVERS: Final = 3
#: How long sellers sell around each failover: until a lease has run out, and a good while longer.
_SECONDS: Final = 100
#: A leader is killed once so many orders of the round were acknowledged, at a moment that chance picks.
_ORDERS_BEFORE: Final = 50
_BEGIN_S: Final = 120.0
_VERIFY_S: Final = 900.0
_LOOK_EVERY_S: Final = 0.1
#: However slow the machine: after this the rehearsal has failed.
_SETUP_AND_COUNT_S: Final = 1800.0
_ROUND_S: Final = 900.0


@dataclass(slots=True)
class Round:
    """What one loss of a leader did. Seconds count from the kill, orders from the round's beginning."""

    killed: str = ""
    leader: str = ""
    leader_after_s: float = 0.0
    all_back_after_s: float = 0.0
    longest_pause_s: float = 0.0
    acknowledged_until_leader: int = 0
    acknowledged: int = 0

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        return {k: round(v, 1) if isinstance(v, float) else v for k, v in asdict(self).items()}


@dataclass(slots=True)
class Record:
    """What the sellers know after all rounds, and what is counted against it."""

    orders: list[int] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    given_up: int = 0
    rounds: list[Round] = field(default_factory=list)
    lost: int = 0
    missing: dict[str, int] = field(default_factory=dict)
    double: int = 0
    rewound: int = 0
    checked: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The report."""
        checks = self.checked.get("checks", {})
        return {
            "acknowledged": len(self.orders),
            "lost": self.lost,
            "double": self.double,
            "violations": self.checked.get("violations"),
            "failovers": len(self.rounds),
            "rewound": self.rewound,
            "missing": self.missing,
            "refused": dict(sorted(self.refused.items())),
            "given_up": self.given_up,
            "found": {name: check["found"] for name, check in checks.items() if check["found"]},
            "rounds": [one.as_json() for one in self.rounds],
        }


def status_of(report: Mapping[str, Any]) -> int:
    """The command's exit status: 1 when anything was lost, is missing at a node, was done twice or violates what
    must hold, or when nothing can be said because nothing was sold or verified."""
    bad = report["lost"] or report["double"] or any(report["missing"].values())
    return 1 if bad or report["violations"] != 0 or not report["acknowledged"] else 0


async def rehearse(*, failovers: int, seconds: int, seed: int) -> dict[str, Any]:
    """The rehearsal's report. Raises TookTooLong when the cluster does not do in time what it is for."""
    began = time.monotonic()
    with Yard() as yard:
        try:
            async with asyncio.timeout(_SETUP_AND_COUNT_S + failovers * (_ROUND_S + seconds)):
                record = await _rehearse(yard, failovers=failovers, seconds=seconds, seed=seed)
        except BaseException:
            sys.stderr.write(yard.ends_of_logs() + "\n")
            raise
    return {**record.as_json(), "seconds": round(time.monotonic() - began, 1)}


async def _rehearse(yard: Yard, *, failovers: int, seconds: int, seed: int) -> Record:
    cluster = Cluster(yard)
    say("starting etcd, three nodes and pgbouncer")
    await cluster.build()
    # The processes of Airback are our children and read it there, like anybody's.
    os.environ["AIRBACK_DATABASE_URL"] = cluster.url
    settings = read(data=str(yard.folder("airback")))
    record = Record()
    dice = random.Random(seed)
    say("starting Airback")
    async with everything(settings) as running:
        for number in range(failovers):
            await _round(cluster, running, record, seconds=seconds, seed=seed + number, dice=dice)
        say("counting")
        await _count(cluster, running, record)
        record.checked = await _verify(settings)
    record.rewound = cluster.rewinds()
    return record


async def _round(
    cluster: Cluster, running: Running, record: Record, *, seconds: int, seed: int, dice: random.Random
) -> None:
    """Sell for a while, lose the leader meanwhile, and have all nodes again at the end."""
    await cluster.complete()
    this = Round()
    record.rounds.append(this)
    async with chaos.street(running, minutes=math.ceil(seconds / 60), seed=seed) as load:
        await load.prepare()
        pulse = asyncio.create_task(_feel(load, this))
        selling = asyncio.create_task(load.sell(time.monotonic() + seconds))
        try:
            await asyncio.gather(selling, _lose(cluster, load, this, dice))
        finally:
            selling.cancel()
            pulse.cancel()
        this.acknowledged = len(load.acknowledged)
        record.orders += load.acknowledged
        record.refused += load.refused
        record.given_up += load.given_up
    sys.stderr.write(json.dumps(this.as_json()) + "\n")


async def _lose(cluster: Cluster, load: chaos.Load, this: Round, dice: random.Random) -> None:
    async def selling() -> bool:
        return len(load.acknowledged) >= _ORDERS_BEFORE

    await eventually("orders flow", selling, limit_s=_BEGIN_S)
    await asyncio.sleep(dice.uniform(0, 3))
    leader = await cluster.complete()
    this.killed = leader.name
    say(f"killing {leader.name}")
    await asyncio.to_thread(leader.kill)
    killed = time.monotonic()
    successor = await cluster.succeeded(leader)
    this.leader, this.leader_after_s = successor.name, time.monotonic() - killed
    this.acknowledged_until_leader = len(load.acknowledged)
    say(f"{successor.name} leads; starting {leader.name} again")
    cluster.start(leader)
    await cluster.complete()
    this.all_back_after_s = time.monotonic() - killed


async def _feel(load: chaos.Load, this: Round) -> None:
    """Measure the longest time between two acknowledgements."""
    count, at = 0, time.monotonic()
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        if len(load.acknowledged) != count:
            if count:
                this.longest_pause_s = max(this.longest_pause_s, time.monotonic() - at)
            count, at = len(load.acknowledged), time.monotonic()


async def _count(cluster: Cluster, running: Running, record: Record) -> None:
    """What was acknowledged and is not there: at the leader when all has come to its end, and at each node."""
    await cluster.complete()
    async with open_platform(running.settings, url=running.database_url, connections=2) as platform:
        record.lost = await chaos.converge(platform, record.orders, lambda stage, done, of: None)
    for node in cluster.nodes:
        record.missing[node.name] = await cluster.missing(node, record.orders)
    async with ApiClient(url=running.sandbox_url, key=None) as sandbox:
        _, counts = await sandbox.call("GET", "/sandbox/counts")
        record.double = counts["duplicates"]


async def _verify(settings: Settings) -> Mapping[str, Any]:
    """What `airback verify` says of the whole book."""
    say("verifying")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "airback", "verify", "--full", "--json", "--data", str(settings.data_dir)),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _VERIFY_S)
    except TimeoutError:
        process.kill()
        raise TookTooLong("airback verify", _VERIFY_S) from None
    report: Mapping[str, Any] = json.loads(output.splitlines()[-1])
    return report


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Rehearse the loss of the database's leader under load.")
    parser.add_argument("--failovers", type=int, default=_FAILOVERS, help="leaders to lose (%(default)s)")
    parser.add_argument("--seconds", type=int, default=_SECONDS, help="of selling around each (%(default)s)")
    parser.add_argument(
        "--seed", type=int, default=chaos.DEFAULT_SEED, help="who sells what, and when a leader dies"
    )
    parser.add_argument("--json", action="store_true", help="print the report as one line of JSON")
    arguments = parser.parse_args()
    if missing := missing_packages():
        say("THE REHEARSAL CANNOT RUN: this machine lacks " + ", ".join(missing))
        say("On Debian 12: sudo apt-get install " + " ".join(missing))
        return 2
    try:
        report = uvloop.run(
            rehearse(failovers=arguments.failovers, seconds=arguments.seconds, seed=arguments.seed)
        )
    except TookTooLong as error:
        say(f"the rehearsal failed: {error}")
        return 2
    except Exception:
        traceback.print_exc()  # it ended before it could count
        return 2
    if arguments.json:
        print_json(report)
    else:
        say(
            f"{report['failovers']} leaders lost, {report['rewound']} rewound. {report['acknowledged']} orders "
            f"were acknowledged; {report['lost']} lost, {report['double']} delivered or paid twice, "
            f"{report['violations']} violations."
        )
    return status_of(report)


if __name__ == "__main__":
    sys.exit(main())
