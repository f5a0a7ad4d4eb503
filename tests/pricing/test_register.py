"""Published cards follow one another: no two at the same time, no time between two without one."""

from datetime import UTC, datetime

import pytest

from airback.domain.refusals import Refused
from airback.pricing.cards import RateCard, card_in_force
from airback.pricing.register import check, spans
from tests.pricing.desk import card


def dated(version: int, since: str, until: str | None = None) -> RateCard:
    return card(
        version=version,
        effective_from=f"{since}T00:00:00Z",
        effective_until=None if until is None else f"{until}T00:00:00Z",
    )


@pytest.mark.parametrize(
    "cards",
    [
        [],
        [dated(1, "2026-01-01")],
        [dated(1, "2026-01-01"), dated(2, "2026-02-01"), dated(3, "2026-03-01", "2026-04-01")],
        [dated(2, "2026-02-01"), dated(1, "2026-01-01", "2026-02-01")],
    ],
)
def test_cards_that_follow_one_another_are_in_order(cards: list[RateCard]) -> None:
    check(cards)


@pytest.mark.parametrize(
    ("cards", "code", "field", "row"),
    [
        (
            [dated(1, "2026-01-01", "2026-03-01"), dated(2, "2026-02-01")],
            "card_dates_overlap",
            "effective_until",
            1,
        ),
        ([dated(2, "2026-01-01"), dated(1, "2026-01-01")], "card_dates_overlap", "effective_from", 2),
        (
            [
                dated(1, "2026-01-01", "2026-02-01"),
                dated(2, "2026-02-01", "2026-03-01"),
                dated(3, "2026-03-02"),
            ],
            "card_dates_gap",
            "effective_from",
            3,
        ),
    ],
)
def test_overlaps_and_gaps_are_refused_by_name_and_place(
    cards: list[RateCard], code: str, field: str, row: int
) -> None:
    with pytest.raises(Refused) as caught:
        check(cards)
    assert (caught.value.code, caught.value.field, caught.value.row) == (code, field, row)


def test_each_card_has_the_end_it_really_has_and_one_is_in_force() -> None:
    cards = [dated(3, "2026-05-01"), dated(1, "2026-01-01"), dated(2, "2026-02-01", "2026-03-01")]
    ends = [
        (span.card.version, span.until and span.until.isoformat()[:10])
        for span in spans(cards, at=cards[0].effective_from)
    ]
    assert ends == [(1, "2026-05-01"), (2, "2026-03-01"), (3, None)]
    for month, version in ((1, 1), (2, 2), (3, 1), (5, 3)):
        at = datetime(2026, month, 2, tzinfo=UTC)
        in_force = [span.card.version for span in spans(cards, at=at) if span.in_force]
        assert in_force == [version] == [card_in_force(cards, at).version]
    assert not any(span.in_force for span in spans(cards, at=datetime(2025, 1, 1, tzinfo=UTC)))


def test_a_standing_list_fills_the_time_after_one_that_ends() -> None:
    check([dated(1, "2026-01-01"), dated(2, "2026-02-01", "2026-03-01"), dated(3, "2026-04-01")])


def test_what_is_in_force_may_be_replaced_before_the_end_it_states_but_not_what_is_to_come() -> None:
    now = datetime(2026, 2, 15, tzinfo=UTC)
    old = dated(1, "2026-01-01", "2026-12-01")
    check([old, dated(2, "2026-03-01")], since=now)
    with pytest.raises(Refused) as caught:
        check([old, dated(2, "2026-12-02")], since=now)
    assert caught.value.code == "card_dates_gap"
    with pytest.raises(Refused) as caught:
        check([old, dated(2, "2026-03-01"), dated(3, "2026-03-01")], since=now)
    assert caught.value.code == "card_dates_overlap"
    with pytest.raises(Refused) as caught:
        check([old, dated(2, "2026-04-01"), dated(3, "2026-03-01", "2026-05-01")], since=now)
    assert (caught.value.code, caught.value.row) == ("card_dates_overlap", 2)
    ended = dated(1, "2026-01-01", "2026-02-01")
    check([ended, dated(2, "2026-02-15")], since=now)  # nothing is bought yet: from now on something is
