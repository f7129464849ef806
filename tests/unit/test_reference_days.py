"""Random days to their very end: cash and energy are conserved, wherever parts are cut."""

from __future__ import annotations

import pytest
import random_aftermath
import tree_world
from random_days import WINDOW_LENGTH, WINDOWS, Lived, live, total
from reference_world import DAY

from settlement.reference import quality
from settlement.reference.exchange import RunStage
from settlement.reference.exchange.events import (
    AccountCorrected,
    AccountDelivered,
    AccountSettled,
    ChallengeSettled,
    PartCertified,
    PartCorrected,
    RunSettled,
)
from settlement.reference.product_id import CERTIFICATE, ProductId, encode

SEEDS = range(24)


def told(lived: Lived, *kinds: type) -> list[tuple[int, int]]:
    """Imbalances over all windows, Wh, and cash, nano, of events of some kinds."""
    found = [event for event in lived.exchange.events if isinstance(event, kinds)]
    wh = [sum(e.imbalance_wh) if isinstance(e, AccountSettled) else e.imbalance_wh for e in found]
    return list(zip(wh, [event.cash_nano for event in found], strict=True))


@pytest.mark.parametrize("seed", SEEDS)
def test_cash_and_energy_sum_to_zero_after_both_passes_later_runs_and_challenges(seed: int) -> None:
    lived = live(seed)
    exchange = lived.exchange
    assert exchange.run(DAY).stage is RunStage.CERTIFIED

    def check() -> None:
        assert lived.total() == exchange.state.vault
        members = told(lived, AccountSettled, AccountDelivered, AccountCorrected)
        party = told(lived, RunSettled, PartCertified, PartCorrected, ChallengeSettled)
        assert [sum(column) for column in zip(*members, (0, 0), strict=True)] == [
            -sum(column) for column in zip(*party, (0, 0), strict=True)
        ]
        rows = [row for parts in lived.settler.parts.values() for part in parts for _, row in part]
        assert sum(map(sum, rows)) == sum(wh for wh, _ in members)

    check()
    random_aftermath.go_on(seed, lived, check=check)


@pytest.mark.parametrize("seed", SEEDS)
def test_parts_cut_anywhere_leave_the_same(seed: int) -> None:
    one, four = live(seed, per_part=1), live(seed, per_part=4)
    assert one.exchange.state.cash == four.exchange.state.cash
    assert one.exchange.state.lanes == four.exchange.state.lanes
    assert one.settler.carry == four.settler.carry
    rows = [
        dict(row for parts in lived.settler.parts.values() for part in parts for row in part)
        for lived in (one, four)
    ]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("seed", SEEDS)
def test_certificates_never_exceed_what_was_delivered(seed: int) -> None:
    lived = live(seed)
    exchange, carry = lived.exchange, lived.settler.carry
    assert carry is not None
    codes = exchange.grid_of(DAY).qualities
    for window in range(WINDOWS):
        for band in {quality.band(code) for code in codes} - {0}:
            green = [code for code in codes if quality.band(code) >= band]
            tallies = [carry.tallies[codes.index(code) * WINDOWS + window] for code in green]
            certified = sum(_certified(lived, code, window) for code in green)
            assert certified <= sum(tally.delivered for tally in tallies)


def _certified(lived: Lived, code: int, window: int) -> int:
    exchange = lived.exchange
    rounds = range(len(exchange.state.epochs))
    return sum(
        exchange.balance(
            lived.now, account, _certificate(exchange.member(account).zone, code, number, window)
        )
        for account in exchange.state.members
        for number in rounds
    )


def _certificate(zone: int, code: int, number: int, window: int) -> int:
    return encode(ProductId(DAY + window, WINDOW_LENGTH, zone, code, CERTIFICATE, number))


@pytest.mark.parametrize("seed", SEEDS[:8])
def test_what_is_recorded_of_a_day_is_all_of_it(seed: int) -> None:
    """Its transactions, sent again to an Exchange as it was in the morning, end in the same state."""
    lived = live(seed)
    random_aftermath.go_on(seed, lived)
    again = tree_world.make_exchange(lived.exchange.grid_of(DAY), WINDOWS)
    for step in lived.recorder.steps:
        if not step.refused:
            getattr(again, step.method)(*step.args)
    assert again.state == lived.exchange.state
    assert total(again, lived.now) == lived.total()


def test_the_days_are_worth_their_time() -> None:
    """Something of everything happens in some of them."""
    seen: set[str] = set()
    for seed in SEEDS:
        lived = live(seed)
        random_aftermath.go_on(seed, lived)
        seen |= {type(event).__name__ for event in lived.exchange.events}
        seen |= set(random_aftermath.outcomes(lived))
    wanted = {"AccountDelivered", "AccountCertified", "PricesMissing", "MeterRevoked", "UPHELD", "DEFEATED"}
    assert wanted <= seen, wanted - seen
