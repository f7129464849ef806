"""The first pass nets to zero and delivers once; what was sold as produced shrinks to what was."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settlement.reference import errors, quality, settlement
from settlement.reference.posting import Entry
from settlement.reference.potential import Potential
from settlement.reference.prices import RoundPrices
from settlement.reference.settlement import Day, Round, RunCarry

QUALITIES = (0, 3, 8, 11)
WINDOWS = 2


def prices(energy: tuple[int, ...], *premiums: tuple[int, ...]) -> RoundPrices:
    """Of a round whose potentials leave no room: `e` in each window, then `g` of each quality from 1 on."""
    rows = [Potential(-g, -g, 0, 0) for premium in premiums for g in premium]
    return RoundPrices(tuple(Potential(e, e, 0, 0) for e in energy), tuple(rows))


ROUNDS = (
    Round(0, 100, 300, 0, prices((150, -40), (20, 30), (5, 6), (50, 60))),
    Round(2, 50, 70, 0, prices((90, 110), (0, 8), (2, 1), (9, 12))),
)
DAY = Day(WINDOWS, QUALITIES, ROUNDS, surplus=(80, -20), deficit=(240, 10))
KEYS = [
    (one.round, code, window) for one in DAY.rounds for code in QUALITIES for window in range(DAY.windows)
]
HOLDINGS = st.dictionaries(st.sampled_from(KEYS), st.integers(1, 1000), max_size=6)
METERED = st.tuples(*[st.integers(-2000, 2000)] * DAY.windows)

Accounts = list[tuple[Entry, settlement.Holdings, settlement.Holdings]]


@st.composite
def communities(draw: st.DrawFn) -> Accounts:
    count = draw(st.integers(1, 6))
    return [
        (Entry(bytes([n + 1] * 20), (0,) * DAY.windows, draw(METERED)), draw(HOLDINGS), draw(HOLDINGS))
        for n in range(count)
    ]


def settled(community: Accounts) -> tuple[RunCarry, list[settlement.AccountResult]]:
    carry, results = settlement.initial_run(DAY), []
    for entry, claims, obligations in community:
        carry, result = settlement.settle_entry(DAY, carry, entry, claims, obligations)
        results.append(result)
    return carry, results


def counterpart(
    community: Accounts,
) -> tuple[dict[tuple[int, int, int], int], dict[tuple[int, int, int], int]]:
    """Claims and obligations of a balancing party that make each product's contracts sum to zero."""
    net = {key: sum(o.get(key, 0) - c.get(key, 0) for _, c, o in community) for key in KEYS}
    return {k: wh for k, wh in net.items() if wh > 0}, {k: -wh for k, wh in net.items() if wh < 0}


@given(communities())
def test_a_run_nets_to_zero_in_energy_and_cash(community: Accounts) -> None:
    carry, results = settled(community)
    closing = settlement.close(DAY, carry, *counterpart(community))
    assert closing.cash + sum(result.cash for result in results) == 0
    assert closing.imbalance + sum(sum(result.imbalance) for result in results) == 0


@given(communities())
def test_nobody_delivers_more_than_it_exported_or_sold(community: Accounts) -> None:
    carry, results = settled(community)
    for (entry, _, obligations), result in zip(community, results, strict=True):
        for window, wh in enumerate(entry.metered):
            delivered = [result.delivered[DAY.index(code, window)] for code in QUALITIES]
            sold = [
                sum(obligations.get((r.round, code, window), 0) for r in DAY.rounds) for code in QUALITIES
            ]
            assert sum(delivered) == min(max(0, wh), sum(sold))
            assert all(d <= s for d, s in zip(delivered, sold, strict=True))
    total = sum(tally.delivered for tally in carry.tallies)
    assert total == sum(sum(result.delivered) for result in results)


def test_delivery_meets_earlier_rounds_then_better_qualities() -> None:
    obligations = {(0, 3, 0): 10, (0, 8, 0): 10, (2, 11, 0): 10}

    def allotted(metered: int) -> dict[tuple[int, int], int]:
        found = settlement.allot(DAY, metered, obligations, 0)
        return {key: wh for key, wh in found.items() if wh}

    assert allotted(15) == {(0, 3): 10, (0, 8): 5}
    assert allotted(25) == {(0, 3): 10, (0, 8): 10, (2, 11): 5}
    assert allotted(-25) == {}


def test_an_imbalance_is_paid_at_the_price_of_its_sign() -> None:
    assert settlement.imbalance_cash(10, surplus=80, deficit=240) == 800
    assert settlement.imbalance_cash(-10, surplus=80, deficit=240) == -2400
    assert settlement.imbalance_cash(10, surplus=-20, deficit=10) == -200


# As produced and firm -----------------------------------------------------------------------------------


def test_a_sale_as_produced_shrinks_and_its_price_goes_back() -> None:
    result = settlement.settle_account(DAY, (700, 0), {}, {(0, 3, 0): 1000})
    assert result.imbalance == (0, 0)
    assert result.proceeds == 300 * (150 + 20) == -result.cash


def test_a_firm_sale_stands_and_only_its_green_premium_goes_back() -> None:
    result = settlement.settle_account(DAY, (700, 0), {}, {(0, 11, 0): 1000})
    assert result.imbalance == (-300, 0)
    assert result.proceeds == 300 * (50 - 5)
    assert result.cash == -300 * 240 - result.proceeds


def test_a_firm_sale_of_no_band_gives_nothing_back_and_needs_no_prices() -> None:
    bare = replace(DAY, rounds=tuple(replace(one, prices=None) for one in DAY.rounds))
    result = settlement.settle_account(bare, (700, 0), {}, {(0, 8, 0): 1000})
    assert (result.imbalance, result.proceeds) == ((-300, 0), 0)


@pytest.mark.parametrize(("price", "cash"), [(80, -8_000_000), (-50, 5_000_000)])
def test_a_megawatt_hour_sold_and_nine_tenths_delivered_costs_the_rest(price: int, cash: int) -> None:
    """80 per MWh are 80,000 micro per kWh; 8 are 8,000,000,000 nano."""
    single = Day(1, (0, 8), (Round(0, 0, 0),), (price * 1000,), (price * 1000,))
    result = settlement.settle_account(single, (900_000,), {}, {(0, 8, 0): 1_000_000})
    assert (result.imbalance, result.cash) == ((-100_000,), cash * 1000)


@pytest.mark.parametrize("code", [0, 3, 11])
def test_what_must_be_priced_needs_prices(code: int) -> None:
    bare = replace(DAY, rounds=tuple(replace(one, prices=None) for one in DAY.rounds))
    settlement.settle_account(bare, (1000, 0), {}, {(0, code, 0): 1000})
    with pytest.raises(errors.PricesMissing):
        settlement.settle_account(bare, (999, 0), {}, {(0, code, 0): 1000})


@given(HOLDINGS, HOLDINGS, st.integers(0, 500))
def test_who_delivers_everything_gives_nothing_back(
    claims: settlement.Holdings, obligations: settlement.Holdings, more: int
) -> None:
    sold = [sum(wh for key, wh in obligations.items() if key[2] == window) for window in range(WINDOWS)]
    result = settlement.settle_account(DAY, [wh + more for wh in sold], claims, obligations)
    assert result.proceeds == 0
    assert sum(result.delivered) == sum(sold)


@given(HOLDINGS, HOLDINGS)
def test_who_is_not_metered_is_taken_to_have_done_what_it_contracted(
    claims: settlement.Holdings, obligations: settlement.Holdings
) -> None:
    result = settlement.presumed_account(DAY, claims, obligations)
    assert (result.cash, result.proceeds, set(result.imbalance)) == (0, 0, {0})
    assert result.returned == settlement.reserve(DAY, claims, obligations)
    assert sum(result.delivered) == sum(obligations.values())


@given(HOLDINGS, HOLDINGS, METERED)
def test_an_imbalance_counts_what_was_produced_of_a_sale_as_produced(
    claims: settlement.Holdings, obligations: settlement.Holdings, metered: tuple[int, ...]
) -> None:
    result = settlement.settle_account(DAY, metered, claims, obligations)
    for window, wh in enumerate(metered):
        allotted = settlement.allot(DAY, wh, obligations, window)
        counted = sum(
            allotted[(number, code)] if quality.firm(code) == 0 else sold
            for (number, code, at), sold in obligations.items()
            if at == window
        )
        bought = sum(claim for (_, _, at), claim in claims.items() if at == window)
        assert result.imbalance[window] == wh - counted + bought
