"""A price that the seller named: it nets what was asked, as far as an outlet gives, and anybody makes it again."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from airback.adapters.keys.files import FileKeys
from airback.domain.money import PPM
from airback.domain.refusals import Refused
from airback.pricing.breakdown import breakdown, faults
from airback.pricing.cards import RateCard
from airback.pricing.facts import Cap, Facts
from airback.pricing.formula import Price, Terms, agreed_ppm, most_agreed_ppm, price
from airback.pricing.quotes import check_quote, make_quote, replay, requote, sign_quote
from tests.pricing.desk import BALANCE, NOW, OTHER_ID, QUOTE_ID, card
from tests.pricing.every_factor import CARDS, sold_terms

any_card = st.sampled_from(CARDS)
PLAIN = Terms("balance", "cmcc", 10_000, None, None, "alipay", NOW, 10_000)


def agreed(terms: Terms, ppm: int | None, **facts: Any) -> Terms:
    values = {name: getattr(terms.facts, name) for name in Facts.__struct_fields__}
    return replace(terms, facts=Facts(**(values | facts | {"agreed_ppm": ppm})))


def priced(by: RateCard, terms: Terms) -> Price | None:
    try:
        return price(card=by, terms=terms)
    except Refused:
        return None


@given(any_card, sold_terms, st.integers(1, 600_000))
def test_the_least_rate_nets_what_was_asked_and_one_less_does_not(
    by: RateCard, terms: Terms, net_fen: int
) -> None:
    ppm = agreed_ppm(by, terms, net_fen=net_fen)
    assume(0 < ppm <= PPM and ppm <= most_agreed_ppm(by, terms))
    found, below = priced(by, agreed(terms, ppm)), priced(by, agreed(terms, ppm - 1))
    assert found is not None and found.net_fen >= net_fen
    if found.rate_ppm == ppm:  # else the published price is the better one already
        assert below is None or below.net_fen < net_fen or below.rate_ppm == found.rate_ppm


@given(any_card, sold_terms, st.integers(0, PPM))
def test_an_own_price_never_pays_less_than_the_published_one(by: RateCard, terms: Terms, ppm: int) -> None:
    published, own = priced(by, agreed(terms, None)), priced(by, agreed(terms, ppm))
    if published is not None:
        assert own is not None and own.net_fen >= published.net_fen


@given(any_card, sold_terms, st.integers(0, PPM))
def test_an_own_price_raises_nothing_above_what_the_outlet_gives_the_cap_or_the_bounds(
    by: RateCard, terms: Terms, ppm: int
) -> None:
    published, own = priced(by, agreed(terms, None)), priced(by, agreed(terms, ppm))
    if own is None or (published is not None and own.rate_ppm <= published.rate_ppm):
        return
    facts = terms.facts
    assert own.rate_ppm <= ppm
    if facts.outlet_ppm is not None:
        assert own.rate_ppm <= facts.outlet_ppm
    if facts.cap is not None and by.cap is not None and by.cap.factor.on:
        assert own.rate_ppm <= facts.cap.most_ppm
    if by.bounds.factor.on:
        assert own.rate_ppm <= by.bounds.most_ppm


def test_a_subsidy_is_for_published_prices_alone() -> None:
    by = card(factors__outlet__subsidy_ppm=30_000)
    terms = agreed(PLAIN, 960_000, outlet_ppm=930_000)
    assert price(card=by, terms=agreed(terms, None)).rate_ppm == 900_000
    assert price(card=by, terms=terms).rate_ppm == 920_000  # the outlet's 93 % less the margin


def test_the_line_says_when_the_published_price_was_no_lower() -> None:
    lines = {line["name"]: line for line in price(card=card(), terms=agreed(PLAIN, 5)).lines}
    assert lines["agreed"]["amount_fen"] == 0 and "公布价" in lines["agreed"]["zh"]
    assert price(card=card(), terms=agreed(PLAIN, 5)).net_fen == price(card=card(), terms=PLAIN).net_fen


def test_an_agreed_quote_is_made_again_by_anybody_and_one_changed_digit_is_seen(keys: FileKeys) -> None:
    by = card()
    facts = Facts(outlet_ppm=980_000, cap=Cap(960_000, "促销"), agreed_ppm=941_234)
    ask = replace(BALANCE, facts=facts)
    body = make_quote(book=1, card=by, ask=ask, quote_id=QUOTE_ID, issued_at=NOW)
    signed = sign_quote(body, keys=keys)
    read = check_quote(signed, keys=keys, now=NOW, book=1)
    assert (read.v, read.facts.agreed_ppm) == (2, 941_234) and body["rate_ppm"] == 941_234
    assert replay(signed, by) == []
    made = breakdown(signed, by)
    assert made["facts"]["agreed_ppm"] == 941_234
    assert sum(line["fen"] for line in made["components"]) == made["pays_fen"] == body["net_fen"]
    assert faults(made, card=by, keys=keys) == []
    other = sign_quote({**body, "facts": body["facts"] | {"agreed_ppm": 941_334}}, keys=keys)
    assert any(fault.startswith("rate_ppm") for fault in faults(other, card=by, keys=keys))
    part = requote(read, card=by, face_fen=5_000, quote_id=OTHER_ID, issued_at=NOW)
    assert part["rate_ppm"] == 941_234 and replay(part, by) == []


def test_a_quote_without_an_own_price_is_written_as_ever(keys: FileKeys) -> None:
    body = make_quote(book=1, card=card(), ask=BALANCE, quote_id=QUOTE_ID, issued_at=NOW)
    assert set(body["facts"]) == {"seller_class", "demand_fen", "outlet_ppm", "cap"}
    for wrong in (None, -1, PPM + 1, True, 1.0):
        try:
            signed = sign_quote({**body, "facts": body["facts"] | {"agreed_ppm": wrong}}, keys=keys)
        except TypeError:
            continue
        with pytest.raises(Refused) as caught:
            check_quote(signed, keys=keys, now=NOW)
        assert caught.value.code == "quote_invalid"
