"""A batch of imbalances is the reference's rule, cell by cell, and nets to zero whatever its size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settlement.reference import settlement as reference
from settlement.reference.errors import EnergyNotConserved, ValueOutOfRange, WrongLength
from settlement.rules.imbalance import ImbalancePrices, ImbalanceRun, exact_sums, settle, single
from settlement.units import POTENTIAL_LIMIT, WH_LIMIT, Ints

MWH = 1_000_000
NANO = 10**9
QUANTITIES = st.one_of(
    st.integers(-1000, 1000), st.sampled_from([1 - WH_LIMIT, WH_LIMIT - 1]), st.integers(1 - WH_LIMIT, 0)
)
PRICES = st.tuples(*[st.integers(-POTENTIAL_LIMIT, POTENTIAL_LIMIT)] * 2).map(sorted)


def ints(*rows: object) -> Ints:
    return np.array(rows, np.int64)


def alone(sold: int, metered: int, prices: ImbalancePrices) -> ImbalanceRun:
    """One account that sold to the balancing party, in one window."""
    return settle(ints([sold]), ints([metered]), prices, ints(-sold))


@st.composite
def days(draw: st.DrawFn) -> tuple[Ints, Ints, ImbalancePrices]:
    accounts, windows = draw(st.integers(0, 5)), draw(st.integers(1, 4))
    rows = st.lists(QUANTITIES, min_size=accounts * windows, max_size=accounts * windows)
    contracted, metered = (np.array(draw(rows), np.int64).reshape(accounts, windows) for _ in range(2))
    pairs = [draw(PRICES) for _ in range(windows)]
    return contracted, metered, ImbalancePrices(tuple(p[0] for p in pairs), tuple(p[1] for p in pairs))


@pytest.mark.parametrize(("price", "cash"), [(80_000, -8), (-50_000, 5)])
def test_who_delivers_less_than_it_sold_owes_the_price_and_earns_a_negative_one(
    price: int, cash: int
) -> None:
    run = alone(MWH, 900_000, single((price,)))
    assert run.imbalance_wh.tolist() == [[-100_000]]
    assert run.account_nano == (cash * NANO,)
    assert (run.balancing_wh, run.balancing_nano) == ((100_000,), (-cash * NANO,))


def test_dual_prices_pay_the_surplus_price_and_charge_the_deficit_price() -> None:
    prices = ImbalancePrices((40_000,), (90_000,))
    assert alone(1000, 1100, prices).account_nano == (100 * 40_000,)
    assert alone(1000, 900, prices).account_nano == (-100 * 90_000,)


@settings(max_examples=200)
@given(days())
def test_a_batch_agrees_with_the_reference_and_nets_to_zero(day: tuple[Ints, Ints, ImbalancePrices]) -> None:
    contracted, metered, prices = day
    run = settle(contracted, metered, prices, -contracted.sum(axis=0))
    for a, row in enumerate((metered - contracted).tolist()):
        cash = list(map(reference.imbalance_cash, row, prices.surplus, prices.deficit))
        assert run.cash_nano[a].tolist() == cash
        assert run.account_nano[a] == sum(cash)
    for w, (wh, nano) in enumerate(zip(run.balancing_wh, run.balancing_nano, strict=True)):
        assert wh + sum(run.imbalance_wh[:, w].tolist()) == 0
        assert nano + sum(run.cash_nano[:, w].tolist()) == 0


@settings(max_examples=50)
@given(days())
def test_firm_contracts_settle_as_the_reference_settles_them(
    day: tuple[Ints, Ints, ImbalancePrices],
) -> None:
    contracted, metered, prices = day
    windows = len(prices.surplus)
    rounds = (reference.Round(0, 0, 0),)
    terms = reference.Day(windows, (0, 8), rounds, surplus=prices.surplus, deficit=prices.deficit)
    run = settle(contracted, metered, prices, -contracted.sum(axis=0))
    for a, row in enumerate(contracted.tolist()):
        claims = {(0, 8, w): -wh for w, wh in enumerate(row) if wh < 0}
        obligations = {(0, 8, w): wh for w, wh in enumerate(row) if wh > 0}
        result = reference.settle_account(terms, metered[a].tolist(), claims, obligations)
        assert (result.cash, list(result.imbalance)) == (run.account_nano[a], run.imbalance_wh[a].tolist())


def test_sums_beyond_64_bits_are_exact() -> None:
    most = 2 * (WH_LIMIT - 1)
    contracted = np.full((40, 288), WH_LIMIT - 1, np.int64)
    prices = single((POTENTIAL_LIMIT,) * 288)
    run = settle(contracted, -contracted, prices, -contracted.sum(axis=0))
    assert run.account_nano == (-most * POTENTIAL_LIMIT * 288,) * 40
    assert run.balancing_nano == (most * POTENTIAL_LIMIT * 40,) * 288
    assert run.balancing_nano[0] > 2**63


@given(st.lists(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=3, max_size=3), min_size=1))
def test_rows_sum_exactly(rows: list[list[int]]) -> None:
    assert exact_sums(np.array(rows, np.int64)) == tuple(map(sum, rows))


@pytest.mark.parametrize("quantity", [WH_LIMIT, -WH_LIMIT])
def test_a_quantity_beyond_the_bound_is_refused(quantity: int) -> None:
    with pytest.raises(ValueOutOfRange):
        alone(0, quantity, single((1,)))


def test_contracts_that_do_not_sum_to_zero_are_refused() -> None:
    with pytest.raises(EnergyNotConserved) as refused:
        settle(ints([5, 7]), ints([0, 0]), single((1, 1)), ints(-5, -6))
    assert refused.value.args == (1, 1)


@pytest.mark.parametrize("prices", [((2,), (1,)), ((-POTENTIAL_LIMIT - 1,), (0,))])
def test_prices_that_cross_or_leave_their_bounds_are_refused(
    prices: tuple[tuple[int], tuple[int]],
) -> None:
    with pytest.raises(ValueOutOfRange):
        ImbalancePrices(*prices)


def test_shapes_that_differ_are_refused() -> None:
    for contracted, metered, balancing in [
        (ints([1, 1]), ints([1]), ints(-1)),
        (ints([1]), ints([1], [1]), ints(-1)),
        (ints([1]), ints([1]), ints(-1, 0)),
    ]:
        with pytest.raises(WrongLength):
            settle(contracted, metered, single((1,)), balancing)
