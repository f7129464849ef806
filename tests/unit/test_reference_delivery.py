"""The second pass shares what was not produced, refunds what was not paid for it, and certifies what was
delivered.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from communities import (
    DAY,
    HOLDINGS,
    PARTY,
    QUALITIES,
    ROUNDS,
    WINDOWS,
    Community,
    Settled,
    both_passes,
    communities,
    prices,
    traded,
    trades,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from settlement.reference import delivery, errors, quality, settlement, statement
from settlement.reference.delivery import NOTHING, Delivery, Shortfall
from settlement.reference.settlement import Holdings, Key, RunCarry, Tally

AS_PRODUCED = [code for code in QUALITIES if not quality.firm(code)]
PLACES = [(one.round, window) for one in ROUNDS for window in range(WINDOWS)]
IDLE = [(0, 0)] * PARTY
"""Nobody metered anything."""
COMMUNITY = settings(deadline=None)


def tally(run: RunCarry, key: Key) -> Tally:
    return run.tallies[DAY.index(key)]


def carry_of(cells: dict[Key, Tally], unpaid: dict[Key, int] | None = None) -> RunCarry:
    """A carry with these cells; what was not delivered was not paid at these prices, or else at its own."""
    pots = {
        key: (one.obligations - one.delivered) * max(0, (unpaid or {}).get(key, DAY.price(key)))
        for key, one in cells.items()
        if not quality.firm(key[1])
    }
    tallies = tuple(cells.get(key, Tally()) for key in DAY.keys)
    return RunCarry(tallies, tuple(pots.get(key, 0) for key in DAY.keys), cash=sum(pots.values()))


def minted(passed: Settled) -> Counter[Key]:
    """Certificates by the key of their claims, Wh."""
    found: Counter[Key] = Counter()
    for one in passed.second:
        found.update(one.certificates)
    return found


# Energy -------------------------------------------------------------------------------------------------


@given(communities())
@COMMUNITY
def test_certificates_never_exceed_what_a_round_delivered_of_their_band_or_greener(
    community: Community,
) -> None:
    passed = both_passes(community)
    found = minted(passed)
    for (_, claims, _), one in zip(community.accounts, passed.second, strict=True):
        assert all(0 < wh <= claims[key] for key, wh in one.certificates.items())
    for number, window in PLACES:
        for least in (1, 3):
            green = [(number, code, window) for code in QUALITIES if quality.band(code) >= least]
            assert sum(found[key] for key in green) <= sum(tally(passed.run, key).delivered for key in green)
        backed = delivery.certified(community.day, passed.run, number, window)
        assert all(found[(number, code, window)] <= wh for code, wh in backed.items())


@given(communities())
@COMMUNITY
def test_what_is_certified_sums_to_what_backs_the_claims_gone_over(community: Community) -> None:
    """Of the claims that are left, `A'` of `B'` gone over, exactly `floor(A' C / B')`."""
    passed = both_passes(community)
    found = minted(passed)
    for number, window in PLACES:
        lacking = delivery.shortfalls(community.day, passed.run, number, window)
        for code, backed in delivery.certified(community.day, passed.run, number, window).items():
            key, short = (number, code, window), lacking[code].short
            one = tally(passed.after, key)
            left = one.claims - short
            gone_over = one.gone_over - (one.gone_over * short // one.claims if one.claims else 0)
            assert found[key] == (gone_over * backed // left if left else 0)


@given(communities())
@COMMUNITY
def test_claims_as_produced_are_short_of_exactly_what_was_not_produced(community: Community) -> None:
    """Whatever was sold as produced was bought as produced, in its quality or a lesser one: claims can bear
    all of it, the balancing party's among them.
    """
    passed = both_passes(community)
    for number, window in PLACES:
        lacking = delivery.shortfalls(community.day, passed.run, number, window)
        cells = {code: tally(passed.run, (number, code, window)) for code in QUALITIES}
        missed = sum(cells[code].obligations - cells[code].delivered for code in AS_PRODUCED)
        assert sum(one.short for one in lacking.values()) == missed
        assert all(0 <= lacking[code].short <= cells[code].claims for code in QUALITIES)
        assert all(lacking[code] == NOTHING for code in QUALITIES if quality.firm(code))


@given(communities())
@COMMUNITY
def test_who_is_short_of_what_sums_to_the_shortfall_but_for_the_balancing_partys_part(
    community: Community,
) -> None:
    passed = both_passes(community)
    for window in range(WINDOWS):
        short, party, in_all = sum(one.short[window] for one in passed.second), 0, 0
        for number in (0, 2):
            lacking = delivery.shortfalls(community.day, passed.run, number, window)
            in_all += sum(one.short for one in lacking.values())
            for code in AS_PRODUCED:
                key = number, code, window
                one, gone_over = tally(passed.run, key), tally(passed.after, key).gone_over
                if one.claims:
                    party += lacking[code].short - gone_over * lacking[code].short // one.claims
        assert short + party == in_all


@given(communities())
@COMMUNITY
def test_every_claim_that_matters_is_gone_over_once(community: Community) -> None:
    """Of a band all do; of band 0 all of a round or none, as something is short in some window or not."""
    passed = both_passes(community)
    party, _ = community.party
    for number, code, window in DAY.keys:
        found = [delivery.shortfalls(community.day, passed.run, number, w)[code] for w in range(WINDOWS)]
        matters = quality.band(code) > 0 or any(one.short for one in found)
        key = number, code, window
        expected = tally(passed.run, key).claims - party.get(key, 0) if matters else 0
        assert tally(passed.after, key).gone_over == expected


@given(communities())
@COMMUNITY
def test_nobody_is_short_where_everything_was_produced(community: Community) -> None:
    sold = [
        [sum(wh for key, wh in obligations.items() if key[2] == window) for window in range(WINDOWS)]
        for _, _, obligations in community.accounts
    ]
    entries = (replace(one, metered=tuple(row)) for one, row in zip(community.entries, sold, strict=True))
    passed = both_passes(replace(community, entries=tuple(entries)))
    assert not any(any(one.short) or one.refund for one in passed.second)
    assert passed.after.cash == 0


@given(communities())
@COMMUNITY
def test_imbalances_follow_from_what_was_metered_produced_and_bought(community: Community) -> None:
    passed = both_passes(community)
    for (entry, claims, obligations), first, second in zip(
        community.accounts, passed.first, passed.second, strict=True
    ):
        for window, wh in enumerate(entry.metered):
            contracted = settlement.contracted(DAY, claims, obligations, window)
            allotted = settlement.allot(DAY, wh, obligations, window)
            as_produced = [key for key in obligations if key[2] == window and not quality.firm(key[1])]
            missing = sum(obligations[key] - allotted[key] for key in as_produced)
            final = first.imbalance[window] - second.short[window]
            assert final == wh - contracted + missing - second.short[window]


# Cash ---------------------------------------------------------------------------------------------------


@given(communities())
@COMMUNITY
def test_what_was_withheld_is_earned_refunded_or_left_to_the_nano(community: Community) -> None:
    passed = both_passes(community)
    earned = sum(one.credit for one in passed.first)
    refunded = sum(one.refund for one in passed.second)
    assert earned + refunded + passed.after.cash == community.withheld
    assert passed.run.cash == community.withheld - earned


@given(communities())
@COMMUNITY
def test_nobody_is_refunded_more_than_it_paid(community: Community) -> None:
    passed, day = both_passes(community), community.day
    carry = passed.run
    for _, claims, _ in community.accounts:
        most = 0
        for key, claim in claims.items():
            lacking = delivery.shortfalls(day, passed.run, key[0], key[2])[key[1]]
            if lacking.short:
                mine = delivery.share(tally(carry, key), claim, lacking.short, 0).short
                most += mine * max(0, day.price(key))
        carry, one = delivery.deliver_account(day, carry, claims)
        assert 0 <= one.refund <= most


@given(communities())
@COMMUNITY
def test_buyers_are_refunded_no_more_than_sellers_were_not_paid(community: Community) -> None:
    """The rest is the balancing party's, its own claims' part among it."""
    assert both_passes(community).after.cash >= 0


@given(communities(trades(rounds=(0,), windows=(0,))))
@settings(deadline=None, max_examples=400)
def test_premiums_are_refunded_out_of_what_firm_sellers_gave_back_and_the_balancing_party_was_paid(
    community: Community,
) -> None:
    """In one round and window, whatever served what: what the balancing party pays is no loss to it."""
    passed, (_, sold) = both_passes(community), community.party
    returned = sum(one.premiums for one in passed.first)
    own = sum(wh * community.day.green_premium(key) for key, wh in sold.items())
    assert sum(one.premiums for one in passed.second) <= returned + own


def test_a_better_quality_that_costs_less_for_its_band_bounds_the_refund() -> None:
    """Firm green serves a claim on green as produced; its own premium was 45, the claim's 60."""
    day = replace(DAY, rounds=(replace(ROUNDS[0], prices=prices((150, 0), (60, 0), (15, 0), (60, 0))),))
    assert day.green_premium((0, 3, 0)) == 60
    assert delivery.refunded_premium(day, (0, 3, 0)) == day.green_premium((0, 11, 0)) == 45
    passed = both_passes(traded([(0, 1, 0, (11, 3), 0, 100)], IDLE, day))
    assert passed.first[0].premiums == passed.second[1].premiums == 100 * 45


def test_a_shortfall_of_one_round_costs_nobody_of_another() -> None:
    """At 170 a seller delivers nothing in round 0; who bought the same in round 2 keeps it."""
    both = [(0, 1, 0, (3, 3), 0, 400), (2, 3, 2, (3, 3), 0, 400)]
    passed = both_passes(traded(both, [(0, 0), (0, 0), (400, 0), (0, 0), (0, 0)]))
    assert [one.short[0] for one in passed.second] == [0, 400, 0, 0, 0]
    assert [one.refund for one in passed.second] == [0, 400 * 170, 0, 0, 0]
    assert passed.second[3].certificates == {(2, 3, 0): 400}


def test_a_loss_goes_on_to_lesser_qualities_with_its_part_of_the_money() -> None:
    cells = {
        (0, 3, 0): Tally(claims=40, obligations=100, delivered=30),
        (0, 0, 0): Tally(claims=60, obligations=10, delivered=5),
    }
    carry = carry_of(cells)
    found = delivery.shortfalls(DAY, carry, 0, 0)
    assert found[3] == Shortfall(40, 40 * 170)
    assert found[0] == Shortfall(35, 30 * 170 + 5 * 150)
    assert (found[8], found[11]) == (NOTHING, NOTHING)
    assert delivery.shortfalls(DAY, carry, 2, 0) == dict.fromkeys(QUALITIES, NOTHING)


@pytest.mark.parametrize(("sold_at", "refund"), [(170, 170), (100, 100), (0, 0), (-90, 0), (300, 170)])
def test_a_buyer_gets_back_what_its_seller_was_not_paid_and_never_more_than_it_paid(
    sold_at: int, refund: int
) -> None:
    """It bought at 170. Less of it was the seller's where a line was charged in between."""
    cells = {(0, 3, 0): Tally(claims=1000, obligations=1000, delivered=700)}
    carry, one = delivery.deliver_account(DAY, carry_of(cells, {(0, 3, 0): sold_at}), {(0, 3, 0): 1000})
    assert one == Delivery({(0, 3, 0): 700}, (300, 0), 300 * refund, 0, 1000 * 100)
    assert carry.cash == 300 * (max(0, sold_at) - refund)


def test_at_a_negative_price_a_buyer_keeps_what_its_seller_paid_it() -> None:
    cells = {(0, 0, 1): Tally(claims=1000, obligations=1000, delivered=400)}
    carry, one = delivery.deliver_account(DAY, carry_of(cells), {(0, 0, 1): 1000})
    assert (one.short, one.refund, carry.cash) == ((0, 600), 0, 0)


WHOLE = st.integers(0, 400)


@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=6), WHOLE, WHOLE, WHOLE, st.integers(-(2**29), 2**30)
)
def test_short_and_certified_and_refunds_sum_exactly_over_the_claims_of_a_quality(
    claims: list[int], party: int, sold: int, firm_green: int, sold_at: int
) -> None:
    """Sellers as produced deliver half; firm claims on green energy take some of it first."""
    sold = min(sold, sum(claims) + party)
    cells = {
        (0, 3, 0): Tally(sum(claims) + party, sold, sold - sold // 2),
        (0, 11, 0): Tally(claims=firm_green),
    }
    carry = carry_of(cells, {(0, 3, 0): sold_at})
    lacking = delivery.shortfalls(DAY, carry, 0, 0)[3]
    backed = delivery.certified(DAY, carry, 0, 0)[3]
    gone_over = all_short = all_certified = 0
    refund, escrow = 0, carry.cash
    for claim in claims:
        carry, one = delivery.deliver_account(DAY, carry, {(0, 3, 0): claim})
        gone_over += claim
        all_short += one.short[0]
        all_certified += sum(one.certificates.values())
        refund += one.refund
        left = sum(claims) + party - lacking.short
        assert all_short == gone_over * lacking.short // (sum(claims) + party)
        assert all_certified == ((gone_over - all_short) * backed // left if left else 0)
        assert 0 <= refund <= all_short * max(0, min(sold_at, 170))
    assert carry.cash == escrow - refund


def test_the_extremes_of_what_can_be_priced_fit_a_pot() -> None:
    """A price is at most 2^30; a tally holds 2^64 Wh."""
    key = (0, 3, 0)
    for sold_at in (-(2**29), 2**30):
        cells = {key: Tally(claims=2**63, obligations=2**63, delivered=0)}
        carry = carry_of(cells, {key: sold_at})
        assert 0 <= carry.pots[DAY.index(key)] < 2**96
        assert len(settlement.run_carry_hash(carry)) == 32
        carry, one = delivery.deliver_account(DAY, carry, {key: 2**63})
        assert one.refund == 2**63 * max(0, min(sold_at, 170))


# Green --------------------------------------------------------------------------------------------------


def test_what_greener_claims_leave_serves_browner_ones() -> None:
    cells = {(0, 11, 0): Tally(claims=5, delivered=20), (0, 3, 0): Tally(claims=50, delivered=10)}
    bare = RunCarry(tuple(cells.get(key, Tally()) for key in DAY.keys), (0,) * len(DAY.keys))
    cleared = replace(bare, tallies=tuple(replace(one, obligations=one.delivered) for one in bare.tallies))
    assert delivery.certified(DAY, cleared, 0, 0) == {11: 5, 3: 25}


def test_a_firm_claim_that_green_does_not_back_gets_its_green_premium_back() -> None:
    carry = carry_of({(0, 11, 0): Tally(claims=500, obligations=500, delivered=200)})
    _, firm = delivery.deliver_account(DAY, carry, {(0, 11, 0): 500})
    assert firm == Delivery({(0, 11, 0): 200}, (0, 0), 0, 300 * (50 - 5), 0)


def test_firm_claims_are_backed_first_and_the_rest_of_the_produced_gets_its_premium_back() -> None:
    """Green of 900 Wh backs firm claims first: 500 of them, then 400 of the 700 that were produced."""
    cells = {
        (0, 3, 0): Tally(claims=1000, obligations=1000, delivered=700),
        (0, 11, 0): Tally(claims=500, obligations=500, delivered=200),
    }
    carry, one = delivery.deliver_account(DAY, carry_of(cells), {(0, 3, 0): 1000})
    assert one == Delivery({(0, 3, 0): 400}, (300, 0), 300 * (150 + 20), 300 * 20, 1000 * 100)
    _, firm = delivery.deliver_account(DAY, carry, {(0, 11, 0): 500})
    assert firm == Delivery({(0, 11, 0): 500}, (0, 0), 0, 0, 0)


# One account --------------------------------------------------------------------------------------------


@given(HOLDINGS)
def test_a_claim_splits_into_short_certified_and_the_rest(claims: Holdings) -> None:
    carry = carry_of(dict.fromkeys(DAY.keys, Tally(claims=2000, obligations=900, delivered=300)))
    _, one = delivery.deliver_account(DAY, carry, claims)
    for window in range(WINDOWS):
        held = sum(wh for key, wh in claims.items() if key[2] == window)
        certified = sum(wh for key, wh in one.certificates.items() if key[2] == window)
        assert 0 <= one.short[window] <= held - certified


@given(HOLDINGS, HOLDINGS)
def test_every_reserve_returns_once(claims: Holdings, obligations: Holdings) -> None:
    """Of claims as produced in the second pass, of all else in the first."""
    _, second = delivery.deliver_account(DAY, carry_of({}), {})
    assert second.released == 0
    late = delivery.released(DAY, claims)
    early = settlement.reserve(DAY, claims, obligations)
    bought = sum(wh * DAY.round(key[0]).buy_reserve for key, wh in claims.items())
    sold = settlement.reserve(DAY, {}, obligations)
    assert early + late == bought + sold
    assert late == sum(
        wh * DAY.round(key[0]).buy_reserve for key, wh in claims.items() if key[1] in AS_PRODUCED
    )


@pytest.mark.parametrize(
    ("claim", "cell"),
    [
        ((0, 0, 0), Tally(claims=100, obligations=100, delivered=99)),
        ((0, 11, 0), Tally(claims=100, obligations=100, delivered=99)),
    ],
)
def test_what_is_refunded_needs_prices(claim: Key, cell: Tally) -> None:
    bare = replace(DAY, rounds=tuple(replace(one, prices=None) for one in DAY.rounds))
    whole = replace(cell, delivered=cell.obligations)
    delivery.deliver_account(bare, carry_of({claim: whole}), {claim: 100})
    with pytest.raises(errors.PricesMissing):
        delivery.deliver_account(bare, carry_of({claim: cell}), {claim: 100})


@given(communities(), st.integers(1, 5))
@COMMUNITY
def test_parts_cut_anywhere_deliver_the_same(community: Community, size: int) -> None:
    whole = both_passes(community)
    carry, found = whole.run, []
    for at in range(0, len(community.accounts), size):
        for _, claims, _ in community.accounts[at : at + size]:
            carry, one = delivery.deliver_account(community.day, carry, claims)
            found.append(one)
        carry = replace(carry, parts=carry.parts + 1)
    assert tuple(found) == whole.second


# Statements ---------------------------------------------------------------------------------------------

ROWS = st.lists(st.integers(1 - 2**31, 2**31 - 1), min_size=1, max_size=9)


@given(ROWS)
def test_a_row_tells_its_imbalances(row: list[int]) -> None:
    packed = statement.pack_row(row)
    assert len(packed) % 32 == 0
    assert statement.unpack_row(packed, len(row)) == tuple(row)


def test_a_row_is_the_word_that_values_four_windows() -> None:
    row = statement.pack_row([-1, 0, 5])
    lanes = [int.from_bytes(row[at : at + 8], "big") for at in range(0, 32, 8)]
    assert lanes == [2**40 + 2**31 + wh for wh in (-1, 0, 5, 0)]
