"""Matching: price, then time; whole cards; outlets' money; nothing below the seller's price."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from airback.domain.money import share_floor
from airback.market.matching import Demand, DemandBook, Match

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def demand(
    number: int, price_ppm: int = 980_000, open_fen: int = 10_000, outlet: str = "a", minutes: int = 60
) -> Demand:
    return Demand(
        number, outlet, "cmcc", f"199{number:08d}", price_ppm, open_fen, NOW + timedelta(minutes=minutes)
    )


def match(
    book: DemandBook,
    face_fen: int,
    *,
    whole: bool = False,
    least_ppm: int = 900_000,
    room: int = 10**9,
    seller: str | None = None,
) -> list[Match]:
    return book.match(
        carrier="cmcc",
        face_fen=face_fen,
        whole=whole,
        least_ppm=least_ppm,
        seller_number=seller,
        not_before=NOW,
        room_fen=lambda outlet: room,
    ).matches


def book(*demands: Demand) -> DemandBook:
    made = DemandBook()
    for one in demands:
        made.add(one)
    return made


def test_the_dearest_demand_comes_first_then_the_oldest() -> None:
    made = book(demand(3, 970_000), demand(2, 990_000), demand(1, 970_000))
    assert [m.demand.id for m in match(made, 25_000)] == [2, 1, 3]


def test_all_of_an_order_is_matched_or_none_of_it() -> None:
    assert match(book(demand(1), demand(2)), 20_001) == []


def test_a_card_needs_one_demand_with_room_for_all_of_it() -> None:
    made = book(demand(1, 990_000, 5_000), demand(2, 980_000, 10_000))
    assert [m.demand.id for m in match(made, 10_000, whole=True)] == [2]


def test_demands_that_lose_money_are_late_or_are_the_sellers_own_are_passed_over() -> None:
    made = book(demand(1, 899_999), demand(2, minutes=0), demand(3))
    assert match(made, 10_000, seller="19900000003") == []


def test_an_outlets_money_counts_over_all_its_demands() -> None:
    made = book(demand(1), demand(2), demand(3, 950_000, outlet="b"))
    assert [m.demand.outlet for m in match(made, 20_000, room=9_800)] == ["a", "b"]


def test_a_part_that_came_to_nothing_is_wanted_again_at_its_old_place() -> None:
    made = book(demand(1, 990_000), demand(2, 980_000))
    (first,) = match(made, 10_000)
    made.reserve(first)
    assert [m.demand.id for m in match(made, 10_000)] == [2]
    made.reopen(demand(1, 990_000, 0), 10_000)
    assert [m.demand.id for m in match(made, 10_000)] == [1]
    assert made.changed[1].open_fen == 10_000


@given(
    st.lists(st.tuples(st.integers(1, 1_000_000), st.integers(1, 50_000)), max_size=30),
    st.lists(st.tuples(st.integers(1, 60_000), st.booleans()), max_size=30),
)
def test_reserved_parts_never_exceed_what_was_wanted(
    demands: list[tuple[int, int]], orders: list[tuple[int, bool]]
) -> None:
    made = book(*(demand(i, price, amount) for i, (price, amount) in enumerate(demands, 1)))
    wanted = {i: amount for i, (_, amount) in enumerate(demands, 1)}
    taken = dict.fromkeys(wanted, 0)
    for face, whole in orders:
        matches = match(made, face, whole=whole, least_ppm=1)
        assert sum(m.face_fen for m in matches) in (0, face)
        assert not whole or len(matches) <= 1
        for one in matches:
            assert one.pays_fen == share_floor(one.face_fen, one.demand.price_ppm) > 0
            taken[one.demand.id] += one.face_fen
            made.reserve(one)
    assert all(taken[i] <= wanted[i] for i in wanted)


def test_rounding_never_takes_a_price_below_the_least() -> None:
    tiny = [demand(n, 980_000, 2) for n in range(1, 6)]
    assert match(book(*tiny), 10, least_ppm=900_000) == []  # each would pay one fen for two


def test_what_is_left_for_the_next_demand_is_worth_its_rounding() -> None:
    made = match(book(demand(1, 980_000, 9_999), demand(2, 980_000, 10_000)), 10_000)
    assert [m.face_fen for m in made] == [9_900, 100]
    assert sum(m.pays_fen for m in made) * 1_000_000 >= 10_000 * 900_000


def test_a_withdrawn_demand_is_neither_matched_nor_reopened() -> None:
    made = book(demand(1), demand(2))
    made.withdraw(1)
    assert [m.demand.id for m in match(made, 5_000)] == [2]
    made.reopen(demand(1, open_fen=0), 5_000)
    assert [m.demand.id for m in match(made, 5_000)] == [2]
    assert 1 not in made.changed
