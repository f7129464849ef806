"""The second pass shares what was not produced, certifies what was delivered, and nets to zero."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st
from test_reference_settlement import DAY, HOLDINGS, QUALITIES, Accounts, communities, counterpart, settled

from settlement.reference import delivery, quality, settlement, statement
from settlement.reference.delivery import Delivery
from settlement.reference.settlement import RunCarry, Tally

WINDOWS = range(DAY.windows)
AS_PRODUCED = [code for code in QUALITIES if not quality.firm(code)]


@dataclass(frozen=True)
class Passed:
    """A community after both passes."""

    run: RunCarry
    """After the first, the balancing party's claims included."""
    after: RunCarry
    first: list[settlement.AccountResult]
    second: list[Delivery]


def both_passes(community: Accounts) -> Passed:
    run, first = settled(community)
    claims, _ = counterpart(community)
    run = settlement.zone_start(settlement.with_claims(DAY, run, claims))
    carry, second = run, []
    for _, held, _ in community:
        carry, one = delivery.deliver_account(DAY, carry, held)
        second.append(one)
    return Passed(run, carry, first, second)


def tally(run: RunCarry, code: int, window: int) -> Tally:
    return run.tallies[DAY.index(code, window)]


@given(communities())
@settings(deadline=None)
def test_certificates_never_exceed_what_was_delivered_of_their_band_or_greener(community: Accounts) -> None:
    passed = both_passes(community)
    minted: dict[tuple[int, int], int] = {}
    for (_, claims, _), one in zip(community, passed.second, strict=True):
        for (number, code, window), wh in one.certificates.items():
            assert 0 < wh <= claims[(number, code, window)]
            minted[(code, window)] = minted.get((code, window), 0) + wh
    for window in WINDOWS:
        for least in (1, 3):
            green = [code for code in QUALITIES if quality.band(code) >= least]
            delivered = sum(tally(passed.run, code, window).delivered for code in green)
            assert sum(minted.get((code, window), 0) for code in green) <= delivered
        backed = delivery.certified(DAY, passed.run.tallies, window)
        assert all(minted.get((code, window), 0) <= wh for code, wh in backed.items())


@given(communities())
@settings(deadline=None)
def test_what_is_certified_sums_to_what_backs_the_claims_gone_over(community: Accounts) -> None:
    """Of the claims that are left, `A'` of `B'` gone over, exactly `floor(A' C / B')`."""
    passed = both_passes(community)
    for window in WINDOWS:
        lost = delivery.shortfalls(DAY, passed.run.tallies, window)
        for code, backed in delivery.certified(DAY, passed.run.tallies, window).items():
            one = tally(passed.after, code, window)
            minted = sum(
                wh
                for account in passed.second
                for (_, c, w), wh in account.certificates.items()
                if (c, w) == (code, window)
            )
            left = one.claims - lost[code]
            gone_over = one.gone_over - (one.gone_over * lost[code] // one.claims if one.claims else 0)
            assert minted == (gone_over * backed // left if left else 0)


@given(communities())
@settings(deadline=None)
def test_claims_lose_no_more_than_was_not_produced(community: Accounts) -> None:
    run = both_passes(community).run
    for window in WINDOWS:
        found = delivery.shortfalls(DAY, run.tallies, window)
        tallies = [tally(run, code, window) for code in AS_PRODUCED]
        assert sum(found.values()) <= sum(one.obligations - one.delivered for one in tallies)
        assert all(0 <= found[code] <= tally(run, code, window).claims for code in QUALITIES)
        assert all(found[code] == 0 for code in QUALITIES if quality.firm(code))


@given(communities())
@settings(deadline=None)
def test_who_loses_what_sums_to_the_shortfall_but_for_the_balancing_partys_part(community: Accounts) -> None:
    passed = both_passes(community)
    for window in WINDOWS:
        lost = sum(one.lost[window] for one in passed.second)
        shortfall = delivery.shortfalls(DAY, passed.run.tallies, window)
        party = 0
        for code in AS_PRODUCED:
            one, gone_over = tally(passed.run, code, window), tally(passed.after, code, window).gone_over
            if one.claims:
                party += shortfall[code] - gone_over * shortfall[code] // one.claims
        assert lost + party == sum(shortfall.values())


@given(communities())
@settings(deadline=None)
def test_every_claim_that_matters_is_gone_over_once(community: Accounts) -> None:
    """Of a band all do; of band 0 all or none, as something is lost in some window or not."""
    passed = both_passes(community)
    party, _ = counterpart(community)
    found = [delivery.shortfalls(DAY, passed.run.tallies, window) for window in WINDOWS]
    for code in QUALITIES:
        if quality.band(code) == 0 and not any(one[code] for one in found):
            assert all(tally(passed.after, code, window).gone_over == 0 for window in WINDOWS)
            continue
        for window in WINDOWS:
            kept = sum(wh for (_, c, w), wh in party.items() if (c, w) == (code, window))
            assert (
                tally(passed.after, code, window).gone_over == tally(passed.run, code, window).claims - kept
            )


@given(communities())
@settings(deadline=None)
def test_nobody_loses_anything_where_everything_was_produced(community: Accounts) -> None:
    everything = [
        (replace(entry, metered=tuple(_sold(obligations, w) for w in WINDOWS)), claims, obligations)
        for entry, claims, obligations in community
    ]
    for one in both_passes(everything).second:
        assert not any(one.lost)


def _sold(obligations: settlement.Holdings, window: int) -> int:
    return sum(wh for key, wh in obligations.items() if key[2] == window)


@given(HOLDINGS)
def test_a_claim_splits_into_lost_certified_and_the_rest(claims: settlement.Holdings) -> None:
    tallies = [Tally(claims=2000, obligations=900, delivered=300) for _ in range(len(QUALITIES) * 2)]
    _, one = delivery.deliver_account(DAY, RunCarry(tuple(tallies)), claims)
    for window in WINDOWS:
        held = sum(wh for key, wh in claims.items() if key[2] == window)
        certified = sum(wh for key, wh in one.certificates.items() if key[2] == window)
        assert 0 <= one.lost[window] <= held - certified


def test_what_greener_claims_leave_serves_browner_ones() -> None:
    tallies = [Tally()] * 8
    tallies[DAY.index(11, 0)] = Tally(claims=5, delivered=20)
    tallies[DAY.index(3, 0)] = Tally(claims=50, delivered=10)
    assert delivery.certified(DAY, tallies, 0) == {11: 5, 3: 25}


def test_what_greener_claims_cannot_lose_lesser_ones_lose() -> None:
    tallies = [Tally()] * 8
    tallies[DAY.index(3, 0)] = Tally(claims=40, obligations=100, delivered=30)
    tallies[DAY.index(0, 0)] = Tally(claims=60, obligations=10, delivered=5)
    assert delivery.shortfalls(DAY, tallies, 0) == {3: 40, 0: 35, 8: 0, 11: 0}


def test_a_buyer_gets_back_the_price_of_the_unproduced_and_the_premium_of_the_brown() -> None:
    """Green of 900 Wh backs firm claims first: 500 of them, then 400 of the 700 that were produced."""
    tallies = [Tally()] * 8
    tallies[DAY.index(3, 0)] = Tally(claims=1000, obligations=1000, delivered=700)
    tallies[DAY.index(11, 0)] = Tally(claims=500, obligations=500, delivered=200)
    carry = RunCarry(tuple(tallies))
    carry, as_produced = delivery.deliver_account(DAY, carry, {(0, 3, 0): 1000})
    assert as_produced == Delivery({(0, 3, 0): 400}, (300, 0), 300 * (150 + 20) + 300 * 20)
    _, firm = delivery.deliver_account(DAY, carry, {(0, 11, 0): 500})
    assert firm == Delivery({(0, 11, 0): 500}, (0, 0), 0)


def test_a_firm_claim_that_green_does_not_back_gets_its_green_premium_back() -> None:
    tallies = [Tally()] * 8
    tallies[DAY.index(11, 0)] = Tally(claims=500, obligations=500, delivered=200)
    _, firm = delivery.deliver_account(DAY, RunCarry(tuple(tallies)), {(0, 11, 0): 500})
    assert firm == Delivery({(0, 11, 0): 200}, (0, 0), 300 * (50 - 5))


WHOLE = st.integers(0, 400)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=6), WHOLE, WHOLE, WHOLE)
def test_lost_and_certified_sum_exactly_over_the_claims_of_a_quality(
    claims: list[int], party: int, sold: int, firm_green: int
) -> None:
    """Sellers as produced deliver half; firm claims on green energy take some of it first."""
    tallies = [Tally()] * 8
    tallies[DAY.index(3, 0)] = Tally(sum(claims) + party, sold, sold - sold // 2)
    tallies[DAY.index(11, 0)] = Tally(claims=firm_green)
    lost = delivery.shortfalls(DAY, tallies, 0)[3]
    backed = delivery.certified(DAY, tallies, 0)[3]
    carry, gone_over, all_lost, all_certified = RunCarry(tuple(tallies)), 0, 0, 0
    for claim in claims:
        carry, one = delivery.deliver_account(DAY, carry, {(0, 3, 0): claim})
        gone_over += claim
        all_lost += one.lost[0]
        all_certified += sum(one.certificates.values())
        left = sum(claims) + party - lost
        assert all_lost == gone_over * lost // (sum(claims) + party)
        assert all_certified == ((gone_over - all_lost) * backed // left if left else 0)


# Both passes together -----------------------------------------------------------------------------------


@given(communities())
@settings(deadline=None)
def test_what_members_get_in_both_passes_follows_from_what_was_metered(community: Accounts) -> None:
    """Each imbalance is metered less what was sold and produced, plus what was bought and produced."""
    passed = both_passes(community)
    for (entry, claims, obligations), first, second in zip(
        community, passed.first, passed.second, strict=True
    ):
        for window, wh in enumerate(entry.metered):
            contracted = settlement.contracted(DAY, claims, obligations, window)
            as_produced = [(r, c) for (r, c, w) in obligations if w == window and not quality.firm(c)]
            allotted = settlement.allot(DAY, wh, obligations, window)
            missing = sum(obligations[(r, c, window)] - allotted[(r, c)] for r, c in as_produced)
            final = first.imbalance[window] - second.lost[window]
            assert final == wh - contracted + missing - second.lost[window]


@given(communities(), st.integers(1, 5))
@settings(deadline=None)
def test_parts_cut_anywhere_deliver_the_same(community: Accounts, size: int) -> None:
    whole = both_passes(community)
    carry, found = whole.run, []
    for at in range(0, len(community), size):
        for _, claims, _ in community[at : at + size]:
            carry, one = delivery.deliver_account(DAY, carry, claims)
            found.append(one)
        carry = replace(carry, parts=carry.parts + 1)
    assert found == whole.second


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
