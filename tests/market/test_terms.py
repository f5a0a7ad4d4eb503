"""Outlets' terms: what is refused by name, what a price is, and that the documents' profiles stay what they say."""

from typing import Any

import pytest

from airback.domain.refusals import Refused
from airback.market.profiles import PROFILES
from airback.market.terms import ChannelKind, parse_terms

GOOD: dict[str, Any] = {
    "kind": "vertical",
    "source": "合同 2026-11",
    "rates": [
        {"carrier": "cmcc", "product": "card", "least_fen": 100, "most_fen": 4_999, "price_ppm": 850_000},
        {"carrier": "cmcc", "product": "card", "least_fen": 5_000, "most_fen": 50_000, "price_ppm": 880_000},
    ],
    "order_least_fen": 1_000,
    "order_most_fen": 50_000,
    "daily_fen": 1_000_000,
    "monthly_fen": None,
    "own_network": None,
    "delay_s": 5,
    "fee_ppm": 10_000,
    "fee_fen": 3,
    "funds": "bank",
    "per_minute": 60,
    "settle_from_days": 0,
    "settle_to_days": 1,
}
RATE = GOOD["rates"][0]


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"source": "  "}, "outlet_source_missing", "source"),
        ({"source": None}, "outlet_source_missing", "source"),
        ({"kind": "moon"}, "field_invalid", "kind"),
        ({"kind": None}, "field_missing", "kind"),
        ({"funds": "gold"}, "field_invalid", "funds"),
        ({"own_network": "marsmobile"}, "carrier_unknown", "own_network"),
        ({"kind": "carrier_own"}, "field_missing", "own_network"),
        ({"own_network": "cbn"}, "outlet_limits_contradict", "rates[1].carrier"),
        ({"order_most_fen": None}, "outlet_without_limits", "order_most_fen"),
        ({"daily_fen": None}, "outlet_without_limits", "daily_fen"),
        ({"order_least_fen": 60_000}, "outlet_limits_contradict", "order_least_fen"),
        ({"daily_fen": 40_000}, "outlet_limits_contradict", "order_most_fen"),
        ({"monthly_fen": 900_000}, "outlet_limits_contradict", "daily_fen"),
        ({"settle_from_days": 2}, "outlet_settlement_malformed", "settle_from_days"),
        ({"rates": []}, "outlet_rates_missing", "rates"),
        ({"rates": [{**RATE, "price_ppm": 1_000_001}]}, "outlet_rate_above_face", "rates[1].price_ppm"),
        ({"rates": [{**RATE, "price_ppm": 0}]}, "field_invalid", "rates[1].price_ppm"),
        ({"rates": [{**RATE, "price_ppm": True}]}, "field_invalid", "rates[1].price_ppm"),
        ({"rates": [{**RATE, "carrier": "x"}]}, "carrier_unknown", "rates[1].carrier"),
        ({"rates": [{**RATE, "product": "gift"}]}, "field_invalid", "rates[1].product"),
        ({"rates": [RATE, {**RATE, "least_fen": 4_999, "most_fen": 9_000}]}, "outlet_rates_overlap", "rates[2]"),
        ({"rates": [{**RATE, "most_fen": 50}]}, "outlet_limits_contradict", "rates[1]"),
        ({"rates": [{**RATE, "colour": 1}]}, "field_invalid", "rates[1]"),
        ({"fee_ppm": 1_000_001}, "field_invalid", "fee_ppm"),
        ({"per_minute": 0}, "field_invalid", "per_minute"),
        ({"success_ppm": 1_000_000}, "field_invalid", "success_ppm"),  # counted from fills, never typed in
    ],
)  # fmt: skip
def test_each_wrong_document_is_refused_by_name(changes: dict[str, Any], code: str, field: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_terms({**GOOD, **changes})
    assert (refused.value.code, refused.value.field) == (code, field)


def test_a_price_is_of_its_band_and_of_nothing_else() -> None:
    terms = parse_terms(GOOD)
    price = {"carrier": "cmcc", "product": "card"}
    assert terms.price_ppm(**price, face_fen=4_999) == 850_000
    assert terms.price_ppm(**price, face_fen=5_000) == 880_000
    assert terms.price_ppm(**price, face_fen=999) is None  # below what it takes at least
    assert terms.price_ppm(**price, face_fen=50_001) is None
    assert terms.price_ppm(carrier="cmcc", product="balance", face_fen=5_000) is None
    assert terms.price_ppm(carrier="cbn", product="card", face_fen=5_000) is None


def test_every_kind_has_a_profile_and_what_the_documents_leave_open_stays_open() -> None:
    assert set(PROFILES) == set(ChannelKind)
    for profile in PROFILES.values():
        document = profile.draft(carrier="cmcc" if profile.own_network else None)
        assert document["daily_fen"] is None and document["per_minute"] is None
        with pytest.raises(Refused):
            parse_terms(document)


def test_a_profile_with_the_blanks_filled_in_is_good_terms() -> None:
    for kind in (ChannelKind.SECOND_HAND, ChannelKind.PAYMENT, ChannelKind.VERTICAL, ChannelKind.CARRIER_OWN):
        profile = PROFILES[kind]
        filled = profile.draft(carrier="cmcc") | {
            "per_minute": 60,
            "settle_from_days": 0,
            "settle_to_days": 1,
        }
        filled |= {"daily_fen": filled["order_most_fen"], "funds": filled["funds"] or "bank"}
        terms = parse_terms(filled)
        assert (
            terms.price_ppm(carrier="cmcc", product="balance", face_fen=10_000)
            == (profile.rate_ppm or (0,))[0]
        )


def test_the_documents_figures() -> None:
    limits = {kind: profile.order_most_fen for kind, profile in PROFILES.items()}
    assert limits == {
        "second_hand": 50_000, "payment": 100_000, "vertical": 500_000, "carrier_own": 50_000,
        "third_party": 500_000, "social": 200_000, "reseller": None,
    }  # fmt: skip
    assert PROFILES[ChannelKind.PAYMENT].rate_ppm == (900_000, 970_000)
    assert PROFILES[ChannelKind.CARRIER_OWN].fee_ppm == (50_000, 80_000)
    assert PROFILES[ChannelKind.SOCIAL].settle_days == (0, 3)
