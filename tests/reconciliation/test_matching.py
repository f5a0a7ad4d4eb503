"""Every planted difference is found, named rightly, and none is invented."""

import random
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airback.reconciliation import matching
from airback.reconciliation.breaks import Explanation
from airback.reconciliation.matching import Rules, match
from airback.reconciliation.rows import Period, empty
from tests.reconciliation.planting import KINDS, NAMES, PERIOD, frame, noon, plant, row


def named(found: matching.Matching) -> list[tuple[str, str]]:
    """(reference, explanation) of the breaks, sorted."""
    return sorted(found.breaks.select("reference", "explanation").rows())


def pay(reference: str | None, amount_fen: int = 10_000, *, at: int = 0, **changes: Any) -> dict[str, Any]:
    given = {**row(random.Random(1), 0), "reference": reference, "amount_fen": amount_fen, "at": noon(at)}
    return {**given, **changes}


@pytest.mark.parametrize("kind", KINDS)
def test_each_planted_difference_is_found_and_named(kind: str) -> None:
    planted = plant([kind], agreeing=30, seed=5)
    found = match(planted.ours, planted.theirs, period=PERIOD)
    assert dict(named(found)) == planted.expected
    assert len(found.breaks) == len(planted.expected)
    duplicated = NAMES[kind] == "duplicate"  # the first of the two still has its partner
    assert found.matched == planted.agreeing + duplicated
    assert (found.outside, found.held) == (0, 0)


@settings(max_examples=20)
@given(st.lists(st.sampled_from(KINDS), max_size=25), st.integers(0, 60), st.integers(0, 2**32))
def test_any_mixture_of_differences_is_found_and_nothing_else(
    kinds: list[str], agreeing: int, seed: int
) -> None:
    planted = plant(kinds, agreeing=agreeing, seed=seed)
    found = match(planted.ours, planted.theirs, period=PERIOD)
    assert named(found) == sorted(planted.expected.items())
    duplicates = sum(name == "duplicate" for name in planted.expected.values())
    assert found.matched == planted.agreeing + duplicates


@settings(max_examples=5)
@given(st.lists(st.sampled_from(KINDS), max_size=15), st.integers(0, 2**32))
def test_the_order_of_rows_changes_no_name(kinds: list[str], seed: int) -> None:
    planted = plant(kinds, agreeing=20, seed=seed)
    there = match(planted.ours, planted.theirs, period=PERIOD)
    turned = match(planted.ours.reverse(), planted.theirs.reverse(), period=PERIOD)
    assert named(there) == named(turned)
    again = match(planted.ours, planted.theirs, period=PERIOD)
    assert there.breaks.equals(again.breaks)
    assert there.pairs_by_evidence.equals(again.pairs_by_evidence)


def test_two_empty_sides_agree() -> None:
    found = match(empty(), empty(), period=None)
    assert (found.matched, found.breaks.height) == (0, 0)
    assert found.counts() == {str(each): 0 for each in Explanation}


def test_rows_without_any_reference_are_never_paired_by_having_none() -> None:
    ours = frame([pay(None, party=None, amount_fen=n) for n in range(100, 1100, 100)])
    theirs = frame([pay(None, party=None, amount_fen=n + 1) for n in range(100, 1100, 100)])
    assert match(ours, theirs, period=PERIOD).counts()["missing_here"] == 10


def test_a_reference_repeated_a_thousand_times_on_both_sides_costs_no_more_than_its_rows() -> None:
    many = frame([pay("SAME", at=n) for n in range(1000)])
    fewer = frame([pay("SAME", at=n) for n in range(990)])
    found = match(many, fewer, period=PERIOD)
    assert (found.matched, found.counts()["duplicate"]) == (990, 10)


def test_a_collision_of_hashes_is_not_a_match(monkeypatch: pytest.MonkeyPatch) -> None:
    def coarse(side: pl.DataFrame, *, first: int) -> pl.DataFrame:
        return side.select(
            h=pl.col("reference").str.len_chars().cast(pl.UInt64),
            r=pl.int_range(first, first + pl.len(), dtype=pl.UInt32),
        )

    monkeypatch.setattr(matching, "_hashes", coarse)
    planted = plant([k for k in KINDS if NAMES[k]], agreeing=20, seed=3)
    found = match(planted.ours, planted.theirs, period=PERIOD)
    assert named(found) == sorted(planted.expected.items())
    one = match(frame([pay("AB")]), frame([pay("CD", 500)]), period=PERIOD)
    assert named(one) == [("AB", "missing_there"), ("CD", "missing_here")]


@pytest.mark.parametrize(
    ("ours", "theirs", "name"),
    [
        ({}, {"fee_fen": 5}, "fee"),
        ({}, {"amount_fen": 9_940, "fee_fen": 60}, "fee"),
        ({}, {"amount_fen": 10_060, "fee_fen": 60}, "fee"),
        ({}, {"amount_fen": 9_940, "fee_fen": 61}, "amount"),
        ({}, {"amount_fen": 9_940}, "amount"),
        ({"fee_fen": 10}, {"amount_fen": 9_990}, "fee"),
        ({}, {"amount_fen": 9_940, "reversed": True}, "reversed"),
        ({}, {"direction": "in"}, "reversed"),
        ({"reversed": True}, {"reversed": True}, None),
        ({}, {"party": "somebody else", "kind": "odd", "far_reference": "x"}, None),
        ({}, {"at": 3 * 3600}, None),
        ({}, {"at": 24 * 3600}, "timing"),
        ({}, {"at": 24 * 3600, "amount_fen": 1}, "amount"),
    ],
)
def test_a_pair_that_differs_has_one_name(
    ours: dict[str, Any], theirs: dict[str, Any], name: str | None
) -> None:
    found = match(frame([pay("A", **ours)]), frame([pay("A", **theirs)]), period=PERIOD)
    assert [explanation for _, explanation in named(found)] == ([name] if name else [])


@pytest.mark.parametrize(
    ("seconds", "name"),
    [
        (0, "timing"),
        (899, "timing"),
        (900, "missing_there"),
        (86_400 - 901, "missing_there"),
        (86_400 - 900, "timing"),
    ],
)
def test_timing_is_a_window_at_the_edges_of_the_period(seconds: int, name: str) -> None:
    ours = frame([{**pay("A"), "at": PERIOD.since + timedelta(seconds=seconds)}])
    assert named(match(ours, empty(), period=PERIOD)) == [("A", name)]


def test_rows_of_ours_far_from_the_period_are_counted_and_not_called_missing() -> None:
    ours = frame([pay("A", at=-3 * 86_400), pay("B")])
    found = match(ours, frame([pay("B")]), period=PERIOD)
    assert (found.matched, found.outside, found.breaks.height) == (1, 1, 0)
    late = match(ours, frame([pay("A", at=-3 * 86_400), pay("B")]), period=PERIOD)
    assert late.matched == 2


def test_what_we_sent_and_do_not_know_yet_is_timing_when_they_list_it() -> None:
    theirs = frame([pay("A"), pay("B", 100)])
    found = match(empty(), theirs, period=PERIOD, pending=["A"])
    assert named(found) == [("A", "timing"), ("B", "missing_here")]


def test_the_other_half_of_a_quarantined_row_is_held_not_missing() -> None:
    found = match(frame([pay("A"), pay("B", 100)]), empty(), period=PERIOD, quarantined=["A"])
    assert (named(found), found.held) == ([("B", "missing_there")], 1)


def test_a_payment_and_its_reversal_that_only_they_know_is_reversed() -> None:
    theirs = frame([pay("A"), pay("A", direction="in", at=60)])
    found = match(empty(), theirs, period=PERIOD)
    assert named(found) == [("A", "reversed")]


def test_an_exact_copy_is_the_one_that_is_kept() -> None:
    theirs = frame([pay("A", 90), pay("A", 100, at=1)])
    found = match(frame([pay("A", 100)]), theirs, period=PERIOD)
    assert found.matched == 1
    assert found.breaks.select("explanation", "theirs").rows() == [("duplicate", 0)]


def test_evidence_is_stated_as_confidence_and_weakens_with_time_and_rivals() -> None:
    ours = frame([pay("A")])
    close = match(ours, frame([pay(None, at=0)]), period=PERIOD).pairs_by_evidence
    far = match(ours, frame([pay(None, at=150)]), period=PERIOD).pairs_by_evidence
    assert close["confidence_ppm"].to_list() == [900_000]
    assert far["confidence_ppm"].to_list() == [800_000]
    assert match(ours, frame([pay(None, at=301)]), period=PERIOD).pairs_by_evidence.is_empty()
    rivals = match(ours, frame([pay(None, at=0), pay(None, at=5)]), period=PERIOD)
    assert rivals.pairs_by_evidence.is_empty()
    assert rivals.counts() | {"missing_here": 2, "missing_there": 1} == rivals.counts()
    named_otherwise = match(ours, frame([pay("B", at=0)]), period=PERIOD).pairs_by_evidence
    assert named_otherwise["confidence_ppm"].to_list() == [800_000]


def test_a_common_movement_is_no_evidence_for_two_rows_with_references_of_their_own() -> None:
    """The same buyer, the same face, every minute: two unknown references among them are two differences."""
    usual = [pay(f"U{n}", at=60 * n) for n in range(10)]
    ours, theirs = frame([*usual, pay("A", at=30)]), frame([*usual, pay("B", at=31)])
    found = match(ours, theirs, period=PERIOD)
    assert named(found) == [("A", "missing_there"), ("B", "missing_here")]


def test_a_pair_found_by_the_far_reference_can_differ() -> None:
    ours = frame([pay("A", far_reference="F1")])
    theirs = frame([pay(None, 9_000, far_reference="F1", at=4000)])
    found = match(ours, theirs, period=PERIOD)
    (difference,) = found.breaks.rows(named=True)
    assert (difference["explanation"], difference["difference_fen"]) == ("amount", -1_000)
    assert difference["confidence_ppm"] == 990_000


def test_the_figures_of_the_rules_can_be_set() -> None:
    ours, theirs = frame([pay("A")]), frame([pay(None, at=400)])
    assert match(ours, theirs, period=PERIOD).matched == 0
    assert match(ours, theirs, period=PERIOD, rules=Rules(near=timedelta(minutes=10))).matched == 1
    assert (
        match(ours, theirs, period=PERIOD, rules=Rules(near=timedelta(minutes=10), least_ppm=950_000)).matched
        == 0
    )
    wide = Rules(window=timedelta(hours=13))
    assert match(ours, empty(), period=PERIOD, rules=wide).counts()["timing"] == 1


def test_without_a_period_nothing_is_timing_by_its_place() -> None:
    edge = frame([{**pay("A"), "at": PERIOD.since}])
    assert named(match(edge, empty(), period=None)) == [("A", "missing_there")]
    assert Period.of_day(PERIOD.day) == PERIOD
