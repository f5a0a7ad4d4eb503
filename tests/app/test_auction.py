"""`airback auction` as somebody at a terminal uses it, and the award behind it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airback.cli.main import main
from airback.domain.money import share_floor
from airback.domain.refusals import REFUSALS, Refused
from airback.market import auction
from airback.market.auction import Bid, Bidder, Lot, Rule, award, seal

LOTS = "lot,carrier,face_yuan,reserve_percent\nL1,cmcc,1000,90\nL2,移动,500,90\nL3,ctcc,2000,\n"
BIDS = "bidder,lot,price_percent,salt\na,L1,95,s1\nb,L1,96,s2\na,L2,95,s1\nb,L2,95.5,s2\na,L3,93,s1\nb,L3,94,s2\n"
BIDDERS = "bidder,deposit_yuan,most_yuan\na,5000,\nb,2000,\n"
Run = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Exit status, the last line's JSON and what stood on standard error."""

    def held(
        *words: str, lots: str = LOTS, bids: str = BIDS, bidders: str = BIDDERS, sealed: str | None = None
    ) -> tuple[int, dict[str, Any], str]:
        files = {"lots": lots, "bids": bids, "bidders": bidders, "sealed": sealed}
        given: list[str] = []
        for name, text in files.items():
            if text is not None:
                (tmp_path / f"{name}.csv").write_text(text, "utf-8")
                given += [f"--{name}", str(tmp_path / f"{name}.csv")]
        with pytest.raises(SystemExit) as ended:
            main(["auction", *given, *words, "--json"])
        said = capsys.readouterr()
        lines = said.out.splitlines()
        return int(str(ended.value.code)), json.loads(lines[-1]) if lines else {}, said.err

    return held


def test_the_lots_go_where_all_of_them_bring_most(run: Run, tmp_path: Path) -> None:
    """b's money is enough for the largest lot or for the two small ones: the total decides, not each lot's best bid."""
    status, report, _ = run("--out", str(tmp_path / "award.csv"))
    assert status == 0
    assert [(lot["lot"], lot["bidder"], lot["pays_fen"]) for lot in report["lots"]] == [
        ("L1", "a", 95_000),
        ("L2", "a", 47_500),
        ("L3", "b", 188_000),
    ]
    assert report["total_fen"] == report["best_execution"]["bid_fen"] == 330_500
    assert report["best_execution"]["in_turn_fen"] == 329_750
    assert report["best_execution"]["alone"] == [
        {"bidder": "a", "total_fen": 328_500},
        {"bidder": "b", "total_fen": 188_000},
    ]
    assert len((tmp_path / "award.csv").read_text("utf-8").splitlines()) == 4


def test_the_second_price_is_the_next_bid_or_the_reserve(run: Run) -> None:
    bids = "bidder,lot,price_percent\na,L1,95\nb,L1,92\na,L2,97\n"
    _, report, _ = run("--rule", "second_price", bids=bids)
    assert [lot["pays_fen"] for lot in report["lots"]] == [92_000, 45_000, 0]
    assert (report["total_fen"], report["best_execution"]["bid_fen"]) == (137_000, 143_500)


def test_sealed_bids_count_only_as_they_were_sealed(run: Run) -> None:
    a = {"L1": 950_000, "L2": 950_000, "L3": 930_000}
    b = {"L1": 990_000, "L2": 955_000, "L3": 940_000}  # sealed higher than it opens
    sealed = f"bidder,seal\na,{seal('a', a, 's1')}\nb,{seal('b', b, 's2')}\n"
    status, report, _ = run(sealed=sealed)
    assert (status, report["sealed"]) == (0, True)
    assert {lot["bidder"] for lot in report["lots"]} == {"a"}
    assert [(one["row"], one["code"]) for one in report["refused"]] == [
        (row, "bid_seal_broken") for row in (2, 4, 6)
    ]


def test_a_bid_that_cannot_count_is_named_and_the_others_go_on(run: Run) -> None:
    bids = "bidder,lot,price_percent\nb,L3,99\na,L9,99\nz,L1,99\na,L1,89.9999\na,L1,0\na,L1,95\na,L1,96\nb,L3,100\n"
    status, report, _ = run(bids=bids, bidders="bidder,deposit_yuan\na,5000\nb,1979.99\n")
    assert status == 0
    assert [(one["row"], one["code"], one["field"]) for one in report["refused"]] == [
        (1, "bid_above_deposit", "price"),
        (2, "lot_unknown", "lot"),
        (3, "bidder_unknown", "bidder"),
        (4, "bid_below_reserve", "price"),
        (5, "price_malformed", "price"),
        (7, "bid_twice", "lot"),
        (8, "bid_above_deposit", "price"),
    ]
    assert report["sold"] == 1


@pytest.mark.parametrize(
    ("files", "code", "where"),
    [
        ({"bids": "bidder,lot,price_percent\n"}, "auction_without_bids", "field bids"),
        ({"bids": "bidder,lot\na,L1\n"}, "columns_missing", "field price_percent"),
        ({"bids": "bidder,lot,price_percent\na,L1,101\n"}, "percent_malformed", "row 1, field price_percent"),
        ({"bids": "bidder,lot,price_percent\na,L1\n"}, "row_incomplete", "row 1"),
        (
            {"lots": "lot,carrier,face_yuan\nL1,cmcc,1.234\n"},
            "amount_fraction_of_fen",
            "row 1, field face_yuan",
        ),
        ({"lots": "lot,carrier,face_yuan\nL1,nobody,1\n"}, "carrier_unknown", "row 1, field carrier"),
        ({"lots": "lot,carrier,face_yuan\nL1,cmcc,1\nL1,cmcc,1\n"}, "field_invalid", "row 2, field lot"),
        ({"bidders": "bidder,deposit_yuan\n=a,1\n"}, "field_invalid", "row 1, field bidder"),
        ({"sealed": "bidder,seal\na,00\nb,00\n"}, "bid_seal_broken", "row 1"),
    ],
)
def test_bad_input_is_refused_by_row_and_field_before_anything_is_awarded(
    run: Run, files: dict[str, str], code: str, where: str
) -> None:
    status, report, said = run(**files)
    assert (status, report) == (1, {})
    assert REFUSALS[code].remedy_en.split()[0] in said
    text = " ".join(said.split())
    assert code in text
    assert where in text


def test_more_lots_than_can_be_awarded_at_once_are_refused() -> None:
    lots = [Lot(f"L{n}", "cmcc", 100, 0) for n in range(auction.MOST_LOTS + 1)]
    with pytest.raises(Refused) as refused:
        award(lots, [Bidder("a", 100)], [Bid("a", "L1", 1, 1)])
    assert (refused.value.code, refused.value.field) == ("body_too_large", "lots")


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(100, 50_000), st.integers(0, 950_000)), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 60_000), st.integers(100, 90_000)), min_size=1, max_size=4),
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 7), st.integers(1, 1_000_000)), min_size=1, max_size=30
    ),
    st.sampled_from(Rule),
)
def test_no_award_passes_money_limit_reserve_or_bid_and_none_is_worse_than_in_turn(
    lots: list[tuple[int, int]], bidders: list[tuple[int, int]], bids: list[tuple[int, int, int]], rule: Rule
) -> None:
    for_sale = [Lot(f"L{n}", "cmcc", *one) for n, one in enumerate(lots)]
    asked = [Bidder(f"b{n}", *one) for n, one in enumerate(bidders)]
    handed = [Bid(f"b{who}", f"L{which}", price, row) for row, (who, which, price) in enumerate(bids, 1)]
    outcome = award(for_sale, asked, handed, rule=rule)
    own = {(bid.bidder, bid.lot): bid.price_ppm for bid in reversed(handed)}
    for one in asked:
        won = [a for a in outcome.awards if a.bidder == one.bidder]
        assert sum(share_floor(a.lot.face_fen, a.bid_ppm) for a in won) <= one.deposit_fen
        assert sum(a.lot.face_fen for a in won) <= one.most_fen
        assert outcome.bid_fen >= outcome.alone_fen[one.bidder]
        assert all((a.bidder, a.lot.lot) in own for a in won)
    for a in outcome.awards:
        if a.bidder is not None:
            assert share_floor(a.lot.face_fen, a.lot.reserve_ppm) <= a.pays_fen
            assert a.pays_fen <= share_floor(a.lot.face_fen, a.bid_ppm)
            assert a.bid_ppm >= a.lot.reserve_ppm
    assert outcome.bid_fen >= outcome.in_turn_fen
    assert outcome.total_fen <= outcome.bid_fen
    assert rule is Rule.SECOND_PRICE or outcome.total_fen == outcome.bid_fen
