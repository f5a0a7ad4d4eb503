"""Postings: two-phase transfers, bounds and what facts overdraw."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airback.ledger.accounts import account, deposit, payable
from airback.ledger.postings import Balances, Phase, Standing, Transfer


def transfer(amount: int, phase: Phase = Phase.POSTED, *, settles: int = 0, leg: int = 0) -> Transfer:
    return Transfer(1, "t", leg, phase, deposit("shop"), account("proceeds"), amount, settles_fen=settles)


def paid_in(fen: int) -> Balances:
    return Balances({deposit("shop").id: Standing(credits_posted=fen)})


def test_an_earmark_takes_room_and_voiding_gives_it_back() -> None:
    balances = paid_in(100)
    balances.fold([transfer(60, Phase.PENDING)])
    assert balances.room_fen(deposit("shop")) == 40
    balances.fold([transfer(60, Phase.VOID, settles=60)])
    assert balances.room_fen(deposit("shop")) == 100


def test_posting_may_take_another_amount_than_was_earmarked() -> None:
    balances = paid_in(100)
    balances.fold([transfer(60, Phase.PENDING), transfer(45, Phase.POST, settles=60)])
    assert balances.room_fen(deposit("shop")) == 55
    assert balances.deltas[deposit("shop").id].debits_pending == 0


def test_a_fact_always_posts_and_its_shortfall_is_named() -> None:
    balances = paid_in(100)
    assert balances.fold([transfer(130)]) == [deposit("shop")]
    assert balances.deltas[deposit("shop").id].overdrawn_fen == 30
    assert balances.room_fen(deposit("shop")) == 0


def test_what_comes_in_makes_a_shortfall_good_before_it_is_room() -> None:
    balances = paid_in(100)
    balances.fold([transfer(130)])
    back = Transfer(2, "t", 0, Phase.POSTED, account("proceeds"), deposit("shop"), 20)
    assert balances.fold([back]) == []
    assert (balances.deltas[deposit("shop").id].overdrawn_fen, balances.room_fen(deposit("shop"))) == (10, 0)
    balances.fold([Transfer(3, "t", 0, Phase.POSTED, account("proceeds"), deposit("shop"), 50)])
    assert (balances.deltas[deposit("shop").id].overdrawn_fen, balances.room_fen(deposit("shop"))) == (0, 40)


def test_an_account_nobody_knows_has_no_room() -> None:
    assert Balances().room_fen(payable(7)) == 0


def test_a_transfer_of_nothing_or_to_itself_or_between_assets_is_refused() -> None:
    with pytest.raises(ValueError, match="more than zero"):
        transfer(0)
    with pytest.raises(ValueError, match="two accounts"):
        Transfer(1, "t", 0, Phase.POSTED, deposit("shop"), deposit("shop"), 1)
    with pytest.raises(ValueError, match="one asset"):
        Transfer(1, "t", 0, Phase.POSTED, account("held", "cmcc.balance"), account("held", "ctcc.balance"), 1)


def test_an_account_outside_the_chart_is_refused() -> None:
    with pytest.raises(KeyError):
        account("pocket:mine")


@given(st.lists(st.tuples(st.sampled_from(list(Phase)), st.integers(1, 1000)), max_size=40))
def test_both_sides_always_move_alike(steps: list[tuple[Phase, int]]) -> None:
    balances = paid_in(10**6)
    balances.fold(
        transfer(n, phase, settles=n if phase in (Phase.POST, Phase.VOID) else 0) for phase, n in steps
    )
    rows = balances.deltas.values()
    assert sum(r.debits_posted for r in rows) == sum(r.credits_posted for r in rows)
    assert sum(r.debits_pending for r in rows) == sum(r.credits_pending for r in rows)
