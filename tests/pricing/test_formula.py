"""The formula: worked figures for each factor, and what must hold for every ask."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airback.domain.assets import CARRIERS
from airback.domain.refusals import Refused
from airback.pricing.cards import RateCard
from airback.pricing.formula import Price, Terms, price
from airback.pricing.quotes import QuoteAsk
from tests.pricing.desk import BALANCE, CARD, NOW, card

TODAY = date(2026, 11, 21)
PLAIN: dict[str, Any] = {"expires_on": None, "province": None}


def terms(ask: QuoteAsk, **changes: Any) -> Terms:
    ask = replace(ask, **changes)
    return Terms(
        ask.product, ask.carrier, ask.face_fen, ask.expires_on, ask.province, ask.rail, NOW, ask.face_fen
    )


def lines(found: Price) -> dict[str, tuple[int, int]]:
    return {line["name"]: (line["rate_ppm"], line["amount_fen"]) for line in found.lines}


def test_a_price_worked_by_hand() -> None:
    """100 yuan at China Mobile, 50 days left of 180: four steps of 2 % of 90 %; Guangzhou; Alipay."""
    found = price(card=card(), terms=terms(BALANCE))
    assert lines(found) == {
        "base": (900_000, 9_000),
        "face": (0, 0),
        "validity": (-72_000, -720),
        "region": (0, 0),
        "fee": (-30_000, -300),
        "rail:alipay": (-4_300, -35),  # 79.80 × 0.43 % = 0.34314, rounded up
    }
    assert (found.rate_ppm, found.gross_fen, found.fee_fen, found.rail_cost_fen, found.net_fen) == (
        828_000, 8_280, 300, 35, 7_945,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("face_fen", "points"),
    [(1_000, -40_000), (5_000, -40_000), (5_001, -20_000), (9_999, -20_000), (10_000, 0)],
)
def test_a_small_face_has_a_lower_rate(face_fen: int, points: int) -> None:
    assert lines(price(card=card(), terms=terms(BALANCE, face_fen=face_fen)))["face"][0] == points


@pytest.mark.parametrize(
    ("days_left", "ppm"), [(0, -108_000), (29, -90_000), (30, -90_000), (31, -72_000), (150, -18_000), (151, 0), (180, 0), (9_999, 0)]
)  # fmt: skip
def test_each_missing_thirty_days_lower_the_price(days_left: int, ppm: int) -> None:
    ask = terms(BALANCE, expires_on=TODAY + timedelta(days=days_left))
    assert lines(price(card=card(), terms=ask))["validity"][0] == ppm


def test_validity_counts_days_as_they_are_in_china() -> None:
    late = replace(
        terms(BALANCE, expires_on=date(2027, 4, 21)), at=NOW.replace(hour=17)
    )  # 1 o'clock on the 22nd
    assert lines(price(card=card(), terms=late))["validity"][0] == -18_000


def test_a_validity_that_is_not_stated_is_taken_as_full_and_says_so() -> None:
    found = price(card=card(), terms=terms(BALANCE, expires_on=None))
    (line,) = (line for line in found.lines if line["name"] == "validity")
    assert line["amount_fen"] == 0
    assert "未注明" in line["zh"]
    assert "not stated" in line["en"]


def test_a_card_may_say_how_many_days_an_unstated_validity_counts_as() -> None:
    strict = card(factors__validity__unstated_days={"balance": None, "card": 60})
    found = price(card=strict, terms=terms(CARD, expires_on=None))
    assert lines(found)["validity"][0] == -73_600  # four steps of 2 % of 92 %
    assert any("60" in line["zh"] for line in found.lines)
    assert lines(price(card=strict, terms=terms(BALANCE, expires_on=None)))["validity"][0] == 0


@pytest.mark.parametrize(
    ("province", "ppm"), [("4403", 0), ("44", 27_000), ("52", 54_000), ("99", 0), (None, 0)]
)
def test_smaller_cities_have_a_higher_rate(province: str | None, ppm: int) -> None:
    low = card(factors__base__rates_ppm={"cmcc.balance": 900_000}, factors__bounds__on=False)
    assert lines(price(card=low, terms=terms(BALANCE, province=province)))["region"][0] == ppm


def test_a_promotion_counts_only_while_it_runs() -> None:
    running = card(
        factors__promotion__on=True,
        factors__promotion__from="2026-11-21T12:00:00Z",
        factors__promotion__until="2026-11-21T12:00:01Z",
    )
    assert lines(price(card=running, terms=terms(BALANCE, **PLAIN)))["promotion"] == (-90_000, -900)
    for moment in (NOW - timedelta(seconds=1), NOW + timedelta(seconds=1)):
        assert "promotion" not in lines(
            price(card=running, terms=replace(terms(BALANCE, **PLAIN), at=moment))
        )


def test_competition_raises_the_rate_when_it_is_on() -> None:
    on = card(factors__competition__on=True)
    assert lines(price(card=on, terms=terms(BALANCE, **PLAIN)))["competition"] == (18_000, 180)


def test_the_rate_stays_between_its_bounds_and_the_line_says_so() -> None:
    rich = price(card=card(), terms=terms(CARD, expires_on=None, province="52"))
    assert rich.rate_ppm == 950_000
    assert lines(rich)["bounds"] == (-25_200, -252)
    poor = price(card=card(factors__bounds__least_ppm=840_000), terms=terms(BALANCE))
    assert (poor.rate_ppm, lines(poor)["bounds"]) == (840_000, (12_000, 120))
    assert "bounds" not in lines(price(card=card(), terms=terms(BALANCE)))


@pytest.mark.parametrize("name", ["face", "validity", "region", "bounds"])
def test_a_factor_that_is_off_has_no_line(name: str) -> None:
    off = card(**{f"factors__{name}__on": False})
    assert name not in lines(price(card=off, terms=terms(CARD, province="52")))


def test_the_fee_is_at_least_the_least_fee() -> None:
    dear = card(fee__least_fen=500)
    assert price(card=dear, terms=terms(BALANCE, **PLAIN)).fee_fen == 500
    assert price(card=dear, terms=terms(BALANCE, **PLAIN, face_fen=100_000)).fee_fen == 3_000


CHARGE = {
    "name": "custody", "zh": "托管费", "en": "Custody", "on": True, "source": "own", "note": "-", "range_ppm": [0, 0],
    "rate_ppm": 10_000, "fixed_fen": 7, "assets": ["cucc.balance"],
}  # fmt: skip


def test_a_charge_is_a_line_of_its_own_and_part_of_the_fee() -> None:
    charging = card(charges=[CHARGE])
    found = price(card=charging, terms=terms(BALANCE, **PLAIN, carrier="cucc"))
    assert lines(found)["charge:custody"] == (-10_000, -107)
    assert found.fee_fen == 300 + 107
    assert "charge:custody" not in lines(price(card=charging, terms=terms(BALANCE, **PLAIN)))


def test_a_rails_fixed_amount_is_part_of_its_cost() -> None:
    fixed = card(rails__alipay__fixed_fen=10)
    plain = price(card=card(), terms=terms(BALANCE)).rail_cost_fen
    assert price(card=fixed, terms=terms(BALANCE)).rail_cost_fen == plain + 10


@pytest.mark.parametrize(
    ("changes", "ask", "code"),
    [
        ({"factors__base__rates_ppm": {"cmcc.card": 900_000}}, {}, "not_bought"),
        ({}, {"rail": "cheque"}, "rail_unavailable"),
        ({}, {"rail": "bank"}, "rail_unavailable"),
        ({"fee__least_fen": 8_280}, {}, "amount_below_minimum"),
        ({"rails__alipay__fixed_fen": 7_980}, {}, "amount_below_minimum"),
        ({"fee__rate_ppm": 1_000_000}, {}, "amount_below_minimum"),
    ],
)
def test_what_has_no_price_is_refused(changes: dict[str, Any], ask: dict[str, Any], code: str) -> None:
    with pytest.raises(Refused) as caught:
        price(card=card(**changes), terms=terms(BALANCE, **ask))
    assert caught.value.code == code


def test_delivered_airtime_always_nets_a_fen() -> None:
    for greedy in (
        card(fee__rate_ppm=1_000_000),
        card(rails__alipay__fixed_fen=10**9),
        card(fee__least_fen=10**9),
    ):
        for face_fen in (1, 2, 100, 10_000):
            found = price(card=greedy, terms=terms(BALANCE, face_fen=face_fen), delivered=True)
            assert found.net_fen == 1
            assert sum(line["amount_fen"] for line in found.lines) == 1
            assert min(found.gross_fen, 1) == 1
            assert min(found.fee_fen, found.rail_cost_fen) >= 0


# -- for every ask

CARDS = [
    card(),
    card(factors__face__switch=True, factors__competition__on=True, factors__promotion__on=True),
    card(fee__least_fen=137, charges=[CHARGE | {"assets": None}], rails__alipay__fixed_fen=3),
    card(factors__bounds__on=False, fee__rate_ppm=33_333, rails__alipay__rate_ppm=7_777, factors__validity__step_ppm=17_777),
]  # fmt: skip

any_card = st.sampled_from(CARDS)
any_terms = st.builds(
    Terms,
    product=st.sampled_from(["balance", "card"]),
    carrier=st.sampled_from(sorted(CARRIERS)),
    face_fen=st.integers(1_000, 500_000),
    expires_on=st.none() | st.dates(TODAY, TODAY + timedelta(days=400)),
    province=st.none() | st.sampled_from(["11", "4401", "44", "52", "99"]),
    rail=st.sampled_from(["alipay", "credit"]),
    at=st.just(NOW),
    band_face_fen=st.just(10_000),
).map(lambda t: replace(t, band_face_fen=t.face_fen))


@given(any_card, any_terms)
def test_the_lines_sum_to_the_net_and_each_part_adds_up(rate_card: RateCard, asked: Terms) -> None:
    found = price(card=rate_card, terms=asked)
    assert sum(line["amount_fen"] for line in found.lines) == found.net_fen
    assert found.gross_fen - found.fee_fen - found.rail_cost_fen == found.net_fen
    costs = {
        line["name"]: line["amount_fen"]
        for line in found.lines
        if line["name"].startswith(("fee", "charge:"))
    }
    assert -sum(costs.values()) == found.fee_fen
    assert -found.lines[-1]["amount_fen"] == found.rail_cost_fen
    assert found.net_fen >= 1
    assert min(found.fee_fen, found.rail_cost_fen) >= 0
    assert all(type(line["amount_fen"]) is int and type(line["rate_ppm"]) is int for line in found.lines)


@given(any_card, any_terms)
def test_each_rounding_is_less_than_a_fen(rate_card: RateCard, asked: Terms) -> None:
    found = price(card=rate_card, terms=asked)
    assert 0 <= asked.face_fen * found.rate_ppm - found.gross_fen * 1_000_000 < 1_000_000
    rail = rate_card.rails[asked.rail]
    payment_fen = found.gross_fen - found.fee_fen
    excess = (found.rail_cost_fen - rail.fixed_fen) * 1_000_000 - payment_fen * rail.rate_ppm
    assert 0 <= excess < 1_000_000


@given(any_card, any_terms, st.integers(1, 50_000))
def test_a_higher_face_never_nets_less_within_a_band(
    rate_card: RateCard, asked: Terms, more_fen: int
) -> None:
    higher = replace(
        asked, face_fen=asked.face_fen + more_fen
    )  # the band stays: `band_face_fen` is unchanged
    assert price(card=rate_card, terms=higher).net_fen >= price(card=rate_card, terms=asked).net_fen


@given(any_card, any_terms, st.integers(1, 300))
def test_a_later_expiry_never_nets_less(rate_card: RateCard, asked: Terms, days: int) -> None:
    if asked.expires_on is None:
        asked = replace(asked, expires_on=TODAY)
    assert asked.expires_on is not None
    later = replace(asked, expires_on=asked.expires_on + timedelta(days=days))
    assert price(card=rate_card, terms=later).net_fen >= price(card=rate_card, terms=asked).net_fen
