"""`airback reconcile` and `airback bench reconcile` as somebody at a terminal uses them."""

import json
from pathlib import Path
from typing import Any

import pytest

from airback.cli.main import build_parser, main
from airback.reconciliation import own_csv
from tests.reconciliation.planting import KINDS, PERIOD, plant


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, dict[str, Any]]:
    """Exit status and the last line's JSON."""
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    lines = capsys.readouterr().out.splitlines()
    return int(str(ended.value.code)), json.loads(lines[-1]) if lines else {}


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, dict[str, str]]:
    """A statement and our rows with one difference of every kind, and what they must be called."""
    planted = plant([kind for kind in KINDS if kind != "timing_shifted"], agreeing=40, seed=11)
    statement, ours = tmp_path / "statement.csv", tmp_path / "ours.csv"
    statement.write_bytes(own_csv.write(planted.theirs, period=PERIOD))
    ours.write_bytes(own_csv.write(planted.ours))
    return statement, ours, planted.expected


def test_planted_differences_are_found_in_files(
    capsys: pytest.CaptureFixture[str], files: tuple[Path, Path, dict[str, str]], tmp_path: Path
) -> None:
    statement, ours, expected = files
    status, report = run(
        capsys, "reconcile", "--statement", statement, "--ours", ours, "--out", tmp_path / "all.csv", "--json"
    )
    assert status == 0
    assert {row["reference"]: row["explanation"] for row in report["listed"]} == expected
    assert sum(report["breaks"].values()) == len(expected)
    assert report["quarantined"] == report["held"] == 0
    assert report["statement"]["totals_checked"]
    assert len((tmp_path / "all.csv").read_text("utf-8").splitlines()) == len(expected) + 1
    again = run(capsys, "reconcile", "--statement", statement, "--ours", ours, "--json")
    assert again == (0, report)


def test_a_refused_file_is_told_and_ends_with_one(
    capsys: pytest.CaptureFixture[str], files: tuple[Path, Path, dict[str, str]]
) -> None:
    statement, ours, _ = files
    statement.write_bytes(statement.read_bytes()[:-80])
    status, report = run(capsys, "reconcile", "--statement", statement, "--ours", ours, "--json")
    assert status == 1
    assert (report["refused"], report["field"], report["matched"]) == ("statement_truncated", "statement", 0)
    ours.write_bytes(b"nothing\n")
    status, report = run(capsys, "reconcile", "--statement", ours, "--ours", ours, "--json")
    assert (status, report["refused"], report["field"]) == (1, "statement_format_unknown", "statement")
    status, _ = run(capsys, "reconcile", "--statement", ours.with_name("none"), "--ours", ours)
    assert status == 1


def test_people_are_told_the_same(
    capsys: pytest.CaptureFixture[str], files: tuple[Path, Path, dict[str, str]]
) -> None:
    statement, ours, _ = files
    with pytest.raises(SystemExit):
        main(["reconcile", "--statement", str(statement), "--ours", str(ours)])
    told = capsys.readouterr()
    assert told.out == ""
    assert "missing_here" in told.err and "matched" in told.err


def test_live_needs_a_far_side_and_one_of_the_two_sources() -> None:
    parser = build_parser()
    with pytest.raises(SystemExit):
        parser.parse_args(["reconcile", "--statement", "x"])
    with pytest.raises(SystemExit):
        parser.parse_args(["reconcile", "--statement", "x", "--ours", "y", "--live"])
    with pytest.raises(SystemExit):
        parser.parse_args(["reconcile", "--statement", "x", "--ours", "y", "--day", "soon"])


@pytest.mark.parametrize(
    "given",
    [
        ["--ours", "x"],
        ["--live", "--far-side", "rail:alipay", "--day", "2026-11-20"],
        ["--live", "--far-side", "outlet:north"],
    ],
)
def test_only_an_outlet_is_asked_instead_of_giving_a_file_and_only_for_a_day(
    capsys: pytest.CaptureFixture[str], given: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["reconcile", *given])
    assert ended.value.code == 2
    assert "--statement" in capsys.readouterr().err


def test_the_bench_finds_what_it_planted(capsys: pytest.CaptureFixture[str]) -> None:
    status, report = run(capsys, "bench", "reconcile", "--rows", "20000", "--rounds", "1", "--json")
    assert status == 0
    assert report["as_planted"] and report["rows"]["differing"] == 200
    assert report["ratio_to_join"] > 0 and report["seconds"] > 0 and report["peak_mib"] > 0
