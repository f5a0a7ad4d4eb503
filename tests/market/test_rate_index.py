"""The rate index: nobody can be found in it."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airback.market.rate_index import Facts, Leaf, Privacy, publish

PRIVACY = Privacy(least_sellers=3, most_share_ppm=600_000)

LEAVES = st.dictionaries(
    st.builds(
        Leaf,
        st.sampled_from(["cmcc", "ctcc"]),
        st.sampled_from(["0", "1", "2"]),
        st.sampled_from(["", "11", "44", "51"]),
        st.sampled_from(["", "0", "1"]),
    ),
    st.lists(
        st.tuples(st.integers(1, 12), st.integers(700_000, 950_000), st.integers(1, 50_000)),
        min_size=1,
        max_size=6,
    ),
    max_size=20,
)


def made(sales: dict[Leaf, list[tuple[int, int, int]]]) -> dict[Leaf, Facts]:
    leaves: dict[Leaf, Facts] = {}
    for leaf, rows in sales.items():
        for seller, rate_ppm, face_fen in rows:
            leaves.setdefault(leaf, Facts()).add(
                seller=seller, rate_ppm=rate_ppm, orders=1, face_fen=face_fen
            )
    return leaves


def shares_of(leaves: dict[Leaf, Facts], pool: frozenset[Leaf]) -> tuple[dict[int, int], dict[int, int]]:
    """Face and orders by seller."""
    faces: dict[int, int] = {}
    orders: dict[int, int] = {}
    for leaf in pool:
        for together, of_leaf in ((faces, leaves[leaf].sellers), (orders, leaves[leaf].orders)):
            for seller, part in of_leaf.items():
                together[seller] = together.get(seller, 0) + part
    return faces, orders


@settings(max_examples=300)
@given(LEAVES)
def test_no_cell_and_no_difference_of_cells_is_about_too_few(
    sales: dict[Leaf, list[tuple[int, int, int]]],
) -> None:
    leaves = made(sales)
    cells = publish(leaves, PRIVACY)
    for cell in cells:
        for parts in shares_of(leaves, cell.leaves):
            assert len(parts) >= PRIVACY.least_sellers
            assert max(parts.values()) * 1_000_000 <= sum(parts.values()) * PRIVACY.most_share_ppm
    # cells never overlap, so a difference of two is one of them whole
    for one, other in combinations(cells, 2):
        assert not one.leaves & other.leaves
        for difference in (one.leaves - other.leaves, other.leaves - one.leaves):
            assert PRIVACY.allows(*shares_of(leaves, difference))
    # of a carrier everything is in some cell, or nothing is: there is no rest that a total from elsewhere would give away
    for carrier in {leaf.carrier for leaf in leaves}:
        shown = {leaf for cell in cells if cell.carrier == carrier for leaf in cell.leaves}
        assert shown in (set(), {leaf for leaf in leaves if leaf.carrier == carrier})


@given(LEAVES)
def test_quartiles_are_ordered_and_within_what_was_paid(
    sales: dict[Leaf, list[tuple[int, int, int]]],
) -> None:
    leaves = made(sales)
    for cell in publish(leaves, PRIVACY):
        rates = sorted(rate for leaf in cell.leaves for rate in leaves[leaf].rates)
        assert rates[0] <= cell.lower_ppm <= cell.median_ppm <= cell.upper_ppm <= rates[-1]
        assert cell.orders % 10 == 0
        assert all(rate % 1_000 == 0 for rate in (cell.lower_ppm, cell.median_ppm, cell.upper_ppm))


def sold(leaf: Leaf, sellers: range) -> dict[Leaf, list[tuple[int, int, int]]]:
    return {leaf: [(seller, 850_000 + 1_000 * (seller % 5), 10_000) for seller in sellers]}


def test_a_small_province_takes_the_smallest_neighbour_in() -> None:
    leaves = made(
        sold(Leaf("cmcc", "1", "44", "1"), range(20))
        | sold(Leaf("cmcc", "1", "51", "1"), range(100, 106))
        | sold(Leaf("cmcc", "1", "54", "1"), range(200, 201))
    )
    cells = publish(leaves, PRIVACY)
    assert [(cell.province, len(cell.leaves)) for cell in cells] == [("44", 1), (None, 2)]
    assert cells[1].leaves == {Leaf("cmcc", "1", "51", "1"), Leaf("cmcc", "1", "54", "1")}
    assert cells[1].face == "1" and cells[1].expiry == "1"  # what they share is still said


def test_small_ones_of_several_expiry_bands_become_one_cell() -> None:
    leaves = made(
        sold(Leaf("cmcc", "1", "44", "0"), range(2)) | sold(Leaf("cmcc", "1", "44", "1"), range(50, 52))
    )
    (cell,) = publish(leaves, PRIVACY)
    assert (cell.face, cell.province, cell.expiry) == ("1", "44", None)


def test_a_carrier_with_too_few_sellers_has_no_cell() -> None:
    assert publish(made(sold(Leaf("cbn", "1", "44", "0"), range(2))), PRIVACY) == []


def test_one_seller_with_most_of_the_face_is_not_published() -> None:
    leaf = Leaf("cmcc", "1", "44", "0")
    leaves = made(sold(leaf, range(5)))
    leaves[leaf].add(seller=9, rate_ppm=700_000, orders=1, face_fen=10_000_000)
    assert publish(leaves, PRIVACY) == []


def test_one_seller_with_most_of_the_orders_is_not_published() -> None:
    leaf = Leaf("cmcc", "1", "44", "0")
    leaves = made(sold(leaf, range(5)))
    assert len(publish(leaves, PRIVACY)) == 1
    # Little face, many orders: the quartiles, which count orders, would be this seller's own rates.
    leaves[leaf].add(seller=9, rate_ppm=700_000, orders=100, face_fen=10_000)
    assert publish(leaves, PRIVACY) == []


@pytest.mark.parametrize(("sellers", "share"), [(2, 500_000), (10, 0), (10, 1_000_001)])
def test_a_privacy_that_protects_nobody_cannot_be_set(sellers: int, share: int) -> None:
    with pytest.raises(ValueError, match="published figure"):
        Privacy(least_sellers=sellers, most_share_ppm=share)
