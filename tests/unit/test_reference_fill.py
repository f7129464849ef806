"""Fills follow from the price, sum exactly, and bound it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settlement.reference.cell import Cell
from settlement.reference.errors import MarginalExceeded
from settlement.reference.fill import Quote, fill_entry, pro_rata
from settlement.reference.marginal import Marginal

WH = st.integers(1, 2**30 - 1)


@given(st.lists(WH, min_size=1, max_size=30), st.data())
def test_shares_sum_exactly_and_none_is_more_than_asked(quantities: list[int], data: st.DataObject) -> None:
    total = sum(quantities)
    shared = data.draw(st.integers(0, total))
    shares, before = [], 0
    for quantity in quantities:
        shares.append(pro_rata(before, quantity, total, shared))
        before += quantity
    assert sum(shares) == shared
    assert all(0 <= share <= quantity for share, quantity in zip(shares, quantities, strict=True))


@given(st.lists(WH, min_size=2, max_size=10), st.data())
def test_a_share_is_within_one_of_its_proportion(quantities: list[int], data: st.DataObject) -> None:
    total = sum(quantities)
    shared = data.draw(st.integers(0, total))
    before = sum(quantities[:-1])
    share = pro_rata(before, quantities[-1], total, shared)
    assert abs(share * total - quantities[-1] * shared) < total


NOTHING_AT_PRICE = Marginal()

CASES = [
    # side limit price  fill  upper        lower
    (0, 11, 10, 5, 11, -(2**31)),
    (1, 11, 10, 0, 11, -(2**31)),
    (0, 9, 10, 0, 2**31 - 1, 9),
    (1, 9, 10, 5, 2**31 - 1, 9),
]


@pytest.mark.parametrize(("side", "limit", "price", "fill", "upper", "lower"), CASES)
def test_better_fills_worse_does_not_and_both_bound(
    side: int, limit: int, price: int, fill: int, upper: int, lower: int
) -> None:
    after, filled = fill_entry(Cell(), NOTHING_AT_PRICE, Quote(price, price - 1, price + 1), side, 5, limit)
    assert filled == fill
    assert (after.upper, after.lower) == (upper, lower)
    assert after.net == (fill if side == 0 else -fill)


@pytest.mark.parametrize(("side", "limit", "price", "fill", "upper", "lower"), CASES)
def test_a_limit_beyond_both_differences_is_not_gathered(
    side: int, limit: int, price: int, fill: int, upper: int, lower: int
) -> None:
    after, filled = fill_entry(Cell(), NOTHING_AT_PRICE, Quote(price, price, price), side, 5, limit)
    assert filled == fill
    assert (after.upper, after.lower) == (Cell().upper, Cell().lower)


GROUPS = [
    # side R   upper lower: all fills, some fills, none fills
    (0, 10, True, False),
    (0, 4, True, True),
    (0, 0, False, True),
    (1, 10, False, True),
    (1, 4, True, True),
    (1, 0, True, False),
]


@pytest.mark.parametrize(("side", "shared", "above", "below"), GROUPS)
def test_at_the_price_the_group_bounds(side: int, shared: int, above: bool, below: bool) -> None:
    totals = ((10, 0), (shared, 0)) if side == 0 else ((0, 10), (0, shared))
    after, filled = fill_entry(Cell(), Marginal(*totals), Quote(7, 7, 7), side, 1, 7)
    assert filled == pro_rata(0, 1, 10, shared)
    assert (after.upper == 7, after.lower == 7) == (above, below)


def test_more_at_the_price_than_posted_is_refused() -> None:
    with pytest.raises(MarginalExceeded):
        fill_entry(Cell(at_price=(8, 0)), Marginal((10, 0), (10, 0)), Quote(7, 7, 7), 0, 3, 7)


def test_an_entry_of_nothing_changes_nothing() -> None:
    assert fill_entry(Cell(), NOTHING_AT_PRICE, Quote(7, 0, 9), 0, 0, 7) == (Cell(), 0)
