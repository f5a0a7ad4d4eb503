"""The main job over real processes: PostgreSQL, HTTP far sides, API, worker; calm, and with the worker killed."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from airback.app.demo import DEFAULT_SEED
from airback.app.street import plan
from airback.store.embedded import ensure_running

pytestmark = [
    pytest.mark.xdist_group("demo"),  # they share one run of the demo
    pytest.mark.timeout(1800),
]


def airback(*arguments: str, data: Path, timeout_s: int = 900) -> dict[str, Any]:
    """Run a command on a data directory; the JSON object on the last line of its standard output."""
    environment = {k: v for k, v in os.environ.items() if k not in ("AIRBACK_DATABASE_URL", "AIRBACK_DATA")}
    done = subprocess.run(
        [sys.executable, "-m", "airback", *arguments, "--json", "--data", str(data)],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env=environment,
    )
    assert done.stdout.strip(), done.stderr[-3000:]
    report = json.loads(done.stdout.strip().splitlines()[-1])
    assert isinstance(report, dict)
    return report


def left_over(data: Path) -> list[str]:
    """Processes that still mention the data directory."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if str(data) in " ".join(words) and process.pid != os.getpid():
            found.append(" ".join(words)[:200])
    return found


def test_the_seed_draws_half_balances_half_cards_of_every_carrier_and_a_share_of_bad_ones() -> None:
    for seed in (1, 2, DEFAULT_SEED):
        attempts = plan(orders=500, seed=seed)
        assert attempts == plan(orders=500, seed=seed)
        assert Counter(a.product for a in attempts) == {"balance": 250, "card": 250}
        assert {a.carrier for a in attempts} == {"cmcc", "ctcc", "cucc", "cbn"}
        assert 50 <= sum(a.fault is not None for a in attempts) <= 100
    assert plan(orders=500, seed=1) != plan(orders=500, seed=2)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    data = tmp_path_factory.mktemp("calm")
    return data, airback("demo", "--once", "--orders", "80", "--seed", "11", data=data)


def test_every_attempt_ends_closed_or_refused_by_name_and_both_sides_agree(
    calm: tuple[Path, dict[str, Any]],
) -> None:
    _, report = calm
    assert report["orders"] == 80
    assert report["closed"] + sum(report["refused"].values()) == 80
    assert 8 <= sum(report["refused"].values()) <= 16
    assert report["paid_fen"] == report["far_side"]["paid_fen"] > 0
    assert report["far_side"]["duplicates"] == 0
    assert report["far_side"]["payments"] == report["closed"]
    assert report["far_side"]["executions"] >= report["closed"]
    assert report["http_calls"] > 3 * report["closed"]
    assert report["verify"]["violations"] == 0
    assert not any("unchecked" in check for check in report["verify"]["checks"].values())


def test_when_the_command_ends_no_process_remains(calm: tuple[Path, dict[str, Any]]) -> None:
    data, _ = calm
    assert left_over(data) == []


async def test_quotes_read_what_outlets_want(calm: tuple[Path, dict[str, Any]]) -> None:
    data, _ = calm
    with ensure_running(data) as server:
        conn = await asyncpg.connect(server.url)
        rows = await conn.fetch("SELECT quote::jsonb AS quote FROM orders")
        await conn.close()
    quotes = [json.loads(row["quote"]) for row in rows]
    bids = [quote["facts"]["outlet_ppm"] for quote in quotes if quote["facts"]["outlet_ppm"] is not None]
    # whoever comes in the first half second, before the demands are known, is offered the card's own price
    assert len(bids) * 2 > len(quotes) > 0
    assert all(quote["rate_ppm"] <= (quote["facts"]["outlet_ppm"] or 10**6) - 10_000 for quote in quotes)


def test_killing_the_worker_changes_nothing_but_the_time(
    calm: tuple[Path, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    _, quiet = calm
    killed = airback(
        "demo",
        "--once",
        "--orders",
        "80",
        "--seed",
        "11",
        "--fault",
        "kill",
        data=tmp_path_factory.mktemp("kill"),
    )
    assert killed["kills"] >= 3
    for figure in ("closed", "refused", "paid_fen"):
        assert killed[figure] == quiet[figure], figure
    assert killed["far_side"]["duplicates"] == 0
    assert killed["verify"]["violations"] == 0


def test_verify_works_alone_on_a_data_directory_and_leaves_nothing_running(
    calm: tuple[Path, dict[str, Any]],
) -> None:
    data, _ = calm
    report = airback("verify", data=data)
    assert report["violations"] == 0
    assert {check["invariant"] for check in report["checks"].values()} >= {1, 2, 3, 4, 5, 6, 8}
    assert left_over(data) == []


@pytest.mark.parametrize("far_side", ["rail:alipay", "carrier:cmcc", "carrier:cucc"])
def test_the_far_sides_own_statement_agrees_with_the_book_and_closes_the_day(
    calm: tuple[Path, dict[str, Any]], tmp_path: Path, far_side: str
) -> None:
    data, demo = calm
    file = tmp_path / "statement.csv"
    written = airback("sandbox", "statement", far_side, "--out", str(file), data=data)
    arguments = ("reconcile", "--statement", str(file), "--live", "--far-side", far_side)
    report = airback(*arguments, data=data)
    assert sum(report["breaks"].values()) == report["quarantined"] == 0, report
    assert report["matched"] > 0
    if far_side == "rail:alipay":
        assert report["matched"] == demo["far_side"]["payments"]
        assert report["statement"]["layout"] == "alipay_bill"
    assert report["open"] == []
    assert [account["unexplained_fen"] for account in report["clearing"]] == [0]
    assert not report["already"]
    again = airback(*arguments, data=data)
    assert (again["already"], again["matched"]) == (True, report["matched"])
    assert written["far_side"] == far_side
    assert left_over(data) == []


def test_a_backup_comes_back_with_nothing_sent_and_everything_done_since_named(
    calm: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    data, _ = calm
    file = tmp_path / "monday.backup"
    written = airback("backup", "--out", str(file), data=data)
    assert written["bytes"] == file.stat().st_size > 0
    assert file.stat().st_mode & 0o077 == 0

    second = _beside(data, tmp_path / "second")
    restored = airback("restore", str(file), data=second)
    assert (restored["differences"], restored["violations"], restored["unchecked"]) == (0, 0, None), restored
    assert restored["orders"] > 0
    assert airback("verify", data=second)["violations"] == 0
    refused = subprocess.run(
        [sys.executable, "-m", "airback", "restore", str(file), "--data", str(second)],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert refused.returncode == 1
    assert "holds something already" in refused.stderr

    # What was sold after the backup was carried out, and the restored book has never heard of it.
    cards = tmp_path / "cards.csv"
    airback("sandbox", "issue-cards", "3", "--out", str(cards), data=data)
    sold = airback("sell", "--file", str(cards), "--out", str(tmp_path / "answer.csv"), data=data)
    assert sold["closed"] == 3
    third = _beside(data, tmp_path / "third")
    restored = airback("restore", str(file), data=third)
    assert restored["differences"] >= 4  # three cards redeemed, and paid
    assert all("we never sent it" in what for _, what in restored["found"]), restored
    assert restored["violations"] == 0
    assert left_over(data) == left_over(second) == left_over(third) == []


def _beside(data: Path, new: Path) -> Path:
    """A new data directory with the keys of another, before the same far sides."""
    new.mkdir(mode=0o700)
    for part in ("keys", "sandbox"):
        shutil.copytree(data / part, new / part)
    return new
