"""Past orders under another card: the same orders on both sides, every sum exact, every refusal named."""

import copy
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airback.domain.money import PPM
from airback.domain.refusals import REFUSALS
from airback.pricing.cards import RateCard
from airback.pricing.preview import (
    ASSUMPTIONS,
    SOLD,
    UNDER_WAY,
    UNSOLD,
    PastOrder,
    Replay,
    report,
)
from airback.pricing.quotes import make_quote, read_quote, requote, terms_of
from tests.pricing.desk import BALANCE, CARD, NOW, OTHER_ID, QUOTE_ID, card

THE_CARD = card()
_UNSIGNED = {"key_id": "k", "signature": "A" * 86 + "=="}


def quoted(**ask: Any) -> dict[str, Any]:
    """A quote as an order keeps it; whether its signature stands is not asked here."""
    product = CARD if ask.get("product") == "card" else BALANCE
    body = make_quote(book=1, card=THE_CARD, ask=replace(product, **ask), quote_id=QUOTE_ID, issued_at=NOW)
    return body | _UNSIGNED


def sold(quote: dict[str, Any], *, price_ppm: int = 960_000, **over: Any) -> PastOrder:
    pays_fen = quote["face_fen"] * price_ppm // PPM
    return PastOrder(
        **{"ended": SOLD, "code": None, "quote": quote, "outlets_pay_fen": pays_fen, "least_ppm": price_ppm}
        | over
    )


def replayed(by: RateCard, *orders: PastOrder, **over: Any) -> Replay:
    found = Replay(by, **over)
    found.fold(orders)
    return found


faces = st.integers(min_value=1_000, max_value=500_000)
asks = st.fixed_dictionaries(
    {
        "face_fen": faces,
        "carrier": st.sampled_from(("cmcc", "ctcc", "cucc", "cbn")),
        "province": st.sampled_from((None, "11", "4401", "44", "13")),
        "expires_on": st.sampled_from((None, date(2026, 12, 1), date(2027, 4, 4), date(2029, 1, 1))),
    }
)
sales = st.lists(st.tuples(asks, st.integers(min_value=600_000, max_value=PPM)), min_size=1, max_size=8)


def orders_of(found: list[tuple[dict[str, Any], int]]) -> list[PastOrder]:
    return [sold(quoted(**ask), price_ppm=price_ppm) for ask, price_ppm in found]


def feasible(orders: list[PastOrder]) -> list[PastOrder]:
    """Those that an outlet would have taken by the card they were quoted by."""
    return [
        order
        for order in orders
        if (order.least_ppm or 0) >= -(-order.quote["gross_fen"] * PPM // order.quote["face_fen"])
    ]


@given(sales)
def test_the_card_they_were_sold_by_changes_nothing(found: list[tuple[dict[str, Any], int]]) -> None:
    orders = feasible(orders_of(found))
    told = report(replayed(THE_CARD, *orders))
    assert told["happened"] == told["would_be"] and not any(told["difference"].values())
    assert (told["sellers_same"], told["orders"]) == (len(orders), len(orders))


@given(sales, st.integers(min_value=-300_000, max_value=100_000), st.integers(min_value=0, max_value=100_000))
def test_every_sum_is_exact_and_the_segments_sum_to_the_whole(
    found: list[tuple[dict[str, Any], int]], points: int, margin_ppm: int
) -> None:
    rates = {asset: min(PPM, max(0, rate + points)) for asset, rate in THE_CARD.base.rates_ppm.items()}
    told = report(replayed(card(factors__base__rates_ppm=rates), *orders_of(found), margin_ppm=margin_ppm))
    for side in (told["happened"], told["would_be"]):
        assert side["proceeds_fen"] == side["sellers_fen"] + side["rail_cost_fen"] + side["profit_fen"]
        assert side["profit_fen"] == side["fee_fen"] + side["spread_fen"]
        assert side["refusals"] == sum(side["refused"].values())
    for by in ("asset", "face", "tier"):
        parts = [segment for segment in told["segments"] if segment["by"] == by]
        for side in ("happened", "would_be", "difference"):
            for key, value in told[side].items():
                if key not in ("refused", "sellers_rate_ppm"):
                    assert sum(part[side][key] for part in parts) == value, (by, side, key)
    assert told["would_be"]["orders"] + told["would_be"]["refusals"] == len(found)
    assert told["would_be"]["orders"] == sum(told[f"sellers_{how}"] for how in ("worse", "better", "same"))


@given(sales, st.integers(min_value=0, max_value=50_000), st.integers(min_value=0, max_value=50_000))
def test_a_higher_margin_never_sells_more(
    found: list[tuple[dict[str, Any], int]], margin_ppm: int, more_ppm: int
) -> None:
    orders = orders_of(found)
    low, high = (
        replayed(THE_CARD, *orders, margin_ppm=m).whole.would_be for m in (margin_ppm, margin_ppm + more_ppm)
    )
    assert high.orders <= low.orders and high.refused["no_outlet"] >= low.refused["no_outlet"]


@given(sales)
def test_a_lower_base_rate_never_makes_a_seller_better_off(found: list[tuple[dict[str, Any], int]]) -> None:
    rates = {asset: rate - 10_000 for asset, rate in THE_CARD.base.rates_ppm.items()}
    told = replayed(card(factors__base__rates_ppm=rates), *feasible(orders_of(found))).whole
    assert told.sellers_better == 0 and told.would_be.profit_fen >= told.happened.profit_fen


def without(asset: str) -> dict[str, int]:
    return {name: rate for name, rate in THE_CARD.base.rates_ppm.items() if name != asset}


@pytest.mark.parametrize(
    ("changes", "ask", "code"),
    [
        ({"factors__base__rates_ppm": without("cmcc.balance")}, {}, "not_bought"),
        ({"rails__alipay__on": False}, {}, "rail_unavailable"),
        ({"limits__balance__least_fen": 20_000}, {}, "amount_below_minimum"),
        ({"limits__balance__most_fen": 9_000}, {}, "amount_above_limit"),
        ({"card_faces_fen": [5_000]}, {"product": "card"}, "card_face_unknown"),
        ({"fee__least_fen": 10_000}, {}, "amount_below_minimum"),
    ],
)
def test_what_the_card_would_not_have_bought_is_refused_by_its_name(
    changes: dict[str, Any], ask: dict[str, Any], code: str
) -> None:
    found = replayed(card(**changes), sold(quoted(**ask)))
    assert dict(found.whole.would_be.refused) == {code: 1} and code in REFUSALS
    assert found.whole.would_be.orders == found.whole.would_be.proceeds_fen == 0
    assert found.whole.happened.orders == 1 and found.whole.happened.refused.total() == 0


def test_an_outlet_takes_it_at_exactly_the_cost_and_margin_and_not_below() -> None:
    quote = quoted()
    cost_ppm = -(-quote["gross_fen"] * PPM // quote["face_fen"])
    order = sold(quote, price_ppm=cost_ppm + 5_000)
    assert replayed(THE_CARD, order, margin_ppm=5_000).whole.would_be.orders == 1
    refused = replayed(THE_CARD, order, margin_ppm=5_001).whole.would_be
    assert (refused.orders, dict(refused.refused)) == (0, {"no_outlet": 1})


def test_what_the_operator_took_itself_costs_the_new_price_and_no_margin_refuses_it() -> None:
    quote = quoted()
    order = PastOrder(SOLD, None, quote, house_face_fen=10_000, house_pays_fen=quote["gross_fen"])
    rates = {**THE_CARD.base.rates_ppm, "cmcc.balance": 800_000}
    found = replayed(card(factors__base__rates_ppm=rates), order, margin_ppm=PPM).whole
    assert found.happened.spread_fen == found.would_be.spread_fen == 0
    assert found.would_be.proceeds_fen < found.happened.proceeds_fen and found.sellers_worse == 1


def test_what_did_not_end_in_a_sale_stays_so_and_what_is_under_way_counts_nowhere() -> None:
    quote = quoted()
    orders = [
        PastOrder(UNSOLD, "no_outlet", quote),
        PastOrder(UNSOLD, None, quote),
        PastOrder(UNDER_WAY, None, quote),
        PastOrder(SOLD, None, {"id": "x"}),
        sold(quote, first_quote={"v": 1}),
    ]
    told = report(replayed(THE_CARD, *orders))
    assert told["happened"]["refused"] == told["would_be"]["refused"] == {"no_outlet": 1, "unsold": 1}
    assert (told["orders"], told["left_out"]) == (0, {"under_way": 1, "unreadable": 2})
    assert list(told["assumptions"]) == list(ASSUMPTIONS)


def test_a_card_of_another_face_is_asked_for_by_its_first_quote_and_paid_by_the_second() -> None:
    first = quoted(product="card")
    second = requote(first, card=THE_CARD, face_fen=3_000, quote_id=OTHER_ID, issued_at=NOW) | _UNSIGNED
    order = sold(second, first_quote=first, price_ppm=990_000)
    # 30 yuan is no face value of this card's list, and below its least amount: neither counts any more
    dear = card(card_faces_fen=[10_000], limits__card__least_fen=10_000)
    found = replayed(dear, order).whole
    assert found.would_be.orders == 1 and found.sellers_same == 1
    assert found.happened.face_fen == 3_000 and found.happened.sellers_fen == second["net_fen"]
    assert dict(replayed(card(card_faces_fen=[3_000]), order).whole.would_be.refused) == {
        "card_face_unknown": 1
    }


def test_a_promotion_yet_to_begin_shows_when_the_orders_are_taken_to_come_then() -> None:
    dated = {
        "factors__promotion__on": True,
        "factors__promotion__from": "2026-12-10T16:00:00Z",
        "factors__promotion__until": "2026-12-12T16:00:00Z",
    }
    changes = copy.deepcopy(dated)
    order = sold(quoted())
    own_time = replayed(card(**changes), order).whole
    then = replayed(card(**changes), order, at=datetime(2026, 12, 11, tzinfo=UTC)).whole
    assert own_time.sellers_same == 1 and then.sellers_worse == 1
    # as many days are left as there were, so that nothing but the promotion makes the difference
    assert replayed(THE_CARD, order, at=datetime(2028, 2, 29, tzinfo=UTC)).whole.sellers_same == 1


def test_the_terms_of_a_quote_are_what_it_was_priced_by() -> None:
    quote = read_quote(quoted())
    terms = terms_of(quote)
    assert (terms.at, terms.face_fen, terms.province, terms.band_face_fen) == (NOW, 10_000, "4401", 10_000)


def test_segments_are_named_by_asset_face_and_tier_in_their_order() -> None:
    orders = [
        sold(quoted(face_fen=face_fen, province=province))
        for face_fen, province in ((5_000, "11"), (5_001, None), (10_000, "13"), (30_001, "99"))
    ]
    told = report(replayed(THE_CARD, *orders))
    assert [(s["by"], s["key"], s["happened"]["orders"]) for s in told["segments"]] == [
        ("asset", "cmcc.balance", 4),
        ("face", "0-50", 1),
        ("face", "50-100", 1),
        ("face", "100-300", 1),
        ("face", "300+", 1),
        ("tier", "1", 1),
        ("tier", "3", 1),
        ("tier", "-", 2),
    ]
