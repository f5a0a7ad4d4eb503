"""Published cards follow one another: no two at the same time, no time between two without one."""

import pytest

from airback.domain.refusals import Refused
from airback.pricing.cards import RateCard
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
            [dated(0 + 1, "2026-01-01"), dated(2, "2026-02-01", "2026-03-01"), dated(3, "2026-03-02")],
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


def test_each_card_has_the_end_it_really_has() -> None:
    found = spans([dated(3, "2026-05-01"), dated(1, "2026-01-01"), dated(2, "2026-02-01", "2026-03-01")])
    ends = [(span.card.version, span.until and span.until.isoformat()[:10]) for span in found]
    assert ends == [(1, "2026-02-01"), (2, "2026-03-01"), (3, None)]
    first, second, third = found
    assert first.holds(first.card.effective_from) and not first.holds(second.card.effective_from)
    assert third.holds(third.card.effective_from) and not second.holds(third.card.effective_from)
