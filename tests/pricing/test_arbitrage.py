"""The arbitrage watch: what a trade earns, the cap that follows, and how much of the profit it takes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airback.domain.money import MAX_FEN, PPM
from airback.domain.refusals import Refused
from airback.pricing.arbitrage import (
    LONGEST,
    NewPromotion,
    Promotion,
    capped,
    check_promotion,
    suggest_promotion,
    watch,
    with_promotion,
)
from airback.pricing.cards import DEFAULT_CARD, outside_sources, parse_card
from airback.pricing.formula import Terms, price

#: 11 November in China.
BEGINS = datetime(2026, 11, 10, 16, 0, tzinfo=UTC)
CARD = parse_card(DEFAULT_CARD)
NEW = NewPromotion(
    "cmcc", "balance", 750_000, BEGINS, BEGINS + timedelta(days=1), None, 12_000, 20_000, "公告"
)


def promotion(**changes: Any) -> Promotion:
    values = {name: getattr(NEW, name) for name in NewPromotion.__dataclass_fields__}
    return Promotion(id=1, recorded_by="chen", recorded_at=BEGINS, **(values | changes))


def test_the_example_of_the_eleventh_of_november_is_pressed_to_one_yuan_twenty_an_order() -> None:
    """S1: 75 % on 11 November; a control that leaves 1.2 yuan an order, and takes half of the profit or more."""
    found = watch(promotion(), card=CARD, at=BEGINS)
    of_100 = next(trade for trade in found.trades if trade.face_fen == 10_000)
    assert (of_100.cost_fen, of_100.profit_fen, of_100.profit_capped_fen) == (7_500, 1_598, 120)
    assert found.most_ppm is not None and found.most_ppm < 800_000
    assert found.cut_ppm is not None and found.cut_ppm >= 500_000
    assert found.per_day_fen(capped=False) is None
    assert found.per_day_fen(capped=True) == 240


def test_a_trader_is_taken_at_their_best() -> None:
    found = watch(promotion(), card=CARD, at=BEGINS)
    assert found.place == "tier5"
    expires_on = BEGINS.date() + timedelta(days=366)
    for trade in found.trades:
        for rail in CARD.rails:
            for place in (None, "tier1", "tier3", "tier5"):
                terms = Terms(
                    "balance", "cmcc", trade.face_fen, expires_on, place, rail, BEGINS, trade.face_fen
                )
                try:
                    assert price(card=CARD, terms=terms).net_fen <= trade.pays_fen
                except Refused as refused:
                    assert refused.code == "rail_unavailable"


@settings(max_examples=60)
@given(
    buy_ppm=st.integers(1, PPM),
    leaves_ppm=st.integers(0, 60_000),
    product=st.sampled_from(["balance", "card"]),
    carrier=st.sampled_from(["cmcc", "ctcc", "cucc", "cbn"]),
    fee_fen=st.integers(0, 100),
)
def test_a_cap_takes_half_or_more_leaves_no_more_than_it_may_and_is_no_lower_than_it_must(
    buy_ppm: int, leaves_ppm: int, product: str, carrier: str, fee_fen: int
) -> None:
    card = replace(CARD, fee=replace(CARD.fee, least_fen=fee_fen))
    one = promotion(buy_ppm=buy_ppm, leaves_ppm=leaves_ppm, product=product, carrier=carrier)
    found = watch(one, card=card, at=BEGINS)
    assert found.trades
    pays = any(trade.profit_fen > 0 for trade in found.trades)
    assert (found.most_ppm is not None) is pays
    if found.most_ppm is None:
        assert all(trade.pays_capped_fen == trade.pays_fen for trade in found.trades)
        return
    for trade in found.trades:
        assert trade.pays_capped_fen <= trade.pays_fen
        if trade.profit_fen > 0:
            kept = max(trade.profit_capped_fen, 0)
            assert kept * 2 <= trade.profit_fen
            assert kept * PPM <= trade.face_fen * leaves_ppm
            assert trade.cut_ppm is not None and trade.cut_ppm >= 500_000
    assert not all(
        leaves_enough(card, one, found, rail, found.most_ppm + 1) for rail in ("alipay", "credit")
    ), "the cap could be higher"


def leaves_enough(card: Any, one: Promotion, found: Any, rail: str, most_ppm: int) -> bool:
    """Whether under that cap every face sold by that rail leaves no more than it may."""
    expires_on = BEGINS.date() + timedelta(days=366)
    for trade in found.trades:
        face = trade.face_fen
        terms = Terms(one.product, one.carrier, face, expires_on, found.place, rail, BEGINS, face)
        try:
            before = price(card=card, terms=terms).net_fen - trade.cost_fen
            after = price(card=capped(card, most_ppm, at=BEGINS), terms=terms).net_fen - trade.cost_fen
        except Refused:
            continue
        if before > 0 and after > min(face * one.leaves_ppm // PPM, before // 2):
            return False
    return True


def test_a_promotion_above_what_we_pay_caps_nothing() -> None:
    found = watch(promotion(buy_ppm=990_000), card=CARD, at=BEGINS)
    assert (found.most_ppm, found.cut_ppm) == (None, None)
    assert suggest_promotion(found, card=CARD) is None


def test_what_we_do_not_buy_makes_no_trade() -> None:
    rates = {asset: rate for asset, rate in CARD.base.rates_ppm.items() if asset != "cmcc.balance"}
    found = watch(promotion(), card=replace(CARD, base=replace(CARD.base, rates_ppm=rates)), at=BEGINS)
    assert (found.trades, found.worst, found.most_ppm) == ((), None, None)


def test_the_carriers_own_limit_bounds_what_an_account_gains_before_and_after() -> None:
    found = watch(promotion(per_account_fen=10_000), card=CARD, at=BEGINS)
    assert (found.per_day_fen(capped=False), found.per_day_fen(capped=True)) == (1_598, 120)


def test_figures_that_people_set_are_reckoned_with() -> None:
    found = watch(promotion(), card=CARD, at=BEGINS, most_ppm=PPM)
    assert found.cut_ppm == 0
    assert all(trade.profit_capped_fen == trade.profit_fen for trade in found.trades)


def test_a_capped_card_bounds_the_rate_even_where_bounds_are_off() -> None:
    off = replace(CARD, bounds=replace(CARD.bounds, factor=replace(CARD.bounds.factor, on=False)))
    terms = Terms("balance", "cmcc", 10_000, None, None, "alipay", BEGINS, 10_000)
    for card in (CARD, off):
        assert price(card=capped(card, 500_000, at=BEGINS), terms=terms).rate_ppm == 500_000
        assert price(card=capped(card, PPM, at=BEGINS), terms=terms) == price(card=card, terms=terms)


def test_the_cards_own_promotion_factor_is_suggested_within_what_the_trade_says() -> None:
    found = watch(promotion(), card=CARD, at=BEGINS)
    share = suggest_promotion(found, card=CARD)
    assert share is not None and -150_000 <= share <= -80_000
    card = parse_card(with_promotion(DEFAULT_CARD, promotion=promotion(), share_ppm=share))
    assert outside_sources(card) == []
    assert card.promotion.factor.counts(BEGINS)
    assert not card.promotion.factor.counts(BEGINS + timedelta(days=1))
    again = watch(promotion(), card=card, at=BEGINS)
    assert again.worst is not None and found.worst is not None
    assert again.worst.profit_fen < found.worst.profit_fen
    assert suggest_promotion(again, card=card) is None


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"carrier": "mars"}, "carrier_unknown", "carrier"),
        ({"product": "data"}, "field_invalid", "product"),
        ({"buy_ppm": 0}, "rival_rate_not_positive", "buy"),
        ({"buy_ppm": PPM + 1}, "rival_rate_above_face", "buy"),
        ({"leaves_ppm": -1}, "field_invalid", "leaves"),
        ({"per_account_fen": 0}, "amount_not_positive", "per_account"),
        ({"per_seller_fen_per_day": MAX_FEN + 1}, "amount_above_limit", "per_seller"),
        ({"until": BEGINS}, "promotion_dates_reversed", "until"),
        (
            {"since": BEGINS - timedelta(days=2), "until": BEGINS - timedelta(days=1)},
            "promotion_over",
            "until",
        ),
        ({"until": BEGINS + LONGEST + timedelta(days=1)}, "field_invalid", "until"),
        ({"source": " "}, "field_missing", "source"),
        ({"source": "a\x00"}, "field_invalid", "source"),
    ],
)
def test_a_wrong_promotion_is_refused_by_name(changes: dict[str, Any], code: str, field: str) -> None:
    with pytest.raises(Refused) as refused:
        check_promotion(replace(NEW, **changes), now=BEGINS)
    assert (refused.value.code, refused.value.field) == (code, field)


def test_states_follow_the_clock() -> None:
    one = promotion()
    assert one.state(BEGINS - timedelta(seconds=1)) == "to come"
    assert one.state(BEGINS) == "live"
    assert one.state(one.until) == "over"
    assert promotion(withdrawn_at=BEGINS).state(BEGINS) == "withdrawn"
