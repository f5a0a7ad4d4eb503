"""The cluster that survives its leader: what can be checked without one, and (long) the rehearsal itself."""

import configparser
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
import yaml
from deploy.ha.cluster import in_step, missing_packages, rendered
from deploy.ha.follow_leader import Node, databases, leader, running, write_whole
from deploy.ha.rehearsal import Record, Round, status_of
from deploy.ha.yard import Yard

from airback.orders.states import FINAL
from airback.queries.demo import SQL
from tests.house.project import ROOT

TEMPLATES = ROOT / "deploy/ha/templates"
#: A value for every name in any template.
VALUES = {
    name: f"some-{name}"
    for template in TEMPLATES.iterdir()
    for name in re.findall(r"\$\{(\w+)\}", template.read_text(encoding="utf-8"))
}
ONE, TWO = Node("db1:8008", "db1:5432"), Node("db2:8008", "[fd00::2]:5433")


def test_patroni_is_told_to_keep_every_commit_twice_and_to_wind_back() -> None:
    settings = yaml.safe_load(rendered("patroni.yml", VALUES | {"ttl_s": 30, "name": "db2"}))
    dcs = settings["bootstrap"]["dcs"]
    assert (dcs["synchronous_mode"], dcs["synchronous_mode_strict"]) == (True, True)
    assert dcs["postgresql"]["use_pg_rewind"] is True
    assert (settings["name"], dcs["ttl"]) == ("db2", 30)
    assert settings["postgresql"]["connect_address"] == "some-address:some-port"


def test_etcd_is_told_the_same_address_for_itself_and_for_others() -> None:
    settings = yaml.safe_load(rendered("etcd.yml", VALUES))
    assert settings["listen-client-urls"] == settings["advertise-client-urls"]
    assert settings["listen-peer-urls"] == settings["initial-advertise-peer-urls"]


def test_pgbouncer_keeps_a_server_connection_for_a_session_and_drops_a_former_leaders() -> None:
    text = rendered("pgbouncer.ini", VALUES)
    assert "%include some-databases_file" in text
    parser = configparser.ConfigParser(comment_prefixes=(";", "%"))
    parser.read_string(text)
    settings = parser["pgbouncer"]
    assert (settings["pool_mode"], settings["server_fast_close"]) == ("session", "1")
    assert "ignore_startup_parameters" not in settings  # what it ignores, the server never hears


def test_a_value_that_a_template_lacks_is_refused() -> None:
    with pytest.raises(KeyError, match="data_dir"):
        rendered("etcd.yml", {name: value for name, value in VALUES.items() if name != "data_dir"})


@pytest.mark.parametrize(
    ("led", "found"),
    [
        ([(ONE, None), (TWO, None)], None),
        ([(ONE, None), (TWO, 3)], TWO),
        ([(ONE, 2), (TWO, 3)], TWO),
        ([(ONE, 4), (TWO, 3)], ONE),
    ],
)
def test_of_two_that_say_they_lead_the_younger_timeline_is_believed(
    led: list[tuple[Node, int | None]], found: Node | None
) -> None:
    assert leader(led) == found


def test_the_list_of_databases_names_the_leader_alone(tmp_path: Path) -> None:
    target = tmp_path / "databases.ini"
    for node in (ONE, TWO):
        write_whole(target, databases("airback", node))
    assert target.read_text() == "[databases]\nairback = host=fd00::2 port=5433 dbname=airback\n"
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


@pytest.mark.parametrize("said", ["", "not a number", "1", "4194999"])
def test_a_stale_pid_file_leads_to_nobody(tmp_path: Path, said: str) -> None:
    file = tmp_path / "pgbouncer.pid"
    assert running(file) is None
    file.write_text(said)
    assert running(file) is None


def members(*roles: str, **changed: Any) -> list[dict[str, Any]]:
    """Patroni's list, the last member changed."""
    found: list[dict[str, Any]] = [{"role": role, "state": "running", "timeline": 2} for role in roles]
    found[-1] |= changed
    return found


def test_nodes_are_in_step_on_one_timeline_with_one_that_confirms_commits() -> None:
    assert in_step(members("leader", "replica", "sync_standby"))
    assert in_step(members("sync_standby", "leader", "replica", state="streaming"))
    assert not in_step(members("leader", "sync_standby"))
    assert not in_step(members("leader", "replica", "replica"))
    assert not in_step(members("leader", "sync_standby", "replica", timeline=1))
    assert not in_step(members("leader", "sync_standby", "replica", state="starting"))


async def test_an_order_that_is_not_there_counts_as_lost(pool: asyncpg.Pool) -> None:
    row = await pool.fetchrow(SQL.promised, 1, [11, 12, 13], [str(state) for state in FINAL])
    assert row["waiting"] == 3


def test_whatever_is_wrong_ends_the_rehearsal_with_one() -> None:
    record = Record(
        orders=[1, 2],
        missing={"db1": 0},
        rounds=[Round(killed="db1")],
        checked={"violations": 0, "checks": {}},
    )
    good = record.as_json()
    assert (good["acknowledged"], good["failovers"], status_of(good)) == (2, 1, 0)
    wrong = [
        {"lost": 1},
        {"double": 1},
        {"violations": 1},
        {"missing": {"db1": 0, "db2": 1}},
        {"acknowledged": 0},
    ]
    assert [status_of(good | one) for one in wrong] == [1] * len(wrong)
    assert status_of(Record(orders=[1]).as_json()) == 1, "nothing was verified"


def test_what_runs_in_a_yard_ends_with_it() -> None:
    with Yard() as yard:
        process = yard.start("sleeper", ["sleep", "600"])
        assert psutil.Process(process.pid).cwd() == str(yard.directory / "sleeper")
    assert process.wait(30) < 0
    assert not yard.directory.exists()


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.skipif(
    bool(missing_packages()),
    reason=f"THE FAILOVER REHEARSAL CANNOT RUN: apt-get install {' '.join(missing_packages())}",
)
def test_no_acknowledged_order_is_lost_when_the_leader_dies_three_times() -> None:
    done = subprocess.run(
        [ROOT / "deploy/ha/rehearse", "--json"], stdout=subprocess.PIPE, check=False, timeout=3500
    )
    assert done.stdout, "it failed before it could count; standard error says why"
    report = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 0, report
    assert report["acknowledged"] > 0
    assert (report["lost"], report["double"], report["violations"]) == (0, 0, 0), report
    assert report["failovers"] >= 3
    assert set(report["missing"].values()) == {0}
    for one in report["rounds"]:
        assert one["leader"] != one["killed"]
        assert one["acknowledged"] > one["acknowledged_until_leader"], "nothing was sold under the new leader"
