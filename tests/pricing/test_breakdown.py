"""The breakdown of a quote: from the face value down to what is paid, and every fault of it named."""

import copy
from pathlib import Path
from typing import Any

import msgspec
import pytest

from airback.adapters.keys.files import FileKeys
from airback.domain.money import PPM
from airback.pricing.breakdown import breakdown, faults
from airback.pricing.quotes import QuoteAsk, make_quote, mark_quote, sign_quote
from tests.pricing.desk import BALANCE, CARD, NOW, card

ID = "0123456789ABCDEFGHJKMNPQRS"


@pytest.fixture
def keys(tmp_path: Path) -> FileKeys:
    return FileKeys(tmp_path / "keys")


def made(keys: FileKeys, ask: QuoteAsk = BALANCE, **changes: Any) -> dict[str, Any]:
    by = card(**changes)
    return breakdown(
        sign_quote(make_quote(book=1, card=by, ask=ask, quote_id=ID, issued_at=NOW), keys=keys), by
    )


@pytest.mark.parametrize("ask", [BALANCE, CARD])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"factors__promotion__on": True, "factors__competition__on": True},
        {"factors__face__on": False, "factors__region__on": False, "factors__validity__on": False},
        {"fee__least_fen": 500},
        {"factors__bounds__most_ppm": 700_000},
    ],
)
def test_the_components_lead_from_the_face_value_to_what_is_paid(
    keys: FileKeys, ask: QuoteAsk, changes: dict[str, Any]
) -> None:
    found = made(keys, ask, **changes)
    components = found["components"]
    assert (components[0]["name"], components[0]["fen"]) == ("face_value", ask.face_fen)
    assert sum(line["fen"] for line in components) == found["pays_fen"]
    assert found["rate_ppm"] == found["pays_fen"] * PPM // ask.face_fen
    assert next(line["fen"] for line in components if line["name"] == "base") < 0
    assert next(line["fen"] for line in components if line["name"] == "fee") < 0
    names = [line["name"] for line in components]
    assert names[:7] == ["face_value", "base", "face", "validity", "region", "promotion", "competition"]
    assert len(set(names)) == len(names)
    assert faults(found, card=card(**changes), keys=keys) == []


def test_a_factor_without_data_is_neutral_and_says_so(keys: FileKeys) -> None:
    lines = {line["name"]: line for line in made(keys)["components"]}
    assert (lines["promotion"]["ppm"], lines["promotion"]["fen"]) == (0, 0)
    assert "no data" in lines["promotion"]["en"] and "无数据" in lines["promotion"]["zh"]
    on = {line["name"]: line for line in made(keys, factors__promotion__on=True)["components"]}
    assert on["promotion"]["fen"] < 0 and "no data" not in on["promotion"]["en"]


def test_the_facts_that_factors_read_stand_beside_it(keys: FileKeys) -> None:
    facts = made(keys)["facts"]
    assert facts["validity_days"] == 50 and facts["place"] == "4401" and facts["city_tier"] == "1"
    assert facts["rail"] == "alipay" and facts["carrier"] == "cmcc"


def test_every_altered_digit_is_noticed(keys: FileKeys) -> None:
    document = msgspec.json.encode(made(keys)).decode()
    digits = [place for place, letter in enumerate(document) if letter in "0123456789"]
    assert len(digits) > 200
    for place in digits:
        other = str((int(document[place]) + 1) % 10)
        altered = f"{document[:place]}{other}{document[place + 1 :]}"
        try:
            value = msgspec.json.decode(altered)
        except msgspec.DecodeError:  # a number that begins with nought is no JSON
            continue
        assert faults(value, card=card(), keys=keys), altered[max(0, place - 30) : place + 10]


@pytest.mark.parametrize("value", [7945.0, "7945", True, None, [7945], {"a": 7945}, 10**400])
def test_what_only_equals_a_figure_does_not_hold(keys: FileKeys, value: object) -> None:
    found = made(keys)
    assert found["pays_fen"] == 7945
    assert faults({**found, "pays_fen": value}, card=card(), keys=keys)
    assert faults({**found, "card_version": True}, card=card(), keys=keys)
    components = copy.deepcopy(found["components"])
    components[2]["fen"] = False
    assert faults({**found, "components": components}, card=card(), keys=keys)


def test_nothing_is_made_from_what_nobody_signed(keys: FileKeys) -> None:
    found = made(keys)
    for at in ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"):
        assert faults({**found, "quote": {**found["quote"], "priced_at": at}}, card=card(), keys=keys)


def test_a_breakdown_has_no_mark_and_its_card_was_in_force(keys: FileKeys) -> None:
    found = made(keys)
    marked = {**found, "quote": {**found["quote"], "mac": {"net_fen": 1}}}
    assert faults(marked, card=card(), keys=keys)
    over = card(effective_until="2026-06-01T00:00:00Z")
    assert faults(found, card=over, keys=keys) == ["priced_at: the rate card was not in force then"]


def test_a_quote_by_another_card_or_another_key_does_not_hold(keys: FileKeys, tmp_path: Path) -> None:
    found = made(keys)
    assert faults(found, card=card(fee__rate_ppm=40_000), keys=keys)
    assert faults(found, card=card(version=2), keys=keys)
    assert faults(found, card=card(), keys=FileKeys(tmp_path / "others")) == [
        "signature: does not stand under the key that is known by its id"
    ]


def test_a_bare_quote_is_checked_as_well_with_its_mark_or_without(keys: FileKeys) -> None:
    quote = made(keys)["quote"]
    assert faults(quote, card=card(), keys=keys) == []
    assert faults(mark_quote(quote, keys=keys), card=card(), keys=keys) == []


@pytest.mark.parametrize("value", [None, [], 7, {}, {"quote": 5}, {"quote": {"v": 1}}, {"quote": None}])
def test_what_is_no_quote_is_a_fault_and_never_an_error(keys: FileKeys, value: object) -> None:
    assert faults(value, card=card(), keys=keys)


def test_a_breakdown_with_a_field_more_or_less_does_not_hold(keys: FileKeys) -> None:
    found = made(keys)
    assert faults({**found, "note": "x"}, card=card(), keys=keys)
    less = copy.deepcopy(found)
    del less["facts"]
    assert faults(less, card=card(), keys=keys)
