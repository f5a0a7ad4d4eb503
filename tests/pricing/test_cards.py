"""Rate cards: what the default says, what a card may not say, which one counts."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airback.domain.refusals import Refused
from airback.pricing.cards import DEFAULT_CARD, card_in_force, outside_sources, parse_card
from tests.pricing.desk import NOW, card, document


def test_the_default_card_is_json_and_every_figure_is_in_the_range_its_source_gives() -> None:
    assert json.loads(json.dumps(DEFAULT_CARD)) == DEFAULT_CARD
    assert outside_sources(parse_card(DEFAULT_CARD)) == []


def test_every_figure_of_the_default_card_has_a_source_and_a_note() -> None:
    parts = [
        *DEFAULT_CARD["factors"].values(), DEFAULT_CARD["fee"], DEFAULT_CARD["limits"], *DEFAULT_CARD["rails"].values()
    ]  # fmt: skip
    assert len(parts) >= 13
    for part in parts:
        assert part["source"] in DEFAULT_CARD["sources"]
        assert part["note"]


def test_the_default_card_has_the_ranges_of_the_founding_documents() -> None:
    factors = DEFAULT_CARD["factors"]
    assert factors["base"]["range_ppm"] == [820_000, 950_000]
    assert factors["face"]["range_ppm"] == [-50_000, 0]
    assert factors["validity"]["range_ppm"] == [12_000, 28_000]
    assert factors["region"]["range_ppm"] == [0, 80_000]
    assert factors["promotion"]["range_ppm"] == [-150_000, 0]
    assert DEFAULT_CARD["fee"]["range_ppm"] == [30_000, 80_000]
    assert DEFAULT_CARD["rails"]["bank"]["range_ppm"] == [6_000, 12_000]


def test_the_default_card_buys_the_faces_that_are_sold() -> None:
    assert parse_card(DEFAULT_CARD).card_faces_fen == {1000, 2000, 3000, 5000, 10000, 20000, 30000, 50000}


def test_a_figure_outside_its_sources_range_is_pointed_out_and_not_refused() -> None:
    far = card(fee__rate_ppm=120_000, factors__validity__step_ppm=1_000, rails__bank__rate_ppm=20_000)
    assert outside_sources(far) == ["factors.validity", "fee", "rails.bank"]


def test_the_switch_of_the_face_factor_turns_its_sign() -> None:
    assert card().face.rate_ppm(5_000) == -40_000
    turned = card(factors__face__switch=True)
    assert turned.face.rate_ppm(5_000) == 40_000
    assert outside_sources(turned) == []


@pytest.mark.parametrize(
    ("place", "tier"), [("11", "1"), ("440100", "1"), ("4401", "1"), ("4406", "2"), ("44", "2"), ("61", "3"), ("99", None), ("1", None), ("", None)]
)  # fmt: skip
def test_a_place_has_the_tier_of_its_longest_named_prefix(place: str, tier: str | None) -> None:
    assert card().region.tier(place) == tier


FAULTS: list[tuple[dict[str, Any], str, str]] = [
    ({"v": 2}, "field_invalid", "v"),
    ({"version": 0}, "field_invalid", "version"),
    ({"version": True}, "field_invalid", "version"),
    ({"version": 1.0}, "field_invalid", "version"),
    ({"effective_from": "2026-01-01"}, "field_invalid", "effective_from"),
    ({"effective_from": "2026-02-30T00:00:00Z"}, "field_invalid", "effective_from"),
    ({"effective_until": "2025-01-01T00:00:00Z"}, "field_invalid", "effective_until"),
    ({"surprise": 1}, "field_invalid", "surprise"),
    ({"sources": []}, "field_invalid", "sources"),
    ({"sources": {1: "x"}}, "field_invalid", "sources"),
    ({"factors__surprise": {}}, "field_invalid", "factors.surprise"),
    ({"factors__base__on": False}, "field_invalid", "factors.base.on"),
    ({"factors__base__rates_ppm": {"mars.card": 1}}, "field_invalid", "factors.base.rates_ppm.mars.card"),
    (
        {"factors__base__rates_ppm": {"cmcc.card": 1_000_001}},
        "card_rate_above_whole",
        "factors.base.rates_ppm.cmcc.card",
    ),
    ({"factors__base__source": "hearsay"}, "card_source_missing", "factors.base.source"),
    ({"factors__base__zh": "a\x00b"}, "field_invalid", "factors.base.zh"),
    ({"factors__base__zh": "\ud800"}, "field_invalid", "factors.base.zh"),
    ({"factors__base__zh": "字" * 401}, "field_invalid", "factors.base.zh"),
    ({"factors__base__range_ppm": [2, 1]}, "field_invalid", "factors.base.range_ppm"),
    ({"factors__base__range_ppm": [1]}, "field_invalid", "factors.base.range_ppm"),
    ({"factors__face__switch": "no"}, "field_invalid", "factors.face.switch"),
    ({"factors__face__swich": True}, "field_invalid", "factors.face.swich"),
    ({"factors__face__bands": []}, "card_bands_gap", "factors.face.bands"),
    ({"factors__face__bands": [{"upto_fen": 5, "rate_ppm": 0}]}, "card_bands_gap", "factors.face.bands"),
    (
        {"factors__face__bands": [{"upto_fen": 5, "rate_ppm": 0}, {"upto_fen": 5, "rate_ppm": 0}]},
        "card_bands_overlap",
        "factors.face.bands.1.upto_fen",
    ),
    (
        {"factors__face__bands": [{"upto_fen": None, "rate_ppm": 0}, {"upto_fen": 5, "rate_ppm": 0}]},
        "card_bands_overlap",
        "factors.face.bands.1.upto_fen",
    ),
    ({"factors__validity__step_days": 0}, "field_invalid", "factors.validity.step_days"),
    (
        {"factors__validity__unstated_days": {"card": 1}},
        "field_missing",
        "factors.validity.unstated_days.balance",
    ),
    ({"factors__region__places": {"11": "9"}}, "field_invalid", "factors.region.places.11"),
    ({"factors__region__places": {"BJ": "1"}}, "field_invalid", "factors.region.places.BJ"),
    (
        {"factors__promotion__carriers_ppm": {"mars": 0}},
        "field_invalid",
        "factors.promotion.carriers_ppm.mars",
    ),
    ({"factors__promotion__from": "soon"}, "field_invalid", "factors.promotion.from"),
    (
        {
            "factors__promotion__from": "2026-11-12T00:00:00Z",
            "factors__promotion__until": "2026-11-11T00:00:00Z",
        },
        "field_invalid",
        "factors.promotion.until",
    ),
    ({"factors__bounds__most_ppm": 500_000}, "field_invalid", "factors.bounds.most_ppm"),
    ({"fee__least_fen": -1}, "field_invalid", "fee.least_fen"),
    ({"charges": {}}, "field_invalid", "charges"),
    ({"charges": [1]}, "field_invalid", "charges.0"),
    ({"rails__PayPal!": {}}, "field_invalid", "rails.PayPal!"),
    ({"rails__alipay__rate_ppm": 10**30}, "card_rate_above_whole", "rails.alipay.rate_ppm"),
    ({"limits__card__most_fen": 1}, "field_invalid", "limits.card.most_fen"),
    ({"card_faces_fen": []}, "field_invalid", "card_faces_fen"),
    ({"card_faces_fen": [1, 1]}, "field_invalid", "card_faces_fen"),
    ({"card_faces_fen": [0]}, "field_invalid", "card_faces_fen"),
    ({"table_faces_fen": [True]}, "field_invalid", "table_faces_fen"),
]


def classes(*thresholds: tuple[int, int, int]) -> dict[str, Any]:
    """A card's classes by (least face value, least orders, share)."""
    return {
        "factors__standing__classes": [
            {"name": f"c{n}", "zh": "级", "en": "Class", "least_face_fen": face, "least_orders": orders, "rate_ppm": ppm}
            for n, (face, orders, ppm) in enumerate(thresholds)
        ]
    }  # fmt: skip


def demand(*bands: tuple[int, int]) -> dict[str, Any]:
    """A card's bands of demand by (from, share)."""
    return {"factors__demand__bands": [{"from_fen": fen, "rate_ppm": ppm} for fen, ppm in bands]}


FAULTS += [
    ({"factors__region__tiers_ppm": {"1": 0, "2": 20_000, "3": 10_000}}, "card_tiers_fall", "factors.region.tiers_ppm.3"),
    ({"factors__region__tiers_ppm": {"1": 0, "2": 0, "3": -1_000_001}}, "card_rate_above_whole", "factors.region.tiers_ppm.3"),
    ({"factors__competition__rate_ppm": 1_000_001}, "card_rate_above_whole", "factors.competition.rate_ppm"),
    ({"factors__validity__step_ppm": 1_000_001}, "card_rate_above_whole", "factors.validity.step_ppm"),
    ({"factors__bounds__most_ppm": 1_000_001}, "card_rate_above_whole", "factors.bounds.most_ppm"),
    ({"fee__rate_ppm": 1_000_001}, "card_rate_above_whole", "fee.rate_ppm"),
    ({"factors__outlet__margin_ppm": 2_000_000}, "card_rate_above_whole", "factors.outlet.margin_ppm"),
    ({"factors__outlet__subsidy_ppm": -1}, "field_invalid", "factors.outlet.subsidy_ppm"),
    ({"factors__outlet__more": 1}, "field_invalid", "factors.outlet.more"),
    ({"factors__cap__more": 1}, "field_invalid", "factors.cap.more"),
    ({"factors__cap": []}, "field_invalid", "factors.cap"),
    ({"factors__validity__source": None}, "card_source_missing", "factors.validity.source"),
    ({"fee__source": ["S1"]}, "card_source_missing", "fee.source"),
    ({"limits__source": "x"}, "card_source_missing", "limits.source"),
    ({"factors__standing__days": 366}, "field_invalid", "factors.standing.days"),
    (classes(), "card_bands_gap", "factors.standing.classes"),
    (classes((1, 0, 0)), "card_bands_gap", "factors.standing.classes.0.least_face_fen"),
    (classes((0, 0, 5), (5, 1, 4)), "card_tiers_fall", "factors.standing.classes.1.rate_ppm"),
    (classes((0, 0, 0), (5, 1, 4), (4, 1, 4)), "card_tiers_fall", "factors.standing.classes.2.least_face_fen"),
    (classes((0, 0, 0), (5, 2, 4), (6, 1, 4)), "card_tiers_fall", "factors.standing.classes.2.least_orders"),
    (classes((0, 0, 0), (0, 0, 4)), "card_bands_overlap", "factors.standing.classes.1.least_face_fen"),
    (classes((0, 0, -1)), "field_invalid", "factors.standing.classes.0.rate_ppm"),
    (classes((0, 0, 1_000_001)), "card_rate_above_whole", "factors.standing.classes.0.rate_ppm"),
    (demand(), "card_bands_gap", "factors.demand.bands"),
    (demand((5, 0)), "card_bands_gap", "factors.demand.bands.0.from_fen"),
    (demand((0, 0), (0, 0)), "card_bands_overlap", "factors.demand.bands.1.from_fen"),
    (demand((0, 1), (5, 0)), "card_tiers_fall", "factors.demand.bands.1.rate_ppm"),
]  # fmt: skip


def test_a_class_is_named_once() -> None:
    content = document()
    content["factors"]["standing"]["classes"][1]["name"] = "basic"
    with pytest.raises(Refused) as caught:
        parse_card(content)
    assert (caught.value.code, caught.value.field) == ("field_invalid", "factors.standing.classes.1.name")


def test_a_factor_without_a_source_at_all_is_named() -> None:
    content = document()
    del content["factors"]["demand"]["source"]
    with pytest.raises(Refused) as caught:
        parse_card(content)
    assert (caught.value.code, caught.value.field) == ("card_source_missing", "factors.demand.source")


def test_a_card_from_before_classes_demand_and_caps_is_read_and_prices_as_it_did() -> None:
    content = document()
    for name in ("standing", "demand", "cap", "outlet"):
        del content["factors"][name]
    before = parse_card(content)
    assert (before.standing, before.demand, before.cap, before.outlet) == (None, None, None, None)
    assert outside_sources(before) == []


def test_a_subsidy_is_pointed_out_whoever_the_source_is() -> None:
    assert outside_sources(card(factors__outlet__subsidy_ppm=1)) == ["factors.outlet.subsidy_ppm"]
    far = card(factors__demand__bands=[{"from_fen": 0, "rate_ppm": 20_000}], factors__outlet__margin_ppm=0)
    assert outside_sources(far) == ["factors.demand", "factors.outlet"]


@pytest.mark.parametrize(("changes", "code", "field"), FAULTS)
def test_a_faulty_card_is_refused_at_the_faulty_field(changes: dict[str, Any], code: str, field: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_card(document(**changes))
    assert (caught.value.code, caught.value.field) == (code, field)


@pytest.mark.parametrize("nothing", [None, [], 5, "card", {}, {"v": 1}])
def test_what_is_no_card_at_all_is_refused(nothing: object) -> None:
    with pytest.raises(Refused):
        parse_card(nothing)


@pytest.mark.parametrize("key", sorted(DEFAULT_CARD))
def test_a_card_without_one_of_its_fields_is_refused(key: str) -> None:
    faulty = document()
    del faulty[key]
    with pytest.raises(Refused) as caught:
        parse_card(faulty)
    assert (caught.value.code, caught.value.field) == ("field_missing", key)


def test_the_card_in_force_is_the_one_that_took_effect_last() -> None:
    def at(version: int, month: int, until: str | None = None) -> Any:
        return card(version=version, effective_from=f"2026-{month:02}-01T00:00:00Z", effective_until=until)

    cards = [at(3, 12), at(1, 1), at(2, 6), at(4, 6), at(5, 7, until="2026-08-01T00:00:00Z")]
    assert card_in_force(cards, NOW).version == 4
    assert card_in_force(cards, datetime(2026, 7, 15, tzinfo=UTC)).version == 5
    assert card_in_force(cards, datetime(2026, 12, 1, tzinfo=UTC)).version == 3
    assert card_in_force(cards, datetime(2026, 12, 1, tzinfo=UTC) - timedelta(microseconds=1)).version == 4


def test_without_a_card_in_force_nothing_is_bought() -> None:
    for cards in ([], [card(effective_from="2027-01-01T00:00:00Z")]):
        with pytest.raises(Refused) as caught:
            card_in_force(cards, NOW)
        assert caught.value.code == "not_bought"
