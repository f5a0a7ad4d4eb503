"""One rate card after another: no moment has two that were promised their days, none has no card."""

from datetime import UTC, datetime, timedelta

import pytest

from airback.domain.refusals import Refused
from airback.pricing.cards import RateCard
from airback.pricing.schedule import check_schedule
from tests.pricing.desk import card

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def dated(begins: int, ends: int | None = None, *, version: int = 1) -> RateCard:
    """A card in force from that many days from now, to that many."""

    def day(days: int) -> str:
        return (NOW + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")

    return card(
        version=version, effective_from=day(begins), effective_until=None if ends is None else day(ends)
    )


STANDING = dated(-30)


@pytest.mark.parametrize(
    ("published", "candidate"),
    [
        ([], dated(0)),
        ([], dated(3)),
        ([STANDING], dated(0)),
        ([STANDING], dated(3)),
        ([STANDING, dated(5)], dated(3)),
        ([STANDING, dated(5)], dated(7)),
        # the days of a campaign, what follows it is there already
        ([STANDING, dated(5)], dated(3, 5)),
        ([STANDING, dated(5)], dated(0, 5)),
        ([STANDING, dated(3, 5), dated(5)], dated(9)),
        # what takes effect at once may replace what was promised its days
        ([dated(-1, 5), dated(5)], dated(0)),
        # what is over promises nothing
        ([dated(-9, -5), STANDING], dated(3)),
    ],
)
def test_a_card_that_fits_is_let_through(published: list[RateCard], candidate: RateCard) -> None:
    check_schedule(published, candidate, now=NOW)


@pytest.mark.parametrize(
    ("published", "candidate", "code", "field"),
    [
        ([STANDING, dated(3)], dated(3), "card_overlap", "effective_at"),
        ([STANDING, dated(3, 5), dated(5)], dated(4), "card_overlap", "effective_at"),
        ([dated(-1, 5), dated(5)], dated(4), "card_overlap", "effective_at"),
        ([STANDING, dated(4), dated(5)], dated(3, 5), "card_overlap", "effective_until"),
        ([STANDING, dated(4)], dated(3, 5), "card_overlap", "effective_until"),
        ([STANDING], dated(3, 5), "card_gap", "effective_until"),
        ([STANDING], dated(0, 5), "card_gap", "effective_until"),
        ([STANDING, dated(6)], dated(3, 5), "card_gap", "effective_until"),
        ([], dated(0, 5), "card_gap", "effective_until"),
        ([dated(-9, 2)], dated(3), "card_gap", "effective_at"),
        ([dated(2)], dated(3), "card_gap", "effective_at"),
    ],
)
def test_a_card_that_would_leave_two_prices_or_none_is_refused(
    published: list[RateCard], candidate: RateCard, code: str, field: str
) -> None:
    with pytest.raises(Refused) as refused:
        check_schedule(published, candidate, now=NOW)
    assert (refused.value.code, refused.value.field) == (code, field)


def test_a_card_comes_in_the_place_of_a_scheduled_one_at_its_moment() -> None:
    published = [STANDING, dated(3, 5, version=2), dated(5, version=3)]
    check_schedule(published, dated(5), now=NOW, replaces=3)
    check_schedule(published, dated(3, 5), now=NOW, replaces=2)
    with pytest.raises(Refused) as refused:  # what follows the one it replaces has to follow it as well
        check_schedule(published, dated(3, 4), now=NOW, replaces=2)
    assert refused.value.code == "card_gap"


@pytest.mark.parametrize(("begins", "replaces"), [(4, 2), (3, 9), (0, 1), (3, 1)])
def test_what_is_not_scheduled_for_that_moment_cannot_be_replaced(begins: int, replaces: int) -> None:
    with pytest.raises(Refused) as refused:
        check_schedule([STANDING, dated(3, version=2)], dated(begins), now=NOW, replaces=replaces)
    assert (refused.value.code, refused.value.field) == ("field_invalid", "replaces")
