"""A run nets to zero, delivers once, and certifies exactly what was delivered."""

from hypothesis import given, settings
from hypothesis import strategies as st

from settlement.reference import quality, settlement
from settlement.reference.posting import Entry
from settlement.reference.settlement import Day, Round, RunCarry

QUALITIES = (0, 3, 8, 11)
DAY = Day(2, QUALITIES, (Round(0, 100, 300), Round(2, 50, 70)), surplus=(80, -20), deficit=(240, 10))
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
    assert settlement.allot(DAY, 15, obligations, 0) == {0: 0, 3: 10, 8: 5, 11: 0}
    assert settlement.allot(DAY, 25, obligations, 0) == {0: 0, 3: 10, 8: 10, 11: 5}
    assert settlement.allot(DAY, -25, obligations, 0) == dict.fromkeys(QUALITIES, 0)


def test_an_imbalance_is_paid_at_the_price_of_its_sign() -> None:
    assert settlement.imbalance_cash(10, surplus=80, deficit=240) == 800
    assert settlement.imbalance_cash(-10, surplus=80, deficit=240) == -2400
    assert settlement.imbalance_cash(10, surplus=-20, deficit=10) == -200


@given(communities())
@settings(deadline=None)
def test_certificates_sum_to_what_was_delivered_of_the_claimed(community: Accounts) -> None:
    run, _ = settled(community)
    carry = settlement.zone_start(run)
    minted: dict[tuple[int, int], int] = {}
    for _, claims, _ in community:
        carry, certificates = settlement.certify_account(DAY, carry, claims)
        for (one_round, code, window), wh in certificates.items():
            assert 0 < wh <= claims[(one_round, code, window)]
            minted[(code, window)] = minted.get((code, window), 0) + wh
    for window in range(DAY.windows):
        backed = settlement.certified(DAY, run.tallies, window)
        assert {code: minted.get((code, window), 0) for code in backed} == backed
        assert all(quality.band(code) > 0 for code in backed)
        green = sum(
            run.tallies[DAY.index(code, window)].delivered for code in QUALITIES if quality.band(code)
        )
        assert sum(backed.values()) <= green
    assert all(tally.gone_over == tally.claims for tally, code in _green_tallies(carry) if code)


def _green_tallies(carry: RunCarry) -> list[tuple[settlement.Tally, int]]:
    return [
        (carry.tallies[DAY.index(code, w)], quality.band(code))
        for code in QUALITIES
        for w in range(DAY.windows)
    ]


def test_what_greener_claims_leave_serves_browner_ones() -> None:
    tallies = [settlement.Tally()] * 8
    tallies[DAY.index(11, 0)] = settlement.Tally(claims=5, delivered=20)
    tallies[DAY.index(3, 0)] = settlement.Tally(claims=50, delivered=10)
    assert settlement.certified(DAY, tallies, 0) == {11: 5, 3: 25}
