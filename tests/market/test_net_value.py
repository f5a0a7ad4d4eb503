"""Routing by net value: what terms cost, what they limit, and why an outlet was passed over."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airback.domain.money import MAX_FEN, PPM
from airback.market import channels as why
from airback.market.channels import Channel, Valuation, cost_ppm, fees_fen
from airback.market.matching import MOST_PASSED, Choice, Demand, DemandBook

NOW = datetime(2026, 11, 21, tzinfo=UTC)
FREE = Valuation(failure_ppm=0, reversal_ppm=0, day_ppm=0, hour_ppm=0)


def demand(id: int, outlet: str, price_ppm: int = 970_000, open_fen: int = 1_000_000) -> Demand:
    return Demand(id, outlet, "cmcc", f"199{id:08d}", price_ppm, open_fen, NOW + timedelta(hours=1))


def book(
    channels: list[Channel],
    demands: list[Demand],
    *,
    valuation: Valuation = FREE,
    unwell: dict[str, int] | None = None,
) -> DemandBook:
    made = DemandBook()
    made.know(channels, valuation, unwell or {})
    made.load(sorted(demands, key=lambda d: (-d.price_ppm, d.id)))
    return made


def match(
    made: DemandBook,
    face_fen: int = 10_000,
    *,
    whole: bool = True,
    least_ppm: int = 900_000,
    watched: bool = True,
    room: int = MAX_FEN,
    already: dict[str, int] | None = None,
) -> Choice:
    return made.match(
        carrier="cmcc",
        face_fen=face_fen,
        whole=whole,
        least_ppm=least_ppm,
        seller_number=None,
        not_before=NOW,
        room_fen=lambda outlet: room,
        watched=watched,
        already_fen=already or {},
    )


def outlets(choice: Choice) -> list[str]:
    return [one.demand.outlet for one in choice.matches]


def test_a_dear_outlet_that_charges_more_is_worth_less() -> None:
    made = book(
        [Channel(outlet="dear", fee_ppm=20_000), Channel(outlet="cheap")],
        [demand(1, "dear", 985_000), demand(2, "cheap", 970_000)],
    )
    choice = match(made)
    assert outlets(choice) == ["cheap"]
    assert choice.matches[0].worth_ppm == 970_000
    assert choice.passed == {"dear": (965_000, why.WORTH_LESS)}


def test_a_fixed_fee_weighs_on_small_orders_only() -> None:
    channels = [Channel(outlet="fixed", fee_fen=100), Channel(outlet="plain")]
    demands = [demand(1, "fixed", 975_000), demand(2, "plain", 970_000)]
    assert outlets(match(book(channels, demands), 10_000)) == ["plain"]
    assert outlets(match(book(channels, demands), 100_000)) == ["fixed"]


def test_what_often_fails_or_is_taken_back_is_worth_less() -> None:
    valuation = Valuation(failure_ppm=20_000, reversal_ppm=PPM, day_ppm=0, hour_ppm=0)
    poor = Channel(outlet="poor", success_ppm=900_000, reversal_ppm=1_000)
    assert cost_ppm(poor, valuation, watched=True) == 2_000 + 1_000
    made = book([poor], [demand(1, "poor", 972_000), demand(2, "good", 970_000)], valuation=valuation)
    assert outlets(match(made)) == ["good"]


def test_a_slow_outlet_is_worth_less_while_a_person_waits() -> None:
    valuation = Valuation(failure_ppm=0, reversal_ppm=0, day_ppm=0, hour_ppm=10_000)
    made = book(
        [Channel(outlet="slow", speed_s=1_800)],
        [demand(1, "slow", 972_000), demand(2, "fast", 970_000)],
        valuation=valuation,
    )
    assert outlets(match(made, watched=True)) == ["fast"]
    assert outlets(match(made, watched=False)) == ["slow"]


def test_equal_worth_goes_by_time() -> None:
    made = book(
        [Channel(outlet="b", fee_ppm=5_000)],
        [demand(2, "a", 970_000), demand(1, "b", 975_000), demand(3, "c", 970_000)],
    )
    assert outlets(match(made)) == ["b"]
    assert outlets(match(book([], [demand(2, "b"), demand(1, "a")]))) == ["a"]


def test_fees_never_take_a_price_below_the_floor() -> None:
    made = book([Channel(outlet="a", fee_ppm=10_000)], [demand(1, "a", 909_000)])
    choice = match(made, least_ppm=900_000)
    assert choice.matches == []
    assert choice.passed["a"][1] == why.BELOW_FLOOR


@pytest.mark.parametrize(
    ("channel", "reason"),
    [
        (Channel(outlet="a", paused=True), why.PAUSED),
        (Channel(outlet="a", carriers=frozenset({"ctcc", "cucc"})), why.CARRIER),
        (Channel(outlet="a", carriers=frozenset({"ctcc"}), own_network_only=True), why.NETWORK),
        (Channel(outlet="a", most_fen=9_999), why.ORDER_LIMIT),
        (Channel(outlet="a", least_fen=10_001), why.TOO_SMALL),
        (Channel(outlet="a", daily_left_fen=9_999), why.DAILY_LIMIT),
        (Channel(outlet="a", monthly_left_fen=9_999), why.MONTHLY_LIMIT),
        (Channel(outlet="a", per_minute=0), why.CAPACITY),
        (Channel(outlet="a", speed_s=3_600), why.TOO_LATE),
    ],
)
def test_each_limit_passes_an_outlet_over_and_says_which(channel: Channel, reason: str) -> None:
    choice = match(book([channel], [demand(1, "a", 990_000), demand(2, "b", 950_000)]))
    assert outlets(choice) == ["b"]
    assert choice.passed == {"a": (990_000, reason)}


def test_a_balance_is_cut_where_a_limit_is_and_goes_on_elsewhere() -> None:
    made = book([Channel(outlet="a", most_fen=4_000)], [demand(1, "a", 990_000), demand(2, "b", 950_000)])
    choice = match(made, whole=False)
    assert [(m.demand.outlet, m.face_fen) for m in choice.matches] == [("a", 4_000), ("b", 6_000)]


def test_what_an_order_has_at_an_outlet_already_counts_for_its_limit() -> None:
    made = book([Channel(outlet="a", most_fen=10_000)], [demand(1, "a", 990_000), demand(2, "b", 950_000)])
    assert outlets(match(made, 6_000, already={"a": 5_000})) == ["b"]


def test_limits_fold_forward_and_are_carried_on() -> None:
    made = book([Channel(outlet="a", daily_left_fen=25_000, per_minute=3)], [demand(1, "a")])
    for _ in range(2):
        (one,) = match(made).matches
        made.reserve(one)
    assert match(made).passed["a"][1] == why.DAILY_LIMIT
    assert (made.left()[0].daily_left_fen, made.left()[0].per_minute) == (5_000, 1)


def test_an_unwell_outlet_takes_one_small_probe_and_no_more() -> None:
    demands = [demand(1, "ill", 990_000), demand(2, "well", 950_000)]
    made = book([], demands, unwell={"ill": 5_000})
    assert match(made, 6_000).passed == {"ill": (990_000, why.PROBING)}
    (probe,) = match(made, 5_000).matches
    assert (probe.demand.outlet, made.reserve(probe)) == ("ill", True)
    assert match(made, 5_000).passed == {"ill": (990_000, why.RESTING)}
    (other,) = match(made, 5_000).matches
    assert made.reserve(other) is False


def test_two_parts_of_one_order_are_never_two_probes() -> None:
    made = book(
        [], [demand(1, "ill", 990_000, 3_000), demand(2, "ill", 980_000, 3_000)], unwell={"ill": 5_000}
    )
    assert match(made, 5_000, whole=False).matches == []


def test_few_outlets_are_kept_beside_a_decision() -> None:
    made = book([], [demand(n, f"o{n}", 990_000, 100) for n in range(1, 20)] + [demand(99, "big", 940_000)])
    assert len(match(made).passed) == MOST_PASSED


CHANNEL = st.builds(
    Channel,
    outlet=st.sampled_from("abcdef"),
    carriers=st.sampled_from([frozenset({"cmcc"}), frozenset({"cmcc", "ctcc"}), frozenset({"ctcc"})]),
    fee_ppm=st.integers(0, 30_000),
    fee_fen=st.sampled_from([0, 0, 7, 100]),
    least_fen=st.sampled_from([1, 1_000]),
    most_fen=st.integers(1_000, 60_000),
    daily_left_fen=st.integers(0, 120_000),
    monthly_left_fen=st.integers(0, 120_000),
    per_minute=st.integers(0, 5),
    success_ppm=st.integers(800_000, PPM),
    reversal_ppm=st.integers(0, 3_000),
    speed_s=st.sampled_from([0, 60, 7_200]),
)


@settings(max_examples=300)
@given(
    st.lists(CHANNEL, max_size=6, unique_by=lambda c: c.outlet),
    st.lists(
        st.tuples(st.sampled_from("abcdefgh"), st.integers(880_000, 999_999), st.integers(1, 50_000)),
        max_size=20,
    ),
    st.lists(st.tuples(st.integers(1, 60_000), st.booleans(), st.booleans()), max_size=15),
    st.integers(880_000, 960_000),
    st.integers(10_000, 300_000),
)
def test_no_order_passes_a_limit_a_deposit_or_the_floor(
    channels: list[Channel],
    wanted: list[tuple[str, int, int]],
    orders: list[tuple[int, bool, bool]],
    least_ppm: int,
    deposit_fen: int,
) -> None:
    made = book(channels, [demand(n, *one) for n, one in enumerate(wanted, 1)], valuation=Valuation())
    terms = {channel.outlet: channel for channel in channels}
    money = dict.fromkeys("abcdefgh", deposit_fen)
    taken: Counter[str] = Counter()
    fills: Counter[str] = Counter()
    for face, whole, watched in orders:
        choice = made.match(
            carrier="cmcc",
            face_fen=face,
            whole=whole,
            least_ppm=least_ppm,
            seller_number=None,
            not_before=NOW,
            room_fen=money.__getitem__,
            watched=watched,
        )
        assert sum(one.face_fen for one in choice.matches) in (0, face)
        of_order: Counter[str] = Counter()
        for one in choice.matches:
            outlet = one.demand.outlet
            channel = terms.get(outlet)
            left = one.pays_fen - (fees_fen(channel, one.face_fen) if channel else 0)
            assert left * PPM >= one.face_fen * least_ppm
            made.reserve(one)
            assert one.demand.open_fen >= 0
            money[outlet] -= one.pays_fen
            taken[outlet] += one.face_fen
            of_order[outlet] += one.face_fen
            fills[outlet] += 1
            if channel is not None:
                assert "cmcc" in channel.carriers
                assert one.face_fen >= channel.least_fen
        for outlet, channel in terms.items():
            assert of_order[outlet] <= channel.most_fen
    assert all(left >= 0 for left in money.values())
    for outlet, channel in terms.items():
        assert taken[outlet] <= min(channel.daily_left_fen, channel.monthly_left_fen)
        assert fills[outlet] <= channel.per_minute


@given(
    st.lists(CHANNEL, max_size=6, unique_by=lambda c: c.outlet),
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(880_000, 999_999)), max_size=20),
    st.integers(1_000, 60_000),
)
def test_a_card_goes_to_the_best_demand_that_may_take_it_and_ties_go_by_time(
    channels: list[Channel], wanted: list[tuple[str, int]], face: int
) -> None:
    demands = [demand(n, *one) for n, one in enumerate(wanted, 1)]
    made = book(channels, demands, valuation=Valuation())
    choice = match(made, face)
    every = {
        one.id: made.worth_ppm(one, watched=True, face_fen=face)
        for one in demands
        if match(book(channels, [replace(one)], valuation=Valuation()), face).matches
    }
    if not every:
        assert choice.matches == []
        return
    best = max(every, key=lambda id: (every[id], -id))
    assert [one.demand.id for one in choice.matches] == [best]


def test_a_channel_says_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="own network"):
        Channel(outlet="a", own_network_only=True)
    with pytest.raises(ValueError, match="share"):
        Channel(outlet="a", success_ppm=PPM + 1)
