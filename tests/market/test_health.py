"""An outlet that fails leaves the pool by itself and returns by itself, by probes, one at a time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airback.domain.money import MAX_FEN
from airback.market import health as outlets
from airback.market.health import TRANSITIONS, Health, State, Watch

NOW = datetime(2026, 11, 21, tzinfo=UTC)
WATCH = Watch()
MINUTE = timedelta(minutes=1)


def ill(now: datetime = NOW) -> Health:
    health = outlets.fresh("a", now=now)
    for fill in range(WATCH.least):
        health = outlets.refused(health, fill, WATCH, now=now)
    return health


def test_an_outlet_leaves_when_half_of_its_last_fills_were_refused() -> None:
    health = outlets.fresh("a", now=NOW)
    for fill in range(3):
        health = outlets.took(health, fill, WATCH, now=NOW)
    for fill in range(2):
        health = outlets.refused(health, fill, WATCH, now=NOW)
    assert (health.state, health.success_ppm) == (State.WELL, 600_000)
    health = outlets.refused(health, 9, WATCH, now=NOW)
    assert health.state is State.RESTING
    assert outlets.most_fen(health, WATCH, now=NOW) == 0


def test_a_few_refusals_are_not_yet_failing() -> None:
    health = outlets.fresh("a", now=NOW)
    for fill in range(WATCH.least - 1):
        health = outlets.refused(health, fill, WATCH, now=NOW)
    assert health.state is State.WELL


def test_old_refusals_are_forgotten() -> None:
    health = outlets.fresh("a", now=NOW)
    for fill in range(WATCH.least - 1):
        health = outlets.refused(health, fill, WATCH, now=NOW)
    later = NOW + 2 * WATCH.window
    assert outlets.refused(health, 9, WATCH, now=later).state is State.WELL
    # in the next window they still count
    assert outlets.refused(health, 9, WATCH, now=NOW + WATCH.window).state is State.RESTING


def test_after_its_rest_it_takes_one_small_probe_at_a_time_and_gets_well() -> None:
    health = ill()
    now = NOW + WATCH.rest
    assert outlets.most_fen(health, WATCH, now=now) == WATCH.probe_most_fen
    for fill in range(100, 100 + WATCH.probes):
        health = outlets.probed(health, fill, now=now)
        assert health.state is State.PROBING
        assert outlets.most_fen(health, WATCH, now=now) == 0
        health = outlets.took(health, fill, WATCH, now=now)
    assert health.state is State.WELL
    assert (health.rests, health.refused, outlets.most_fen(health, WATCH, now=now)) == (0, 0, MAX_FEN)


def test_a_refused_probe_rests_twice_as_long_up_to_the_longest() -> None:
    health, now = ill(), NOW
    rests = []
    for fill in range(100, 110):
        assert health.until is not None
        now = health.until
        health = outlets.refused(outlets.probed(health, fill, now=now), fill, WATCH, now=now)
        assert health.until is not None
        rests.append(health.until - now)
    assert rests[:3] == [2 * MINUTE, 4 * MINUTE, 8 * MINUTE]
    assert rests[-1] == WATCH.longest_rest


def test_what_was_sent_before_it_fell_ill_is_no_probe() -> None:
    health = ill()
    assert outlets.took(health, 55, WATCH, now=NOW) is health
    probing = outlets.probed(health, 100, now=NOW + WATCH.rest)
    assert outlets.refused(probing, 55, WATCH, now=NOW + WATCH.rest) is probing


def test_a_probe_that_somebody_else_broke_makes_room_for_the_next() -> None:
    now = NOW + WATCH.rest
    probing = outlets.forgotten(outlets.probed(ill(), 100, now=now), 100, now=now)
    assert outlets.most_fen(probing, WATCH, now=now) == WATCH.probe_most_fen


def test_a_probe_without_a_word_is_forgotten_in_the_end() -> None:
    now = NOW + WATCH.rest
    probing = outlets.probed(ill(), 100, now=now)
    assert outlets.most_fen(probing, WATCH, now=now + WATCH.probe_silent) > 0


def test_where_no_small_order_comes_any_may_be_the_probe() -> None:
    now = NOW + WATCH.rest + WATCH.lonely
    assert outlets.most_fen(ill(), WATCH, now=now) == MAX_FEN


def test_only_the_tables_steps_are_taken() -> None:
    with pytest.raises(outlets.IllegalTransition):
        outlets.probed(outlets.fresh("a", now=NOW), 1, now=NOW)


@given(
    st.lists(
        st.tuples(st.sampled_from(["take", "refuse", "break", "wait", "long"]), st.integers(0, 3)),
        max_size=80,
    )
)
def test_whatever_happens_one_probe_is_under_way_at_most_and_the_table_holds(
    story: list[tuple[str, int]],
) -> None:
    health, now = outlets.fresh("a", now=NOW), NOW
    open_fills: list[int] = []
    next_fill = 1
    for deed, which in story:
        before = health
        if deed == "wait":
            now += MINUTE
        elif deed == "long":
            now += timedelta(minutes=20)
        most = outlets.most_fen(health, WATCH, now=now)
        if most > 0:
            if health.state is not State.WELL:
                health = outlets.probed(health, next_fill, now=now)
                assert outlets.most_fen(health, WATCH, now=now) == 0
            open_fills.append(next_fill)
            next_fill += 1
        if open_fills and deed in ("take", "refuse", "break"):
            fill = open_fills.pop(which % len(open_fills))
            if deed == "take":
                health = outlets.took(health, fill, WATCH, now=now)
            elif deed == "refuse":
                health = outlets.refused(health, fill, WATCH, now=now)
            else:
                health = outlets.forgotten(health, fill, now=now)
        steps = {before.state, health.state}
        if len(steps) == 2 and not (
            before.state is State.RESTING and health.state in (State.WELL, State.RESTING)
        ):
            assert health.state in TRANSITIONS[before.state]
        assert (health.probe is None) or health.state is State.PROBING
        assert health.until is None or health.state is State.RESTING
        assert replace(health) == health
