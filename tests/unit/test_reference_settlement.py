"""The first pass pays for what was delivered, once, and nets to zero in energy and imbalances."""

from __future__ import annotations

from dataclasses import replace

import pytest
from communities import DAY, HOLDINGS, METERED, WINDOWS, Community, communities, prices, settle
from hypothesis import given
from hypothesis import strategies as st

from settlement.reference import errors, gift, quality, settlement
from settlement.reference.gift import Gift
from settlement.reference.posting import Entry
from settlement.reference.settlement import Day, Holdings, Key, Round

BARE = replace(DAY, rounds=tuple(replace(one, prices=None) for one in DAY.rounds))
"""The day of one who brings no prices."""


@given(communities())
def test_a_run_nets_to_zero_in_energy_and_imbalance_cash(community: Community) -> None:
    carry, results = settle(community)
    closing = settlement.close(community.day, carry, *community.party)
    assert closing.cash + sum(result.cash for result in results) == 0
    assert closing.imbalance + sum(sum(result.imbalance) for result in results) == 0


@given(communities())
def test_what_was_withheld_is_earned_or_in_the_pots(community: Community) -> None:
    carry, results = settle(community)
    earned = sum(result.credit for result in results)
    assert earned + sum(carry.pots) == community.withheld


@given(communities())
def test_nobody_delivers_more_than_it_exported_or_sold(community: Community) -> None:
    carry, results = settle(community)
    for (entry, _, obligations), result in zip(community.accounts, results, strict=True):
        delivered = dict(zip(DAY.keys, result.delivered, strict=True))
        assert all(wh <= obligations.get(key, 0) for key, wh in delivered.items())
        for window, wh in enumerate(entry.metered):
            sold = sum(one for key, one in obligations.items() if key[2] == window)
            assert sum(one for key, one in delivered.items() if key[2] == window) == min(max(0, wh), sold)
    total = sum(tally.delivered for tally in carry.tallies)
    assert total == sum(sum(result.delivered) for result in results)


def test_delivery_meets_earlier_rounds_then_better_qualities() -> None:
    obligations = {(0, 3, 0): 10, (0, 8, 0): 10, (2, 11, 0): 10}

    def allotted(metered: int) -> dict[Key, int]:
        found = settlement.allot(DAY, metered, obligations, 0)
        return {key: wh for key, wh in found.items() if wh}

    assert allotted(15) == {(0, 3, 0): 10, (0, 8, 0): 5}
    assert allotted(25) == {(0, 3, 0): 10, (0, 8, 0): 10, (2, 11, 0): 5}
    assert allotted(-25) == {}


def test_an_imbalance_is_paid_at_the_price_of_its_sign() -> None:
    assert settlement.imbalance_cash(10, surplus=80, deficit=240) == 800
    assert settlement.imbalance_cash(-10, surplus=80, deficit=240) == -2400
    assert settlement.imbalance_cash(10, surplus=-20, deficit=10) == -200


# As produced and firm -----------------------------------------------------------------------------------


def test_a_sale_as_produced_earns_what_was_delivered_and_no_imbalance() -> None:
    result = settlement.settle_account(DAY, (700, 0), {}, {(0, 3, 0): 1000})
    assert (result.imbalance, result.cash) == ((0, 0), 0)
    assert result.earned == {(0, 3): 700 * (150 + 20)}
    assert result.pots[DAY.index((0, 3, 0))] == sum(result.pots) == 300 * (150 + 20)


@pytest.mark.parametrize("metered", [0, 700, 1000])
def test_a_sale_at_a_negative_price_costs_all_that_was_sold_whatever_was_delivered(metered: int) -> None:
    result = settlement.settle_account(DAY, (0, metered), {}, {(0, 0, 1): 1000})
    assert result.earned == {(0, 0): 1000 * -40}
    assert sum(result.pots) == 0
    assert result.returned == 1000 * 340


def test_prices_of_both_signs_are_each_paid_by_its_own_rule() -> None:
    result = settlement.settle_account(DAY, (600, 700), {}, {(0, 0, 0): 1000, (0, 0, 1): 1000})
    assert result.earned == {(0, 0): 600 * 150 - 1000 * 40}
    assert sum(result.pots) == result.pots[DAY.index((0, 0, 0))] == 400 * 150


def test_a_firm_sale_stands_and_only_its_green_premium_goes_back() -> None:
    result = settlement.settle_account(DAY, (700, 0), {}, {(0, 11, 0): 1000})
    assert result.imbalance == (-300, 0)
    assert result.premiums == 300 * (50 - 5)
    assert result.cash == -300 * 240 - result.premiums
    assert (result.earned, set(result.pots)) == ({}, {0})


def test_a_green_premium_below_zero_is_not_given_back() -> None:
    upside_down = prices((150, -40), (20, 30), (50, 60), (5, 6))
    day = replace(DAY, rounds=(replace(DAY.rounds[0], prices=upside_down),))
    assert upside_down.green_premium(day.qualities, 11, 0) == 5 - 50
    assert settlement.settle_account(day, (700, 0), {}, {(0, 11, 0): 1000}).premiums == 0


def test_a_firm_sale_of_no_band_gives_nothing_back_and_needs_no_prices() -> None:
    result = settlement.settle_account(BARE, (700, 0), {}, {(0, 8, 0): 1000})
    assert (result.imbalance, result.premiums) == ((-300, 0), 0)


@pytest.mark.parametrize(("price", "cash"), [(80, -8_000_000), (-50, 5_000_000)])
def test_a_megawatt_hour_sold_and_nine_tenths_delivered_costs_the_rest(price: int, cash: int) -> None:
    """80 per MWh are 80,000 micro per kWh; 8 are 8,000,000,000 nano."""
    single = Day(1, (0, 8), (Round(0, 0, 0),), (price * 1000,), (price * 1000,))
    result = settlement.settle_account(single, (900_000,), {}, {(0, 8, 0): 1_000_000})
    assert (result.imbalance, result.cash) == ((-100_000,), cash * 1000)


@pytest.mark.parametrize("metered", [0, 999, 1000])
@pytest.mark.parametrize("code", [0, 3])
def test_a_sale_as_produced_needs_prices_however_much_is_delivered(code: int, metered: int) -> None:
    with pytest.raises(errors.PricesMissing):
        settlement.settle_account(BARE, (metered, 0), {}, {(0, code, 0): 1000})
    with pytest.raises(errors.PricesMissing):
        settlement.presumed_account(BARE, {}, {(0, code, 0): 1000})


def test_green_firm_energy_needs_prices_where_it_is_not_delivered() -> None:
    settlement.settle_account(BARE, (1000, 0), {}, {(0, 11, 0): 1000})
    with pytest.raises(errors.PricesMissing):
        settlement.settle_account(BARE, (999, 0), {}, {(0, 11, 0): 1000})


@given(HOLDINGS, HOLDINGS, st.integers(0, 500))
def test_who_delivers_everything_earns_all_it_sold_and_gives_nothing_back(
    claims: Holdings, obligations: Holdings, more: int
) -> None:
    sold = [sum(wh for key, wh in obligations.items() if key[2] == window) for window in range(WINDOWS)]
    result = settlement.settle_account(DAY, [wh + more for wh in sold], claims, obligations)
    assert (result.premiums, set(result.pots)) == (0, {0})
    assert sum(result.delivered) == sum(sold)
    assert result.credit == worth_as_produced(obligations)


@given(HOLDINGS, HOLDINGS)
def test_who_is_not_metered_is_taken_to_have_done_what_it_contracted(
    claims: Holdings, obligations: Holdings
) -> None:
    result = settlement.presumed_account(DAY, claims, obligations)
    assert (result.cash, result.premiums, set(result.imbalance), set(result.pots)) == (0, 0, {0}, {0})
    assert result.returned == settlement.reserve(DAY, claims, obligations)
    assert sum(result.delivered) == sum(obligations.values())
    assert result.credit == worth_as_produced(obligations)


def worth_as_produced(obligations: Holdings) -> int:
    return sum(wh * DAY.price(key) for key, wh in obligations.items() if not quality.firm(key[1]))


@given(HOLDINGS, HOLDINGS, METERED)
def test_an_imbalance_counts_what_was_produced_of_a_sale_as_produced(
    claims: Holdings, obligations: Holdings, metered: tuple[int, ...]
) -> None:
    result = settlement.settle_account(DAY, metered, claims, obligations)
    for window, wh in enumerate(metered):
        allotted = settlement.allot(DAY, wh, obligations, window)
        counted = sum(
            allotted[key] if quality.firm(key[1]) == 0 else sold
            for key, sold in obligations.items()
            if key[2] == window
        )
        bought = sum(claim for (_, _, at), claim in claims.items() if at == window)
        assert result.imbalance[window] == wh - counted + bought


@given(communities(), st.integers(1, 4))
def test_parts_cut_anywhere_settle_the_same(community: Community, size: int) -> None:
    whole, results = settle(community)
    carry, found = settlement.initial_run(community.day), []
    for at, (entry, claims, obligations) in enumerate(community.accounts):
        carry, one = settlement.settle_entry(community.day, carry, entry, claims, obligations)
        found.append(one)
        if (at + 1) % size == 0:
            carry = replace(carry, parts=carry.parts + 1)
    assert (tuple(found), replace(carry, parts=0)) == (results, whole)


def test_accounts_ascend() -> None:
    low, high = (Entry(bytes([n] * 20), (0,) * WINDOWS, (0,) * WINDOWS) for n in (1, 2))
    carry, _ = settlement.settle_entry(DAY, settlement.initial_run(DAY), high, {}, {})
    for entry in (low, high):
        with pytest.raises(errors.BadEntry):
            settlement.settle_entry(DAY, carry, entry, {}, {})


# Gifts --------------------------------------------------------------------------------------------------


@given(st.integers(0, 1000), st.lists(st.integers(-500, 500), max_size=6))
def test_a_gift_is_given_of_what_is_earned_and_no_more_than_was_promised(
    promised: int, credits: list[int]
) -> None:
    left, given_in_all = Gift(b"\x01" * 20, promised), 0
    for credit in credits:
        left, nano = gift.give(left, credit)
        assert 0 <= nano <= max(0, credit)
        given_in_all += nano
    assert given_in_all + left.nano == promised
    assert given_in_all == min(promised, sum(max(0, credit) for credit in credits))


def test_a_loss_is_never_promised() -> None:
    assert gift.promise(Gift(b"\x01" * 20, 5), -7).nano == 5
    assert gift.promise(Gift(b"\x01" * 20, 5), 7).nano == 12
