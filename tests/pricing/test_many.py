"""One formula for one and for many: the same figures and the same refusals, row for row."""

import time
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airback.domain.money import MAX_FEN
from airback.domain.refusals import Refused
from airback.pricing.cards import RateCard
from airback.pricing.formula import CHINA, Terms, price
from airback.pricing.many import ASSETS, STATUSES, compile_card
from airback.pricing.quotes import QuoteAsk, make_quote
from tests.pricing.desk import NOW, card
from tests.pricing.every_factor import CARDS, any_terms, document_with_facts

TODAY = NOW.astimezone(CHINA).date()
FIGURES = ("rate_ppm", "gross_fen", "fee_fen", "rail_cost_fen", "net_fen")


def alone(by: RateCard, terms: Terms) -> tuple[str, tuple[int, ...]]:
    """What the single way answers: a refusal's code or `priced`, and the figures."""
    ask = QuoteAsk(
        product=terms.product, carrier=terms.carrier, face_fen=terms.face_fen, number=None, card_number=None,
        expires_on=terms.expires_on, province=terms.province, rail=terms.rail, seller="c/s", facts=terms.facts,
    )  # fmt: skip
    try:
        body = make_quote(book=1, card=by, ask=ask, quote_id="0" * 26, issued_at=terms.at)
    except Refused as refused:
        return refused.code, (0, 0, 0, 0, 0)
    return "priced", tuple(body[name] for name in FIGURES)


def together(by: RateCard, terms: list[Terms]) -> list[tuple[str, tuple[int, ...]]]:
    """What the compiled card answers."""
    compiled = compile_card(by, at=NOW)
    found = compiled.price(compiled.rows(terms))
    columns = [getattr(found, name) for name in FIGURES]
    return [
        (STATUSES[found.status[row]], tuple(int(column[row]) for column in columns))
        for row in range(len(terms))
    ]


@settings(max_examples=300)
@given(st.sampled_from(CARDS), st.lists(any_terms, min_size=1, max_size=20))
def test_many_are_priced_and_refused_as_each_alone(by: RateCard, terms: list[Terms]) -> None:
    assert together(by, terms) == [alone(by, one) for one in terms]


def test_every_refusal_of_the_table_is_met_by_both_ways() -> None:
    plain = Terms("balance", "cmcc", 10_000, None, None, "alipay", NOW, 10_000)
    of_a_card = replace(plain, product="card")
    yesterday = TODAY - timedelta(days=1)
    rows = [
        (plain, "priced"),
        (replace(plain, carrier="cbn"), "not_bought"),
        (replace(plain, face_fen=0, band_face_fen=0), "amount_not_positive"),
        (replace(plain, face_fen=-5, band_face_fen=-5), "amount_not_positive"),
        (replace(plain, face_fen=999, band_face_fen=999), "amount_below_minimum"),
        (replace(plain, face_fen=500_001, band_face_fen=500_001), "amount_above_limit"),
        (replace(of_a_card, face_fen=1_234, band_face_fen=1_234), "card_face_unknown"),
        (replace(of_a_card, expires_on=yesterday), "card_expired"),
        (replace(plain, expires_on=yesterday), "not_bought"),
        (replace(plain, rail="wechat"), "rail_unavailable"),
        (replace(plain, rail="cheque"), "rail_unavailable"),
        (replace(plain, facts=document_with_facts(outlet_ppm=1)), "amount_below_minimum"),
    ]
    by = card(factors__base__rates_ppm={"cmcc.balance": 880_000, "cmcc.card": 900_000})
    answers = together(by, [terms for terms, _ in rows])
    assert [code for code, _ in answers] == [code for _, code in rows]
    assert answers == [alone(by, terms) for terms, _ in rows]
    assert {code for code, _ in answers} == set(STATUSES)


def test_the_greatest_face_and_the_steepest_card_do_not_overflow() -> None:
    steep = card(
        factors__base__rates_ppm={"cmcc.balance": 1_000_000},
        factors__bounds__on=False,
        factors__face__bands=[{"upto_fen": None, "rate_ppm": 1_000_000}],
        factors__region__tiers_ppm={"1": 0, "2": 1_000_000, "3": 1_000_000},
        factors__competition__on=True,
        factors__competition__rate_ppm=1_000_000,
        factors__standing__classes=[
            {"name": "basic", "zh": "普通", "en": "Basic", "least_face_fen": 0, "least_orders": 0, "rate_ppm": 10**6}
        ],
        factors__demand__bands=[{"from_fen": 0, "rate_ppm": 1_000_000}],
        limits__balance={"least_fen": 1, "most_fen": MAX_FEN},
    )  # fmt: skip
    facts = document_with_facts(seller_class="basic", demand_fen=2**53 - 1)
    terms = Terms("balance", "cmcc", MAX_FEN, None, "52", "alipay", NOW, MAX_FEN, facts)
    found = price(card=steep, terms=terms)
    assert found.rate_ppm == 10_000_000  # twice the face value, five times over
    assert together(steep, [terms]) == [("priced", tuple(getattr(found, name) for name in FIGURES))]


def test_a_card_beyond_64_bits_is_not_compiled() -> None:
    charge = {
        "name": "x", "zh": "x", "en": "x", "on": True, "source": "own", "note": "x", "range_ppm": [0, 0],
        "rate_ppm": 1_000_000, "fixed_fen": 0, "assets": None,
    }  # fmt: skip
    endless = card(charges=[charge] * 500, limits__balance={"least_fen": 1, "most_fen": MAX_FEN})
    with pytest.raises(ValueError, match="64 bits"):
        compile_card(endless, at=NOW)


def test_terms_of_another_moment_are_not_taken() -> None:
    later = Terms("balance", "cmcc", 10_000, None, None, "alipay", NOW + timedelta(seconds=1), 10_000)
    with pytest.raises(ValueError, match="another moment"):
        compile_card(card(), at=NOW).rows([later])


def test_columns_longer_than_a_part_are_priced_whole() -> None:
    terms = [
        Terms(product, carrier, 10_000, TODAY + timedelta(days=n % 400), None, "alipay", NOW, 10_000)
        for n in range(5_000)
        for product, carrier in ASSETS
    ]
    compiled = compile_card(card(), at=NOW)
    found = compiled.price(compiled.rows(terms))
    assert not found.status.any()
    assert np.array_equal(found.gross_fen - found.fee_fen - found.rail_cost_fen, found.net_fen)
    for row in (0, 16_383, 16_384, 39_999):
        assert int(found.net_fen[row]) == price(card=card(), terms=terms[row]).net_fen


def test_no_batch_is_no_price() -> None:
    compiled = compile_card(card(), at=NOW)
    assert len(compiled.price(compiled.rows([])).net_fen) == 0


def test_a_hundred_thousand_prices_take_less_than_a_second() -> None:
    """The bench says how fast; this notices when the formula has fallen back to a loop."""
    from airback.app.bench.pricing import quotes_per_s

    assert quotes_per_s(rows=100_000, clock=time.process_time) > 100_000
