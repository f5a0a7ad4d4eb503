"""Cards with every factor on, and any ask with any facts: what properties of prices are tried on."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from hypothesis import strategies as st

from airback.domain.assets import CARRIERS
from airback.pricing.cards import RateCard
from airback.pricing.facts import Cap, Facts
from airback.pricing.formula import CHINA, Terms
from tests.pricing.desk import NOW, card

TODAY: Final = NOW.astimezone(CHINA).date()
CLASSES: Final = ("basic", "silver", "gold")

_CHARGE: Final = {
    "name": "custody", "zh": "托管费", "en": "Custody", "on": True, "source": "own", "note": "x", "range_ppm": [0, 10_000],
    "rate_ppm": 7_001, "fixed_fen": 13, "assets": None,
}  # fmt: skip
ALL_ON: Final[dict[str, Any]] = {"factors__promotion__on": True, "factors__competition__on": True}

CARDS: Final[tuple[RateCard, ...]] = (
    card(),
    card(**ALL_ON),
    card(**ALL_ON, factors__face__switch=True, charges=[_CHARGE], fee__least_fen=137, rails__alipay__fixed_fen=3),
    card(**ALL_ON, factors__bounds__on=False, fee__rate_ppm=33_333, factors__validity__step_ppm=17_777),
    card(**ALL_ON, factors__outlet__subsidy_ppm=25_000, factors__validity__unstated_days={"balance": 45, "card": 0}),
    card(factors__standing__on=False, factors__demand__on=False, factors__cap__on=False, factors__outlet__on=False),
    card(factors__face__on=False, factors__validity__on=False, factors__region__on=False),
    card(**ALL_ON, charges=[_CHARGE | {"assets": ["cucc.card", "cmcc.balance"]}], factors__validity__full_days=20),
    card(factors__standing=None, factors__demand=None, factors__cap=None, factors__outlet=None),
)  # fmt: skip


def document_with_facts(**changes: Any) -> Facts:
    """Facts, unknown but for what is named."""
    return Facts(**changes)


any_facts = st.builds(
    Facts,
    seller_class=st.none() | st.sampled_from([*CLASSES, "unheard_of"]),
    demand_fen=st.none() | st.integers(0, 300_000_000),
    outlet_ppm=st.none() | st.integers(0, 1_000_000) | st.integers(800_000, 1_000_000),
    cap=st.none() | st.builds(Cap, st.integers(0, 1_000_000), st.just("双十一")),
    agreed_ppm=st.none() | st.integers(0, 1_000_000) | st.integers(800_000, 1_000_000),
)

any_terms = st.builds(
    Terms,
    product=st.sampled_from(["balance", "card"]),
    carrier=st.sampled_from(sorted(CARRIERS)),
    face_fen=st.integers(1, 600_000) | st.sampled_from([1_000, 5_000, 5_001, 10_000, 9_999, 50_000]),
    expires_on=st.none() | st.dates(TODAY - timedelta(days=2), TODAY + timedelta(days=400)),
    province=st.none() | st.sampled_from(["11", "4401", "44", "52", "99", "tier3", "tier9"]),
    rail=st.sampled_from(["alipay", "alipay", "credit", "bank", "cheque"]),
    at=st.just(NOW),
    band_face_fen=st.just(0),
    facts=any_facts,
).map(lambda terms: replace(terms, band_face_fen=terms.face_fen))

#: Asks that are about something: priced, unless a bound leaves nothing.
sold_terms = any_terms.map(
    lambda terms: replace(
        terms,
        face_fen=max(terms.face_fen, 1_000),
        band_face_fen=max(terms.face_fen, 1_000),
        rail="alipay" if terms.rail not in ("alipay", "credit") else terms.rail,
        expires_on=None if terms.expires_on is None else max(terms.expires_on, TODAY),
    )
)
