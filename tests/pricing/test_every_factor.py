"""What holds of every price: each factor moves it the way it says, bounds bind, lines sum, and anybody replays it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airback.adapters.keys.files import FileKeys
from airback.domain.canonical import canonical
from airback.domain.money import PPM
from airback.domain.refusals import Refused
from airback.pricing.breakdown import breakdown, faults
from airback.pricing.cards import RateCard
from airback.pricing.facts import NEUTRAL, Cap, Facts, Market, neutral
from airback.pricing.formula import Price, Terms, price
from airback.pricing.offers import Offer
from airback.pricing.quotes import (
    QuoteAsk,
    check_quote,
    make_quote,
    mark_quote,
    public_rate_table,
    replay,
    requote,
    sign_quote,
)
from tests.pricing.desk import BALANCE, CARD, NOW, OTHER_ID, QUOTE_ID, card
from tests.pricing.every_factor import ALL_ON, CARDS, CLASSES, TODAY, any_facts, sold_terms

any_card = st.sampled_from(CARDS)


def net(by: RateCard, terms: Terms) -> int:
    """What the seller gets; nought where nothing would be left."""
    try:
        return price(card=by, terms=terms).net_fen
    except Refused as refused:
        assert refused.code == "amount_below_minimum"
        return 0


def priced(by: RateCard, terms: Terms) -> Price | None:
    return price(card=by, terms=terms) if net(by, terms) else None


def with_facts(terms: Terms, **changes: Any) -> Terms:
    facts = {name: getattr(terms.facts, name) for name in Facts.__struct_fields__}
    return replace(terms, facts=Facts(**(facts | changes)))


# -- monotone: what may only help the seller, from the worse to the better


@given(any_card, sold_terms, st.integers(1, 100_000))
def test_a_higher_face_nets_no_less_within_a_band(by: RateCard, terms: Terms, more_fen: int) -> None:
    assert net(by, replace(terms, face_fen=terms.face_fen + more_fen)) >= net(by, terms)


@given(sold_terms, st.sampled_from([(5_000, 7_000), (7_000, 10_000), (5_000, 10_000)]))
def test_a_higher_band_nets_no_less(terms: Terms, bands: tuple[int, int]) -> None:
    lower, higher = (replace(terms, band_face_fen=band) for band in bands)
    assert net(card(**ALL_ON), higher) >= net(card(**ALL_ON), lower)


@given(any_card, sold_terms, st.integers(0, 300), st.integers(1, 200))
def test_a_longer_validity_nets_no_less(by: RateCard, terms: Terms, days: int, more: int) -> None:
    nearer = replace(terms, expires_on=TODAY + timedelta(days=days))
    assert net(by, replace(nearer, expires_on=TODAY + timedelta(days=days + more))) >= net(by, nearer)


@given(any_card, sold_terms)
def test_a_higher_city_tier_nets_no_less(by: RateCard, terms: Terms) -> None:
    nets = [net(by, replace(terms, province=f"tier{tier}")) for tier in (1, 2, 3)]
    assert nets == sorted(nets)


@given(sold_terms, st.integers(0, 100_000), st.integers(1, 100_000))
def test_a_dearer_rail_nets_no_more(terms: Terms, rate_ppm: int, more_ppm: int) -> None:
    cheap = card(rails__alipay__rate_ppm=rate_ppm)
    dear = card(rails__alipay__rate_ppm=rate_ppm + more_ppm)
    assert net(dear, replace(terms, rail="alipay")) <= net(cheap, replace(terms, rail="alipay"))


@given(sold_terms, st.integers(-400_000, 0), st.integers(1, 100_000))
def test_a_deeper_promotion_nets_no_more(terms: Terms, share_ppm: int, deeper_ppm: int) -> None:
    def during(share: int) -> RateCard:
        return card(factors__promotion__on=True, factors__promotion__carriers_ppm={terms.carrier: share})

    assert net(during(share_ppm - deeper_ppm), terms) <= net(during(share_ppm), terms)


@given(sold_terms, st.integers(-100_000, 100_000), st.integers(1, 100_000))
def test_more_competition_nets_no_less(terms: Terms, share_ppm: int, more_ppm: int) -> None:
    def among(share: int) -> RateCard:
        return card(factors__competition__on=True, factors__competition__rate_ppm=share)

    assert net(among(share_ppm + more_ppm), terms) >= net(among(share_ppm), terms)


@given(any_card, sold_terms, st.integers(0, 200_000_000), st.integers(1, 200_000_000))
def test_more_demand_nets_no_less(by: RateCard, terms: Terms, wanted_fen: int, more_fen: int) -> None:
    less, more = (with_facts(terms, demand_fen=fen) for fen in (wanted_fen, wanted_fen + more_fen))
    assert net(by, more) >= net(by, less)


@given(any_card, sold_terms)
def test_a_higher_class_nets_no_less(by: RateCard, terms: Terms) -> None:
    nets = [net(by, with_facts(terms, seller_class=name)) for name in CLASSES]
    assert nets == sorted(nets)


@given(any_card, sold_terms, st.integers(0, PPM - 1), st.integers(1, PPM))
def test_a_lower_cap_nets_no_more_and_none_most(
    by: RateCard, terms: Terms, most_ppm: int, more_ppm: int
) -> None:
    lower = net(by, with_facts(terms, cap=Cap(most_ppm, "促销")))
    higher = net(by, with_facts(terms, cap=Cap(min(PPM, most_ppm + more_ppm), "促销")))
    assert lower <= higher <= net(by, with_facts(terms, cap=None))


@given(any_card, sold_terms, st.integers(0, PPM), st.integers(0, PPM))
def test_a_better_outlet_nets_no_less(by: RateCard, terms: Terms, one: int, other: int) -> None:
    worse, better = (with_facts(terms, outlet_ppm=ppm) for ppm in sorted((one, other)))
    assert net(by, worse) <= net(by, better) <= net(by, with_facts(terms, outlet_ppm=None))


# -- bounded


@given(any_card, sold_terms)
def test_no_combination_pays_above_what_an_outlet_gives_or_outside_the_bounds(
    by: RateCard, terms: Terms
) -> None:
    found = priced(by, terms)
    if found is None:
        return
    facts, most = terms.facts, 10 * PPM
    if by.outlet is not None and by.outlet.factor.on and facts.outlet_ppm is not None:
        most = min(most, max(0, facts.outlet_ppm - by.outlet.margin_ppm + by.outlet.subsidy_ppm))
    if by.cap is not None and by.cap.factor.on and facts.cap is not None:
        most = min(most, facts.cap.most_ppm)
    if by.bounds.factor.on:
        most = min(most, by.bounds.most_ppm)
        least = min(by.bounds.least_ppm, most)
        assert found.rate_ppm >= least
    assert found.rate_ppm <= most
    assert found.gross_fen <= terms.face_fen * most // PPM
    assert found.net_fen + found.rail_cost_fen <= found.gross_fen


def test_only_an_approved_subsidy_pays_more_than_the_outlet_gives() -> None:
    terms = Terms("balance", "cmcc", 10_000, None, None, "alipay", NOW, 10_000, Facts(outlet_ppm=850_000))
    assert price(card=card(), terms=terms).rate_ppm == 840_000
    assert price(card=card(factors__outlet__subsidy_ppm=30_000), terms=terms).rate_ppm == 870_000


def test_the_outlet_binds_what_the_lower_bound_raised_and_the_cap_as_well() -> None:
    facts = Facts(outlet_ppm=400_000, cap=Cap(500_000, "双十一"))
    terms = Terms("balance", "cmcc", 10_000, None, None, "alipay", NOW, 10_000, facts)
    found = price(card=card(factors__bounds__least_ppm=920_000), terms=terms)
    rates = {line["name"]: line["rate_ppm"] for line in found.lines}
    assert (rates["bounds"], rates["cap"], rates["outlet"]) == (20_000, -420_000, -110_000)
    assert found.rate_ppm == 390_000
    assert next(line["zh"] for line in found.lines if line["name"] == "cap").endswith("(双十一)")


# -- sums


@given(any_card, sold_terms)
def test_lines_sum_to_the_net_and_the_breakdown_to_what_is_paid(by: RateCard, terms: Terms) -> None:
    found = priced(by, terms)
    if found is None:
        return
    assert sum(line["amount_fen"] for line in found.lines) == found.net_fen
    assert found.gross_fen - found.fee_fen - found.rail_cost_fen == found.net_fen >= 1
    assert min(found.fee_fen, found.rail_cost_fen) >= 0
    names = [line["name"] for line in found.lines]
    assert len(set(names)) == len(names)


@given(any_card, sold_terms)
def test_unknown_facts_are_neutral(by: RateCard, terms: Terms) -> None:
    assert net(by, replace(terms, facts=NEUTRAL)) == net(by, replace(terms, facts=Facts()))
    found = priced(by, replace(terms, facts=NEUTRAL))
    if found is not None:
        assert not {"standing", "demand", "cap", "outlet"} & {line["name"] for line in found.lines}


def test_two_sellers_of_one_class_are_offered_the_same_price() -> None:
    market = Market(
        wanted={"cmcc": (20_000_000, 970_000)},
        caps={("cmcc", "card"): Cap(900_000, "促销")},
        classes={"c/one": "gold", "c/two": "gold"},
        lowest="basic",
    )
    one, two, third = (
        market.of("cmcc", "card", market.class_of(f"c/{name}")) for name in ("one", "two", "x")
    )
    assert one is two and one == Facts("gold", 20_000_000, 970_000, Cap(900_000, "促销"))
    assert third.seller_class == "basic"
    assert market.of("cbn", "card") == NEUTRAL == neutral("cbn", "card")


# -- on the quote


def asked(terms: Terms) -> QuoteAsk:
    return QuoteAsk(
        product="balance", carrier=terms.carrier, face_fen=min(terms.face_fen, 500_000), number=None, card_number=None,
        expires_on=terms.expires_on, province=terms.province, rail=terms.rail, seller="c/s", facts=terms.facts,
    )  # fmt: skip


@settings(max_examples=60)
@given(by=any_card, terms=sold_terms)
def test_a_quote_signs_verifies_replays_and_is_requoted_with_its_facts(
    keys: FileKeys, by: RateCard, terms: Terms
) -> None:
    try:
        body = make_quote(book=1, card=by, ask=asked(terms), quote_id=QUOTE_ID, issued_at=NOW)
    except Refused:
        return
    signed = sign_quote(body, keys=keys)
    read = check_quote(mark_quote(signed, keys=keys), keys=keys, now=NOW)
    assert read.facts == terms.facts == check_quote(signed, keys=keys, now=NOW).facts
    assert replay(signed, by) == []
    assert faults(breakdown(signed, by), card=by, keys=keys) == []
    again = requote(read, card=by, face_fen=7_777, quote_id=OTHER_ID, issued_at=NOW + timedelta(hours=1))
    assert again["facts"] == body["facts"] and replay(again, by) == []
    other = requote(read, card=card(version=2), face_fen=body["face_fen"], quote_id=OTHER_ID, issued_at=NOW)
    assert other["rate_ppm"] == body["rate_ppm"]


@settings(max_examples=60)
@given(by=any_card, facts=any_facts, seller=st.sampled_from(['c/"quoted\\"', "c/引号", "c/s", "c/\u2028x"]))
def test_an_offer_is_the_signed_quote_byte_for_byte(
    keys: FileKeys, by: RateCard, facts: Facts, seller: str
) -> None:
    for ask in (BALANCE, CARD, replace(BALANCE, number=None)):
        ask = replace(ask, facts=facts, seller=seller if seller.isprintable() else "c/s")
        try:
            body = make_quote(book=1, card=by, ask=ask, quote_id=QUOTE_ID, issued_at=NOW)
            another = make_quote(
                book=1, card=by, ask=replace(ask, number=None, card_number=None, seller="x/y"), quote_id=OTHER_ID, issued_at=NOW
            )  # fmt: skip
        except Refused:
            return
        made = Offer(another).quote(
            quote_id=QUOTE_ID, number=ask.number, card_number=ask.card_number, seller=ask.seller, keys=keys
        )
        assert made == canonical(mark_quote(sign_quote(body, keys=keys), keys=keys))


def first_version(body: dict[str, Any]) -> dict[str, Any]:
    """The body as it was made before quotes held facts."""
    return {key: value for key, value in body.items() if key != "facts"} | {"v": 1}


def test_a_quote_from_before_facts_verifies_replays_and_is_requoted_as_it_was(keys: FileKeys) -> None:
    before = card(factors__standing=None, factors__demand=None, factors__cap=None, factors__outlet=None)
    for by in (before, card()):
        body = make_quote(book=1, card=by, ask=BALANCE, quote_id=QUOTE_ID, issued_at=NOW)
        old = sign_quote(first_version(body), keys=keys)
        for sent in (old, mark_quote(old, keys=keys)):
            read = check_quote(sent, keys=keys, now=NOW, book=1)
            assert (read.v, read.facts, read.net_fen) == (1, NEUTRAL, 7_945)
        assert replay(old, by) == []
        made = breakdown(old, by)
        assert faults(made, card=by, keys=keys) == []
        assert "seller_class" not in made["facts"]
        assert not {"standing", "outlet"} & {line["name"] for line in made["components"]}
        again = requote(read, card=by, face_fen=5_000, quote_id=OTHER_ID, issued_at=NOW)
        assert again["v"] == 1 and "facts" not in again and replay(again, by) == []


@pytest.mark.parametrize(
    "facts",
    [
        {"seller_class": "Gold!"}, {"seller_class": 7}, {"demand_fen": -1}, {"demand_fen": 2**53}, {"demand_fen": True},
        {"demand_fen": 1.0}, {"outlet_ppm": 1_000_001}, {"outlet_ppm": "1"}, {"cap": {}}, {"cap": 5}, {"more": 1},
        {"cap": {"most_ppm": 1, "promotion": ""}}, {"cap": {"most_ppm": -1, "promotion": "x"}},
        {"cap": {"most_ppm": 1, "promotion": "x" * 61}}, {"cap": {"most_ppm": 1, "promotion": "x", "y": 1}},
    ],
)  # fmt: skip
def test_facts_of_another_form_are_no_quote(keys: FileKeys, facts: dict[str, Any]) -> None:
    body = make_quote(book=1, card=card(), ask=BALANCE, quote_id=QUOTE_ID, issued_at=NOW)
    body["facts"] = body["facts"] | facts
    try:
        signed = sign_quote(body, keys=keys)
    except TypeError:
        return
    with pytest.raises(Refused) as caught:
        check_quote(signed, keys=keys, now=NOW)
    assert caught.value.code == "quote_invalid"


def test_a_changed_fact_does_not_verify(keys: FileKeys) -> None:
    ask = replace(BALANCE, facts=Facts("gold", 20_000_000, 990_000, Cap(900_000, "促销")))
    made = breakdown(
        sign_quote(make_quote(book=1, card=card(), ask=ask, quote_id=QUOTE_ID, issued_at=NOW), keys=keys), card()
    )  # fmt: skip
    assert made["facts"]["demand_fen"] == 20_000_000
    lines = {line["name"]: line for line in made["components"]}
    assert lines["standing"]["fen"] > 0 and lines["demand"]["fen"] > 0
    assert "not reached" in lines["cap"]["en"] and "not reached" in lines["outlet"]["en"]
    assert faults(made, card=card(), keys=keys) == []
    assert faults({**made, "facts": {**made["facts"], "demand_fen": 1}}, card=card(), keys=keys)
    changed = {**made["quote"], "facts": {**made["quote"]["facts"], "seller_class": "basic"}}
    assert faults({**made, "quote": changed}, card=card(), keys=keys)


def test_the_breakdown_says_which_factors_had_no_data(keys: FileKeys) -> None:
    made = breakdown(
        sign_quote(make_quote(book=1, card=card(), ask=BALANCE, quote_id=QUOTE_ID, issued_at=NOW), keys=keys),
        card(),
    )
    names = [line["name"] for line in made["components"]]
    after = names.index("competition")
    assert names[after : after + 5] == ["competition", "standing", "demand", "cap", "outlet"]
    assert all("no data" in line["en"] for line in made["components"][after + 1 : after + 5])


def test_the_public_table_is_of_the_moment() -> None:
    def now(carrier: str, product: str) -> Facts:
        return Facts(outlet_ppm=800_000) if carrier == "cmcc" else NEUTRAL

    plain, bound = (
        {(r["carrier"], r["product"], r["face_fen"], r["rail"]): r for r in public_rate_table(card(), facts=of)}
        for of in (neutral, now)
    )  # fmt: skip
    assert plain.keys() == bound.keys()
    assert all((plain[key] == bound[key]) == (key[0] != "cmcc") for key in plain)
    assert {r["rate_ppm"] for key, r in bound.items() if key[0] == "cmcc"} == {790_000}


def test_every_property_has_cards_where_its_factor_is_on() -> None:
    on: dict[str, Callable[[RateCard], bool]] = {
        "promotion": lambda c: c.promotion.factor.on,
        "competition": lambda c: c.competition.factor.on,
        "standing": lambda c: c.standing is not None and c.standing.factor.on,
        "demand": lambda c: c.demand is not None and c.demand.factor.on,
        "cap": lambda c: c.cap is not None and c.cap.factor.on,
        "outlet": lambda c: c.outlet is not None and c.outlet.factor.on,
    }
    for name, is_on in on.items():
        assert 2 <= sum(map(is_on, CARDS)) < len(CARDS), name
