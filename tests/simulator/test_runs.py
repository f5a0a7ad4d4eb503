"""Seeds to their end, and planted bugs to their discovery."""

import pytest

from airback.simulator.faults import Fault
from airback.simulator.plants import PLANTS
from airback.simulator.run import find_plant, simulate

pytestmark = pytest.mark.timeout(1800)


def silent(_name: str, _done: int, _of: int) -> None:
    """No progress bar."""


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_seed_comes_to_what_it_planned(server_url: str, seed: int) -> None:
    report = await simulate(server_url, seed=seed, orders=150, progress=silent)
    assert report.get("found", []) == []
    assert report["outcomes_as_planned"]
    assert report["crashes"] >= 1
    assert report["faults"][Fault.RESTORED] == 1


async def test_the_same_seed_gives_the_same_events(server_url: str) -> None:
    first = await simulate(server_url, seed=7, orders=40, progress=silent)
    again = await simulate(server_url, seed=7, orders=40, progress=silent)
    other = await simulate(server_url, seed=8, orders=40, progress=silent)
    assert first["events_hash"] == again["events_hash"] != other["events_hash"]


@pytest.mark.parametrize("name", ["forget_hold", "ignore_reversal", "gap_in_log"])
async def test_a_planted_bug_is_found(server_url: str, name: str) -> None:
    report = await find_plant(server_url, name=name, seed=1, progress=silent)
    assert report["caught"] and report["story"]


async def test_a_bug_that_stops_the_engine_itself_is_found(server_url: str) -> None:
    """Two writers of one book: the second finds a fill delivered that it is about to deliver."""
    report = await find_plant(server_url, name="stale_epoch_writes", seed=113184, progress=silent)
    assert report["caught"] and report["story"]


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(PLANTS))
async def test_every_planted_bug_is_found(server_url: str, name: str) -> None:
    report = await find_plant(server_url, name=name, seed=1, progress=silent)
    assert report["caught"], report


@pytest.mark.long
@pytest.mark.parametrize("seed", range(50))
async def test_fifty_seeds(server_url: str, seed: int) -> None:
    report = await simulate(server_url, seed=seed, orders=300, progress=silent)
    assert report.get("found", []) == []


@pytest.mark.long
async def test_every_kind_of_fault_befalls_somebody(server_url: str) -> None:
    report = await simulate(server_url, seed=1, orders=3_000, progress=silent)
    assert report.get("found", []) == []
    assert {name for name, times in report["faults"].items() if not times} == set()
