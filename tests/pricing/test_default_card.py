"""The default card keeps to the trade's figures all over the range that people sell in."""

from datetime import timedelta
from itertools import pairwise

import pytest

from airback.domain.assets import CARRIERS
from airback.domain.money import PPM
from airback.pricing.cards import DEFAULT_CARD, parse_card
from airback.pricing.formula import CHINA, Price, Terms, price
from tests.pricing.desk import NOW

CARD = parse_card(DEFAULT_CARD)
FACES = range(3_000, 50_001, 500)
DAYS = (30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 330, 365)
TIERS = ("1", "2", "3", "4", "5")
ASSETS = [(product, carrier) for product in ("balance", "card") for carrier in CARRIERS]


def found(product: str, carrier: str, *, face_fen: int, days: int, tier: str) -> Price:
    expires_on = NOW.astimezone(CHINA).date() + timedelta(days=days)
    terms = Terms(product, carrier, face_fen, expires_on, f"tier{tier}", "alipay", NOW, face_fen)
    return price(card=CARD, terms=terms)


def exact_ppm(one: Price) -> int:
    """What is paid of a million of face value, before amounts are rounded to fen."""
    rates = {line["name"]: line["rate_ppm"] for line in one.lines}
    rail = rates.pop("rail:alipay")
    return sum(rates.values()) * (PPM + rail) // PPM


@pytest.mark.parametrize(("product", "carrier"), ASSETS)
def test_no_bound_bites_where_people_sell(product: str, carrier: str) -> None:
    for face_fen in FACES:
        for days in DAYS:
            for tier in TIERS:
                one = found(product, carrier, face_fen=face_fen, days=days, tier=tier)
                assert "bounds" not in {line["name"] for line in one.lines}


@pytest.mark.parametrize(("product", "carrier"), ASSETS)
def test_each_thirty_days_move_what_is_paid_by_the_trades_percentage(product: str, carrier: str) -> None:
    for face_fen in (3_000, 5_000, 7_000, 10_000, 50_000):
        for tier in TIERS:
            rates = [
                exact_ppm(found(product, carrier, face_fen=face_fen, days=days, tier=tier))
                for days in range(35, 366, 30)
            ]
            for less, more in pairwise(rates):
                assert 12_000 <= (more - less) * PPM // more <= 28_000


@pytest.mark.parametrize(("product", "carrier"), ASSETS)
def test_smaller_cities_are_paid_more_by_the_trades_percentage(product: str, carrier: str) -> None:
    for face_fen in (3_000, 5_000, 7_000, 10_000, 50_000):
        for days in DAYS:
            first = exact_ppm(found(product, carrier, face_fen=face_fen, days=days, tier="1"))
            for tier in ("3", "4", "5"):
                other = exact_ppm(found(product, carrier, face_fen=face_fen, days=days, tier=tier))
                assert 50_000 <= (other - first) * PPM // first <= 80_000
