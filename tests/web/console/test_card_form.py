"""The form of a rate card: what it shows it reads back the same, and no figure changes on the way."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airback.domain.money import percent
from airback.domain.refusals import Refused
from airback.pricing.default_card import DEFAULT_CARD
from airback.web.console.card_form import Entry, filled, groups, read_percent, unplaced

CHARGE = {
    "name": "levy",
    "zh": "附加费",
    "en": "Levy",
    "on": True,
    "source": "own",
    "note": "ours",
    "range_ppm": [0, 10_000],
    "rate_ppm": 1_234,
    "fixed_fen": 5,
    "assets": ["cmcc.card", "cbn.card"],
}


def entries(document: dict[str, Any], language: str = "zh") -> list[Entry]:
    found: list[Entry] = []
    for group in groups(document, language=language):
        found += [group.switch] if group.switch else []
        found += [entry for row in group.rows for entry in row.entries]
        found += group.about
    return found


def sent(document: dict[str, Any], **over: str) -> tuple[dict[str, Any], dict[str, Any]]:
    texts = {entry.name: entry.text for entry in entries(document)} | over
    made, faults = filled(document, lambda name: texts.get(name, ""), language="en")
    return made, dict(faults)


rates = st.integers(min_value=-1_000_000, max_value=1_000_000)


@given(
    base=st.integers(min_value=0, max_value=1_000_000),
    share=rates,
    fixed_fen=st.integers(min_value=0, max_value=9_999_999),
    days=st.one_of(st.none(), st.integers(min_value=0, max_value=36_500)),
    on=st.booleans(),
    until=st.one_of(st.none(), st.datetimes().map(lambda at: f"{at.replace(year=2026):%Y-%m-%dT%H:%M:%S}Z")),
)
def test_what_the_form_shows_it_reads_back_to_the_last_figure(
    base: int, share: int, fixed_fen: int, days: int | None, on: bool, until: str | None
) -> None:
    document = copy.deepcopy(DEFAULT_CARD)
    document["charges"] = [
        CHARGE | {"fixed_fen": fixed_fen, "on": on},
        CHARGE | {"name": "b", "assets": None},
    ]
    factors = document["factors"]
    factors["base"]["rates_ppm"] = {"cmcc.balance": base}
    factors["promotion"] |= {"carriers_ppm": {"ctcc": share}, "on": on, "until": until}
    factors["competition"] |= {"rate_ppm": share, "from": None}
    factors["validity"]["unstated_days"]["card"] = days
    document["effective_until"] = "2199-01-01T00:00:00Z"
    assert sent(document) == (document, {})


@given(rates)
def test_a_percentage_is_read_as_it_is_shown(ppm: int) -> None:
    assert read_percent(percent(ppm)) == read_percent(f" {percent(ppm)} % ") == ppm


@pytest.mark.parametrize("text", ["", "x", "1,5", "1.23456", "1e3", "--1", "1 2", "٣", "NaN", "1000.", "+1"])
def test_what_is_no_percentage_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        read_percent(text)


def test_every_figure_of_the_card_has_a_field_of_its_own() -> None:
    names = [entry.name for entry in entries({**DEFAULT_CARD, "charges": [CHARGE]})]
    assert len(names) == len(set(names)) > 150
    for name in ("factors.base.rates_ppm.cbn.card", "rails.bank.fixed_fen", "charges.0.assets", "sources.S1"):
        assert name in names
    assert not {"v", "version", "effective_from"} & set(names)


def test_a_factor_that_a_later_card_brings_has_its_fields() -> None:
    document = copy.deepcopy(DEFAULT_CARD)
    document["factors"]["volume"] = CHARGE | {
        "steps": [{"from_orders": 10, "rate_ppm": 500}],
        "classes": ["a", "b"],
    }
    shown = {entry.name: entry for entry in entries(document)}
    assert shown["factors.volume.steps.0.rate_ppm"].text == "0.05"
    assert shown["factors.volume.steps.1.rate_ppm"].text == ""
    assert shown["factors.volume.classes"].kind == "words"
    made, faults = sent(document, **{"factors.volume.steps.0.rate_ppm": "0.06"})
    assert made["factors"]["volume"]["steps"] == [{"from_orders": 10, "rate_ppm": 600}]
    # the card of this version does not know it, and the form says so where it stands
    assert list(faults) == ["factors.volume"] and unplaced(document, faults) == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("factors.validity.step_days", "-1"),
        ("factors.validity.step_days", "1.5"),
        ("fee.least_fen", "1.234"),
        ("fee.least_fen", "-1"),
        ("card_faces_fen", ""),
        ("card_faces_fen", "10, ten"),
        ("sources.S1", ""),
        ("factors.region.places", "11"),
        ("effective_until", "2026-02-30T00:00"),
    ],
)
def test_a_field_that_cannot_be_read_is_named_and_the_others_are_taken(name: str, text: str) -> None:
    made, faults = sent(DEFAULT_CARD, **{name: text, "fee.rate_ppm": "3.5"})
    assert list(faults) == [name] and made["fee"]["rate_ppm"] == 35_000
    assert faults[name].reason and faults[name].remedy
    shown = groups(DEFAULT_CARD, language="zh", typed=lambda _: text, faults=faults)
    assert [
        e.name for g in shown for e in (*(e for r in g.rows for e in r.entries), *g.about) if e.fault
    ] == [name]


def test_the_words_are_there_in_both_languages() -> None:
    for zh, en in zip(entries(DEFAULT_CARD, "zh"), entries(DEFAULT_CARD, "en"), strict=True):
        assert (zh.name, zh.text) == (en.name, en.text)
        assert not any("\u4e00" <= character <= "\u9fff" for character in en.label), en


def test_a_class_is_added_in_its_place_and_one_that_is_emptied_goes() -> None:
    classes = "factors.standing.classes"
    emptied = ("name", "zh", "en", "least_face_fen", "least_orders", "rate_ppm")
    moved, faults = sent(
        DEFAULT_CARD,
        **{f"{classes}.2.{key}": "" for key in emptied},
        **{
            f"{classes}.3.name": "bronze",
            f"{classes}.3.zh": "铜牌客户",
            f"{classes}.3.en": "Bronze",
            f"{classes}.3.least_face_fen": "1000",
            f"{classes}.3.least_orders": "2",
            f"{classes}.3.rate_ppm": "0.2",
            "factors.demand.bands.1.from_fen": "",
            "factors.demand.bands.1.rate_ppm": "",
        },
    )
    assert not faults
    assert [one["name"] for one in moved["factors"]["standing"]["classes"]] == ["basic", "bronze", "silver"]
    assert [band["from_fen"] for band in moved["factors"]["demand"]["bands"]] == [0, 100_000_000]


def test_a_band_that_begins_where_another_does_is_named() -> None:
    _, faults = sent(DEFAULT_CARD, **{"factors.demand.bands.1.from_fen": "0"})
    assert list(faults) == ["factors.demand.bands.1.from_fen"]
